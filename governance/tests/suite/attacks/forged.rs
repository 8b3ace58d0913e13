//! Attacks on the ledger: words that must go, entries that were forged.

use holdfast_fixtures::{Fault, Operation, Plan};
use holdfast_governance::actor::By;
use holdfast_governance::hold;
use holdfast_governance::ledger::{Ledger, LedgerOptions};
use holdfast_schemas::ledger;
use holdfast_schemas::ledger::hold::HoldRelease;
use holdfast_schemas::ledger::{Act, Digest};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::holds::custodian;
use super::{actor, by, objects, old, signing, store};
use crate::model::acts::{fresh, place, save};
use crate::model::events::ingest;
use crate::model::world::{Process, begin, process, write};

#[tokio::test(flavor = "multi_thread")]
async fn le1_removed_words_are_gone_wherever_writers_left_them() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let mut scope = custodian(Some("ana"), &["ana.secret@example.com", "u-1"]);
    scope.query = Some("secret".to_owned());
    place(&first, "h", scope).await;
    let state = first.ledger.refresh().await.unwrap();
    let entry = state.holds["h"].placed.seq;
    // What a writer that lost the race for the number left behind.
    let orphan = ledger::entry::params_path(entry, &Digest::of(b"another"));
    store(&first, &orphan, b"the secret again".to_vec()).await;
    let remove = |seq| first.ledger.remove_params(&first.by, seq, "asked for");
    // While it holds, its scope is what it consists of.
    remove(entry).await.unwrap();
    assert!(!objects(&first, "ledger/params").await.contains(&orphan));
    let release = HoldRelease {
        name: "h".to_owned(),
        reason: "over".to_owned(),
        holds_until_us: 0,
    };
    hold::release(&first.ledger, &first.by, &release)
        .await
        .unwrap();
    let state = first.ledger.refresh().await.unwrap();
    assert!(!state.holds["h"].holds_at(first.ledger.now_us()));
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_what_an_ended_hold_was_about_can_be_forgotten() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let mut scope = custodian(Some("ana"), &["ana.secret@example.com", "u-1"]);
    scope.query = Some("marker1x OR secret".to_owned());
    place(&first, "h", scope).await;
    let release = HoldRelease {
        name: "h".to_owned(),
        reason: "over".to_owned(),
        holds_until_us: first.ledger.now_us(),
    };
    hold::release(&first.ledger, &first.by, &release)
        .await
        .unwrap();
    let head = first.ledger.refresh().await.unwrap().head.seq;
    for seq in 1..=head {
        let record = first.ledger.record(seq).await.unwrap().unwrap();
        let of_hold = matches!(record.entry.action.as_str(), "hold.place" | "hold.expand");
        if of_hold {
            first
                .ledger
                .remove_params(&first.by, seq, "asked for")
                .await
                .unwrap();
        }
    }
    for path in objects(&first, "ledger").await {
        let bytes = first.archive.store().get(&Path::from(path.as_str())).await;
        let bytes = bytes.unwrap().bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("secret"), "{path}: {text}");
    }
    // Everything still opens, plans and verifies.
    let again = Ledger::open(&first.archive).await.unwrap();
    assert!(again.state().holds["h"].released.is_some());
    assert_eq!(save(&first).await.1.events, 4);
    hold::verify(&first.ledger, &first.by, "h").await.unwrap();
    let report = ledger_report(&first).await;
    assert_eq!(report.findings, []);
}

