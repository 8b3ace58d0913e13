//! Rewrites: exact inputs, carried row ids, and what stops them (HO-1).

use std::sync::Arc;

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use holdfast_archive::read::{COMMIT_VERSION, ROW_ID};
use holdfast_archive::segment::{CarriedRowIds, SegmentFooter, encode, new_id};
use holdfast_archive::{
    Advance, AdvanceOnly, Archive, ArchiveError, CommitKind, Conflict, Counts, EncodedSegment,
    Location, Outcome, Replace, Segment, Snapshot,
};
use uuid::Uuid;

use crate::common::faulty::{Fault, Faulty};
use crate::common::{
    append, archived, assert_archived, committed, conflicted, local, memory, read_all, row_ids,
};

/// Reads the inputs, carries their row ids and versions into one new segment, and puts it.
pub(crate) async fn rewrite(
    archive: &Archive,
    snapshot: &Snapshot,
    inputs: &[Arc<Segment>],
) -> EncodedSegment {
    let mut batches = Vec::new();
    for input in inputs {
        batches.extend(read_all(archive, input).await);
    }
    let all = concat_batches(&batches[0].schema(), &batches).unwrap();
    let order =
        arrow::compute::sort_to_indices(all.column_by_name("event_time").unwrap(), None, None)
            .unwrap();
    let all = arrow::compute::take_record_batch(&all, &order).unwrap();
    let numbers = |name| {
        all.column_by_name(name)
            .unwrap()
            .as_primitive::<Int64Type>()
            .values()
            .to_vec()
    };
    let (id, version) = snapshot.row_tracking_columns();
    let carried = CarriedRowIds {
        columns: (id.to_owned(), version.to_owned()),
        row_ids: numbers(ROW_ID),
        commit_versions: numbers(COMMIT_VERSION),
    };
    let columns: Vec<usize> = (0..all.num_columns() - 2).collect();
    let batch = all.project(&columns).unwrap();
    let footer = SegmentFooter {
        commit_id: Uuid::new_v4(),
        positions: vec![],
        rows: batch.num_rows() as u64,
        merkle_root: [9; 32],
    };
    let file = encode(new_id(), 2026, &batch, &footer, Some(&carried)).unwrap();
    archive.put_segment(&file).await.unwrap();
    file
}

pub(crate) fn compaction(inputs: &[Arc<Segment>], file: &EncodedSegment) -> Replace {
    Replace {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Compaction,
        inputs: inputs.iter().map(|s| s.path.clone()).collect(),
        segments: vec![file.segment.clone()],
        ledger: None,
        recheck: None,
        counts: Counts::default(),
        merkle_root: [9; 32],
    }
}

