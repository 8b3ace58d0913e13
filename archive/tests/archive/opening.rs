//! Creating and opening an archive.

use holdfast_archive::{Archive, ArchiveError, Location};

use crate::common::{append, assert_archived, time_of};

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
