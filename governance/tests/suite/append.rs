//! LE-1: every act is in the ledger once, judged against exactly what was there before it.
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::common::*;
use holdfast_archive::{Archive, LEDGER_APP_ID};
use holdfast_fixtures::{Fault, Operation, Plan};
use holdfast_governance::actor::By;
use holdfast_governance::ledger::{Context, Judged, Ledger, LedgerError, Refusal, State};
use holdfast_schemas::ledger::{Act, Entry, SNAPSHOT_PATH};
use object_store::ObjectStoreExt;
use object_store::path::Path;

fn ana() -> By {
    By::claim("ana")
}

#[tokio::test]
async fn le1_what_was_appended_is_what_another_process_folds() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    assert_eq!(ledger.state().head.seq, 0);
    open_matter(&ledger, &ana(), "M-1").await.unwrap();
    for n in 0..200 {
        let done = ledger
            .append_act(&ana(), Some("M-1"), search(&format!("query {n}")))
            .await
            .unwrap();
        assert_eq!(done.seq, n + 2);
    }
    open_matter(&ledger, &ana(), "M-2").await.unwrap();
    let again = open(&reopened(&store).await).await;
    assert_eq!(again.state(), ledger.state());
    assert_eq!(again.state().head.seq, 202);
    assert_eq!(again.state().matters["M-1"].entries, 201);
    assert_eq!(again.state().counts["search"], 200);
    // The words of a search are there, and the entry holds none of them.
    let record = again.record(7).await.unwrap().unwrap();
    assert_eq!(record.params.unwrap().act, search("query 5"));
    let raw = store
        .inner()
        .get(&Path::from(Entry::path(7)))
        .await
        .unwrap();
    let raw = String::from_utf8(raw.bytes().await.unwrap().to_vec()).unwrap();
    assert!(!raw.contains("query"), "{raw}");
}

/// Entries are read many at a time, up to the first that is not there.
#[tokio::test]
async fn le1_a_chain_of_any_length_is_read_to_its_end() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let remove = async |path: String| {
        let _ = store.inner().delete(&Path::from(path)).await;
    };
    let head = async || open(&reopened(&store).await).await.state().head.seq;
    assert_eq!(head().await, 0);
    for n in 1..=70 {
        let act = search(&format!("query {n}"));
        ledger.append_act(&ana(), None, act).await.unwrap();
        remove(SNAPSHOT_PATH.to_owned()).await;
        assert_eq!(head().await, n);
    }
    remove(Entry::path(50)).await;
    assert_eq!(head().await, 49, "nothing behind a gap is taken");
}

#[tokio::test]
async fn le1_eight_writers_get_every_number_once_and_each_is_judged_on_its_prefix() {
    let (store, _) = memory().await;
    let mut writers = Vec::new();
    for writer in 0..8 {
        let store = Arc::clone(&store);
        writers.push(tokio::spawn(async move {
            let ledger = open(&reopened(&store).await).await;
            let by = By::claim(format!("writer-{writer}"));
            let mut opened = 0;
            for n in 0..12 {
                // Eight open each name: one of them writes, the others see that it is done.
                let done = open_matter(&ledger, &by, &format!("M-{n}")).await;
                match done {
                    Ok(done) => opened += u32::from(done.written),
                    Err(error) => panic!("{error}"),
                }
                ledger.append_act(&by, None, search("x")).await.unwrap();
            }
            opened
        }));
    }
    let mut opened = 0;
    for writer in writers {
        opened += writer.await.unwrap();
    }
    assert_eq!(opened, 12, "each matter was opened by one writer");
    let ledger = open(&reopened(&store).await).await;
    assert_eq!(ledger.state().head.seq, 12 + 8 * 12);
    let records = ledger.records(1, 1000).await.unwrap();
    let seqs: BTreeSet<u64> = records.iter().map(|r| r.entry.seq).collect();
    assert_eq!(seqs.len() as u64, ledger.state().head.seq);
    // Losers took their words back.
    let report = verify(&store).await;
    assert_eq!(
        (report.findings.len(), report.orphans),
        (0, 0),
        "{:?}",
        report.findings
    );
}

async fn verify(
    store: &Arc<holdfast_fixtures::FaultyStore>,
) -> holdfast_governance::ledger::verify::Report {
    holdfast_governance::ledger::verify::verify(&reopened(store).await, options())
        .await
        .unwrap()
}

#[tokio::test]
async fn le1_of_two_that_contradict_each_other_the_second_sees_the_first() {
    let (store, archive) = memory().await;
    let (one, two) = (open(&archive).await, open(&reopened(&store).await).await);
    // Both know the same head; each allows itself only while the other has not acted.
    let only_first = |name: &'static str| {
        move |state: &State| match state.matters.is_empty() {
            true => Ok(Judged::Write(Act::MatterOpen(matter(name)))),
            false => Err(Refusal::because("the other one was first", "none")),
        }
    };
    one.append(&ana(), Context::default(), only_first("a"))
        .await
        .unwrap();
    let second = two
        .append(&ana(), Context::default(), only_first("b"))
        .await;
    assert!(matches!(second, Err(LedgerError::Refused(_))), "{second:?}");
    assert_eq!(two.state().head.seq, 1);
}

