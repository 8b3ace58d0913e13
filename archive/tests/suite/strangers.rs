//! The table as other readers of Delta tables find it: delta_kernel by itself, told nothing that Holdfast knows.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow::array::AsArray;
use arrow::datatypes::{Int32Type, Int64Type};
use delta_kernel::Snapshot;
use delta_kernel::engine::arrow_data::EngineDataArrowExt;
use delta_kernel_default_engine::DefaultEngineBuilder;
use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_archive::{Archive, OpenOptions, maintain};
use object_store::{ObjectStore, ObjectStoreExt};

use crate::common::clock::{DAY_MS, Hand};
use crate::common::{append, committed, memory};
use crate::rewrites::{compaction, rewrite};

/// (year, sequence) of every row, by the kernel's own listing, replay and reading.
async fn by_kernel(store: &Arc<dyn ObjectStore>) -> Vec<(i32, i64)> {
    let store = Arc::clone(store);
    let read = move || {
        let engine = Arc::new(DefaultEngineBuilder::new(store).build());
        let snapshot = Snapshot::builder_for("memory:///events/")
            .build(engine.as_ref())
            .unwrap();
        let scan = snapshot.scan_builder().build().unwrap();
        let mut rows = Vec::new();
        for batch in scan.execute(engine).unwrap() {
            let batch = batch.try_into_record_batch().unwrap();
            let years = batch["event_year"].as_primitive::<Int32Type>();
            let sequences = batch["origin_seq"].as_primitive::<Int64Type>();
            rows.extend(
                years
                    .values()
                    .iter()
                    .copied()
                    .zip(sequences.values().iter().copied()),
            );
        }
        rows.sort_unstable();
        rows
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn march(sequences: std::ops::Range<i64>) -> Vec<(i32, i64)> {
    sequences.map(|sequence| (2026, sequence)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_knows_delta_tables_only_finds_every_row_once() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    assert_eq!(by_kernel(&store).await, []);
    let clock = Hand::at(system_now_ms());
    let options = OpenOptions {
        maintenance: false,
        environment: clock.clone(),
        ..OpenOptions::default()
    };
    let archive = Archive::open_in_with(Arc::clone(&store), url, options)
        .await
        .unwrap();
    let mut next = 1;
    let mut checkpoints = 0;
    for _ in 0..4 {
        for _ in 0..99 {
            append(&archive, "main", next..next + 2).await;
            next += 2;
        }
        // Some segments become one, whose rows have their ids in columns that other readers do not know.
        let base = archive.snapshot().await.unwrap();
        let inputs = base.segments().await.unwrap();
        let file = rewrite(&archive, &base, &inputs[..inputs.len() / 2]).await;
        let merged = compaction(&inputs[..inputs.len() / 2], &file);
        committed(archive.replace(&base, merged).await.unwrap());
        assert_eq!(
            by_kernel(&store).await,
            march(1..i64::try_from(next).unwrap())
        );
        let report = maintain::run(&archive, clock.now_ms()).await.unwrap();
        checkpoints += usize::from(report.checkpoint.is_some());
        assert_eq!(
            by_kernel(&store).await,
            march(1..i64::try_from(next).unwrap())
        );
    }
    assert_eq!(checkpoints, 4);
    // The log's beginning goes; then the hint at the newest checkpoint is lost.
    clock.0.fetch_add(DAY_MS + 600_000, Ordering::SeqCst);
    let report = maintain::run(&archive, clock.now_ms()).await.unwrap();
    assert!(report.removed > 0, "{report:?}");
    append(&archive, "main", next..next + 1).await;
    let all = march(1..i64::try_from(next).unwrap() + 1);
    assert_eq!(by_kernel(&store).await, all);
    store
        .delete(&"events/_delta_log/_last_checkpoint".into())
        .await
        .unwrap();
    assert_eq!(by_kernel(&store).await, all);
}
