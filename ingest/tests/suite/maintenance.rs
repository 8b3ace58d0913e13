//! Compaction and reindexing over archives that ingest has written.
use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use crate::common::{Archived, Bench, at};
use futures::StreamExt;
use holdfast_archive::gc::{self, GcOptions};
use holdfast_fixtures::eventually;
use holdfast_indexer::maintenance::policy::Policy;
use holdfast_indexer::maintenance::{
    ANALYZER_VERSION, CompactOptions, ReindexOptions, compact, reindex,
};

async fn small_segments(bench: &Bench) {
    // Interleaved in time, over two years, so that a merge has something to sort.
    let lines: Vec<_> = (1..=3000u64)
        .map(|n| {
            at(
                "o",
                n,
                0,
                &format!("{}-03-{:02}T{:02}:00:00Z", 2025 + n % 2, 1 + n % 28, n % 24),
            )
        })
        .collect();
    let file = bench.write("a.jsonl", &lines);
    let report = bench
        .try_ingest(&file, |settings| {
            // Chunks are larger than this: every chunk is a batch.
            settings.flush.rows = 1;
            settings.in_flight_bytes_max = 1;
        })
        .await
        .unwrap();
    assert_eq!(report.archived, 3000);
    for part in lines.chunks(300) {
        let part: Vec<_> = part
            .iter()
            .map(|line| {
                String::from_utf8(line.clone())
                    .unwrap()
                    .replace("\"origin\":\"o\"", "\"origin\":\"p\"")
                    .into_bytes()
            })
            .collect();
        let file = bench.write("part.jsonl", &part);
        bench.ingest(&file).await;
    }
}

fn options(merges_max: usize) -> CompactOptions {
    CompactOptions {
        policy: Policy::everything(),
        holder: "test".into(),
        merges_max,
    }
}

fn by_row_id(rows: Vec<Archived>) -> BTreeMap<i64, Archived> {
    let count = rows.len();
    let map: BTreeMap<_, _> = rows.into_iter().map(|row| (row.row_id, row)).collect();
    assert_eq!(map.len(), count, "row ids are unique");
    map
}

