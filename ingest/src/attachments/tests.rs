use super::*;
use holdfast_archive::{AdvanceOnly, CommitKind, Conflict, Counts, Outcome};
use holdfast_fixtures::{Fault, FaultyStore, Operation, Plan};

#[test]
fn a_file_store_that_cannot_be_is_an_error_with_a_hint() {
    for text in ["", "http://x/y", "/no/such/folder/anywhere"] {
        let error = open_source(text).unwrap_err().to_string();
        assert!(error.contains("hint: give the folder"), "{text}: {error}");
    }
}

/// SHA-256 of "abc" (FIPS 180-4, appendix B.1).
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

async fn archive() -> Archive {
    archive_in(Arc::new(object_store::memory::InMemory::new())).await
}

async fn archive_in(store: Arc<dyn ObjectStore>) -> Archive {
    let url = url::Url::parse("memory:///").unwrap();
    Archive::create_in(store, url).await.unwrap()
}

/// The removal of a marker ends so.
fn at_the_marker(fault: Fault) -> Plan {
    Plan::nth(1, fault).on(&[Operation::Delete]).path("pending")
}

async fn attachments(archive: &Archive, source: Option<Arc<dyn ObjectStore>>) -> Attachments {
    let opened = Attachments::open(archive.clone(), source, Arc::new(Metrics::new())).await;
    opened.unwrap()
}

/// A file store that holds `abc`.
async fn files() -> Arc<dyn ObjectStore> {
    let files = object_store::memory::InMemory::new();
    let put = files.put(&Path::from(ABC), "abc".into()).await;
    put.unwrap();
    Arc::new(files)
}

async fn store_abc(archive: &Archive) {
    let copied = archive.put_attachment(ABC, bytes::Bytes::from_static(b"abc"));
    copied.await.unwrap();
}

async fn delete_abc(archive: &Archive) {
    let path = holdfast_archive::attachments::path(ABC).unwrap();
    let path = Path::from(path.as_str());
    archive.store().delete(&path).await.unwrap();
}

/// What a purge does to a file that nothing refers to any more.
async fn purge(archive: &Archive) {
    delete_abc(archive).await;
    archive.clear_pending(ABC).await.unwrap();
    archive.note_deleted().await.unwrap();
}

/// A commit that requires what was found: why it was refused, if it was.
async fn commit(archive: &Archive, found: Advance) -> Option<Conflict> {
    let base = archive.snapshot().await.unwrap();
    let advance = AdvanceOnly {
        commit_id: uuid::Uuid::new_v4(),
        kind: CommitKind::Fence,
        positions: vec![found],
        counts: Counts::default(),
    };
    match archive.advance(&base, advance).await.unwrap() {
        Outcome::Committed(_) => None,
        Outcome::Conflicted(conflict) => Some(conflict),
        Outcome::Unknown(uncertain) => panic!("{uncertain:?}"),
    }
}

fn wanted() -> Vec<AttachmentRef> {
    let sha256 = Some(ABC.to_uppercase());
    vec![AttachmentRef {
        row: 0,
        sha256,
        size: Some(3),
    }]
}

fn pending() -> Pending {
    Pending {
        sha256: ABC.to_owned(),
        size: None,
        since: "2026-01-01T00:00:00Z".to_owned(),
        attempts: 0,
        reason: "not copied yet".to_owned(),
    }
}

async fn markers(archive: &Archive) -> usize {
    archive.pending_attachments().await.unwrap().len()
}

#[tokio::test]
async fn a_marker_that_comes_after_the_file_was_stored_does_not_stay() {
    let archive = archive().await;
    let attachments = attachments(&archive, None).await;
    assert!(attachments.mark(&pending()).await.unwrap());
    assert_eq!(markers(&archive).await, 1);
    // Another process copies it, and is done before this one marks it, though this one had not found it.
    store_abc(&archive).await;
    assert!(!attachments.mark(&pending()).await.unwrap());
    assert_eq!(markers(&archive).await, 0);
    assert_eq!(attachments.pending(), 0);
}

#[tokio::test]
async fn a_file_that_a_purge_took_is_wanted_again_by_the_next_event_that_refers_to_it() {
    let archive = archive().await;
    let attachments = attachments(&archive, Some(files().await)).await;
    let event = async || {
        let found = attachments.announce(wanted()).await.unwrap();
        assert_eq!(commit(&archive, found.unwrap()).await, None);
        attachments.copy_due(Instant::now()).await;
        assert!(archive.attachment(ABC).await.unwrap().is_some());
    };
    event().await;
    event().await;
    purge(&archive).await;
    event().await;
    assert_eq!(markers(&archive).await, 0);
}

#[tokio::test]
async fn a_file_or_marker_that_a_purge_takes_before_the_commit_is_looked_for_anew() {
    for stored in [true, false] {
        let archive = archive().await;
        let attachments = attachments(&archive, None).await;
        if stored {
            store_abc(&archive).await;
        }
        let found = attachments.announce(wanted()).await.unwrap().unwrap();
        if !stored {
            store_abc(&archive).await;
        }
        purge(&archive).await;
        assert_eq!(markers(&archive).await, 0, "stored: {stored}");
        let refused = commit(&archive, found).await;
        assert!(matches!(
            refused,
            Some(Conflict::PositionMoved { app_id, .. }) if app_id == DELETED
        ));
        let found = attachments.announce(wanted()).await.unwrap().unwrap();
        assert_eq!(markers(&archive).await, 1, "stored: {stored}");
        assert_eq!(commit(&archive, found).await, None);
    }
}

