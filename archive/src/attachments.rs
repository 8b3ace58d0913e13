//! Attachments: files named by their SHA-256, and markers of those that are not there yet.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::archive::Archive;
use crate::error::ArchiveError;

/// Path of an attachment inside the archive: `attachments/<first two digits>/<sha256>`.
///
/// # Errors
/// The digest is not 64 lower-case hexadecimal digits.
pub fn path(_sha256: &str) -> Result<String, ArchiveError> {
    todo!()
}

/// An attachment that an event refers to and that could not be copied yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// Its digest, lower-case hexadecimal.
    pub sha256: String,
    /// Bytes according to the event, when it said so.
    pub size: Option<u64>,
    /// When it was first missed, RFC 3339 UTC.
    pub since: String,
    /// Attempts so far.
    pub attempts: u32,
    /// Why the last one failed.
    pub reason: String,
}

#[allow(clippy::unused_async, clippy::missing_errors_doc)]
impl Archive {
    /// Stores an attachment after comparing its digest; storing it again is no error. Removes its pending marker.
    pub async fn put_attachment(&self, _sha256: &str, _bytes: Bytes) -> Result<(), ArchiveError> {
        todo!()
    }
    /// Bytes of a stored attachment's file, or nothing when it is not stored.
    pub async fn attachment_size(&self, _sha256: &str) -> Result<Option<u64>, ArchiveError> {
        todo!()
    }
    /// A stored attachment, its digest compared.
    pub async fn attachment(&self, _sha256: &str) -> Result<Option<Bytes>, ArchiveError> {
        todo!()
    }
    /// Writes or renews a pending marker.
    pub async fn mark_pending(&self, _pending: &Pending) -> Result<(), ArchiveError> {
        todo!()
    }
    /// Every pending marker, ordered by digest.
    pub async fn pending_attachments(&self) -> Result<Vec<Pending>, ArchiveError> {
        todo!()
    }
}
