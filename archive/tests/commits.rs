//! Appends, conflicts and ambiguous puts (AR-1, AR-2).
// Clippy takes helpers outside of `#[test]` functions for production code.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use common::faulty::{Fault, Faulty};
use common::{
    append, archived, assert_archived, committed, conflicted, hasty, local, memory, plan, row_ids,
    rows, segment, time_of,
};
use holdfast_archive::read::{COMMIT_VERSION, ROW_ID, ReadOptions, SegmentReader};
use holdfast_archive::{
    Advance, AdvanceOnly, Archive, ArchiveError, CommitKind, Conflict, Counts, Location,
    OpenOptions, Outcome,
};
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_is_created_once_and_opened_again() {
    let home = tempfile::tempdir().unwrap();
    let location = Location::local(home.path().join("a"));
    let missing = Archive::open(&location).await.unwrap_err();
    assert!(
        matches!(missing, ArchiveError::NotFound { .. }),
        "{missing}"
    );
    let archive = Archive::create(&location).await.unwrap();
    let snapshot = append(&archive, "main", 1..11).await;
    assert_eq!(snapshot.version(), 1);
    let again = Archive::create(&location).await.unwrap_err();
    assert!(
        matches!(again, ArchiveError::AlreadyExists { .. }),
        "{again}"
    );
    let opened = Archive::open(&location).await.unwrap();
    assert_archived(&opened, "main", 1..11).await;
    let snapshot = opened.snapshot().await.unwrap();
    assert_eq!(snapshot.position("outbox/main").await.unwrap(), Some(10));
    assert_eq!(snapshot.origins().await.unwrap(), ["main"]);
    let found = snapshot.segments().await.unwrap();
    assert_eq!(
        (
            found.len(),
            found[0].rows,
            found[0].base_row_id,
            found[0].commit_version
        ),
        (1, 10, 0, 1)
    );
    assert_eq!(found[0].stats.origin_seq, (1, 10));
    let (low, high) = found[0].stats.event_time_us;
    assert!(
        low <= time_of(1)
            && time_of(1) - low < 1000
            && high >= time_of(10)
            && high - time_of(10) < 1000
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_is_no_archive() {
    let home = tempfile::tempdir().unwrap();
    let error = Archive::open(&Location::local(home.path()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("there is no archive at"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_a_moved_position_stops_the_commit() {
    let (store, url) = memory();
    let one = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let two = Archive::open_in(store, url).await.unwrap();
    let base = two.snapshot().await.unwrap();
    append(&one, "main", 1..5).await;
    let late = segment("main", 1..5);
    two.put_segment(&late).await.unwrap();
    let conflict = conflicted(
        two.append(&base, plan("main", 1..5, None, &late))
            .await
            .unwrap(),
    );
    assert_eq!(
        conflict,
        Conflict::PositionMoved {
            app_id: "outbox/main".to_owned(),
            expected: None,
            found: Some(4)
        }
    );
    assert_archived(&two, "main", 1..5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_sequences_archived_by_another_writer_are_refused() {
    let (store, url) = memory();
    let one = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let two = Archive::open_in(store, url).await.unwrap();
    let base = two.snapshot().await.unwrap();
    append(&one, "main", 1..9).await;
    // The same events by another source: its position is its own, the origin's set is shared.
    let file = segment("main", 5..12);
    two.put_segment(&file).await.unwrap();
    let mut append = plan("main", 5..12, None, &file);
    append.positions = vec![Advance {
        app_id: "kafka/c/t/0".to_owned(),
        from: None,
        to: 7,
    }];
    let conflict = conflicted(two.append(&base, append).await.unwrap());
    let sequences = (5..9).collect();
    assert_eq!(
        conflict,
        Conflict::AlreadyArchived {
            origin: "main".to_owned(),
            sequences
        }
    );
    assert_archived(&two, "main", 1..9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_writers_with_forced_conflicts_both_commit_everything() {
    let (store, url) = memory();
    let one = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let two = Archive::open_in(store, url).await.unwrap();
    let stale = (one.known_snapshot(), two.known_snapshot());
    for round in 0..20u64 {
        let range = round * 3 + 1..round * 3 + 4;
        let from = (round > 0).then(|| i64::try_from(round * 3).unwrap());
        // Both build on the same version, which is old from the second round on.
        for (archive, base, origin) in [(&one, &stale.0, "a"), (&two, &stale.1, "b")] {
            let file = segment(origin, range.clone());
            archive.put_segment(&file).await.unwrap();
            committed(
                archive
                    .append(base, plan(origin, range.clone(), from, &file))
                    .await
                    .unwrap(),
            );
        }
    }
    assert_archived(&one, "a", 1..61).await;
    assert_archived(&one, "b", 1..61).await;
    assert_eq!(one.snapshot().await.unwrap().version(), 40);
    let ids: Vec<_> = row_ids(&one).await;
    assert_eq!(
        ids,
        (0..120).collect::<Vec<_>>(),
        "row ids are dense and never given out twice"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_writers_all_make_progress() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let writers = (0..8).map(|writer| {
        let (store, url) = (Arc::clone(&store), url.clone());
        tokio::spawn(async move {
            // Archives of their own: nothing but the store brings them into order.
            let archive = Archive::open_in(store, url).await.unwrap();
            for round in 0..15u64 {
                append(
                    &archive,
                    &format!("origin-{writer}"),
                    round * 2 + 1..round * 2 + 3,
                )
                .await;
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let archive = Archive::open_in(store, url).await.unwrap();
    assert_eq!(archive.snapshot().await.unwrap().version(), 120);
    for writer in 0..8 {
        assert_archived(&archive, &format!("origin-{writer}"), 1..31).await;
    }
}

/// Every store operation of an append fails once, in every way; a restart with the same events always ends with each
/// of them archived once.
#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_in_an_append() {
    for fault in [Fault::Before, Fault::After, Fault::Repeated] {
        for nth in 1.. {
            let (inner, url) = memory();
            let store = Faulty::new(inner);
            let archive = Archive::create_in(store.clone(), url.clone())
                .await
                .unwrap();
            append(&archive, "main", 1..4).await;
            store.fail(nth..nth + 1, fault);
            let clean = attempt_append(&archive, "main", 4..8).await;
            let failed = store.operations() >= nth;
            store.heal();
            assert!(clean || failed, "{fault:?} {nth}: failed without a fault");
            // A restart: a new process knows nothing but the archive.
            let archive = Archive::open_in(store, url).await.unwrap();
            let snapshot = archive.snapshot().await.unwrap();
            if snapshot.position("outbox/main").await.unwrap() == Some(3) {
                append(&archive, "main", 4..8).await;
            }
            assert_archived(&archive, "main", 1..8).await;
            if !failed {
                break;
            }
        }
    }
}

async fn attempt_append(archive: &Archive, origin: &str, range: std::ops::Range<u64>) -> bool {
    let Ok(base) = archive.snapshot().await else {
        return false;
    };
    let from = base.position(&format!("outbox/{origin}")).await.unwrap();
    let file = segment(origin, range.clone());
    if archive.put_segment(&file).await.is_err() {
        return false;
    }
    match archive
        .append(&base, plan(origin, range, from, &file))
        .await
    {
        Ok(Outcome::Committed(_)) => true,
        Ok(Outcome::Conflicted(conflict)) => panic!("{conflict}"),
        Ok(Outcome::Unknown(_)) | Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_put_is_recognised_as_ours_even_when_refused() {
    for fault in [Fault::Before, Fault::After, Fault::Repeated] {
        let (inner, url) = memory();
        let store = Faulty::new(inner);
        let archive = Archive::create_in(store.clone(), url).await.unwrap();
        let base = archive.snapshot().await.unwrap();
        let file = segment("main", 1..4);
        archive.put_segment(&file).await.unwrap();
        // The only put of this commit is its log entry, and it is the first operation.
        store.fail(1..2, fault);
        let snapshot = committed(
            archive
                .append(&base, plan("main", 1..4, None, &file))
                .await
                .unwrap(),
        );
        assert_eq!(snapshot.version(), 1, "{fault:?}");
        store.heal();
        assert_archived(&archive, "main", 1..4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_settled_later() {
    for fault in [Fault::Before, Fault::After] {
        let (inner, url) = memory();
        Archive::create_in(Arc::clone(&inner), url.clone())
            .await
            .unwrap();
        let store = Faulty::new(inner);
        let archive = Archive::open_in_with(store.clone(), url, hasty())
            .await
            .unwrap();
        let base = archive.snapshot().await.unwrap();
        let file = segment("main", 1..4);
        archive.put_segment(&file).await.unwrap();
        store.fail(1..u64::MAX, fault);
        let Outcome::Unknown(uncertain) = archive
            .append(&base, plan("main", 1..4, None, &file))
            .await
            .unwrap()
        else {
            panic!("a store that answers nothing cannot be certain");
        };
        assert_eq!(uncertain.version, 1);
        let Outcome::Unknown(uncertain) = archive.settle(uncertain).await.unwrap() else {
            panic!("still nothing to know");
        };
        store.heal();
        committed(archive.settle(uncertain).await.unwrap());
        assert_archived(&archive, "main", 1..4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_commit_overtaken_by_another_goes_on_at_the_next_version() {
    let (inner, url) = memory();
    let other = Archive::create_in(Arc::clone(&inner), url.clone())
        .await
        .unwrap();
    let store = Faulty::new(inner);
    let archive = Archive::open_in_with(store.clone(), url, hasty())
        .await
        .unwrap();
    let base = archive.snapshot().await.unwrap();
    let file = segment("a", 1..4);
    archive.put_segment(&file).await.unwrap();
    store.fail(1..u64::MAX, Fault::Before);
    let Outcome::Unknown(uncertain) = archive
        .append(&base, plan("a", 1..4, None, &file))
        .await
        .unwrap()
    else {
        panic!("certain without an answer");
    };
    append(&other, "b", 1..3).await;
    store.heal();
    assert_eq!(
        committed(archive.settle(uncertain).await.unwrap()).version(),
        2
    );
    assert_archived(&archive, "a", 1..4).await;
    assert_archived(&archive, "b", 1..3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_archive_says_so_and_commits_nothing() {
    let (store, url) = memory();
    let other = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let options = OpenOptions {
        commit_time_max: Duration::ZERO,
        ..OpenOptions::default()
    };
    let archive = Archive::open_in_with(store, url, options).await.unwrap();
    let base = archive.snapshot().await.unwrap();
    append(&other, "b", 1..3).await;
    let file = segment("a", 1..4);
    archive.put_segment(&file).await.unwrap();
    let error = archive
        .append(&base, plan("a", 1..4, None, &file))
        .await
        .unwrap_err();
    assert!(matches!(error, ArchiveError::Busy { .. }), "{error}");
    assert_eq!(archived(&archive).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_that_contradict_themselves_are_refused() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    let base = archive.snapshot().await.unwrap();
    let file = segment("a", 1..4);
    let good = || plan("a", 1..4, None, &file);
    let mut back = good();
    back.positions[0].from = Some(9);
    let mut twice = good();
    twice.positions.push(twice.positions[0].clone());
    let mut uncounted = good();
    uncounted.archived.clear();
    let mut named = good();
    named.segments[0].path = "event_year=2026/../x.parquet".to_owned();
    let mut kind = good();
    kind.kind = CommitKind::Compaction;
    for bad in [back, twice, uncounted, named, kind] {
        let error = archive.append(&base, bad).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Invalid(_)), "{error}");
    }
    assert_eq!(archive.snapshot().await.unwrap().version(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_move_alone_when_everything_was_a_duplicate() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    let base = append(&archive, "main", 1..4).await;
    let only = AdvanceOnly {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Fence,
        positions: vec![Advance {
            app_id: "outbox/main".to_owned(),
            from: Some(3),
            to: 9,
        }],
        counts: Counts {
            consumed: 6,
            duplicates: 6,
            ..Counts::default()
        },
    };
    let snapshot = committed(archive.advance(&base, only).await.unwrap());
    assert_eq!(
        snapshot.positions().await.unwrap(),
        [("outbox/main".to_owned(), 9)]
    );
    assert_eq!(snapshot.segments().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn large_sets_move_to_objects_and_come_back() {
    let (store, url) = memory();
    let archive = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let base = archive.snapshot().await.unwrap();
    // Every seventh of a million sequences: no runs, more than 64 KiB.
    let file = segment("main", 1..4);
    archive.put_segment(&file).await.unwrap();
    let sparse: roaring::RoaringTreemap = (0..200_000u64).map(|n| n * 7 + 1_000).collect();
    let mut append = plan("main", 1..4, None, &file);
    append.segments[0].rows = sparse.len();
    append.archived.insert("main".to_owned(), sparse.clone());
    committed(archive.append(&base, append).await.unwrap());
    let opened = Archive::open_in(store, url).await.unwrap();
    let snapshot = opened.snapshot().await.unwrap();
    assert_eq!(*snapshot.origin_set("main").await.unwrap(), sparse);
    assert_eq!(snapshot.origin_count("main"), 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_skip_rows_and_columns() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    append(&archive, "other", 1..11).await;
    append(&archive, "main", 1..5001).await;
    let (memory_store, url) = memory();
    let remote = Archive::create_in(memory_store, url).await.unwrap();
    append(&remote, "other", 1..11).await;
    append(&remote, "main", 1..5001).await;
    for archive in [&archive, &remote] {
        let snapshot = archive.snapshot().await.unwrap();
        let segments = snapshot.segments().await.unwrap();
        let segment = segments.iter().find(|s| s.rows == 5000).unwrap();
        let reader = SegmentReader::open(archive, segment).await.unwrap();
        assert!(reader.is_original());
        assert_eq!(
            reader.footer().unwrap().positions,
            [("outbox/main".to_owned(), 5000)]
        );
        let wanted = [0u32, 1, 1023, 1024, 4000, 4999];
        let options = ReadOptions {
            columns: Some(&["body", "origin_seq"]),
            rows: Some(&wanted),
            with_row_versions: true,
            batch_rows: 2,
        };
        let batches: Vec<_> = futures::TryStreamExt::try_collect(reader.read(&options).unwrap())
            .await
            .unwrap();
        let all = concat_batches(&reader.schema(&options).unwrap(), &batches).unwrap();
        let names: Vec<_> = all
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().clone())
            .collect();
        assert_eq!(names, ["origin_seq", "body", ROW_ID, COMMIT_VERSION]);
        let numbers = |at: usize| all.column(at).as_primitive::<Int64Type>().values().to_vec();
        assert_eq!(numbers(0), [1, 2, 1024, 1025, 4001, 5000]);
        assert_eq!(numbers(2), [10, 11, 1033, 1034, 4010, 5009]);
        assert_eq!(numbers(3), [2; 6]);
        assert_eq!(
            all.column(1).as_string::<i32>().value(3),
            "message number 1025 of main"
        );
        let whole = ReadOptions::default();
        let batches: Vec<_> = futures::TryStreamExt::try_collect(reader.read(&whole).unwrap())
            .await
            .unwrap();
        let all = concat_batches(&reader.schema(&whole).unwrap(), &batches).unwrap();
        assert_eq!(all, rows("main", 1..5001));
        for bad in [&[3u32, 2][..], &[5000], &[1, 1]] {
            assert!(
                reader
                    .read(&ReadOptions {
                        rows: Some(bad),
                        ..ReadOptions::default()
                    })
                    .is_err()
            );
        }
        assert!(
            reader
                .read(&ReadOptions {
                    columns: Some(&["nope"]),
                    ..ReadOptions::default()
                })
                .is_err()
        );
        let none = ReadOptions {
            columns: Some(&[]),
            rows: Some(&[]),
            ..ReadOptions::default()
        };
        let batches: Vec<_> = futures::TryStreamExt::try_collect(reader.read(&none).unwrap())
            .await
            .unwrap();
        assert_eq!(
            batches
                .iter()
                .map(arrow::array::RecordBatch::num_rows)
                .sum::<usize>(),
            0
        );
    }
}
