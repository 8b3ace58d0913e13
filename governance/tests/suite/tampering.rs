//! LE-1: whatever is done to the ledger behind its back is named, with the entry.
use std::sync::Arc;

use crate::common::*;
use holdfast_archive::Archive;
use holdfast_fixtures::FaultyStore;
use holdfast_governance::actor::By;
use holdfast_governance::anchor;
use holdfast_governance::ledger::verify::{Report, Tampering, verify};
use holdfast_governance::ledger::{Appended, Context, Ledger, LedgerError};
use holdfast_schemas::ledger::actor::Role;
use holdfast_schemas::ledger::entry::Draft;
use holdfast_schemas::ledger::{Act, Entry, SNAPSHOT_PATH};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

const ENTRIES: u64 = 9;

/// Nine entries: matters and searches.
async fn filled() -> (Arc<FaultyStore>, Archive) {
    let (store, archive) = memory().await;
    fill(&archive, "M").await;
    (store, archive)
}

async fn fill(archive: &Archive, prefix: &str) {
    let ledger = open(archive).await;
    let by = By::claim("ana");
    for n in 0..ENTRIES {
        match n % 2 {
            0 => open_matter(&ledger, &by, &format!("{prefix}-{n}"))
                .await
                .unwrap(),
            _ => ledger.append_act(&by, None, search("words")).await.unwrap(),
        };
    }
}

/// The entry that opens matter `M`.
async fn open_titled(ledger: &Ledger, by: &By, title: &str) -> Appended {
    let mut titled = matter("M");
    titled.title = Some(title.to_owned());
    ledger
        .append(by, Context::default(), |state| {
            holdfast_governance::matter::judge_open(state, &titled)
        })
        .await
        .unwrap()
}

async fn report(store: &Arc<FaultyStore>) -> Report {
    verify(&reopened(store).await, options()).await.unwrap()
}

async fn found(store: &Arc<FaultyStore>) -> Vec<(u64, Tampering)> {
    let report = report(store).await;
    report
        .findings
        .iter()
        .map(|f| (f.seq, f.tampering))
        .collect()
}

async fn get(store: &FaultyStore, path: &str) -> Vec<u8> {
    let got = store.inner().get(&Path::from(path)).await.unwrap();
    got.bytes().await.unwrap().to_vec()
}

async fn put(store: &FaultyStore, path: &str, bytes: Vec<u8>) {
    store
        .inner()
        .put(&Path::from(path), bytes.into())
        .await
        .unwrap();
}

async fn entry(store: &FaultyStore, seq: u64) -> Entry {
    Entry::decode(&get(store, &Entry::path(seq)).await).unwrap()
}

async fn delete(store: &FaultyStore, path: &str) {
    store.inner().delete(&Path::from(path)).await.unwrap();
}

/// An entry as somebody would forge it: content changed, hashed anew, put in place.
async fn forge(store: &FaultyStore, seq: u64, change: impl Fn(&mut Draft)) -> Entry {
    let old = entry(store, seq).await;
    let mut draft = Draft {
        seq: old.seq,
        time_us: old.time_us,
        actor: old.actor,
        action: old.action,
        matter: old.matter,
        params_digest: old.params_digest,
        prev_hash: old.prev_hash,
    };
    change(&mut draft);
    let forged = draft.seal().unwrap();
    put(store, &Entry::path(seq), forged.encode().unwrap()).await;
    forged
}

#[tokio::test]
async fn le1_an_untouched_ledger_has_no_findings() {
    let (store, _) = filled().await;
    let report = report(&store).await;
    assert_eq!(
        (report.findings.as_slice(), report.entries),
        (&[][..], ENTRIES)
    );
    assert_eq!(report.head.seq, ENTRIES);
    assert_eq!(report.hashes.len() as u64, ENTRIES);
}

#[tokio::test]
async fn le1_every_edited_byte_of_an_entry_is_found() {
    let (store, _) = filled().await;
    let path = Entry::path(4);
    let whole = get(&store, &path).await;
    for at in (0..whole.len()).step_by(7) {
        let mut edited = whole.clone();
        // Another character of the same kind, so that it stays JSON where it can.
        edited[at] = match edited[at] {
            b'0' => b'1',
            byte if byte.is_ascii_digit() => b'0',
            b'a' => b'b',
            byte if byte.is_ascii_lowercase() => b'a',
            _ => continue,
        };
        put(&store, &path, edited).await;
        let found = found(&store).await;
        assert!(
            found.iter().any(|(seq, _)| *seq == 4),
            "byte {at}: {found:?}"
        );
    }
    put(&store, &path, whole).await;
    assert!(found(&store).await.is_empty());
}

