//! Creating and opening an archive.

use std::time::Duration;

use holdfast_archive::clock::system_now_ms;
use holdfast_archive::gc::{self, GcOptions};
use holdfast_archive::{Archive, ArchiveError, Location, OpenOptions, maintain};

use crate::common::{append, assert_archived, local, time_of};

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

/// What lies behind a missing entry of the log was archived: it is neither passed over in silence nor garbage.
#[tokio::test(flavor = "multi_thread")]
async fn ar2_behind_a_missing_entry_nothing_is_forgotten_and_nothing_collected() {
    let home = tempfile::tempdir().unwrap();
    let archive = local(home.path()).await;
    for n in 0..22 {
        append(&archive, "main", n + 1..n + 2).await;
    }
    let entry = |version: u64| {
        home.path()
            .join(format!("events/_delta_log/{version:020}.json"))
    };
    let aside = |version: u64| home.path().join(format!("aside.{version}"));
    let gc = async || {
        let eager = GcOptions {
            min_age: Duration::ZERO,
            grace: Duration::ZERO,
            dry_run: false,
        };
        let archive = Archive::open(&Location::local(home.path())).await?;
        gc::run(&archive, eager, system_now_ms() + 5_000).await
    };

    std::fs::rename(entry(3), aside(3)).unwrap();
    let error = Archive::open(&Location::local(home.path()))
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("00000000000000000003.json"),
        "{error}"
    );
    assert!(error.to_string().contains("version 4 is there"), "{error}");
    assert!(gc().await.is_err());

    // A hole that is wider than what is read ahead looks like the end to those who only read.
    for version in 4..20 {
        std::fs::rename(entry(version), aside(version)).unwrap();
    }
    let error = gc().await.unwrap_err();
    assert!(
        error.to_string().contains("00000000000000000003.json"),
        "{error}"
    );
    assert!(error.to_string().contains("version 22 is there"), "{error}");

    for version in 3..20 {
        std::fs::rename(aside(version), entry(version)).unwrap();
    }
    let whole = Archive::open(&Location::local(home.path())).await.unwrap();
    assert_archived(&whole, "main", 1..23).await;
    assert_eq!(gc().await.unwrap().deleted, Vec::<String>::new());
}

/// What every reader begins with can be compared with what it was.
#[tokio::test(flavor = "multi_thread")]
async fn ar2_a_changed_checkpoint_is_named() {
    let home = tempfile::tempdir().unwrap();
    let options = OpenOptions {
        fsync: false,
        maintenance: false,
        ..OpenOptions::default()
    };
    let archive = Archive::create_with(&Location::local(home.path()), options)
        .await
        .unwrap();
    for n in 0..100 {
        append(&archive, "main", n + 1..n + 2).await;
    }
    let made = maintain::run(&archive, system_now_ms()).await.unwrap();
    let version = made.checkpoint.unwrap();
    assert_eq!(
        archive.changed_checkpoints().await.unwrap(),
        Vec::<String>::new()
    );
    let path = format!("events/_delta_log/{version:020}.checkpoint.parquet");
    let mut bytes = std::fs::read(home.path().join(&path)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(home.path().join(&path), bytes).unwrap();
    assert_eq!(archive.changed_checkpoints().await.unwrap(), [path]);
}