#[tokio::test(flavor = "multi_thread")]
async fn ar3_compaction_keeps_rows_their_ids_and_their_versions() {
    let bench = Bench::new().await;
    small_segments(&bench).await;
    let before = by_row_id(bench.rows().await);
    assert!(bench.segments().await.len() > 10);
    let report = compact(&bench.archive, &options(usize::MAX)).await.unwrap();
    assert_eq!((report.skipped, report.held_by.as_deref()), (0, None));
    assert_eq!(bench.segments().await.len(), 2, "one a year");
    // `rows` also compares each segment's order, split and Merkle root.
    assert_eq!(by_row_id(bench.rows().await), before);
    // And once more over rows that carry their ids already.
    let lines: Vec<_> = (1..=50u64)
        .map(|n| at("q", n, 3, "2026-07-01T00:00:00Z"))
        .collect();
    bench.ingest(&bench.write("b.jsonl", &lines)).await;
    let before = by_row_id(bench.rows().await);
    compact(&bench.archive, &options(usize::MAX)).await.unwrap();
    assert_eq!(bench.segments().await.len(), 2);
    assert_eq!(by_row_id(bench.rows().await), before);
    assert!(
        compact(&bench.archive, &options(usize::MAX))
            .await
            .unwrap()
            .merges
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_compaction_beside_ingest_loses_and_doubles_nothing() {
    let bench = Bench::new().await;
    small_segments(&bench).await;
    let lines: Vec<_> = (1..=20_000u64)
        .map(|n| at("q", n, 3, "2026-07-01T00:00:00Z"))
        .collect();
    let file = bench.write("b.jsonl", &lines);
    let compacting = async {
        let mut merges = 0;
        for _ in 0..5 {
            merges += compact(&bench.archive, &options(2))
                .await
                .unwrap()
                .merges
                .len();
        }
        merges
    };
    let (report, merges) = tokio::join!(
        bench.try_ingest(&file, |settings| settings.flush.rows = 1000),
        compacting
    );
    assert_eq!(report.unwrap().archived, 20_000);
    assert!(merges > 0);
    assert_eq!(bench.by_sequence().await.len(), 26_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar3_a_lost_split_is_built_again_the_same() {
    let bench = Bench::new().await;
    let lines: Vec<_> = (1..=500u64)
        .map(|n| at("o", n, 0, "2026-07-01T00:00:00Z"))
        .collect();
    bench.ingest(&bench.write("a.jsonl", &lines)).await;
    let path = bench.segments().await[0].split_path(ANALYZER_VERSION);
    let file = bench.archive.local_root().unwrap().join(&path);
    let before = std::fs::read(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    let report = reindex(&bench.archive, ReindexOptions::default(), |_, _| {})
        .await
        .unwrap();
    assert_eq!((report.built, report.rows), (1, 500));
    assert_eq!(std::fs::read(&file).unwrap().len(), before.len());
    assert_eq!(
        reindex(&bench.archive, ReindexOptions::default(), |_, _| {})
            .await
            .unwrap()
            .built,
        0
    );
}

/// Nobody has to ask for it: lost splits come back beside an ingest that goes on.
#[tokio::test(flavor = "multi_thread")]
async fn ar3_lost_splits_come_back_beside_a_running_ingest() {
    let bench = Bench::new().await;
    for part in 0..4u64 {
        let lines: Vec<_> = (1..=100u64)
            .map(|n| at("o", part * 100 + n, 0, "2026-07-01T00:00:00Z"))
            .collect();
        bench.ingest(&bench.write("a.jsonl", &lines)).await;
    }
    let splits: Vec<_> = bench
        .segments()
        .await
        .iter()
        .map(|segment| segment.split_path(ANALYZER_VERSION))
        .map(|path| bench.archive.local_root().unwrap().join(path))
        .collect();
    let before: Vec<_> = splits
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect();
    for lost in [&splits[0], &splits[2]] {
        std::fs::remove_file(lost).unwrap();
    }
    let fifo = bench.path("events.fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status();
    assert!(made.unwrap().success());
    let mut settings = bench.settings(&fifo);
    settings.upkeep.enabled = true;
    settings.upkeep.interval = Duration::from_millis(20);
    let stop = std::sync::Arc::new(holdfast_ingest::pipeline::Stop::default());
    let run = tokio::spawn(holdfast_ingest::run_in(
        settings,
        bench.archive.clone(),
        stop,
    ));
    // Opened for both, so that opening does not wait for the reader.
    let mut input = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(&fifo)
        .unwrap();
    let mut line = at("q", 1, 0, "2026-07-02T00:00:00Z");
    line.push(b'\n');
    input.write_all(&line).unwrap();
    for (file, before) in splits.iter().zip(&before) {
        eventually("its split is back", async || {
            let is_back = std::fs::read(file).is_ok_and(|now| now == *before);
            is_back.then_some(())
        })
        .await;
    }
    assert!(!run.is_finished(), "ingest goes on");
    let mut line = at("q", 2, 0, "2026-07-02T00:00:00Z");
    line.push(b'\n');
    input.write_all(&line).unwrap();
    drop(input);
    assert_eq!(run.await.unwrap().unwrap().archived, 2);
    assert_eq!(bench.by_sequence().await.len(), 402);
}

/// Segments' files, live or not.
async fn files(bench: &Bench) -> usize {
    let folder = object_store::path::Path::from("events");
    let listed: Vec<_> = bench.archive.store().list(Some(&folder)).collect().await;
    let paths = listed.into_iter().map(|meta| meta.unwrap().location);
    paths
        .filter(|path| path.as_ref().ends_with(".parquet"))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_horizon_ahead_of_this_machines_clock_refuses_nothing() {
    let bench = Bench::new().await;
    // Set by a machine whose clock is seconds ahead: what is named by this one's time is refused until it has caught up.
    let now_ms = jiff::Timestamp::now().as_millisecond();
    let options = GcOptions {
        min_age: Duration::ZERO,
        ..GcOptions::default()
    };
    let ahead = gc::run(&bench.archive, options, now_ms + 9_000).await;
    assert_eq!(ahead.unwrap().horizon_ms, now_ms + 9_000);
    small_segments(&bench).await;
    let live = bench.segments().await.len();
    assert!(live > 2);
    assert_eq!(files(&bench).await, live, "no file was built twice");
    let options = CompactOptions {
        policy: Policy::everything(),
        holder: "test".into(),
        merges_max: 100,
    };
    let report = compact(&bench.archive, &options).await.unwrap();
    assert_eq!((report.skipped, report.merges.is_empty()), (0, false));
    let outputs: usize = report.merges.iter().map(|merge| merge.outputs).sum();
    assert_eq!(files(&bench).await, live + outputs);
}