#[tokio::test]
async fn le1_an_edit_that_is_hashed_anew_is_found_by_the_next_entry() {
    let (store, _) = filled().await;
    delete(&store, SNAPSHOT_PATH).await;
    forge(&store, 4, |draft| draft.actor = "somebody else".to_owned()).await;
    assert_eq!(found(&store).await, [(4, Tampering::Edited)]);
    let opened = Ledger::open_with(&reopened(&store).await, options()).await;
    assert!(
        matches!(opened, Err(LedgerError::Broken { .. })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn le1_edited_words_are_found() {
    let (store, _) = filled().await;
    let entry = entry(&store, 6).await;
    let words = String::from_utf8(get(&store, &entry.params_path()).await).unwrap();
    put(
        &store,
        &entry.params_path(),
        words.replace("words", "wards").into_bytes(),
    )
    .await;
    assert_eq!(found(&store).await, [(6, Tampering::ParamsEdited)]);
    delete(&store, &entry.params_path()).await;
    assert_eq!(found(&store).await, [(6, Tampering::ParamsMissing)]);
}

#[tokio::test]
async fn le1_a_deleted_entry_is_named_whether_the_others_move_up_or_not() {
    let (store, _) = filled().await;
    delete(&store, &Entry::path(3)).await;
    assert_eq!(found(&store).await, [(3, Tampering::Deleted)]);
    for seq in 4..=ENTRIES {
        let bytes = get(&store, &Entry::path(seq)).await;
        put(&store, &Entry::path(seq - 1), bytes).await;
    }
    delete(&store, &Entry::path(ENTRIES)).await;
    assert_eq!(found(&store).await, [(3, Tampering::Deleted)]);
}

#[tokio::test]
async fn le1_an_inserted_entry_is_named() {
    let (store, _) = filled().await;
    // Everything from 5 on moves down by one; a forged entry 5 takes the place.
    for seq in (5..=ENTRIES).rev() {
        let bytes = get(&store, &Entry::path(seq)).await;
        put(&store, &Entry::path(seq + 1), bytes).await;
    }
    forge(&store, 5, |draft| draft.actor = "nobody".to_owned()).await;
    let found = found(&store).await;
    assert!(
        found.iter().any(|(_, t)| *t == Tampering::Inserted),
        "{found:?}"
    );
    assert!(
        found.iter().all(|(seq, _)| (4..=6).contains(seq)),
        "{found:?}"
    );
}

#[tokio::test]
async fn le1_exchanged_entries_are_named() {
    let (store, _) = filled().await;
    let (a, b) = (
        get(&store, &Entry::path(3)).await,
        get(&store, &Entry::path(7)).await,
    );
    put(&store, &Entry::path(3), b).await;
    put(&store, &Entry::path(7), a).await;
    let found = found(&store).await;
    assert!(found.contains(&(3, Tampering::Reordered)), "{found:?}");
    assert!(
        found.iter().all(|(_, t)| *t == Tampering::Reordered),
        "{found:?}"
    );
}

#[tokio::test]
async fn le1_a_cut_tail_shows_against_the_fence_and_opens_no_more() {
    let (store, archive) = filled().await;
    let ledger = open(&archive).await;
    ledger.fence(ENTRIES).await.unwrap();
    ledger
        .append_act(&By::claim("ana"), None, search("after"))
        .await
        .unwrap();
    // What was never fenced was never acknowledged as a protection: its loss is not seen by the fence.
    delete(&store, &Entry::path(ENTRIES + 1)).await;
    assert!(found(&store).await.is_empty());
    delete(&store, &Entry::path(ENTRIES)).await;
    assert_eq!(found(&store).await, [(ENTRIES, Tampering::Truncated)]);
    let opened = Ledger::open_with(&reopened(&store).await, options()).await;
    assert!(
        matches!(opened, Err(LedgerError::CutTail { head: 8, fence: 9 })),
        "{opened:?}"
    );
}

#[tokio::test]
async fn ar2_a_table_whose_last_versions_are_gone_shows_against_the_ledger() {
    let (store, archive) = filled().await;
    let head = archive.snapshot().await.unwrap().version();
    let by = By::claim("ana");
    let said = async |version| {
        let Act::Search(mut act) = search("pinned") else {
            unreachable!()
        };
        act.table_version = Some(version);
        let ledger = open(&archive).await;
        ledger
            .append_act(&by, None, Act::Search(act))
            .await
            .unwrap();
        found(&store).await
    };
    assert_eq!(said(head).await, []);
    assert_eq!(
        said(head + 1).await,
        [(ENTRIES + 2, Tampering::AheadOfTable)]
    );
}

#[tokio::test]
async fn le1_a_rewrite_of_everything_shows_against_an_anchor_only() {
    let (store, archive) = filled().await;
    let state = open(&archive).await.state();
    let anchor = anchor::make(&archive, &state, 1).await.unwrap();
    let compare = async |store: &Arc<FaultyStore>| {
        let archive = reopened(store).await;
        let report = verify(&archive, options()).await.unwrap();
        let found = anchor::check::check(&archive, &report, &anchor, None)
            .await
            .unwrap();
        (report.findings.len(), found.problems)
    };
    assert_eq!(compare(&store).await, (0, Vec::new()));
    // Life goes on: the anchor still holds.
    open_matter(&open(&archive).await, &By::claim("ana"), "later")
        .await
        .unwrap();
    assert_eq!(compare(&store).await, (0, Vec::new()));
    // The owner writes another history with the same tools.
    let paths: Vec<Path> = {
        use futures::TryStreamExt;
        store
            .inner()
            .list(Some(&Path::from("ledger")))
            .map_ok(|m| m.location)
            .try_collect()
            .await
            .unwrap()
    };
    for path in paths {
        store.inner().delete(&path).await.unwrap();
    }
    fill(&reopened(&store).await, "other").await;
    let (findings, problems) = compare(&store).await;
    assert_eq!(findings, 0, "the chain alone cannot show it");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(
        problems[0].contains("entry 9") && problems[0].contains("rewritten"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn le1_signatures_removed_or_forged_are_named() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let ana = signing("ana", 1);
    ledger
        .append_act(&By::claim("before"), None, search("x"))
        .await
        .unwrap();
    add(
        &ledger,
        &By::claim("setup"),
        &actor("ana", 1, &[Role::Records, Role::Legal]),
    )
    .await
    .unwrap();
    for n in 0..3 {
        open_matter(&ledger, &ana, &format!("M-{n}")).await.unwrap();
    }
    let whole = report(&store).await;
    assert_eq!(
        (whole.findings.len(), whole.signed),
        (0, 3),
        "{:?}",
        whole.findings
    );
    let path = Entry::path(4);
    let bytes = get(&store, &path).await;
    let mut signed = entry(&store, 4).await;
    signed.signature = None;
    put(&store, &path, signed.encode().unwrap()).await;
    assert_eq!(found(&store).await, [(4, Tampering::Signature)]);
    // Another's signature of the very same entry.
    let other = entry(&store, 5).await;
    signed.signature = other.signature;
    put(&store, &path, signed.encode().unwrap()).await;
    assert_eq!(found(&store).await, [(4, Tampering::Signature)]);
    put(&store, &path, bytes).await;
    // The last entry exchanged, hashed anew: nothing but the signature shows it.
    forge(&store, 5, |draft| draft.time_us -= 1).await;
    assert_eq!(found(&store).await, [(5, Tampering::Signature)]);
}

#[tokio::test]
async fn le1_a_snapshot_is_never_trusted_over_the_chain() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    for n in 0..70 {
        open_matter(&ledger, &By::claim("ana"), &format!("M-{n}"))
            .await
            .unwrap();
    }
    let genuine = String::from_utf8(get(&store, SNAPSHOT_PATH).await).unwrap();
    assert!(found(&store).await.is_empty());
    // Broken: passed over by opening, named by verification.
    put(
        &store,
        SNAPSHOT_PATH,
        genuine.replace("M-3\"", "X-3\"").into_bytes(),
    )
    .await;
    assert_eq!(open(&reopened(&store).await).await.state(), ledger.state());
    assert!(found(&store).await.contains(&(0, Tampering::Snapshot)));
    // Forged with its digest: opening cannot tell, verification does.
    let snapshot = holdfast_schemas::ledger::snapshot::Snapshot::decode(genuine.as_bytes())
        .unwrap()
        .unwrap();
    let forged = snapshot.state.get().replace("\"M-3\":", "\"X-3\":");
    let forged =
        holdfast_schemas::ledger::snapshot::Snapshot::new(snapshot.seq, snapshot.hash, forged)
            .unwrap();
    put(&store, SNAPSHOT_PATH, forged.encode().unwrap()).await;
    assert_eq!(found(&store).await, [(snapshot.seq, Tampering::Snapshot)]);
    // Of a chain that is not this one.
    let elsewhere = holdfast_schemas::ledger::snapshot::Snapshot::new(
        64,
        holdfast_schemas::ledger::Digest::of(b"x"),
        genuine.clone(),
    )
    .unwrap();
    put(&store, SNAPSHOT_PATH, elsewhere.encode().unwrap()).await;
    assert_eq!(open(&reopened(&store).await).await.state(), ledger.state());
    delete(&store, SNAPSHOT_PATH).await;
    assert_eq!(open(&reopened(&store).await).await.state(), ledger.state());
}

#[tokio::test]
async fn le1_removed_words_are_gone_everywhere_and_the_chain_holds() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let ana = By::claim("ana");
    let opened = open_titled(&ledger, &ana, "marker title").await;
    let searched = ledger
        .append_act(&ana, None, search("marker query"))
        .await
        .unwrap();
    // Enough for a snapshot that holds the title.
    for _ in 0..70 {
        ledger.append_act(&ana, None, search("x")).await.unwrap();
    }
    let stale = open(&reopened(&store).await).await;
    for done in [opened.seq, searched.seq] {
        let removed = ledger
            .remove_params(&ana, done, "erasure E-1")
            .await
            .unwrap();
        let again = ledger
            .remove_params(&ana, done, "erasure E-1")
            .await
            .unwrap();
        assert_eq!(removed.seq, again.seq);
    }
    use futures::TryStreamExt;
    let all: Vec<_> = store.inner().list(None).try_collect().await.unwrap();
    for meta in all {
        let bytes = get(&store, meta.location.as_ref()).await;
        assert!(
            !String::from_utf8_lossy(&bytes).contains("marker"),
            "{}",
            meta.location
        );
    }
    assert!(found(&store).await.is_empty());
    // Who opens now, and who knew the words, get to the same state: the matter is still there.
    let now = open(&reopened(&store).await).await.state();
    assert_eq!(now, stale.refresh().await.unwrap());
    assert_eq!(now.matters["M"].title.as_deref(), Some("(removed)"));
    assert_eq!(now, ledger.state());
}

/// The removal is written, and what follows it fails; the process lives, and writes other entries.
#[tokio::test]
async fn le1_a_removal_that_broke_off_leaves_no_words_to_the_next_snapshot() {
    use holdfast_fixtures::{Fault, Operation, Plan};
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let ana = By::claim("ana");
    let opened = open_titled(&ledger, &ana, "marker title").await;
    store.faults().plan(
        Plan::dead_from(1, Fault::Before)
            .on(&[Operation::Put])
            .path(SNAPSHOT_PATH),
    );
    let removal = ledger.remove_params(&ana, opened.seq, "erasure E-1").await;
    assert!(removal.is_err(), "{removal:?}");
    store.faults().clear();
    for _ in 0..70 {
        ledger.append_act(&ana, None, search("x")).await.unwrap();
    }
    let snapshot = get(&store, SNAPSHOT_PATH).await;
    assert!(!String::from_utf8_lossy(&snapshot).contains("marker"));
    let now = open(&reopened(&store).await).await.state();
    assert_eq!(now.matters["M"].title.as_deref(), Some("(removed)"));
    assert_eq!(now, ledger.state());
}

#[tokio::test]
async fn le1_an_entry_that_cannot_be_read_stops_everything_and_loses_nothing() {
    use holdfast_fixtures::{Fault, Operation, Plan};
    let (store, archive) = filled().await;
    delete(&store, SNAPSHOT_PATH).await;
    store.faults().clear();
    store.faults().plan(
        Plan::dead_from(1, Fault::Before)
            .on(&[Operation::Get])
            .path("0004.json"),
    );
    let opened = Ledger::open_with(&archive, options()).await;
    assert!(
        matches!(opened, Err(LedgerError::Store { .. })),
        "{opened:?}"
    );
    let found = verify(&archive, options()).await.unwrap().findings;
    assert!(found.iter().any(|f| f.seq == 4), "{found:?}");
    store.faults().clear();
    assert!(self::found(&store).await.is_empty());
    assert_eq!(open(&archive).await.state().head.seq, ENTRIES);
}

#[tokio::test]
async fn le1_words_of_writers_that_died_are_swept() {
    let (store, archive) = filled().await;
    let genuine = entry(&store, 2).await;
    let orphan = holdfast_schemas::ledger::entry::params_path(
        2,
        &holdfast_schemas::ledger::Digest::of(b"o"),
    );
    let coming = holdfast_schemas::ledger::entry::params_path(
        ENTRIES + 1,
        &holdfast_schemas::ledger::Digest::of(b"o"),
    );
    for path in [&orphan, &coming] {
        put(&store, path, b"words".to_vec()).await;
    }
    assert_eq!(report(&store).await.orphans, 2);
    assert_eq!(open(&archive).await.sweep().await.unwrap(), 1);
    assert_eq!(
        report(&store).await.orphans,
        1,
        "the one above the head may be on its way"
    );
    get(&store, &genuine.params_path()).await;
}
