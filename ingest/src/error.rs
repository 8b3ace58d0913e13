//! Why a run failed.

use holdfast_archive::{ArchiveError, Conflict, store_answer, store_hint};

use crate::settings::SettingsError;
use crate::source::SourceError;

/// A run failed. What was committed is whole; the next run goes on behind it.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// A setting is wrong.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The source cannot go on.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A split cannot be built or a segment rewritten.
    #[error("{0}")]
    Index(String),
    /// Columns do not fit together.
    #[error("{operation}: {source}")]
    Arrow {
        /// What was done.
        operation: &'static str,
        /// The library's answer.
        #[source]
        source: arrow::error::ArrowError,
    },
    /// A batch does not add up: nothing of it was committed.
    #[error(
        "a batch does not add up: {consumed} records were consumed, but {archived} archived + {quarantined} quarantined + {duplicates} duplicates\nhint: this is a mistake in holdfast-ingest, please report it; nothing of the batch was committed and nothing is lost"
    )]
    DoesNotAddUp {
        /// Records taken from the source.
        consumed: u64,
        /// Rows to archive as events.
        archived: u64,
        /// Rows to archive as quarantined.
        quarantined: u64,
        /// Records dropped as archived already.
        duplicates: u64,
    },
    /// Positions of two chunks do not follow each other.
    #[error(
        "position {app_id} was {expected} after the last chunk, and the next begins behind {found:?}\nhint: this is a mistake in holdfast-ingest, please report it; nothing was committed and nothing is lost"
    )]
    Gap {
        /// The position.
        app_id: String,
        /// Where the last chunk ended.
        expected: i64,
        /// Where the next one begins.
        found: Option<i64>,
    },
    /// An append was refused for a reason that appends do not have.
    #[error(
        "the archive refused an append: {0}\nhint: this is a mistake in holdfast-ingest, please report it; nothing of the batch was committed"
    )]
    Refused(Conflict),
    /// The outcome of a commit cannot be learnt, and the run was told to stop.
    #[error(
        "it is not known whether commit {commit_id} is in the archive: {reason}\nhint: start again; the positions in the archive tell, and nothing is taken twice"
    )]
    Unsettled {
        /// The commit.
        commit_id: uuid::Uuid,
        /// What the store said last.
        reason: String,
    },
    /// The endpoint of metrics cannot be opened.
    #[error(
        "cannot listen on {address}: {source}\nhint: --metrics takes an address of this machine and a free port"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The runtime or a thread could not be started, or a thread panicked.
    #[error("{what}: {problem}")]
    Machine {
        /// What was tried.
        what: &'static str,
        /// What happened.
        problem: String,
    },
}

impl IngestError {
    /// What is wrong, and on a line of its own what to do about it.
    #[must_use]
    pub fn told(&self) -> String {
        let whole = self.to_string();
        match self {
            Self::Archive(error) | Self::Source(SourceError::Archive(error)) => {
                match store_answer(error) {
                    // Its words are not ours: they may have semicolons anywhere.
                    Some(answer) => match store_hint(answer) {
                        Some(hint) => format!("{whole}\nhint: {hint}"),
                        None => whole,
                    },
                    None => with_hint(whole),
                }
            }
            Self::Index(_) => with_hint(whole),
            // These have their hints on lines of their own.
            Self::Settings(_)
            | Self::Source(_)
            | Self::Arrow { .. }
            | Self::DoesNotAddUp { .. }
            | Self::Gap { .. }
            | Self::Refused(_)
            | Self::Unsettled { .. }
            | Self::Listen { .. }
            | Self::Machine { .. } => whole,
        }
    }
}

/// Errors of the archive and the index say what is wrong, a semicolon, and what to do about it.
fn with_hint(whole: String) -> String {
    match whole.split_once("; ") {
        Some((what, remedy)) if !whole.contains("\nhint: ") => format!("{what}\nhint: {remedy}"),
        _ => whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_archive::Location;

    #[test]
    fn what_a_person_can_mend_has_a_hint_on_a_line_of_its_own() {
        let bad = |text: &str| {
            let error = Location::parse(text).unwrap_err();
            IngestError::from(ArchiveError::from(error)).told()
        };
        assert_eq!(
            bad("ftp://h/a"),
            "`ftp://h/a` is no location: the scheme `ftp` is not known\n\
             hint: give a folder, file:///folder, s3://bucket/prefix, gs://bucket/prefix or az://container/prefix"
        );
        let missing = ArchiveError::NotFound {
            location: "/a".to_owned(),
        };
        assert_eq!(
            IngestError::from(missing).told(),
            "there is no archive at /a\nhint: create one with `holdfast init`, or check the path"
        );
        // A store's answer is not cut at a semicolon of its own.
        let answered = ArchiveError::Store {
            operation: "read",
            path: "x".to_owned(),
            source: object_store::Error::Generic {
                store: "S3",
                source: "<Error>a; b</Error>".into(),
            },
        };
        let told = IngestError::from(answered).told();
        assert!(told.contains("a; b</Error>\nhint: if nothing"), "{told}");
        // A hint that is there already is not made twice.
        let index = IngestError::Index("a; b\nhint: c; d".to_owned());
        assert_eq!(index.told(), "a; b\nhint: c; d");
    }
}
