//! Attachments: files named by their SHA-256, and markers of those that are not there yet.
//!
//! `attachments/<first two digits>/<sha256>` holds a file's bytes and is never changed: whoever puts it again puts the
//! same. `attachments/pending/<sha256>.json` marks a file that an event refers to and that could not be copied yet.

use bytes::Bytes;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, WriteMultipart};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use uuid::Uuid;

use crate::archive::Archive;
use crate::commit::{Advance, AdvanceOnly, CommitKind, Counts, Outcome};
use crate::error::ArchiveError;
use crate::snapshot::Snapshot;

/// Application id of the number of attachments ever archived whose events give no SHA-256. They have no name here and can never be verified.
pub const UNDIGESTED: &str = "attachments/undigested";

/// Application id of how often attachments were deleted. Who archives an event requires it as it was before they looked
/// for the event's files; who deletes files moves it afterwards, and then looks once more whether an event refers to one
/// of them. Whichever of the two commits first, the other sees it.
pub const DELETED: &str = "attachments/deleted";

const PENDING: &str = "attachments/pending";
/// Attempts to say that attachments were deleted, while others say so too.
const ATTEMPTS_MAX: u32 = 16;
/// Markers read at once.
const READ_AHEAD: usize = 16;
/// Bytes of a file from which it is put in parts, and of each of them; S3 wants at least 5 MiB, and has 10,000 at most: files up to 78 GiB.
const PART_BYTES: usize = 8 * 1024 * 1024;
/// Parts on their way to the store at the same time.
const PARTS_AT_ONCE: usize = 2;

/// What was read of a file and not put yet.
#[derive(Default)]
struct Part {
    bytes: Vec<Bytes>,
    length: usize,
    hasher: Sha256,
}

impl Part {
    fn add(&mut self, bytes: Bytes) {
        self.length += bytes.len();
        self.bytes.push(bytes);
    }

    /// Hashes what was added since the last time, and hands it out. Several milliseconds a part: not on a thread that serves others.
    async fn hash(&mut self) -> Result<Vec<Bytes>, ArchiveError> {
        let (bytes, mut hasher) = (std::mem::take(&mut self.bytes), self.hasher.clone());
        self.length = 0;
        let hashed = tokio::task::spawn_blocking(move || {
            bytes.iter().for_each(|bytes| hasher.update(bytes));
            (bytes, hasher)
        });
        let (bytes, hasher) = hashed
            .await
            .map_err(|e| crate::log::reader::task("hash an attachment", &e))?;
        self.hasher = hasher;
        Ok(bytes)
    }
}

/// Gives up an upload that failed, if one was begun; answers why it did.
async fn abandon(upload: Option<WriteMultipart>, why: Error) -> Error {
    give_up(upload).await;
    why
}

async fn give_up(upload: Option<WriteMultipart>) {
    let Some(upload) = upload else { return };
    // The parts that stay are not visible; the store's own rules for unfinished uploads remove them.
    if let Err(error) = upload.abort().await {
        tracing::debug!(%error, "an unfinished upload could not be given up");
    }
}

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

/// An attachment's digest as its file is named: events may spell it in capitals. Nothing for what is no SHA-256, whose file has no name here.
#[must_use]
pub fn digest(spelled: &str) -> Option<String> {
    let sha256 = spelled.to_ascii_lowercase();
    path(&sha256).is_ok().then_some(sha256)
}

