//! Garbage collection: a horizon first, then the deletion of what no version needs.

use std::time::Duration;

use crate::archive::Archive;
use crate::error::ArchiveError;

/// How far garbage collection reaches.
#[derive(Debug, Clone, Copy)]
pub struct GcOptions {
    /// Files younger than this are left alone: they may belong to a commit on its way.
    pub min_age: Duration,
    /// Files that a commit removed stay for this long, so that readers finish. At most seven days.
    pub grace: Duration,
    /// Report only.
    pub dry_run: bool,
}

impl Default for GcOptions {
    fn default() -> Self {
        Self {
            min_age: Duration::from_secs(3600),
            grace: Duration::from_secs(24 * 3600),
            dry_run: false,
        }
    }
}

/// What garbage collection did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GcReport {
    /// The horizon that was committed, milliseconds since 1970.
    pub horizon_ms: i64,
    /// Paths deleted (or to be deleted), relative to the archive.
    pub deleted: Vec<String>,
    /// Their bytes.
    pub bytes: u64,
}

/// Collects garbage.
///
/// # Errors
/// The store's errors; nothing that is needed is deleted in any case.
#[allow(clippy::unused_async)]
pub async fn run(
    _archive: &Archive,
    _options: GcOptions,
    _now_ms: i64,
) -> Result<GcReport, ArchiveError> {
    todo!()
}