/// (sequence, row id, commit version) of every row, by sequence.
async fn row_versions(archive: &Archive) -> Vec<(i64, i64, i64)> {
    let mut found = Vec::new();
    for segment in archive
        .snapshot()
        .await
        .unwrap()
        .segments()
        .await
        .unwrap()
        .iter()
    {
        for batch in read_all(archive, segment).await {
            let column = |name| {
                batch
                    .column_by_name(name)
                    .unwrap()
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec()
            };
            let (sequences, ids, versions) =
                (column("origin_seq"), column(ROW_ID), column(COMMIT_VERSION));
            found
                .extend((0..batch.num_rows()).map(|row| (sequences[row], ids[row], versions[row])));
        }
    }
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn row_ids_and_versions_are_carried_through_rewrites() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    for start in [1u64, 1501, 3001] {
        append(&archive, "main", start..start + 1500).await;
    }
    let before = row_versions(&archive).await;
    assert_eq!(before.len(), 4500);
    assert_eq!(before[1500], (1501, 1500, 2));
    for _ in 0..2 {
        let base = archive.snapshot().await.unwrap();
        let inputs = base.segments().await.unwrap();
        let file = rewrite(&archive, &base, &inputs[..]).await;
        committed(
            archive
                .replace(&base, compaction(&inputs, &file))
                .await
                .unwrap(),
        );
        assert_eq!(row_versions(&archive).await, before);
    }
    // New rows after a rewrite get new ids.
    append(&archive, "main", 4501..4503).await;
    let ids = row_ids(&archive).await;
    assert!(
        ids.windows(2).all(|pair| pair[0] < pair[1]),
        "an id was given out twice"
    );
    let opened = Archive::open(&Location::local(home.path())).await.unwrap();
    assert_eq!(row_versions(&opened).await[..4500], before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewrite_survives_appends_and_not_the_loss_of_its_inputs() {
    let (store, url) = memory();
    let archive = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let other = Archive::open_in(store, url).await.unwrap();
    append(&archive, "main", 1..4).await;
    append(&archive, "main", 4..7).await;
    let base = archive.snapshot().await.unwrap();
    let inputs = base.segments().await.unwrap();
    let file = rewrite(&archive, &base, &inputs[..]).await;
    // An ingest commits while the rewrite is being made.
    append(&other, "main", 7..9).await;
    committed(
        archive
            .replace(&base, compaction(&inputs, &file))
            .await
            .unwrap(),
    );
    assert_archived(&archive, "main", 1..9).await;
    // A second rewrite of the same inputs, planned on the old snapshot.
    let second = rewrite(&archive, &base, &inputs[..]).await;
    let conflict = conflicted(
        archive
            .replace(&base, compaction(&inputs, &second))
            .await
            .unwrap(),
    );
    assert!(matches!(conflict, Conflict::InputGone { .. }), "{conflict}");
    assert_archived(&other, "main", 1..9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compaction_that_loses_rows_is_refused() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    append(&archive, "main", 1..4).await;
    append(&archive, "main", 4..7).await;
    let base = archive.snapshot().await.unwrap();
    let inputs = base.segments().await.unwrap();
    let file = rewrite(&archive, &base, &inputs[..1]).await;
    let error = archive
        .replace(&base, compaction(&inputs, &file))
        .await
        .unwrap_err();
    assert!(matches!(error, ArchiveError::Invalid(_)), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_in_a_rewrite() {
    for fault in [Fault::Before, Fault::After, Fault::Repeated] {
        for nth in 1.. {
            let (inner, url) = memory();
            let store = Faulty::new(inner);
            let archive = Archive::create_in(store.clone(), url.clone())
                .await
                .unwrap();
            append(&archive, "main", 1..4).await;
            append(&archive, "main", 4..7).await;
            let base = archive.snapshot().await.unwrap();
            let inputs = base.segments().await.unwrap();
            let file = rewrite(&archive, &base, &inputs[..]).await;
            store.fail(nth..nth + 1, fault);
            let outcome = archive.replace(&base, compaction(&inputs, &file)).await;
            let failed = store.operations() >= nth;
            store.heal();
            assert!(
                failed || matches!(outcome, Ok(Outcome::Committed(_))),
                "{outcome:?}"
            );
            let archive = Archive::open_in(store, url).await.unwrap();
            assert_archived(&archive, "main", 1..7).await;
            if !failed {
                break;
            }
        }
    }
}

fn disposition(inputs: &[Arc<Segment>], file: &EncodedSegment, ledger: i64) -> Replace {
    Replace {
        kind: CommitKind::Disposition,
        ledger: Some(ledger),
        ..compaction(inputs, file)
    }
}

fn fence(from: Option<i64>, to: i64) -> AdvanceOnly {
    AdvanceOnly {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Fence,
        positions: vec![Advance {
            app_id: holdfast_archive::LEDGER_APP_ID.to_owned(),
            from,
            to,
        }],
        counts: Counts::default(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_a_fence_stops_a_disposition_planned_before_it() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    append(&archive, "main", 1..4).await;
    append(&archive, "main", 4..7).await;
    let base = committed(
        archive
            .advance(&archive.snapshot().await.unwrap(), fence(None, 5))
            .await
            .unwrap(),
    );
    let inputs = base.segments().await.unwrap();
    let file = rewrite(&archive, &base, &inputs[..1]).await;
    let plan = disposition(&inputs, &file, 5);
    // A hold is written to the ledger and fenced while the disposition is being made.
    committed(archive.advance(&base, fence(Some(5), 6)).await.unwrap());
    let conflict = conflicted(archive.replace(&base, plan).await.unwrap());
    assert_eq!(
        conflict,
        Conflict::LedgerMoved {
            expected: Some(5),
            found: Some(6)
        }
    );
    assert_eq!(archived(&archive).await.len(), 6);
    // A fence never moves back.
    let conflict = conflicted(archive.advance(&base, fence(Some(5), 7)).await.unwrap());
    assert_eq!(
        conflict,
        Conflict::LedgerMoved {
            expected: Some(5),
            found: Some(6)
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_events_are_shown_to_the_plan_once_and_may_stop_it() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    append(&archive, "main", 1..4).await;
    let base = committed(
        archive
            .advance(&archive.snapshot().await.unwrap(), fence(None, 1))
            .await
            .unwrap(),
    );
    let inputs = base.segments().await.unwrap();
    for (allow, origin) in [(false, "late"), (true, "later")] {
        let file = rewrite(&archive, &base, &inputs[..]).await;
        append(&archive, origin, 1..3).await;
        let mut plan = disposition(&inputs, &file, 1);
        plan.recheck = Some(Arc::new(move |_, newer| {
            Box::pin(async move {
                assert!(
                    newer
                        .iter()
                        .all(|segment| segment.stats.origin.0.starts_with("late"))
                );
                Ok(if allow {
                    Ok(())
                } else {
                    Err("an edit came in".to_owned())
                })
            })
        }));
        match archive.replace(&base, plan).await.unwrap() {
            Outcome::Conflicted(Conflict::DecisionChanged { reason }) if !allow => {
                assert_eq!(reason, "an edit came in");
            }
            Outcome::Committed(_) if allow => {}
            other => panic!("{other:?}"),
        }
    }
}
