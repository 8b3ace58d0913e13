//! AR-1 and AR-2 for an outbox against a failing store: the Nth operation of the whole run fails, N = 1, 2, 3 … until none does; each time the
//! process "starts again" on what the store holds, and every row is archived exactly once, with the position that goes with it.
use std::sync::Arc;
use std::time::Duration;

use crate::common::outbox::{Outbox, drain, settings, stored};
use holdfast_archive::{Archive, OpenOptions};
use holdfast_fixtures::{Fault, FaultyStore, Operation, Plan, every_nth};
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::run_in;
use object_store::memory::InMemory;
use tempfile::TempDir;
use url::Url;

/// Rows of each incarnation: so that one run moves several positions in several commits.
const ROWS: [u64; 5] = [60, 30, 26, 28, 30];
/// A row that is no event.
const ODD: u64 = 17;

fn all() -> u64 {
    ROWS.iter().sum()
}

fn origins() -> impl Iterator<Item = (String, u64)> {
    (1..).zip(ROWS).map(|(n, rows)| (format!("main.{n}"), rows))
}

async fn outbox(folder: &TempDir) -> Outbox {
    let mut outbox = Outbox::sqlite(&folder.path().join("chat.db")).await;
    for (incarnation, (origin, rows)) in (1..).zip(origins()) {
        outbox.origin("main", incarnation).await;
        let mut events: Vec<String> = (1..=rows).map(|n| stored(&origin, n)).collect();
        if incarnation == 1 {
            events[ODD as usize - 1] = "no event".into();
        }
        outbox.insert(&events).await;
        outbox.sequence(&origin).await;
    }
    outbox
}

fn url() -> Url {
    Url::parse("memory:///archive").unwrap()
}

/// What the newest version holds, by its sets and positions: they move in the commit of the rows.
async fn assert_agrees(archive: &Archive, context: &str) -> u64 {
    let snapshot = archive.snapshot().await.unwrap();
    let mut sum = 0;
    for (origin, _) in origins() {
        let position = snapshot
            .position(&format!("outbox/{origin}"))
            .await
            .unwrap();
        let quarantined = format!("quarantine/outbox/{origin}");
        let archived = &*snapshot.origin_set(&origin).await.unwrap()
            | &*snapshot.origin_set(&quarantined).await.unwrap();
        let through = position.unwrap_or(0).unsigned_abs();
        assert!(
            archived.iter().eq(1..=through),
            "{context}: {origin} is at {through}, and {archived:?} is archived"
        );
        sum += through;
    }
    let segments = snapshot.segments().await.unwrap();
    let rows: u64 = segments.iter().map(|segment| segment.rows).sum();
    assert_eq!(rows, sum, "{context}: rows, by positions");
    sum
}

/// One round: the fault, the "restart", the check. Whether the fault happened at all.
async fn round(plan: Plan, dies: bool, context: &str) -> bool {
    let folder = TempDir::new().unwrap();
    let mut outbox = outbox(&folder).await;
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let faults = store.faults();
    Archive::create_in(store.inner(), url()).await.unwrap();
    faults.plan(plan);
    let stop = Arc::new(Stop::default());
    let dying = dies.then(|| {
        let (stop, faults) = (Arc::clone(&stop), faults.clone());
        // Ingest waits out a store that is gone for as long as it takes; a process that died does not.
        tokio::spawn(async move {
            faults.happened().await;
            stop.ask();
        })
    });
    let impatient = OpenOptions {
        commit_time_max: Duration::from_millis(100),
        ..OpenOptions::default()
    };
    let first = match Archive::open_in_with(store.clone(), url(), impatient).await {
        Ok(archive) => {
            let mut settings = settings(&outbox.source, true, &[]);
            settings.flush.rows = 25;
            run_in(settings, archive, Arc::clone(&stop))
                .await
                .map_err(|error| error.to_string())
        }
        Err(error) => Err(error.to_string()),
    };
    if let Some(dying) = dying {
        dying.abort();
    }
    let fired = faults.fired();
    let context = format!("{context}: {fired:?}");
    assert!(!fired.is_empty() || first.is_ok(), "{context}: {first:?}");
    faults.clear();
    let archive = Archive::open_in(store.inner(), url()).await.unwrap();
    let after_first = assert_agrees(&archive, &context).await;
    if first.is_ok() && !dies {
        assert_eq!(after_first, all(), "{context}: reported as done");
    }
    // The node is never told more than what is archived, since it deletes what it is told.
    let mut told = 0;
    for (origin, _) in origins() {
        told += outbox.told(&origin).await.unwrap_or(0);
    }
    assert!(
        told.unsigned_abs() <= after_first,
        "{context}: told {told} of {after_first}"
    );
    let again = drain(&archive, &outbox.source, &[]).await;
    let again = again.unwrap_or_else(|error| panic!("{context}: the run after it: {error}"));
    assert_eq!(again.consumed, all() - after_first, "{context}");
    assert_eq!(again.duplicates, 0, "{context}");
    assert_eq!(assert_agrees(&archive, &context).await, all());
    let snapshot = archive.snapshot().await.unwrap();
    let odd = snapshot
        .origin_set("quarantine/outbox/main.1")
        .await
        .unwrap();
    assert!(odd.iter().eq([ODD]), "{context}");
    !fired.is_empty()
}

/// All N of one kind of plan.
async fn every_n(name: &str, dies: bool, plan: impl Fn(u64) -> Plan) {
    every_nth(name, plan, |plan, context| async move {
        round(plan, dies, &context).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_before_its_effect() {
    every_n("fails before", false, |n| Plan::nth(n, Fault::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_after_its_effect() {
    every_n("fails after", false, |n| Plan::nth(n, Fault::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_process_dies_after_the_nth_store_operation() {
    every_n("dies after", true, |n| Plan::dead_from(n, Fault::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_the_nth_put_lands_and_the_store_says_that_it_exists() {
    every_n("exists after", false, |n| {
        Plan::nth(n, Fault::AlreadyExistsAfter).on(&[Operation::Put])
    })
    .await;
}
