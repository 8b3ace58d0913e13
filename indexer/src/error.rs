//! What can go wrong with the index and with a search.

use arrow::error::ArrowError;
use holdfast_archive::ArchiveError;
use holdfast_query::plan::LowerError;
use holdfast_schemas::columns::ColumnError;

/// A split could not be built.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// The batch is not a segment's.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The batch lacks a column that must be indexed.
    #[error("a split is built of whole segments, but the batch has no column {column}")]
    ColumnMissing {
        /// The column's name.
        column: &'static str,
    },
    /// More rows than row numbers.
    #[error("a split holds at most {max} rows, the batch has {rows}; cut the segment")]
    TooManyRows {
        /// Rows of the batch.
        rows: usize,
        /// Rows a split can number.
        max: usize,
    },
    /// Tantivy refused.
    #[error("writing the index: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
    /// A write in memory failed.
    #[error("writing the index: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a split cannot be used. Its segment is scanned then.
#[derive(Debug, thiserror::Error)]
pub enum SplitError {
    /// There is no such file.
    #[error("there is no split")]
    Missing,
    /// The bytes are not what was written.
    #[error("the split is damaged: {0}")]
    Damaged(String),
    /// It was written for something else.
    #[error("the split belongs to {found}, wanted is {wanted}")]
    Wrong {
        /// What its footer says.
        found: String,
        /// What the segment says.
        wanted: String,
    },
    /// The store or the disk failed.
    #[error("reading the split: {0}")]
    Io(#[from] std::io::Error),
    /// Tantivy cannot read it.
    #[error("the split is damaged: {0}")]
    Tantivy(#[from] tantivy::TantivyError),
}

impl SplitError {
    /// Whether a split built anew would be usable: what is wrong is the file, not the reading of it.
    #[must_use]
    pub fn is_mended_by_building(&self) -> bool {
        match self {
            Self::Missing | Self::Damaged(_) | Self::Wrong { .. } => true,
            Self::Io(error) => is_damage(error),
            Self::Tantivy(tantivy::TantivyError::IoError(error)) => is_damage(error),
            Self::Tantivy(_) => true,
        }
    }
}

/// Whether bytes were read that are not what was written.
fn is_damage(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{InvalidData, UnexpectedEof};
    matches!(error.kind(), InvalidData | UnexpectedEof)
}

/// A search, count or lookup failed. None of these is "nothing found".
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The archive could not be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A segment's columns are not the contract's.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// A wildcard stands for too many terms.
    #[error("{pattern} stands for more than {max} terms; write more letters of the word")]
    TooManyTerms {
        /// The wildcard as written.
        pattern: String,
        /// The most it may stand for.
        max: usize,
    },
    /// The query has no meaning.
    #[error(transparent)]
    Query(#[from] LowerError),
    /// A segment is not what the table's log says.
    #[error(
        "events/{segment}: {problem}; run `holdfast verify`, and restore the file from a backup if it is damaged"
    )]
    Segment {
        /// Path relative to `events/`.
        segment: String,
        /// What is wrong.
        problem: String,
    },
    /// Rows of several segments do not fit together.
    #[error("merging rows of several segments: {0}")]
    Merge(#[from] ArrowError),
    /// Segments returned fewer rows than were found in them.
    #[error(
        "{missing} events that were found could not be read; run `holdfast verify`, and restore the segments it names from a backup"
    )]
    Ended {
        /// How many.
        missing: u64,
    },
    /// A version that the archive does not have yet.
    #[error(
        "version {wanted} is not there yet, the archive is at {newest}; ask for {newest} or less"
    )]
    VersionAhead {
        /// The version asked for.
        wanted: u64,
        /// The snapshot's version.
        newest: u64,
    },
    /// What is cached of something that is gone could not be removed.
    #[error("emptying the cache of splits: {0}")]
    Cache(std::io::Error),
    /// A worker stopped.
    #[error("searching segment {segment}: the worker did not end: {problem}")]
    Worker {
        /// The segment it worked on.
        segment: String,
        /// What the runtime said.
        problem: String,
    },
}
