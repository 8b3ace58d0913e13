use super::*;

#[test]
fn digests_are_told_from_other_text() {
    assert!(is_digest(&"0a".repeat(32)));
    for text in [
        "",
        "0a",
        &"0A".repeat(32),
        &"0g".repeat(32),
        &"0a".repeat(33),
    ] {
        assert!(!is_digest(text), "{text}");
    }
}

#[test]
fn a_file_store_that_cannot_be_is_an_error_with_a_hint() {
    for text in ["", "http://x/y", "/no/such/folder/anywhere"] {
        let error = open_source(text).unwrap_err().to_string();
        assert!(error.contains("hint: give the folder"), "{text}: {error}");
    }
}

#[tokio::test]
async fn a_marker_that_comes_after_the_file_was_stored_does_not_stay() {
    let store = Arc::new(object_store::memory::InMemory::new());
    let url = url::Url::parse("memory:///").unwrap();
    let archive = Archive::create_in(store, url).await.unwrap();
    let attachments = Attachments::open(archive.clone(), None, Arc::new(Metrics::new()))
        .await
        .unwrap();
    // SHA-256 of "abc" (FIPS 180-4, appendix B.1).
    let sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let pending = Pending {
        sha256: sha256.to_owned(),
        size: None,
        since: "2026-01-01T00:00:00Z".to_owned(),
        attempts: 0,
        reason: "not copied yet".to_owned(),
    };
    assert!(attachments.mark(&pending).await.unwrap());
    assert_eq!(archive.pending_attachments().await.unwrap().len(), 1);
    // Another process copies it, and is done before this one marks it, though this one had not found it.
    let copied = archive.put_attachment(sha256, bytes::Bytes::from_static(b"abc"));
    copied.await.unwrap();
    assert!(!attachments.mark(&pending).await.unwrap());
    assert!(archive.pending_attachments().await.unwrap().is_empty());
    assert_eq!(attachments.pending(), 0);
}
