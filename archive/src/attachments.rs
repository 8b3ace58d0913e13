//! Attachments: files named by their SHA-256, and markers of those that are not there yet.
//!
//! `attachments/<first two digits>/<sha256>` holds a file's bytes and is never changed: whoever puts it again puts the
//! same. `attachments/pending/<sha256>.json` marks a file that an event refers to and that could not be copied yet.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::archive::Archive;
use crate::error::ArchiveError;

const PENDING: &str = "attachments/pending";
/// Markers read at once.
const READ_AHEAD: usize = 16;

/// Path of an attachment inside the archive: `attachments/<first two digits>/<sha256>`.
///
/// # Errors
/// The digest is not 64 lower-case hexadecimal digits.
pub fn path(sha256: &str) -> Result<String, ArchiveError> {
    // The digest comes from an event and becomes a path: nothing but digits may pass.
    if sha256.len() != 64
        || !sha256
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    {
        return Err(ArchiveError::Invalid(format!(
            "`{}` is no SHA-256 in lower-case hexadecimal",
            sha256.chars().take(80).collect::<String>()
        )));
    }
    Ok(format!("attachments/{}/{sha256}", &sha256[..2]))
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

impl Archive {
    /// Stores an attachment after comparing its digest; storing it again is no error. Removes its pending marker.
    ///
    /// # Errors
    /// The bytes have another digest; the store's errors.
    pub async fn put_attachment(&self, sha256: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let path = path(sha256)?;
        let digest = bytes.clone();
        let digest =
            tokio::task::spawn_blocking(move || hex::encode(Sha256::digest(&digest))).await;
        let digest = digest.map_err(|e| crate::log::reader::task("hash an attachment", &e))?;
        if digest != sha256 {
            return Err(ArchiveError::Invalid(format!(
                "the file's SHA-256 is {digest}, the event says {sha256}"
            )));
        }
        self.put(&path, bytes).await?;
        self.clear_pending(sha256).await
    }

    /// Bytes of a stored attachment's file, or nothing when it is not stored.
    ///
    /// # Errors
    /// A malformed digest; the store's errors.
    pub async fn attachment_size(&self, sha256: &str) -> Result<Option<u64>, ArchiveError> {
        self.size(&path(sha256)?).await
    }

    /// A stored attachment, its digest compared.
    ///
    /// # Errors
    /// A malformed digest; [`ArchiveError::Corrupt`] when the file was changed; the store's errors.
    pub async fn attachment(&self, sha256: &str) -> Result<Option<Bytes>, ArchiveError> {
        let path = path(sha256)?;
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        let found = hex::encode(Sha256::digest(&bytes));
        if found != sha256 {
            return Err(ArchiveError::Corrupt {
                path,
                problem: format!("its SHA-256 is {found}"),
            });
        }
        Ok(Some(bytes))
    }

    /// Writes or renews a pending marker.
    ///
    /// # Errors
    /// A malformed digest; the store's errors.
    pub async fn mark_pending(&self, pending: &Pending) -> Result<(), ArchiveError> {
        let text = serde_json::to_vec(pending).map_err(|e| {
            ArchiveError::Invalid(format!(
                "the marker of {} cannot be written: {e}",
                pending.sha256
            ))
        })?;
        self.put(&marker(&pending.sha256)?, text.into()).await
    }

    /// Removes a pending marker; a missing one is no error.
    ///
    /// # Errors
    /// A malformed digest; the store's errors.
    pub async fn clear_pending(&self, sha256: &str) -> Result<(), ArchiveError> {
        let path = marker(sha256)?;
        match self.store().delete(&Path::from(path.as_str())).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(ArchiveError::Store {
                operation: "delete",
                path,
                source,
            }),
        }
    }

    /// Every pending marker, ordered by digest.
    ///
    /// # Errors
    /// [`ArchiveError::Corrupt`] for a marker that cannot be read; the store's errors.
    pub async fn pending_attachments(&self) -> Result<Vec<Pending>, ArchiveError> {
        let listed: Result<Vec<_>, Error> = self
            .store()
            .list(Some(&Path::from(PENDING)))
            .try_collect()
            .await;
        let mut paths: Vec<String> = match listed {
            Ok(listed) => listed
                .into_iter()
                .map(|meta| meta.location.to_string())
                .collect(),
            Err(Error::NotFound { .. }) => Vec::new(),
            Err(source) => {
                return Err(ArchiveError::Store {
                    operation: "list",
                    path: PENDING.to_owned(),
                    source,
                });
            }
        };
        paths.sort_unstable();
        let read = stream::iter(paths)
            .map(|path| self.pending(path))
            .buffered(READ_AHEAD);
        // A marker that went away between listing and reading was settled by somebody.
        read.try_filter_map(|pending| std::future::ready(Ok(pending)))
            .try_collect()
            .await
    }

    async fn pending(&self, path: String) -> Result<Option<Pending>, ArchiveError> {
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        serde_json::from_slice(&bytes)
            .map(Some)
            .map_err(|e| ArchiveError::Corrupt {
                path,
                problem: e.to_string(),
            })
    }

    async fn get(&self, path: &str) -> Result<Option<Bytes>, ArchiveError> {
        let failed = |source| ArchiveError::Store {
            operation: "read",
            path: path.to_owned(),
            source,
        };
        match self.store().get(&Path::from(path)).await {
            Ok(answer) => answer.bytes().await.map(Some).map_err(failed),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }
}

fn marker(sha256: &str) -> Result<String, ArchiveError> {
    path(sha256)?;
    Ok(format!("{PENDING}/{sha256}.json"))
}
