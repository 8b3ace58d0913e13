//! Keeping the log short: checkpoints, and removal of entries that nobody needs.

use crate::archive::Archive;
use crate::error::ArchiveError;

/// What maintenance did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Version of the checkpoint that was written, if one was due.
    pub checkpoint: Option<u64>,
    /// Log entries and old checkpoints removed.
    pub removed: u64,
}

/// Writes a checkpoint when one is due and removes log entries older than 24 hours below the oldest kept one.
/// [`Archive::append`] and the other commits do this by themselves; this is for `holdfast gc`.
///
/// # Errors
/// The store's errors.
#[allow(clippy::unused_async)]
pub async fn run(_archive: &Archive, _now_ms: i64) -> Result<LogReport, ArchiveError> {
    todo!()
}
