//! Checkpoints: written, verified, kept, skipped, withdrawn; and the log below them removed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use futures::TryStreamExt;
use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_archive::{Archive, ArchiveError, OpenOptions, maintain};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};

use crate::common::clock::{DAY_MS, Hand};
use crate::common::faulty::Faulty;
use crate::common::{append, assert_archived, committed, hasty, memory, plan, segment};
use crate::rewrites::{compaction, rewrite};

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
    let clock = Hand::at(system_now_ms());
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
async fn a_large_checkpoint_opens_the_archive_without_being_read_whole() {
    const SEGMENTS: u64 = 2_500;
    const CHECKPOINT: &str = ".checkpoint.parquet";
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    // The one checkpoint is written below.
    let options = OpenOptions {
        maintenance: false,
        ..OpenOptions::default()
    };
    let archive = Archive::open_in_with(Arc::clone(&store), url.clone(), options)
        .await
        .unwrap();
    for n in 1..=120 {
        append(&archive, "main", n..n + 1).await;
    }
    let base = archive.snapshot().await.unwrap();
    let mut many = plan("other", 1..SEGMENTS + 1, None, &segment("other", 1..2));
    many.segments.clear();
    for n in 1..=SEGMENTS {
        let file = segment("other", n..n + 1);
        archive.put_segment(&file).await.unwrap();
        many.segments.push(file.segment);
    }
    let base = committed(archive.append(&base, many).await.unwrap());
    // Removed segments are remembered among the live ones.
    let segments = base.segments().await.unwrap();
    let merged = rewrite(&archive, &base, &segments[40..80]).await;
    committed(
        archive
            .replace(&base, compaction(&segments[40..80], &merged))
            .await
            .unwrap(),
    );
    let report = maintain::run(&archive, system_now_ms()).await.unwrap();
    let path = format!(
        "events/_delta_log/{:020}{CHECKPOINT}",
        report.checkpoint.unwrap()
    );
    let size = store.head(&path.as_str().into()).await.unwrap().size;
    assert!(size > 1024 * 1024, "{size}");
    let opened = async || {
        let watched = Faulty::new(Arc::clone(&store));
        let archive = Archive::open_in(watched.clone(), url.clone()).await;
        (archive.unwrap(), watched.was_read_whole(CHECKPOINT))
    };
    let (cold, whole) = opened().await;
    assert!(!whole);
    assert_archived(&cold, "main", 1..121).await;
    assert_archived(&cold, "other", 1..SEGMENTS + 1).await;
    let live = async |archive: &Archive| {
        let snapshot = archive.snapshot().await.unwrap();
        let segments = snapshot.segments().await.unwrap();
        segments
            .iter()
            .map(|s| s.as_ref().clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(live(&cold).await, live(&archive).await);
    // Without the hint the log is listed; with one that is wrong the file itself tells.
    let hint = Path::from("events/_delta_log/_last_checkpoint");
    store.delete(&hint).await.unwrap();
    let (listed, _) = opened().await;
    assert_eq!(live(&listed).await, live(&archive).await);
    let wrong = format!(
        r#"{{"version":{},"size":1,"sizeInBytes":{}}}"#,
        report.checkpoint.unwrap(),
        size + 7
    );
    store.put(&hint, wrong.into()).await.unwrap();
    let (mended, whole) = opened().await;
    assert!(whole);
    assert_eq!(live(&mended).await, live(&archive).await);
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
    let archive = Archive::open_in_with(store.clone(), url.clone(), hasty())
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

/// Commits of one row each, and the path of the checkpoint that is due after them.
async fn hundred(archive: &Archive, first: u64) -> Path {
    for n in first..first + 100 {
        append(archive, "main", n..n + 1).await;
    }
    let version = archive.snapshot().await.unwrap().version();
    format!("events/_delta_log/{version:020}.checkpoint.parquet").into()
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_well_formed_checkpoint_that_says_something_else_is_withdrawn() {
    // Of another archive with as many files, each of them named otherwise.
    let (store, url) = memory();
    let other = Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let path = hundred(&other, 1).await;
    maintain::run(&other, system_now_ms()).await.unwrap();
    let wrong = store.get(&path).await.unwrap().bytes().await.unwrap();

    let (inner, url) = memory();
    Archive::create_in(Arc::clone(&inner), url.clone())
        .await
        .unwrap();
    let store = Faulty::new(Arc::clone(&inner));
    let archive = Archive::open_in_with(store.clone(), url.clone(), hasty())
        .await
        .unwrap();
    let path = hundred(&archive, 1).await;
    store.swap(".checkpoint.parquet", wrong);
    let error = maintain::run(&archive, system_now_ms()).await.unwrap_err();
    assert!(
        error.to_string().contains("does not say what the log says"),
        "{error}"
    );
    assert!(inner.head(&path).await.is_err(), "it is still there");
    let opened = Archive::open_in(inner, url).await.unwrap();
    assert_archived(&opened, "main", 1..101).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_nobody_read_back_is_written_again() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let open = || Archive::open_in_with(Arc::clone(&store), url.clone(), hasty());
    let (one, two) = (open().await.unwrap(), open().await.unwrap());
    hundred(&one, 1).await;
    assert_eq!(two.snapshot().await.unwrap().version(), 100);
    maintain::run(&one, system_now_ms()).await.unwrap();
    // As if the process had been killed before it read it back.
    let mark = format!("events/_delta_log/_holdfast_verified.{:020}", 100).into();
    store.delete(&mark).await.unwrap();
    let report = maintain::run(&two, system_now_ms()).await.unwrap();
    assert_eq!(report.checkpoint, Some(100));
    store.head(&mark).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_digests_of_files_live_on_in_checkpoints() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let archive = Archive::open_in_with(Arc::clone(&store), url.clone(), hasty())
        .await
        .unwrap();
    hundred(&archive, 1).await;
    maintain::run(&archive, system_now_ms()).await.unwrap();
    // Nothing but the checkpoint is left of the log.
    for version in 0..100 {
        let entry = format!("events/_delta_log/{version:020}.json").into();
        store.delete(&entry).await.unwrap();
    }
    let opened = Archive::open_in(Arc::clone(&store), url).await.unwrap();
    let segments = opened.snapshot().await.unwrap().segments().await.unwrap();
    assert_eq!(segments.len(), 100);
    for segment in segments.iter() {
        let path = format!("events/{}", segment.path).into();
        let bytes = store.get(&path).await.unwrap().bytes().await.unwrap();
        assert_eq!(segment.sha256, Some(Sha256::digest(&bytes).into()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn maintenance_runs_by_itself_after_commits() {
    let (inner, url) = memory();
    let store = Faulty::new(inner);
    let archive = Archive::create_in(store.clone(), url.clone())
        .await
        .unwrap();
    for n in 1..=101 {
        append(&archive, "main", n..n + 1).await;
    }
    // The last that is put of a checkpoint is the mark that it was read back.
    store
        .until_put("_holdfast_verified.00000000000000000100")
        .await;
    let opened = Archive::open_in(store, url).await.unwrap();
    assert_archived(&opened, "main", 1..102).await;
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
    // The mark that it was read back comes last.
    store
        .until_put("_holdfast_verified.00000000000000000100")
        .await;
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
