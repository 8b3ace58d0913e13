//! What is not in the outbox any more, or is another database's, stops the run; never is it passed over in silence.

use super::{in_background, position, sequences};
use crate::common::outbox::{Backend, Outbox, drain, settings};
use crate::common::{Bench, event};

on_both![
    ar2_a_hole_stops_the_run_until_it_is_accepted,
    ar2_rows_deleted_before_they_were_archived_stop_the_run,
    ar2_rows_that_another_source_archived_are_not_missed,
    ar2_an_older_database_stops_the_run_until_an_incarnation_begins,
    ar2_another_database_under_the_same_pool_stops_the_run,
];

/// Why a run without any accepted loss stops.
async fn refusal(bench: &Bench, outbox: &Outbox) -> String {
    let drained = drain(&bench.archive, &outbox.source, &[]).await;
    drained.unwrap_err().to_string()
}

async fn ar2_a_hole_stops_the_run_until_it_is_accepted(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=3000).await;
    let hole = "delete from outbox where sequence between 1501 and 1510 or sequence = 2000";
    outbox.execute(hole).await;
    let error = refusal(&bench, &outbox).await;
    assert!(
        error.contains("sequences 1501 to 1510 of origin main.1 (10 events)")
            && error.contains("--accept-loss main.1:1501-1510")
            && error.contains("hint: "),
        "{error}"
    );
    // What is before it is archived, and nothing behind it.
    assert_eq!(position(&bench, "outbox/main.1").await, Some(1500));
    let too_little = drain(&bench.archive, &outbox.source, &["main.1:1502-1510"]).await;
    assert!(too_little.is_err());
    let other = drain(&bench.archive, &outbox.source, &["main.2:1501-1510"]).await;
    assert!(other.is_err());
    let next = drain(&bench.archive, &outbox.source, &["main.1:1501-1510"]).await;
    assert!(next.unwrap_err().to_string().contains("main.1:2000-2000"));
    // The first loss was accepted once and for all: the position is beyond it.
    drain(&bench.archive, &outbox.source, &["main.1:2000-2000"])
        .await
        .unwrap();
    let archived = sequences(&bench, "main.1").await;
    assert_eq!(archived.len(), 3000 - 11);
    assert_eq!(position(&bench, "outbox/main.1").await, Some(3000));
}

async fn ar2_rows_deleted_before_they_were_archived_stop_the_run(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=50).await;
    // The end is gone: no row is left to show it, but the origin tells how far it came.
    outbox
        .execute("delete from outbox where sequence > 40")
        .await;
    let error = refusal(&bench, &outbox).await;
    assert!(error.contains("--accept-loss main.1:41-50"), "{error}");
    assert_eq!(position(&bench, "outbox/main.1").await, Some(40));
    let report = drain(&bench.archive, &outbox.source, &["main.1:41-50"]).await;
    assert_eq!(report.unwrap().consumed, 0);
    assert_eq!(position(&bench, "outbox/main.1").await, Some(50));
    assert_eq!(outbox.told("main.1").await, Some(50));

    // The beginning is gone, before this archive had read anything.
    outbox.origin("main", 2).await;
    outbox.fill("main.2", 1..=30).await;
    outbox
        .execute("delete from outbox where origin = 'main.2' and sequence < 5")
        .await;
    let error = refusal(&bench, &outbox).await;
    assert!(
        error.contains("sequences 1 to 4 of origin main.2"),
        "{error}"
    );
    assert_eq!(position(&bench, "outbox/main.2").await, None);
    drain(&bench.archive, &outbox.source, &["main.2:1-4"])
        .await
        .unwrap();
    assert!(sequences(&bench, "main.2").await.into_iter().eq(5..=30));
}

async fn ar2_rows_that_another_source_archived_are_not_missed(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=100).await;
    // As after a time with Kafka: delivered rows are deleted, and their events archived under no position of the outbox.
    let seed = "main.1".bytes().map(u64::from).sum();
    let lines: Vec<_> = (1..=60).map(|n| event("main.1", n, seed)).collect();
    bench.ingest(&bench.write("kafka.jsonl", &lines)).await;
    outbox
        .execute("delete from outbox where sequence <= 40")
        .await;
    let report = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!((report.archived, report.duplicates), (40, 20));
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=100));
}

async fn ar2_an_older_database_stops_the_run_until_an_incarnation_begins(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=100).await;
    drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    // Yesterday's state.
    outbox
        .execute("delete from outbox where sequence > 70")
        .await;
    outbox
        .execute("update outbox_origins set last_sequence = 70")
        .await;
    let error = refusal(&bench, &outbox).await;
    assert!(
        error.contains("ends at sequence 70") && error.contains("sequence 100 is archived"),
        "{error}"
    );
    assert!(
        error.contains("hint: ") && error.contains("new incarnation"),
        "{error}"
    );
    // The node starts on it, and sequences what comes next anew.
    outbox.origin("main", 2).await;
    outbox.fill("main.2", 1..=40).await;
    let report = drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    assert_eq!((report.archived, report.duplicates), (40, 0));
    assert!(sequences(&bench, "main.1").await.into_iter().eq(1..=100));
    assert!(sequences(&bench, "main.2").await.into_iter().eq(1..=40));
    assert_eq!(position(&bench, "outbox/main.1").await, Some(100));
}

async fn ar2_another_database_under_the_same_pool_stops_the_run(backend: Backend) {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(backend, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=100).await;
    drain(&bench.archive, &outbox.source, &[]).await.unwrap();
    // Another one has come further already: by sequences alone it would be gone on with.
    outbox
        .execute("update outbox_origins set created_us = 1001")
        .await;
    outbox.fill("main.1", 101..=500).await;
    let error = refusal(&bench, &outbox).await;
    assert!(error.contains("another pool's database"), "{error}");
    assert_eq!(position(&bench, "outbox/main.1").await, Some(100));
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_a_sqlite_file_that_is_replaced_while_it_is_read_is_noticed() {
    let bench = Bench::new().await;
    let mut outbox = Outbox::new(Backend::Sqlite, bench.folder.path()).await;
    outbox.origin("main", 1).await;
    outbox.fill("main.1", 1..=10).await;
    let (stop, run) = in_background(&bench.archive, settings(&outbox.source, false, &[]));
    outbox.until_told("main.1", 10).await;
    // Restored: another file under the same name, with the next incarnation that a node has begun there.
    let mut other = Outbox::sqlite(&bench.path("other.db")).await;
    other.origin("main", 1).await;
    other.fill("main.1", 1..=8).await;
    other.origin("main", 2).await;
    other.fill("main.2", 1..=5).await;
    other.execute("pragma wal_checkpoint(truncate)").await;
    other.close().await;
    for beside in ["chat.db-wal", "chat.db-shm"] {
        let _gone = std::fs::remove_file(bench.path(beside));
    }
    std::fs::rename(bench.path("other.db"), outbox.file.as_ref().unwrap()).unwrap();
    let mut other = Outbox::reopen(&bench.path("chat.db")).await;
    other.until_told("main.2", 5).await;
    stop.ask();
    assert_eq!(run.await.unwrap().unwrap().archived, 15);
}