async fn ledger_report(process: &Process) -> holdfast_governance::ledger::verify::Report {
    holdfast_governance::ledger::verify::verify(&process.archive, LedgerOptions::default())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_verification_beside_writers_finds_nothing_that_is_not_there() {
    let inner = begin().await;
    let (looking, writing) = (process(&inner).await, process(&inner).await);
    let faults = looking.store.faults();
    let early = writing.ledger.state().head.seq + 1;
    for path in ["ledger/", "ledger/snapshot.json"] {
        // The listing of the entries, or the reading of the snapshot, comes early; others go on.
        let operation = if path == "ledger/" {
            Operation::List
        } else {
            Operation::Get
        };
        faults.clear();
        let plan = Plan::nth(1, Fault::PauseAfter).on(&[operation]);
        faults.plan(if operation == Operation::List {
            plan.path("ledger")
        } else {
            plan.path(path)
        });
        let paused = if path == "ledger/" { 1 } else { 2 };
        let others = async {
            faults.paused(paused).await;
            for number in 0..70 {
                let open = ledger::matter::MatterOpen {
                    name: format!("{path}{number}"),
                    title: Some("words".to_owned()),
                };
                write(&writing, Act::MatterOpen(open)).await;
            }
            if operation == Operation::Get {
                // The snapshot that was read holds them still.
                let removed = writing
                    .ledger
                    .remove_params(&writing.by, early, "asked for");
                removed.await.unwrap();
            }
            faults.release();
        };
        let (report, ()) = tokio::join!(ledger_report(&looking), others);
        assert_eq!(report.findings, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_an_entry_with_a_huge_number_is_found_and_fills_no_report() {
    let first = fresh().await;
    let head = first.ledger.state().head;
    let draft = |seq| ledger::entry::Draft {
        seq,
        time_us: first.ledger.now_us(),
        actor: "mallory".to_owned(),
        action: "search".to_owned(),
        matter: None,
        params_digest: Digest::of(b"none"),
        prev_hash: head.hash,
    };
    for seq in [5_000_000_000, u64::MAX] {
        let entry = draft(seq).seal().unwrap();
        store(&first, &ledger::Entry::path(seq), entry.encode().unwrap()).await;
    }
    let report = ledger_report(&first).await;
    assert!(report.findings.len() < 10, "{}", report.findings.len());
    let words: Vec<_> = report
        .findings
        .iter()
        .map(|one| one.tampering.word())
        .collect();
    assert!(words.contains(&"deleted"), "{words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_entries_that_their_writer_may_not_have_written_are_named() {
    use ledger::actor::{ActorDisable, Role};
    let first = fresh().await;
    write(&first, actor("rec", 1, &[Role::Records])).await;
    let rec = signing("rec", 1);
    by(
        &first,
        &rec,
        actor("gone", 2, &[Role::Records, Role::Legal]),
    )
    .await;
    by(&first, &rec, actor("au", 3, &[Role::Auditor])).await;
    let disable = ActorDisable {
        name: "gone".to_owned(),
        reason: None,
    };
    by(&first, &rec, Act::ActorDisable(disable)).await;
    assert_eq!(ledger_report(&first).await.findings, []);
    // Both keys still sign; the store is written past Holdfast.
    let release = || {
        Act::PolicyRemove(ledger::policy::PolicyRemove {
            name: "year".to_owned(),
            reason: None,
        })
    };
    for (name, number) in [("gone", 2), ("au", 3)] {
        append_past(&first, &signing(name, number), number, release()).await;
    }
    let report = ledger_report(&first).await;
    let words: Vec<_> = report
        .findings
        .iter()
        .map(|one| one.tampering.word())
        .collect();
    assert_eq!(
        words,
        ["not allowed", "not allowed"],
        "{:?}",
        report.findings
    );
}

/// An entry in its place in the chain, signed, that nobody judged.
async fn append_past(process: &Process, by: &By, number: u8, act: Act) {
    use base64::Engine;
    use ed25519_dalek::Signer;
    let state = process.ledger.refresh().await.unwrap();
    let params = ledger::Params {
        seq: state.head.seq + 1,
        salt: Digest::of(b"salt"),
        command: None,
        act,
    };
    let (words, params_digest) = params.encode().unwrap();
    let draft = ledger::entry::Draft {
        seq: params.seq,
        time_us: process.ledger.now_us(),
        actor: by.name().to_owned(),
        action: params.act.action().to_owned(),
        matter: None,
        params_digest,
        prev_hash: state.head.hash,
    };
    let mut entry = draft.seal().unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
    let signature = key.sign(&entry.signed_bytes()).to_bytes();
    entry.signature = Some(base64::engine::general_purpose::STANDARD.encode(signature));
    store(process, &entry.params_path(), words).await;
    store(
        process,
        &ledger::Entry::path(entry.seq),
        entry.encode().unwrap(),
    )
    .await;
}
