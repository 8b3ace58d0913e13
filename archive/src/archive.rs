//! Creating and opening an archive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::ObjectStore;
use url::Url;

use crate::commit::{AdvanceOnly, Append, Outcome, Replace, Uncertain};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::segment::EncodedSegment;
use crate::snapshot::Snapshot;

/// An archive that was opened. Cheap to clone; clones share caches.
#[derive(Clone, Debug)]
pub struct Archive {}

/// How an archive is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// How long one commit may try before its outcome is reported as unknown.
    pub commit_time_max: Duration,
    /// Local stores: write through to the disk before acknowledging. Off is for benches and tests only.
    pub fsync: bool,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            commit_time_max: Duration::from_secs(60),
            fsync: true,
        }
    }
}

#[allow(clippy::unused_async, clippy::missing_errors_doc)]
impl Archive {
    /// Creates an archive.
    ///
    /// # Errors
    /// [`ArchiveError::AlreadyExists`] when one is there; the store's errors.
    pub async fn create(_location: &Location) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// Opens an archive.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] when there is none; the store's errors.
    pub async fn open(_location: &Location) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// [`Archive::open`] with options.
    pub async fn open_with(
        _location: &Location,
        _options: OpenOptions,
    ) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// [`Archive::create`] with options.
    pub async fn create_with(
        _location: &Location,
        _options: OpenOptions,
    ) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// Creates an archive in any store whose root is the archive's root; `url` is for messages only.
    pub async fn create_in(_store: Arc<dyn ObjectStore>, _url: Url) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// Opens an archive in any store whose root is the archive's root; `url` is for messages only.
    pub async fn open_in(_store: Arc<dyn ObjectStore>, _url: Url) -> Result<Self, ArchiveError> {
        todo!()
    }
    /// The store, rooted at the archive: `events/…`, `index/…`, `attachments/…`, `ledger/…`.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        todo!()
    }
    /// The folder of a local archive: for memory maps.
    #[must_use]
    pub fn local_root(&self) -> Option<&Path> {
        todo!()
    }
    /// Where the archive is, for messages and manifests.
    #[must_use]
    pub fn url(&self) -> &str {
        todo!()
    }
    /// The newest version, incremental from the last one seen by any clone.
    pub async fn snapshot(&self) -> Result<Snapshot, ArchiveError> {
        todo!()
    }
    /// Adds segments and moves positions in one commit.
    pub async fn append(&self, _base: &Snapshot, _append: Append) -> Result<Outcome, ArchiveError> {
        todo!()
    }
    /// Replaces exact segments by others in one commit.
    pub async fn replace(
        &self,
        _base: &Snapshot,
        _replace: Replace,
    ) -> Result<Outcome, ArchiveError> {
        todo!()
    }
    /// Commits moved positions alone: a ledger fence, duplicates only, a horizon.
    pub async fn advance(
        &self,
        _base: &Snapshot,
        _advance: AdvanceOnly,
    ) -> Result<Outcome, ArchiveError> {
        todo!()
    }
    /// Goes on trying to learn what became of a commit whose outcome was unknown.
    pub async fn settle(&self, _uncertain: Uncertain) -> Result<Outcome, ArchiveError> {
        todo!()
    }
    /// Puts a segment's file (fsynced, private); answers only when it is durable.
    pub async fn put_segment(&self, _segment: &EncodedSegment) -> Result<(), ArchiveError> {
        todo!()
    }
    /// Puts a split at the path that [`crate::Segment::split_path`] named, replacing what was there.
    pub async fn put_split(&self, _path: &str, _bytes: Bytes) -> Result<(), ArchiveError> {
        todo!()
    }
    /// Whether a split exists, and its bytes' count.
    pub async fn split_bytes(&self, _path: &str) -> Result<Option<u64>, ArchiveError> {
        todo!()
    }
}
