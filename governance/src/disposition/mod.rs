//! Disposition: plan saved, run, restored, purged.
//!
//! ```text
//!   plan.saved --> disposition.intent --> rewritten segments, certificate --> commit: rows out, files kept
//!                                                                                |
//!                   outcome <----------------------------------------------------+
//!                      |                                        grace: restore --> commit: rows back
//!                      v after the grace
//!   purge.intent (exact files) --> what is now held is restored --> commit: files given up, fence  <- point of no return
//!                                                                                |
//!                   outcome <-- files deleted, repeatably <----------------------+
//! ```
//! Crash states of a run: (1) intent alone, (2) with files or certificates, no commit: abandoned, which fences, so that a
//! zombie's commit fails; (3) commit without outcome: the outcome is appended. Whoever starts a run, a purge or a restore
//! settles what broke off before ([`recover`]).

pub mod account;
mod build;
pub mod carried;
pub mod certificate;
mod evidence;
pub mod kept;
pub(crate) mod objects;
pub(crate) mod outcome;
pub mod plan_file;
pub(crate) mod purpose;
pub(crate) mod recheck;
pub mod recover;
pub(crate) mod rewrite;
pub mod run;

use holdfast_archive::{ArchiveError, Conflict};
use holdfast_indexer::IndexError;
use holdfast_schemas::ledger::RecordError;

use crate::ledger::{LedgerError, Refusal};
use crate::plan::PlanError;

/// Something of a disposition failed. What was not committed did not happen; what was is completed by the next run.
#[derive(Debug, thiserror::Error)]
pub enum DispositionError {
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ledger cannot be read or written, or refused.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It cannot be decided what goes.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A split cannot be built.
    #[error(transparent)]
    Index(#[from] IndexError),
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
    /// An object is not what the ledger or the table says.
    #[error("{path}: {problem}; it was changed by something else, restore it from a backup")]
    Corrupt {
        /// Path inside the archive.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// A record cannot be written.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Columns do not fit together.
    #[error("{path}: {source}")]
    Arrow {
        /// The segment.
        path: String,
        /// The library's answer.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// The table refused every time, for reasons that planning anew does not mend.
    #[error("the archive refused: {0}; nothing was changed, run it again")]
    Refused(Conflict),
    /// Whether it was committed is not known yet.
    #[error(
        "whether {what} was committed is unknown: {problem}\nhint: run it again; what was committed is found and completed"
    )]
    Unknown {
        /// Which act.
        what: String,
        /// What the store said last.
        problem: String,
    },
    /// Another process ended the intent.
    #[error(
        "{what} was ended by another process that took this one for dead; nothing was removed\nhint: run one at a time"
    )]
    Superseded {
        /// The run.
        what: String,
    },
    /// The bucket keeps versions: deleting hides an object and does not remove it.
    #[error(
        "the bucket keeps versions of {count} deleted objects, so that they can still be read: {path} (version {version}) is the first\nhint: let the bucket's lifecycle expire noncurrent versions, or remove every noncurrent version under events/, index/, attachments/ and ledger/ (those known by name are listed in {record}), then run the purge again: it goes on where it stopped"
    )]
    Versioned {
        /// How many.
        count: usize,
        /// Path of the first inside the archive.
        path: String,
        /// Its version.
        version: String,
        /// Where all of them are listed.
        record: String,
    },
    /// A task of the runtime failed.
    #[error("building a segment: {0}")]
    Task(String),
}

impl From<Refusal> for DispositionError {
    fn from(refusal: Refusal) -> Self {
        Self::Ledger(refusal.into())
    }
}
