//! One version of the archive, pinned.

use std::sync::Arc;

use roaring::RoaringTreemap;

use crate::error::ArchiveError;
use crate::segment::Segment;

/// One version of the archive: its live segments, positions and origins' sets. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Snapshot {}

#[allow(clippy::unused_async, clippy::missing_errors_doc)]
impl Snapshot {
    /// The table version that is pinned.
    #[must_use]
    pub fn version(&self) -> u64 {
        todo!()
    }
    /// The live segments, ordered by path.
    pub async fn segments(&self) -> Result<Arc<[Arc<Segment>]>, ArchiveError> {
        todo!()
    }
    /// The live segment with this path.
    pub async fn segment(&self, _path: &str) -> Result<Option<Arc<Segment>>, ArchiveError> {
        todo!()
    }
    /// The last version committed under an application id.
    pub async fn position(&self, _app_id: &str) -> Result<Option<i64>, ArchiveError> {
        todo!()
    }
    /// All application ids with their positions.
    pub async fn positions(&self) -> Result<Vec<(String, i64)>, ArchiveError> {
        todo!()
    }
    /// Every sequence ever archived from an origin; empty when nothing was.
    pub async fn origin_set(&self, _origin: &str) -> Result<Arc<RoaringTreemap>, ArchiveError> {
        todo!()
    }
    /// Every origin that anything was archived from.
    pub async fn origins(&self) -> Result<Vec<String>, ArchiveError> {
        todo!()
    }
    /// Names of the materialised row-tracking columns: (row id, row commit version).
    #[must_use]
    pub fn row_tracking_columns(&self) -> (&str, &str) {
        todo!()
    }
}
