//! What can go wrong with anchors.

use holdfast_archive::ArchiveError;
use holdfast_schemas::ledger::RecordError;

use crate::ledger::LedgerError;

/// An anchor could not be made, put, read or checked.
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It is no anchor.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The text names no place for a file.
    #[error("`{place}` names no file; give a path, or a URI with a name behind the last `/`")]
    NoPlace {
        /// What was given.
        place: String,
    },
    /// The place cannot be read or written.
    #[error("{place}: {source}")]
    Place {
        /// Where.
        place: String,
        /// The store's answer.
        #[source]
        source: object_store::Error,
    },
    /// Something else lies there.
    #[error("{place}: something else lies there; give another name, or a folder (ending in `/`)")]
    Taken {
        /// Where.
        place: String,
    },
    /// The authority was not reached, or refused.
    #[error("time-stamp authority {url}: {problem}; check the URL, or ask whoever runs it")]
    Authority {
        /// Its URL.
        url: String,
        /// What happened.
        problem: String,
    },
    /// The token is not what was asked for, or not by whom it should be.
    #[error(
        "the time stamp does not hold: {problem}; ask the authority for its certificates, or stamp anew"
    )]
    Token {
        /// Why not.
        problem: String,
    },
    /// The file with the authority's certificates cannot be used.
    #[error(
        "`{path}` holds no certificates: {problem}; give the authority's CA certificates in PEM"
    )]
    Authorities {
        /// The file.
        path: String,
        /// Why not.
        problem: String,
    },
}

impl AnchorError {
    pub(crate) fn token(problem: impl std::fmt::Display) -> Self {
        Self::Token {
            problem: problem.to_string(),
        }
    }
}
