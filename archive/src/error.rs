//! What can go wrong with an archive.

use crate::location::LocationError;

/// An operation on an archive failed. Outcomes of a commit (conflicts, uncertainty) are not errors: see
/// [`crate::Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// Nothing is archived at this place.
    #[error(
        "there is no archive at {location}; create one with `holdfast init`, or check the path"
    )]
    NotFound {
        /// Where it was looked for.
        location: String,
    },
    /// [`crate::Archive::create`] found one already.
    #[error("there already is an archive at {location}; open it, or choose another place")]
    AlreadyExists {
        /// Where it is.
        location: String,
    },
    /// The store did not let it be created, or did not say whether it did.
    #[error(
        "no archive was created at {location}, as far as is known: {problem}; check the bucket and the permissions, then try again"
    )]
    NotCreated {
        /// Where.
        location: String,
        /// What the store said.
        problem: String,
    },
    /// The location cannot be understood.
    #[error(transparent)]
    Location(#[from] LocationError),
    /// The store answered with an error.
    #[error("{operation} {path}: {source}")]
    Store {
        /// What was tried.
        operation: &'static str,
        /// Path inside the archive.
        path: String,
        /// The store's answer.
        #[source]
        source: object_store::Error,
    },
    /// A file of the archive was read and is not what it must be.
    #[error(
        "{path}: {problem}; the archive was changed by something else, restore this file from a backup"
    )]
    Corrupt {
        /// Path inside the archive.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A table feature or content that this version cannot handle safely.
    #[error("{path}: {problem}; this version of Holdfast cannot work on such a table")]
    Unsupported {
        /// Path inside the archive.
        path: String,
        /// What it is.
        problem: String,
    },
    /// Other writers took every slot that was tried. Nothing was committed; try again.
    #[error(
        "the archive is busy: {attempts} attempts in {seconds} s lost to other writers, nothing was committed; try again"
    )]
    Busy {
        /// Attempts made.
        attempts: u32,
        /// Time allowed, seconds.
        seconds: u64,
    },
    /// The caller's request contradicts itself or the contract.
    #[error("{0}")]
    Invalid(String),
    /// The table library refused.
    #[error("{operation}: {source}")]
    Kernel {
        /// What was tried.
        operation: &'static str,
        /// Its answer.
        #[source]
        source: Box<delta_kernel::KernelError>,
    },
    /// A Parquet file could not be written or read.
    #[error("{path}: {source}")]
    Parquet {
        /// Path inside the archive.
        path: String,
        /// The library's answer.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// Columns do not fit together.
    #[error("{operation}: {source}")]
    Arrow {
        /// What was tried.
        operation: &'static str,
        /// The library's answer.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// An operating-system call failed.
    #[error("{operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// A background task was cancelled or panicked.
    #[error("{operation}: the task did not end: {problem}")]
    Task {
        /// What it did.
        operation: &'static str,
        /// What the runtime said.
        problem: String,
    },
}
