//! Garbage collection: what goes, what stays, and who is refused (AR-1).

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::TryStreamExt;
use holdfast_archive::clock::system_now_ms;
use holdfast_archive::gc::{self, GcOptions};
use holdfast_archive::segment::{SegmentFooter, encode, new_id};
use holdfast_archive::{
    Advance, AdvanceOnly, Archive, CommitKind, Conflict, Counts, EncodedSegment, Outcome, Replace,
    Snapshot,
};
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};
use ulid::Ulid;
use uuid::Uuid;

use crate::common::faulty::{Fault, Faulty};
use crate::common::{
    append, assert_archived, committed, conflicted, local, memory, plan, rows, segment,
    segment_named,
};

fn eager() -> GcOptions {
    GcOptions {
        min_age: Duration::ZERO,
        grace: Duration::ZERO,
        dry_run: false,
    }
}

/// Later than every name made so far.
fn soon() -> i64 {
    system_now_ms() + 5
}

async fn files(archive: &Archive) -> Vec<String> {
    let listed: Vec<_> = archive.store().list(None).try_collect().await.unwrap();
    let mut paths: Vec<_> = listed
        .into_iter()
        .map(|meta| meta.location.to_string())
        .collect();
    paths.retain(|path| !path.contains("_delta_log"));
    paths.sort();
    paths
}

