//! Appends and moved positions: what is committed, and what is refused (AR-1, AR-2).

use std::sync::Arc;
use std::time::Duration;

use holdfast_archive::{
    Advance, AdvanceOnly, Archive, ArchiveError, CommitKind, Conflict, Counts, OpenOptions,
};
use uuid::Uuid;

use crate::common::{
    append, archived, assert_archived, committed, conflicted, memory, plan, segment,
};

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
