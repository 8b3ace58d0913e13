//! Attachments: verified, and pending ones remembered.

use holdfast_archive::attachments::Pending;
use holdfast_archive::{Archive, ArchiveError};
use object_store::ObjectStoreExt;
use sha2::{Digest, Sha256};

use crate::common::memory;

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