#[tokio::test]
async fn le1_an_ambiguous_put_is_read_back() {
    for (fault, seq) in [
        (Fault::After, 1),
        (Fault::AlreadyExistsAfter, 1),
        (Fault::Before, 1),
        (Fault::AlreadyExistsBefore, 1),
    ] {
        let (store, archive) = memory().await;
        let ledger = open(&archive).await;
        store.faults().clear();
        store
            .faults()
            .plan(Plan::nth(1, fault).on(&[Operation::Put]).path("ledger/000"));
        let done = ledger.append_act(&ana(), None, search("x")).await.unwrap();
        assert_eq!((done.seq, done.written), (seq, true), "{fault:?}");
        assert_eq!(store.faults().fired().len(), 1);
        assert_eq!(open(&reopened(&store).await).await.state().head.seq, 1);
    }
}

#[tokio::test]
async fn le1_a_repeated_command_finds_its_entry() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let context = Context {
        matter: None,
        command: Some("c-1"),
    };
    let decide = |_: &State| Ok(Judged::Write(Act::MatterOpen(matter("M"))));
    let first = ledger.append(&ana(), context, decide).await.unwrap();
    let ledger = open(&reopened(&store).await).await;
    let again = ledger.append(&ana(), context, decide).await.unwrap();
    assert!(first.written && !again.written);
    assert_eq!((first.seq, first.hash), (again.seq, again.hash));
    assert_eq!(ledger.state().head.seq, 1);
}

#[tokio::test]
async fn le1_the_fence_follows_the_entry_and_never_moves_back() {
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    let fenced = |name: &'static str| {
        let ledger = &ledger;
        async move {
            ledger
                .append_fenced(&ana(), Context::default(), move |state| {
                    holdfast_governance::matter::judge_open(state, &matter(name))
                })
                .await
                .unwrap()
        }
    };
    for n in 0..3 {
        ledger
            .append_act(&ana(), None, search(&n.to_string()))
            .await
            .unwrap();
    }
    let first = fenced("a").await;
    let at = first.snapshot.position(LEDGER_APP_ID).await.unwrap();
    assert_eq!((first.appended.seq, at), (4, Some(4)));
    fenced("b").await;
    // Repeating an older one finds its fence passed, and makes no commit.
    let before = archive.snapshot().await.unwrap().version();
    let again = fenced("a").await;
    assert!(!again.appended.written);
    let after = archive.snapshot().await.unwrap();
    assert_eq!(after.version(), before);
    assert_eq!(after.position(LEDGER_APP_ID).await.unwrap(), Some(5));
}

/// Any store operation of append and fence fails, one after the other, as a process that dies there: whatever was
/// acknowledged is there, and repeating the command completes it exactly once.
#[tokio::test]
async fn le1_whatever_operation_fails_the_repeated_command_completes_entry_and_fence() {
    for fault in [Fault::Before, Fault::After, Fault::AlreadyExistsAfter] {
        for dead in [false, true] {
            let mut nth = 1;
            loop {
                let (store, archive) = memory().await;
                open(&archive)
                    .await
                    .append_act(&ana(), None, search("x"))
                    .await
                    .unwrap();
                store.faults().clear();
                store.faults().plan(match dead {
                    true => Plan::dead_from(nth, fault),
                    false => Plan::nth(nth, fault),
                });
                let acknowledged = place(&store).await.is_ok();
                let fired = !store.faults().fired().is_empty();
                store.faults().clear();
                if !fired {
                    assert!(acknowledged);
                    break;
                }
                let archive = reopened(&store).await;
                let fence = archive
                    .snapshot()
                    .await
                    .unwrap()
                    .position(LEDGER_APP_ID)
                    .await
                    .unwrap();
                if acknowledged {
                    assert_eq!(fence, Some(2), "{fault:?} {dead} {nth}");
                }
                let again = place(&store).await.unwrap();
                assert_eq!(again, 2, "{fault:?} {dead} {nth}");
                let archive = reopened(&store).await;
                let state = open(&archive).await.state();
                assert_eq!(
                    (state.head.seq, state.matters.len()),
                    (2, 1),
                    "{fault:?} {dead} {nth}"
                );
                let report = verify(&store).await;
                assert!(
                    report.findings.is_empty(),
                    "{fault:?} {dead} {nth}: {:?}",
                    report.findings
                );
                nth += 1;
                assert!(nth < 200, "the loop ends");
            }
            assert!(nth > 5, "{nth} operations were failed");
        }
    }
}

/// One process that opens a matter with a fence.
async fn place(store: &Arc<holdfast_fixtures::FaultyStore>) -> Result<u64, LedgerError> {
    let archive = Archive::open_in_with(
        store.clone(),
        url(),
        holdfast_archive::OpenOptions {
            commit_time_max: std::time::Duration::from_millis(200),
            ..holdfast_archive::OpenOptions::default()
        },
    )
    .await?;
    let ledger = Ledger::open_with(&archive, options()).await?;
    let done = ledger
        .append_fenced(&ana(), Context::default(), |state| {
            holdfast_governance::matter::judge_open(state, &matter("M"))
        })
        .await?;
    Ok(done.appended.seq)
}