/// How many attachments were ever archived whose events give no SHA-256.
///
/// # Errors
/// None today.
pub async fn undigested(snapshot: &Snapshot) -> Result<u64, ArchiveError> {
    let count = snapshot.position(UNDIGESTED).await?;
    Ok(count.map_or(0, |count| u64::try_from(count).unwrap_or(0)))
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
        self.copy_attachment(sha256, stream::once(std::future::ready(Ok(bytes))))
            .await
    }

    /// As [`Archive::put_attachment`] for a file of any size: hashed as it comes, a few parts of it in memory, visible only when its digest is the
    /// one expected.
    ///
    /// # Errors
    /// As [`Archive::put_attachment`], and those of the stream.
    pub async fn copy_attachment(
        &self,
        sha256: &str,
        bytes: impl Stream<Item = object_store::Result<Bytes>>,
    ) -> Result<(), ArchiveError> {
        let path = path(sha256)?;
        let failed = |operation, source| ArchiveError::Store {
            operation,
            path: path.clone(),
            source,
        };
        let mut bytes = std::pin::pin!(bytes);
        let mut part = Part::default();
        let mut upload: Option<WriteMultipart> = None;
        loop {
            match bytes.try_next().await {
                Ok(Some(more)) => part.add(more),
                Ok(None) => break,
                Err(source) => return Err(failed("copy to", abandon(upload, source).await)),
            }
            if part.length < PART_BYTES {
                continue;
            }
            let mut open = match upload.take() {
                Some(open) => open,
                None => {
                    let begun = self.store().put_multipart(&Path::from(path.as_str())).await;
                    let begun = begun.map_err(|e| failed("write", e))?;
                    WriteMultipart::new_with_chunk_size(begun, PART_BYTES)
                }
            };
            for bytes in part.hash().await? {
                open.put(bytes);
            }
            let room = open.wait_for_capacity(PARTS_AT_ONCE).await;
            upload = Some(open);
            if let Err(source) = room {
                return Err(failed("write", abandon(upload, source).await));
            }
        }
        let last = part.hash().await?;
        let digest = hex::encode(part.hasher.finalize());
        if digest != sha256 {
            give_up(upload).await;
            return Err(ArchiveError::Invalid(format!(
                "the file's SHA-256 is {digest}, the event says {sha256}"
            )));
        }
        let written = match upload {
            Some(mut open) => {
                last.into_iter().for_each(|bytes| open.put(bytes));
                open.finish().await.map(drop)
            }
            // Most files are a part long: one request instead of three.
            None => {
                let payload: PutPayload = last.into_iter().collect();
                let put = self.store().put(&Path::from(path.as_str()), payload).await;
                put.map(drop)
            }
        };
        written.map_err(|e| failed("write", e))?;
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

    /// Says in the table that attachments were deleted ([`DELETED`]).
    ///
    /// # Errors
    /// [`ArchiveError::Busy`] when it could not be said; the store's errors.
    pub async fn note_deleted(&self) -> Result<(), ArchiveError> {
        let begun = std::time::Instant::now();
        for _ in 0..ATTEMPTS_MAX {
            let base = self.snapshot().await?;
            let from = base.position(DELETED).await?;
            let position = Advance {
                app_id: DELETED.to_owned(),
                from,
                to: from.unwrap_or(0).saturating_add(1),
            };
            let advance = AdvanceOnly {
                commit_id: Uuid::new_v4(),
                kind: CommitKind::Fence,
                positions: vec![position],
                counts: Counts::default(),
            };
            // Said once too often does no harm.
            match self.advance(&base, advance).await {
                Ok(Outcome::Committed(_)) => return Ok(()),
                Ok(_) | Err(ArchiveError::Busy { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ArchiveError::Busy {
            attempts: ATTEMPTS_MAX,
            seconds: begun.elapsed().as_secs(),
        })
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

    /// The pending marker of a digest, if there is one.
    ///
    /// # Errors
    /// As [`Archive::pending_attachments`]; a malformed digest.
    pub async fn pending_attachment(&self, sha256: &str) -> Result<Option<Pending>, ArchiveError> {
        self.pending(marker(sha256)?).await
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::Location;

    fn file() -> Vec<Bytes> {
        // Pieces that are no divisors of a part, two parts and a half of them.
        let pieces = (0..=255_u8).cycle().take(20_000_000 / 70_001);
        pieces.map(|n| Bytes::from(vec![n; 70_001])).collect()
    }

    fn digest(pieces: &[Bytes]) -> String {
        let mut hasher = Sha256::new();
        pieces.iter().for_each(|piece| hasher.update(piece));
        hex::encode(hasher.finalize())
    }

    fn names(folder: &std::path::Path) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }

    #[test]
    fn a_digest_has_one_name_however_it_is_spelled() {
        let (small, capitals) = ("0a".repeat(32), "0A".repeat(32));
        assert_eq!(super::digest(&capitals).as_ref(), Some(&small));
        assert_eq!(super::digest(&small).as_ref(), Some(&small));
        for none in ["", "0a", &"0g".repeat(32), &"0a".repeat(33), "../../0a"] {
            assert_eq!(super::digest(none), None, "{none}");
        }
    }

    #[tokio::test]
    async fn a_file_of_several_parts_is_stored_whole_and_only_under_its_own_digest() {
        let home = tempfile::tempdir().unwrap();
        let archive = Archive::create(&Location::local(home.path()))
            .await
            .unwrap();
        let pieces = file();
        let sha256 = digest(&pieces);
        let folder = home.path().join("attachments").join(&sha256[..2]);
        // What ends early, or is another file, is neither visible nor left behind.
        let early = pieces[..250].iter().cloned().map(Ok);
        let early = early.chain([Err(Error::NotImplemented {
            operation: "more".to_owned(),
            implementer: "the test".to_owned(),
        })]);
        let other = pieces[1..].iter().cloned().map(Ok);
        for wrong in [early.collect::<Vec<_>>(), other.collect()] {
            let copied = archive.copy_attachment(&sha256, stream::iter(wrong)).await;
            assert!(copied.is_err());
            assert!(names(&folder).is_empty(), "{:?}", names(&folder));
        }
        let right = stream::iter(pieces.iter().cloned().map(Ok));
        archive.copy_attachment(&sha256, right).await.unwrap();
        assert_eq!(names(&folder), [sha256.as_str()]);
        let stored = archive.attachment(&sha256).await.unwrap().unwrap();
        assert!(stored == pieces.concat(), "bytes and their order");
    }
}
