//! What can go wrong on the command line, and what the person in front of it can do about it.

use std::io;

use holdfast_archive::store_hint;
use holdfast_governance::anchor::AnchorError;
use holdfast_governance::ledger::LedgerError;

use crate::output::Paint;

/// Why a command ended without its result. Every mistake that the user can mend has a hint.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A mistake in how the command was called.
    #[error("{message}")]
    Mistake {
        /// What is wrong.
        message: String,
        /// What to do about it.
        hint: String,
    },
    /// The query does not parse; the text shows the column with a caret.
    #[error("{rendered}")]
    Query {
        /// Message, query and caret, one below the other.
        rendered: String,
        /// The nearest known name, or how to write what was meant.
        hint: Option<String>,
    },
    /// The archive cannot be opened, read or written.
    #[error(transparent)]
    Archive(#[from] holdfast_archive::ArchiveError),
    /// The index cannot be searched.
    #[error(transparent)]
    Search(#[from] holdfast_indexer::SearchError),
    /// Compaction or re-indexing failed.
    #[error(transparent)]
    Maintenance(#[from] holdfast_indexer::maintenance::MaintenanceError),
    /// The ledger refuses, or cannot be read or written.
    #[error(transparent)]
    Ledger(#[from] holdfast_governance::ledger::LedgerError),
    /// An anchor cannot be made, put, read or checked.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A hold, a disposition or an erasure failed.
    #[error(transparent)]
    Governance(Box<holdfast_governance::disposition::DispositionError>),
    /// A file of ours cannot be read or written.
    #[error("cannot {what} `{path}`: {source}")]
    File {
        /// The verb: read, write, create, rename.
        what: &'static str,
        /// The file or folder.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// stdout did not take what was written; a closed pipe among them, which is no failure.
    #[error("cannot write the result: {0}")]
    Output(#[from] io::Error),
    /// What the archive holds contradicts its own contract.
    #[error("{place}: {message}")]
    Damaged {
        /// The file or event.
        place: String,
        /// What is wrong with it.
        message: String,
    },
}

/// What the system calls a full disk, on every Unix, and a used up quota.
const FULL: [i32; 2] = [28, if cfg!(target_os = "linux") { 122 } else { 69 }];
const DISK_FULL: &str = "free some space on this disk, or raise its quota, and run the command again: what it began is completed or undone then, and nothing is lost";

impl Failure {
    /// A mistake with its hint.
    pub fn mistake(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Mistake {
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// Wraps the system's answer with the file it was about.
    pub fn file(what: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |source| Self::File { what, path, source }
    }

    /// Whether the reader of our output went away (`holdfast … | head`): the end, but not a failure.
    #[must_use]
    pub fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Output(e) if e.kind() == io::ErrorKind::BrokenPipe)
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Mistake { hint, .. } => Some(hint.clone()),
            Self::Query { hint, .. } => hint.clone(),
            Self::Archive(e) => archive_hint(e),
            Self::Damaged { .. } => {
                Some("run `holdfast verify --deep` to learn how far the damage goes".to_owned())
            }
            Self::File { source, .. } | Self::Output(source) => match source.kind() {
                io::ErrorKind::PermissionDenied => {
                    Some("check who owns the folder and its permissions".to_owned())
                }
                _ => None,
            },
            Self::Search(holdfast_indexer::SearchError::Archive(e)) => archive_hint(e),
            Self::Search(holdfast_indexer::SearchError::TooManyTerms { .. }) => {
                Some("write more letters of the word, or a narrower query".to_owned())
            }
            Self::Ledger(LedgerError::Refused(refusal)) => Some(refusal.hint()),
            Self::Ledger(LedgerError::Archive(e)) => archive_hint(e),
            Self::Anchor(AnchorError::Place { .. }) => {
                Some("check the place and the permissions".to_owned())
            }
            Self::Search(_)
            | Self::Maintenance(_)
            | Self::Ledger(_)
            | Self::Anchor(_)
            | Self::Governance(_) => None,
        }
    }

    /// The text for stderr: `error: …`, an empty line, `hint: …`. `in_folder`: whether the archive lies in a folder, so
    /// that the system's words in a message are about a disk that can be reached from here.
    #[must_use]
    pub fn render(&self, paint: Paint, in_folder: bool) -> String {
        // The text may repeat what a hostile archive or argument holds; line ends of the caret rendering stay.
        let whole = self.to_string();
        let answer = holdfast_archive::store_answer(self);
        let (message, remedy) = match self {
            // Its words are not ours: they may have semicolons anywhere.
            _ if answer.is_some() => (whole.as_str(), None),
            Self::Archive(_)
            | Self::Search(_)
            | Self::Maintenance(_)
            | Self::Ledger(_)
            | Self::Governance(_)
            | Self::Anchor(_) => split_remedy(&whole),
            _ => (whole.as_str(), None),
        };
        let message = crate::output::text::escape_lines(message);
        let mut text = format!("{}: {message}\n", paint.error("error"));
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let cause_text = cause.to_string();
            let cause_text = crate::output::text::escape_lines(&cause_text);
            // `transparent` and `{source}` messages repeat their cause; once is enough.
            if !whole.contains(&*cause_text) {
                text.push_str(&format!("  caused by: {cause_text}\n"));
            }
            source = cause.source();
        }
        let full = holdfast_archive::is_disk_full(self) || in_folder && says_disk_full(&text);
        if let Some(hint) = full
            .then(|| DISK_FULL.to_owned())
            .or_else(|| self.hint())
            .or_else(|| remedy.map(str::to_owned))
            .or_else(|| answer.and_then(store_hint).map(str::to_owned))
        {
            let hint = crate::output::text::escape_lines(&hint);
            text.push_str(&format!("\n{}: {hint}\n", paint.hint("hint")));
        }
        text
    }
}

/// Whether a text says that a disk is full, in the system's own words: where it is uncertain what became of a request, they
/// are all that is left of its cause. A remote store may use the same words for a disk of its own.
fn says_disk_full(text: &str) -> bool {
    FULL.iter()
        .any(|code| text.contains(&io::Error::from_raw_os_error(*code).to_string()))
}

/// Errors of the archive and the index say what is wrong, a semicolon, and what to do about it.
fn split_remedy(message: &str) -> (&str, Option<&str>) {
    match message.split_once("; ") {
        Some((what, remedy)) => (what, Some(remedy)),
        None => (message, None),
    }
}

fn archive_hint(error: &holdfast_archive::ArchiveError) -> Option<String> {
    match error {
        holdfast_archive::ArchiveError::NotFound { .. } => {
            Some("create one with `holdfast init --archive URI`, or check `--archive` and `HOLDFAST_ARCHIVE`".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_archive::ArchiveError;

    const HINT: &str = "hint: free some space on this disk";

    #[test]
    fn a_place_of_an_anchor_has_its_own_hint() {
        let failure = Failure::Anchor(AnchorError::Place {
            place: "a.json".to_owned(),
            source: object_store::Error::NotFound {
                path: "a.json".to_owned(),
                source: "nothing; there".into(),
            },
        });
        let text = failure.render(Paint::OFF, true);
        assert!(text.contains("nothing; there\n"), "{text}");
        assert!(
            text.contains("hint: check the place and the permissions"),
            "{text}"
        );
    }

    #[test]
    fn the_answer_of_an_object_store_is_told_whole_with_what_to_look_at() {
        let answered = || ArchiveError::Store {
            operation: "read",
            path: "x".to_owned(),
            source: object_store::Error::Generic {
                store: "S3",
                source: "<Error>a; b</Error>".into(),
            },
        };
        for failure in [
            Failure::Archive(answered()),
            Failure::Ledger(LedgerError::Archive(answered())),
            Failure::Maintenance(holdfast_indexer::maintenance::MaintenanceError::Archive(
                answered(),
            )),
        ] {
            let text = failure.render(Paint::OFF, false);
            assert!(text.contains("a; b</Error>\n"), "{text}");
            assert!(text.contains("hint: if nothing can be read"), "{text}");
        }
    }

    fn unknown(problem: &str) -> Failure {
        Failure::Governance(Box::new(
            holdfast_governance::disposition::DispositionError::Unknown {
                what: "run r".to_owned(),
                problem: problem.to_owned(),
            },
        ))
    }

    #[test]
    fn a_full_disk_and_a_used_up_quota_of_this_machine_are_told_and_those_of_a_remote_store_are_not()
     {
        for code in FULL {
            let says = io::Error::from_raw_os_error(code).to_string();
            let text = unknown(&says).render(Paint::OFF, true);
            assert!(text.contains(HINT), "{text}");
            let remote = unknown(&format!("the server answered 507: {says}"));
            let text = remote.render(Paint::OFF, false);
            assert!(text.contains(&says) && !text.contains(HINT), "{text}");
            // A file of ours, wherever the archive lies; and an archive's, whatever the system calls it.
            let full = || io::Error::from_raw_os_error(code);
            let written = Failure::file("write", std::path::Path::new("out.csv"))(full());
            let archive = Failure::Archive(ArchiveError::Io {
                operation: "write",
                path: "x".to_owned(),
                source: full(),
            });
            for failure in [written, archive] {
                let text = failure.render(Paint::OFF, false);
                assert!(text.contains(HINT), "{text}");
            }
        }
        let other = unknown("connection reset").render(Paint::OFF, true);
        assert!(!other.contains(HINT), "{other}");
    }
}
