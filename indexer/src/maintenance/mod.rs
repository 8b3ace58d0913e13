//! Keeping an archive in shape: merging small segments, building splits that lack. Called by ingest beside its work and by the command line.

mod compact;
pub mod order;
pub mod policy;
mod reindex;

pub use compact::{CompactOptions, CompactReport, LEASE, MergeReport, compact, merge};
pub use holdfast_query::analyzer::ANALYZER_VERSION;
pub use reindex::{ReindexOptions, ReindexReport, build, missing, reindex};

use holdfast_archive::{ArchiveError, Conflict};

use crate::{IndexError, SplitError};

/// Maintenance failed. The archive is as it was: whatever was put without a commit is garbage.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A split cannot be built.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A split cannot be read, and building it anew would not help.
    #[error("{path}: {source}; run it again when the store answers")]
    Split {
        /// Path of the split.
        path: String,
        /// Why.
        #[source]
        source: SplitError,
    },
    /// Columns do not fit together.
    #[error("{operation} {path}: {source}")]
    Arrow {
        /// What was done.
        operation: &'static str,
        /// The segment, or the year.
        path: String,
        /// The library's answer.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A rewrite has another number of rows than its inputs; it was not committed.
    #[error(
        "merging {inputs} segments of {year} gave {rows_out} rows from {rows_in}; nothing was changed\nhint: run `holdfast verify --deep`: a segment may not be what the log says"
    )]
    RowsDiffer {
        /// The year.
        year: i32,
        /// Segments merged.
        inputs: usize,
        /// Their rows.
        rows_in: u64,
        /// Rows of the output.
        rows_out: u64,
    },
    /// The archive refused for a reason that rewrites do not have.
    #[error("the archive refused a compaction: {0}")]
    Refused(Conflict),
    /// The outcome of a merge's commit cannot be learnt.
    #[error(
        "whether merge {commit_id} is in the archive is not known: {reason}\nhint: no event is lost either way; run again when the archive can be written"
    )]
    Unsettled {
        /// The commit.
        commit_id: uuid::Uuid,
        /// What the store said last.
        reason: String,
    },
    /// A task of the runtime failed.
    #[error("building a segment: {0}")]
    Task(String),
}