/// One segment of the rows of all live ones, in place of them.
async fn merge(archive: &Archive) {
    let base = archive.snapshot().await.unwrap();
    let inputs = base.segments().await.unwrap();
    let rows: u64 = inputs.iter().map(|s| s.rows).sum();
    let file = segment("main", 1..rows + 1);
    archive.put_segment(&file).await.unwrap();
    let replace = Replace {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Compaction,
        inputs: inputs.iter().map(|s| s.path.clone()).collect(),
        segments: vec![file.segment],
        ledger: None,
        recheck: None,
        counts: Counts::default(),
        merkle_root: [0; 32],
    };
    committed(archive.replace(&base, replace).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_takes_what_no_version_needs_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    append(&archive, "main", 1..4).await;
    append(&archive, "main", 4..7).await;
    let old = archive.snapshot().await.unwrap().segments().await.unwrap();
    for segment in old.iter() {
        archive
            .put_split(&segment.split_path(1), "split".into())
            .await
            .unwrap();
    }
    merge(&archive).await;
    let live = archive.snapshot().await.unwrap().segments().await.unwrap();
    archive
        .put_split(&live[0].split_path(1), "split".into())
        .await
        .unwrap();
    let orphan = segment("main", 7..9);
    archive.put_segment(&orphan).await.unwrap();
    archive
        .put_attachment(&hex::encode(Sha256::digest(b"plan")), "plan".into())
        .await
        .unwrap();
    std::fs::write(home.path().join("events/not-ours.txt"), "x").unwrap();
    std::fs::write(home.path().join("events/event_year=2026/half#7"), "x").unwrap();
    let all = files(&archive).await;

    let report = gc::run(
        &archive,
        GcOptions {
            dry_run: true,
            ..eager()
        },
        soon(),
    )
    .await
    .unwrap();
    assert_eq!(report.deleted.len(), 6, "{report:?}");
    assert_eq!(files(&archive).await, all, "a dry run deletes nothing");
    assert_eq!(archive.snapshot().await.unwrap().gc_horizon_ms(), None);

    // Within the grace, superseded files stay; the orphan and the leftover go.
    let grace = GcOptions {
        grace: Duration::from_secs(3600),
        ..eager()
    };
    let report = gc::run(&archive, grace, soon()).await.unwrap();
    assert_eq!(report.deleted.len(), 2, "{report:?}");
    assert!(!home.path().join("events/event_year=2026/half#7").exists());
    let report = gc::run(&archive, eager(), soon()).await.unwrap();
    let mut gone: Vec<_> = old.iter().map(|s| format!("events/{}", s.path)).collect();
    gone.extend(old.iter().map(|s| s.split_path(1)));
    gone.sort();
    assert_eq!(report.deleted, gone);
    assert_eq!(files(&archive).await.len(), all.len() - 5);
    assert!(home.path().join("events/not-ours.txt").exists());
    assert!(
        gc::run(&archive, eager(), soon())
            .await
            .unwrap()
            .deleted
            .is_empty()
    );
    assert_archived(&archive, "main", 1..7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leftovers_are_aged_by_when_the_store_says_they_were_written_and_those_of_the_future_go() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    append(&archive, "main", 1..4).await;
    let folder = home.path().join("events");
    let leave = |name: &str, written: SystemTime| {
        let file = std::fs::File::create(folder.join(name)).unwrap();
        file.set_modified(written).unwrap();
    };
    let (now, hour) = (SystemTime::now(), Duration::from_secs(3600));
    leave("old#1", now - 2 * hour);
    leave("young#2", now);
    leave("future#3", now + 24 * hour);
    let report = gc::run(&archive, GcOptions::default(), system_now_ms());
    let deleted = report.await.unwrap().deleted;
    assert_eq!(deleted, ["events/future#3", "events/old#1"]);
    // Whoever knows that nobody finishes such a put asks for no age.
    leave("future#3", now + 24 * hour);
    let removed = gc::remove_leftovers(&archive, "events", |_| true);
    assert_eq!(removed.await.unwrap(), 2);
    let left = std::fs::read_dir(&folder).unwrap().flatten();
    assert!(
        !left
            .map(|file| file.file_name())
            .any(|name| name.to_string_lossy().contains('#'))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_gc_beside_a_writer_paused_between_put_and_commit() {
    let (store, url) = memory();
    let writer = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    append(&writer, "main", 1..4).await;
    let base = writer.snapshot().await.unwrap();
    let file = segment("main", 4..7);
    writer.put_segment(&file).await.unwrap();
    // The writer sleeps; gc raises the horizon above its file and takes it.
    let collector = Archive::open_in(store, url).await.unwrap();
    let report = gc::run(&collector, eager(), soon()).await.unwrap();
    assert_eq!(report.deleted, [format!("events/{}", file.segment.path)]);
    // It wakes up and commits as if nothing had happened.
    let conflict = conflicted(
        writer
            .append(&base, plan("main", 4..7, Some(3), &file))
            .await
            .unwrap(),
    );
    assert!(
        matches!(conflict, Conflict::BelowHorizon { .. }),
        "{conflict}"
    );
    assert_archived(&writer, "main", 1..4).await;
    // Rebuilt under a new name it goes in.
    append(&writer, "main", 4..7).await;
    assert_archived(&collector, "main", 1..7).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_in_gc() {
    for fault in [Fault::Before, Fault::After, Fault::Repeated] {
        for nth in 1.. {
            let (inner, url) = memory();
            let store = Faulty::new(inner);
            let archive = Archive::create_in(store.clone(), url.clone())
                .await
                .unwrap();
            append(&archive, "main", 1..4).await;
            append(&archive, "main", 4..7).await;
            merge(&archive).await;
            archive.put_segment(&segment("main", 7..9)).await.unwrap();
            let now_ms = soon();
            store.fail(nth..nth + 1, fault);
            let outcome = gc::run(&archive, eager(), now_ms).await;
            let failed = store.operations() >= nth;
            store.heal();
            assert!(failed || outcome.is_ok(), "{outcome:?}");
            let archive = Archive::open_in(store, url).await.unwrap();
            assert_archived(&archive, "main", 1..7).await;
            // The next run finds the rest.
            gc::run(&archive, eager(), now_ms).await.unwrap();
            assert_eq!(files(&archive).await.len(), 1, "{fault:?} {nth}");
            assert_archived(&archive, "main", 1..7).await;
            if !failed {
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_sets_are_collected_when_replaced() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    for round in 0..2u64 {
        let base = archive.snapshot().await.unwrap();
        let file = segment("main", 1..4);
        archive.put_segment(&file).await.unwrap();
        let from = base.position("outbox/main").await.unwrap();
        let mut append = plan("main", 1..4, from, &file);
        let sparse: roaring::RoaringTreemap = (0..100_000u64).map(|n| n * 7 + round + 10).collect();
        append.segments[0].rows = sparse.len();
        append.archived.insert("main".to_owned(), sparse);
        committed(archive.append(&base, append).await.unwrap());
    }
    let objects = |files: Vec<String>| {
        files
            .into_iter()
            .filter(|f| f.starts_with("origins/"))
            .count()
    };
    assert_eq!(objects(files(&archive).await), 2);
    gc::run(&archive, eager(), soon()).await.unwrap();
    assert_eq!(objects(files(&archive).await), 1);
    let reopened = archive.snapshot().await.unwrap();
    assert_eq!(reopened.origin_set("main").await.unwrap().len(), 200_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_neither_moves_the_horizon_nor_stops_writers() {
    let (store, url) = memory();
    let archive = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let ahead = system_now_ms() + 3 * 3_600_000;
    let error = gc::run(&archive, GcOptions::default(), ahead)
        .await
        .unwrap_err();
    assert!(error.to_string().contains("clock is ahead"), "{error}");
    assert_eq!(archive.snapshot().await.unwrap().gc_horizon_ms(), None);
    // A horizon in the future of a writer, as after a clock that was set back.
    let base = archive.snapshot().await.unwrap();
    let horizon = AdvanceOnly {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Gc,
        positions: vec![Advance {
            app_id: holdfast_archive::GC_APP_ID.to_owned(),
            from: None,
            to: ahead,
        }],
        counts: Counts::default(),
    };
    let base = committed(archive.advance(&base, horizon).await.unwrap());
    for (id, goes) in [(new_id(), false), (base.new_id(), true)] {
        let file = named(id);
        archive.put_segment(&file).await.unwrap();
        let outcome = archive.append(&base, plan("main", 1..4, None, &file)).await;
        assert_eq!(matches!(outcome, Ok(Outcome::Committed(_))), goes);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_whose_known_set_was_collected_reads_the_newer_one() {
    let (store, url) = memory();
    let archive = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let sparse = |round: u64| (0..100_000u64).map(|n| n * 7 + round + 10).collect();
    let commit = async |archive: &Archive, base: &Snapshot, id: Ulid, app_id: &str, round: u64| {
        let file = segment_named(id, "main", 1..4);
        archive.put_segment(&file).await.unwrap();
        let mut append = plan("main", 1..4, None, &file);
        app_id.clone_into(&mut append.positions[0].app_id);
        let set: roaring::RoaringTreemap = sparse(round);
        append.segments[0].rows = set.len();
        append.archived.insert("main".to_owned(), set);
        committed(archive.append(base, append).await.unwrap())
    };
    let base = archive.snapshot().await.unwrap();
    let base = commit(&archive, &base, new_id(), "a", 0).await;
    let late = Archive::open_in(store, url).await.unwrap();
    commit(&archive, &base, new_id(), "b", 1).await;
    gc::run(&archive, eager(), soon()).await.unwrap();
    let base = late.known_snapshot();
    assert!(
        base.origin_set("main").await.is_err(),
        "its object was collected"
    );
    // As late as the horizon, which the base does not know yet.
    let id = archive.snapshot().await.unwrap().new_id();
    let snapshot = commit(&late, &base, id, "c", 2).await;
    assert_eq!(snapshot.origin_set("main").await.unwrap().len(), 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_named_before_1970_or_by_others_are_never_collected() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    let foreign = "events/event_year=2026/part-00000-1234.c000.snappy.parquet";
    archive
        .store()
        .put(&foreign.into(), "x".into())
        .await
        .unwrap();
    gc::run(&archive, eager(), soon()).await.unwrap();
    assert_eq!(files(&archive).await, [foreign]);
    // A name as old as can be is garbage like any other orphan.
    let file = named(Ulid::from_parts(0, 1));
    archive.put_segment(&file).await.unwrap();
    gc::run(&archive, eager(), soon()).await.unwrap();
    assert_eq!(files(&archive).await, [foreign]);
    let base = archive.snapshot().await.unwrap();
    let outcome = archive
        .append(&base, plan("main", 1..4, None, &file))
        .await
        .unwrap();
    assert!(matches!(
        outcome,
        Outcome::Conflicted(Conflict::BelowHorizon { .. })
    ));
}

fn named(id: Ulid) -> EncodedSegment {
    let footer = SegmentFooter {
        commit_id: Uuid::new_v4(),
        positions: vec![],
        rows: 3,
        merkle_root: [0; 32],
    };
    encode(id, 2026, &rows("main", 1..4), &footer, None).unwrap()
}
