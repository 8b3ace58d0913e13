//! Garbage collection, leases, attachments, checkpoints and the log's length.
// Clippy takes helpers outside of `#[test]` functions for production code.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use common::faulty::{Fault, Faulty};
use common::{append, assert_archived, committed, conflicted, local, memory, plan, segment};
use futures::TryStreamExt;
use holdfast_archive::attachments::Pending;
use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_archive::gc::{self, GcOptions};
use holdfast_archive::lease::{self, Taken};
use holdfast_archive::segment::{SegmentFooter, encode, new_id};
use holdfast_archive::{
    Advance, AdvanceOnly, Archive, ArchiveError, CommitKind, Conflict, Counts, EncodedSegment,
    Location, OpenOptions, Outcome, Replace, Snapshot, maintain,
};
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use ulid::Ulid;
use uuid::Uuid;

const DAY_MS: i64 = 24 * 3_600_000;

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
    tokio::time::sleep(Duration::from_millis(10)).await;
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
async fn a_lease_has_one_holder_and_a_growing_number() {
    let (store, url) = memory();
    let one = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let two = Archive::open_in(store, url).await.unwrap();
    let minute = Duration::from_secs(60);
    let Taken::Ours(first) = lease::take(&one, "compactor", "a", minute, 1_000)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((first.fencing, first.until_ms), (1, 61_000));
    assert_eq!(
        lease::take(&two, "compactor", "b", minute, 60_999)
            .await
            .unwrap(),
        Taken::Theirs(first.clone())
    );
    let Taken::Ours(renewed) = lease::take(&one, "compactor", "a", minute, 50_000)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!((renewed.fencing, renewed.until_ms), (1, 110_000));
    // It ends, and somebody else takes over under a higher number.
    let Taken::Ours(second) = lease::take(&two, "compactor", "b", minute, 110_000)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(second.fencing, 2);
    // Giving back what is no longer ours changes nothing.
    lease::release(&one, &renewed).await.unwrap();
    assert_eq!(
        lease::current(&one.snapshot().await.unwrap(), "compactor").unwrap(),
        Some(second.clone())
    );
    lease::release(&two, &second).await.unwrap();
    let Taken::Ours(third) = lease::take(&one, "compactor", "a", minute, 110_001)
        .await
        .unwrap()
    else {
        panic!()
    };
    assert_eq!(third.fencing, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_who_ask_for_a_lease_one_gets_it() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let tasks: Vec<_> = (0..8)
        .map(|n| {
            let (store, url) = (Arc::clone(&store), url.clone());
            tokio::spawn(async move {
                let archive = Archive::open_in(store, url).await.unwrap();
                let taken = lease::take(
                    &archive,
                    "compactor",
                    &format!("p{n}"),
                    Duration::from_secs(9),
                    1,
                )
                .await;
                matches!(taken.unwrap(), Taken::Ours(_))
            })
        })
        .collect();
    let mut holders = 0;
    for task in tasks {
        holders += usize::from(task.await.unwrap());
    }
    assert_eq!(holders, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_are_verified_and_pending_ones_remembered() {
    let (store, url) = memory();
    let archive = Archive::create_in(store, url).await.unwrap();
    let sha256 = hex::encode(Sha256::digest(b"the plan"));
    let pending = Pending {
        sha256: sha256.clone(),
        size: Some(8),
        since: "2026-11-20T05:10:45Z".to_owned(),
        attempts: 1,
        reason: "not there yet".to_owned(),
    };
    archive.mark_pending(&pending).await.unwrap();
    assert_eq!(archive.pending_attachments().await.unwrap(), [pending]);
    assert_eq!(archive.attachment_size(&sha256).await.unwrap(), None);
    let wrong = archive
        .put_attachment(&sha256, "another plan".into())
        .await
        .unwrap_err();
    assert!(matches!(wrong, ArchiveError::Invalid(_)), "{wrong}");
    for _ in 0..2 {
        archive
            .put_attachment(&sha256, "the plan".into())
            .await
            .unwrap();
    }
    assert_eq!(archive.attachment_size(&sha256).await.unwrap(), Some(8));
    assert_eq!(
        archive.attachment(&sha256).await.unwrap().unwrap().as_ref(),
        b"the plan"
    );
    assert!(archive.pending_attachments().await.unwrap().is_empty());
    for bad in ["", "../../etc/passwd", &sha256.to_uppercase(), &sha256[1..]] {
        assert!(archive.attachment_size(bad).await.is_err(), "{bad}");
    }
    let path = holdfast_archive::attachments::path(&sha256).unwrap();
    archive
        .store()
        .put(&path.as_str().into(), "tampered".into())
        .await
        .unwrap();
    assert!(matches!(
        archive.attachment(&sha256).await,
        Err(ArchiveError::Corrupt { .. })
    ));
}

/// A clock to be moved by hand.
#[derive(Debug)]
struct Hand(AtomicI64);

impl Environment for Hand {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn random(&self) -> u64 {
        42
    }
}

async fn log_files(archive: &Archive, ending: &str) -> usize {
    let folder = "events/_delta_log".into();
    let listed: Vec<_> = archive
        .store()
        .list(Some(&folder))
        .try_collect()
        .await
        .unwrap();
    listed
        .iter()
        .filter(|meta| meta.location.as_ref().ends_with(ending))
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoints_are_written_verified_kept_and_open_the_archive() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let clock = Arc::new(Hand(AtomicI64::new(system_now_ms())));
    let options = OpenOptions {
        maintenance: false,
        environment: clock.clone(),
        ..OpenOptions::default()
    };
    let archive = Archive::open_in_with(Arc::clone(&store), url.clone(), options.clone())
        .await
        .unwrap();
    for round in 0..5u64 {
        for n in 0..100 {
            let at = round * 100 + n;
            append(&archive, "main", at + 1..at + 2).await;
        }
        let report = maintain::run(&archive, clock.now_ms()).await.unwrap();
        assert_eq!(report.checkpoint, Some((round + 1) * 100));
        assert_eq!(report.removed, 0, "nothing is old enough");
    }
    assert_eq!(
        (
            log_files(&archive, ".json").await,
            log_files(&archive, ".parquet").await
        ),
        (501, 5)
    );
    assert_eq!(
        maintain::run(&archive, clock.now_ms())
            .await
            .unwrap()
            .checkpoint,
        None,
        "not due"
    );
    // A day later: three checkpoints and what lies above the oldest of them stay.
    clock.0.fetch_add(DAY_MS + 600_000, Ordering::SeqCst);
    // A checkpoint that is not the verified one stands for nothing.
    let oldest = format!("events/_delta_log/{:020}.checkpoint.parquet", 300).into();
    let bytes = store.get(&oldest).await.unwrap().bytes().await.unwrap();
    store.put(&oldest, "another".into()).await.unwrap();
    let report = maintain::run(&archive, clock.now_ms()).await.unwrap();
    assert_eq!(report.removed, 0);
    store.put(&oldest, bytes.into()).await.unwrap();
    let report = maintain::run(&archive, clock.now_ms()).await.unwrap();
    assert_eq!(
        report.removed, 302,
        "entries 0..300, checkpoints 100 and 200"
    );
    assert_eq!(
        (
            log_files(&archive, ".json").await,
            log_files(&archive, ".parquet").await
        ),
        (201, 3)
    );
    // The one that has it in memory, one that starts cold, and one without the hint agree.
    append(&archive, "main", 501..502).await;
    assert_archived(&archive, "main", 1..502).await;
    let cold = Archive::open_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    assert_archived(&cold, "main", 1..502).await;
    store
        .delete(&"events/_delta_log/_last_checkpoint".into())
        .await
        .unwrap();
    let listed = Archive::open_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    append(&listed, "main", 502..503).await;
    assert_archived(&listed, "main", 1..503).await;
    let record = listed.commit_record(502).await.unwrap().unwrap();
    let before = listed.commit_record(501).await.unwrap().unwrap();
    assert_eq!(
        record.previous_sha256,
        Some(before.sha256),
        "commits are chained"
    );
    assert_eq!(
        (
            record.kind.as_str(),
            record.counts.archived,
            record.merkle_root
        ),
        ("append", 1, Some([7; 32]))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_checkpoint_is_skipped() {
    let (store, url) = memory();
    let archive = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    for n in 1..=120 {
        append(&archive, "main", n..n + 1).await;
    }
    maintain::run(&archive, system_now_ms()).await.unwrap();
    let folder = "events/_delta_log".into();
    let listed: Vec<_> = store.list(Some(&folder)).try_collect().await.unwrap();
    for meta in listed
        .iter()
        .filter(|meta| meta.location.as_ref().ends_with(".parquet"))
    {
        store.put(&meta.location, "torn".into()).await.unwrap();
    }
    let opened = Archive::open_in(store, url).await.unwrap();
    assert_archived(&opened, "main", 1..121).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_fails_verification_is_withdrawn() {
    let (inner, url) = memory();
    Archive::create_in(Arc::clone(&inner), url.clone())
        .await
        .unwrap();
    let store = Faulty::new(Arc::clone(&inner));
    let archive = Archive::open_in_with(store.clone(), url.clone(), common::hasty())
        .await
        .unwrap();
    let hint = "events/_delta_log/_last_checkpoint".into();
    for round in 0..2u64 {
        for n in round * 100..round * 100 + 100 {
            append(&archive, "main", n + 1..n + 2).await;
        }
        let before = inner.get(&hint).await.ok().map(|found| found.meta.size);
        store.tear(Some(".checkpoint.parquet"));
        let error = maintain::run(&archive, system_now_ms()).await.unwrap_err();
        assert!(matches!(error, ArchiveError::Parquet { .. }), "{error}");
        // What was in charge before is in charge again.
        assert_eq!(
            log_files(&archive, ".parquet").await,
            usize::try_from(round).unwrap()
        );
        let after = inner.get(&hint).await.ok().map(|found| found.meta.size);
        assert_eq!(before, after);
        let opened = Archive::open_in(Arc::clone(&inner), url.clone())
            .await
            .unwrap();
        assert_archived(&opened, "main", 1..round * 100 + 101).await;
        store.tear(None);
        let report = maintain::run(&archive, system_now_ms()).await.unwrap();
        assert_eq!(report.checkpoint, Some(round * 100 + 100));
    }
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
    let commit = async |archive: &Archive, base: &Snapshot, app_id: &str, round: u64| {
        let file = segment("main", 1..4);
        archive.put_segment(&file).await.unwrap();
        let mut append = plan("main", 1..4, None, &file);
        app_id.clone_into(&mut append.positions[0].app_id);
        let set: roaring::RoaringTreemap = sparse(round);
        append.segments[0].rows = set.len();
        append.archived.insert("main".to_owned(), set);
        committed(archive.append(base, append).await.unwrap())
    };
    let base = archive.snapshot().await.unwrap();
    let base = commit(&archive, &base, "a", 0).await;
    let late = Archive::open_in(store, url).await.unwrap();
    commit(&archive, &base, "b", 1).await;
    gc::run(&archive, eager(), soon()).await.unwrap();
    // The horizon lies a little ahead.
    tokio::time::sleep(Duration::from_millis(10)).await;
    let base = late.known_snapshot();
    assert!(
        base.origin_set("main").await.is_err(),
        "its object was collected"
    );
    let snapshot = commit(&late, &base, "c", 2).await;
    assert_eq!(snapshot.origin_set("main").await.unwrap().len(), 300_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_for_days_starts_over_from_the_newest_checkpoint() {
    let (store, url) = memory();
    let busy_clock = Arc::new(Hand(AtomicI64::new(system_now_ms())));
    let with = |clock: &Arc<Hand>| OpenOptions {
        maintenance: false,
        environment: Arc::<Hand>::clone(clock),
        ..OpenOptions::default()
    };
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let sleepy_clock = Arc::new(Hand(AtomicI64::new(system_now_ms())));
    let sleepy = Archive::open_in_with(Arc::clone(&store), url.clone(), with(&sleepy_clock))
        .await
        .unwrap();
    let base = append(&sleepy, "slow", 1..3).await;
    let busy = Archive::open_in_with(Arc::clone(&store), url.clone(), with(&busy_clock))
        .await
        .unwrap();
    for n in 0..410u64 {
        append(&busy, "main", n + 1..n + 2).await;
        if n % 100 == 99 {
            maintain::run(&busy, busy_clock.now_ms()).await.unwrap();
        }
    }
    busy_clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    assert!(
        maintain::run(&busy, busy_clock.now_ms())
            .await
            .unwrap()
            .removed
            > 100
    );
    // The sleeper's next slot is empty now, because the entry that filled it was removed.
    sleepy_clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    let file = segment("slow", 3..5);
    sleepy.put_segment(&file).await.unwrap();
    let snapshot = committed(
        sleepy
            .append(&base, plan("slow", 3..5, Some(2), &file))
            .await
            .unwrap(),
    );
    assert!(snapshot.version() > 410, "{}", snapshot.version());
    assert_archived(&busy, "slow", 1..5).await;
    assert_archived(&busy, "main", 1..411).await;
}

/// 410 commits of one origin, three checkpoints, and three days later the removal of the old entries.
async fn days_go_by(store: &Arc<dyn ObjectStore>, url: &url::Url) -> Archive {
    let clock = Arc::new(Hand(AtomicI64::new(system_now_ms())));
    let busy = Archive::open_in_with(Arc::clone(store), url.clone(), by(&clock))
        .await
        .unwrap();
    for n in 0..410u64 {
        append(&busy, "main", n + 1..n + 2).await;
        if n % 100 == 99 {
            maintain::run(&busy, clock.now_ms()).await.unwrap();
        }
    }
    clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    let report = maintain::run(&busy, clock.now_ms()).await.unwrap();
    assert!(report.removed > 100, "{report:?}");
    busy
}

fn by(clock: &Arc<Hand>) -> OpenOptions {
    OpenOptions {
        environment: Arc::<Hand>::clone(clock),
        ..common::hasty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_pending_commit_is_not_put_into_a_slot_that_was_emptied() {
    for fault in [Fault::Before, Fault::After] {
        let (inner, url) = memory();
        Archive::create_in(Arc::clone(&inner), url.clone())
            .await
            .unwrap();
        let faulty = Faulty::new(Arc::clone(&inner));
        let clock = Arc::new(Hand(AtomicI64::new(system_now_ms())));
        let sleepy = Archive::open_in_with(faulty.clone(), url.clone(), by(&clock))
            .await
            .unwrap();
        let base = append(&sleepy, "slow", 1..3).await;
        let file = segment("slow", 3..5);
        sleepy.put_segment(&file).await.unwrap();
        faulty.fail(1..u64::MAX, fault);
        let Outcome::Unknown(uncertain) = sleepy
            .append(&base, plan("slow", 3..5, Some(2), &file))
            .await
            .unwrap()
        else {
            panic!("certain without an answer");
        };
        faulty.heal();
        let busy = days_go_by(&inner, &url).await;
        clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
        let outcome = sleepy.settle(uncertain).await.unwrap();
        match fault {
            Fault::Before => assert!(committed(outcome).version() > 410),
            // It was committed back then; the table's positions say so.
            Fault::After | Fault::Repeated => assert!(matches!(
                conflicted(outcome),
                Conflict::PositionMoved { found: Some(4), .. }
            )),
        }
        assert_archived(&busy, "slow", 1..5).await;
        append(&sleepy, "slow", 5..7).await;
        assert_archived(&busy, "slow", 1..7).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_put_that_was_held_back_for_days_commits_nothing() {
    let (inner, url) = memory();
    Archive::create_in(Arc::clone(&inner), url.clone())
        .await
        .unwrap();
    let held = Faulty::new(Arc::clone(&inner));
    let clock = Arc::new(Hand(AtomicI64::new(system_now_ms())));
    let sleepy = Archive::open_in_with(held.clone(), url.clone(), by(&clock))
        .await
        .unwrap();
    let base = append(&sleepy, "slow", 1..3).await;
    let file = segment("slow", 3..5);
    sleepy.put_segment(&file).await.unwrap();
    let slot = format!("{:020}.json", base.version() + 1);
    let gate = held.gate(&slot);
    let commit = {
        let (sleepy, plan) = (sleepy.clone(), plan("slow", 3..5, Some(2), &file));
        tokio::spawn(async move { sleepy.append(&base, plan).await })
    };
    while held.waiting() == 0 {
        tokio::task::yield_now().await;
    }
    let busy = days_go_by(&inner, &url).await;
    clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    gate.add_permits(1000);
    let snapshot = committed(commit.await.unwrap().unwrap());
    assert!(snapshot.version() > 410, "{}", snapshot.version());
    assert_archived(&busy, "slow", 1..5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_runs_by_itself_after_commits() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    for n in 1..=101 {
        append(&archive, "main", n..n + 1).await;
    }
    let hint = home.path().join("events/_delta_log/_last_checkpoint");
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while !hint.exists() {
        assert!(
            std::time::Instant::now() < deadline,
            "no checkpoint after 101 commits"
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let opened = Archive::open(&Location::local(home.path())).await.unwrap();
    assert_archived(&opened, "main", 1..102).await;
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
    encode(id, 2026, &common::rows("main", 1..4), &footer, None).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_written_beside_commits_is_not_forgotten() {
    let (inner, url) = memory();
    let store = Faulty::new(inner);
    let archive = Archive::create_in(store.clone(), url).await.unwrap();
    for n in 1..=99 {
        append(&archive, "main", n..n + 1).await;
    }
    // The checkpoint of version 100 is held back while commits go on.
    let gate = store.gate(".checkpoint.parquet");
    for n in 100..=140 {
        append(&archive, "main", n..n + 1).await;
    }
    gate.add_permits(1000);
    let hint: object_store::path::Path = "events/_delta_log/_last_checkpoint".into();
    let deadline = std::time::Instant::now() + Duration::from_secs(30);
    while store.head(&hint).await.is_err() {
        assert!(std::time::Instant::now() < deadline, "no checkpoint");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for n in 141..=199 {
        append(&archive, "main", n..n + 1).await;
    }
    maintain::run(&archive, system_now_ms()).await.unwrap();
    assert_eq!(
        log_files(&archive, ".parquet").await,
        1,
        "the next one is due at 200"
    );
}