#[tokio::test]
async fn what_was_settled_is_not_looked_for_until_something_is_deleted() {
    let archive = archive().await;
    let attachments = attachments(&archive, None).await;
    store_abc(&archive).await;
    let known = async || {
        let known = attachments.state().settled.len();
        attachments.announce(wanted()).await.unwrap();
        known
    };
    assert_eq!((known().await, known().await), (0, 1));
    archive.note_deleted().await.unwrap();
    assert_eq!(known().await, 1);
    assert_eq!(attachments.pending(), 0);
    purge(&archive).await;
    known().await;
    assert_eq!(attachments.pending(), 1);
    // Without a file there is nothing to require.
    assert_eq!(attachments.announce(Vec::new()).await.unwrap(), None);
}

#[tokio::test]
async fn markers_of_others_are_taken_over_and_those_that_went_away_given_up() {
    let archive = archive().await;
    let attachments = attachments(&archive, Some(files().await)).await;
    archive.mark_pending(&pending()).await.unwrap();
    attachments.adopt_markers().await.unwrap();
    assert_eq!(attachments.pending(), 1);
    // Its events were disposed of for good meanwhile.
    archive.clear_pending(ABC).await.unwrap();
    attachments.copy_due(Instant::now()).await;
    assert_eq!(archive.attachment(ABC).await.unwrap(), None);
    assert_eq!(attachments.pending(), 0);
    archive.mark_pending(&pending()).await.unwrap();
    attachments.adopt_markers().await.unwrap();
    attachments.copy_due(Instant::now()).await;
    assert!(archive.attachment(ABC).await.unwrap().is_some());
}

/// A copy that comes to a pause; meanwhile a purge takes what is stored, and another process marks it for a new event.
async fn copy_beside_a_purge(copying: &Attachments, store: &FaultyStore) {
    let archive = &copying.archive;
    let purge = async {
        store.faults().paused(1).await;
        delete_abc(archive).await;
        archive.mark_pending(&pending()).await.unwrap();
        store.faults().release();
    };
    tokio::join!(copying.copy_due(Instant::now()), purge);
}

/// The copy is stored; a purge takes it, and another process marks it for a new event, before the copier removes "its" marker.
#[tokio::test]
async fn a_copier_that_removes_the_marker_of_a_newer_event_puts_it_back() {
    let store = FaultyStore::new(Arc::new(object_store::memory::InMemory::new()));
    let archive = archive_in(store.clone()).await;
    archive.mark_pending(&pending()).await.unwrap();
    let copying = attachments(&archive, Some(files().await)).await;
    store.faults().plan(at_the_marker(Fault::PauseBefore));
    copy_beside_a_purge(&copying, &store).await;
    assert_eq!((markers(&archive).await, copying.pending()), (1, 1));
    copying.copy_due(Instant::now() + RETRY_MAX).await;
    assert_eq!((markers(&archive).await, copying.pending()), (0, 0));
    assert!(archive.attachment(ABC).await.unwrap().is_some());
}

#[tokio::test]
async fn a_marker_whose_removal_failed_goes() {
    for fault in [Fault::Before, Fault::After] {
        let store = FaultyStore::new(Arc::new(object_store::memory::InMemory::new()));
        let archive = archive_in(store.clone()).await;
        archive.mark_pending(&pending()).await.unwrap();
        let copying = attachments(&archive, Some(files().await)).await;
        store.faults().plan(at_the_marker(fault));
        copying.copy_due(Instant::now()).await;
        copying.copy_due(Instant::now() + RETRY_MAX).await;
        let left = (markers(&archive).await, copying.pending());
        assert_eq!(left, (0, 0), "{fault:?}");
        assert!(archive.attachment(ABC).await.unwrap().is_some());
    }
}

/// The copy is stored; a purge takes it and its marker; another process marks it for a new event; and of the removal of that marker in place of
/// its own the copier hears that it failed.
#[tokio::test]
async fn a_newer_events_marker_is_missed_when_its_removal_failed() {
    for fault in [Fault::Before, Fault::After] {
        let store = FaultyStore::new(Arc::new(object_store::memory::InMemory::new()));
        let archive = archive_in(store.clone()).await;
        archive.mark_pending(&pending()).await.unwrap();
        let copying = attachments(&archive, Some(files().await)).await;
        let stored = Plan::nth(1, Fault::PauseAfter).on(&[Operation::Put]);
        store.faults().plan(stored.path(ABC));
        store.faults().plan(at_the_marker(fault));
        copy_beside_a_purge(&copying, &store).await;
        let left = (markers(&archive).await, copying.pending());
        assert_eq!(left, (1, 1), "{fault:?}");
        copying.copy_due(Instant::now() + RETRY_MAX).await;
        let left = (markers(&archive).await, copying.pending());
        assert_eq!(left, (0, 0), "{fault:?}");
        assert!(archive.attachment(ABC).await.unwrap().is_some());
    }
}

/// Whoever stored it died before removing the marker, and the chat node has removed its copy since.
#[tokio::test]
async fn a_marker_of_a_stored_file_goes_without_a_copy_to_make() {
    let archive = archive().await;
    store_abc(&archive).await;
    let known = Pending {
        reason: "not in the file store yet".to_owned(),
        ..pending()
    };
    archive.mark_pending(&known).await.unwrap();
    let nothing: Arc<dyn ObjectStore> = Arc::new(object_store::memory::InMemory::new());
    let copying = attachments(&archive, Some(nothing)).await;
    copying.copy_due(Instant::now()).await;
    assert_eq!((markers(&archive).await, copying.pending()), (0, 0));
    assert!(archive.attachment(ABC).await.unwrap().is_some());
}
