//! What can go wrong with the ledger, and why an act is refused.

use holdfast_archive::{ArchiveError, Conflict};
use holdfast_schemas::ledger::{Digest, RecordError};

use crate::clock::ClockError;

/// An act that the ledger does not take: nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It contradicts what the ledger holds.
    #[error("{what}")]
    Contradicts {
        /// What is wrong.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// Actors are configured, and this is none of them.
    #[error("`{name}` is no actor of this archive")]
    UnknownActor {
        /// Who acted.
        name: String,
    },
    /// The actor may do nothing any more.
    #[error("actor `{name}` is disabled")]
    DisabledActor {
        /// Who acted.
        name: String,
    },
    /// Actors sign what they do.
    #[error("`{name}` must sign, and no private key was given")]
    KeyNeeded {
        /// Who acted.
        name: String,
    },
    /// The private key belongs to another public key than the actor's.
    #[error("the private key is not the one of actor `{name}`")]
    WrongKey {
        /// Who acted.
        name: String,
    },
    /// None of the actor's roles may do this.
    #[error("actor `{name}` may not do `{action}`; it takes the role {roles}")]
    NotAllowed {
        /// Who acted.
        name: String,
        /// What they wanted.
        action: String,
        /// Roles that may.
        roles: String,
    },
    /// Four eyes: somebody else has to agree first.
    #[error("{summary} needs the approval of a second person")]
    ApprovalNeeded {
        /// What for ([`crate::approval::subject`]).
        subject: String,
        /// In words.
        summary: String,
        /// The request that waits already.
        request: Option<u64>,
        /// SHA-256 of the act's parameters, where the approval is for exactly these.
        act_digest: Option<Digest>,
    },
    /// Four eyes with one pair.
    #[error("{what}: four eyes take two people, and this is one pair")]
    OnePair {
        /// What was tried.
        what: String,
    },
}

impl Refusal {
    /// An act that contradicts what the ledger holds.
    pub fn because(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Contradicts {
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// What the person in front of it can do.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Contradicts { hint, .. } => hint.clone(),
            Self::UnknownActor { .. } => {
                "name one with `--actor`; `holdfast actor list` shows them".to_owned()
            }
            Self::DisabledActor { .. } => {
                "act as another actor, or have a new one added with `holdfast actor add`".to_owned()
            }
            Self::KeyNeeded { .. } => {
                "give it with `--key FILE` or `HOLDFAST_KEY` (PKCS#8 PEM, readable by you alone)"
                    .to_owned()
            }
            Self::WrongKey { .. } => {
                "check `--key`, `HOLDFAST_KEY` and `--actor`: they must belong together".to_owned()
            }
            Self::NotAllowed { .. } => "`holdfast actor list` shows who has which role".to_owned(),
            Self::ApprovalNeeded {
                request: Some(request),
                subject,
                ..
            } => {
                let again = match crate::approval::plan_of(subject) {
                    // Without the plan's id another plan would be made, which nobody approved.
                    Some(plan) => format!("run `holdfast retention run --plan {plan} --yes`"),
                    None => "run this command again".to_owned(),
                };
                format!("another person runs `holdfast approve {request}`; then {again}")
            }
            Self::ApprovalNeeded { request: None, .. } => {
                "another person has to approve it with `holdfast approve ID`".to_owned()
            }
            Self::OnePair { .. } => {
                "somebody with another key and the role `approver` has to approve".to_owned()
            }
        }
    }
}

/// The ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The act was refused; nothing was written.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The archive answered with an error.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
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
    /// The store lets nobody write here.
    #[error(
        "{path} cannot be written: {problem}; every search and act is recorded in the ledger before its result is shown, so `ledger/` must be writable for you"
    )]
    ReadOnly {
        /// Path inside the archive.
        path: String,
        /// The store's answer.
        problem: String,
    },
    /// A record is not what it must be.
    #[error("{path}: {source}; run `holdfast ledger verify` to learn what was changed")]
    Record {
        /// Path inside the archive.
        path: String,
        /// What is wrong with it.
        #[source]
        source: RecordError,
    },
    /// The chain does not hold.
    #[error("{path}: {problem}; run `holdfast ledger verify` to learn what was changed")]
    Broken {
        /// Path inside the archive.
        path: String,
        /// What is wrong.
        problem: String,
    },
    /// Entries that the table says exist are missing.
    #[error(
        "the ledger ends at entry {head}, the table is fenced at entry {fence}: its tail was cut off; restore `ledger/` from a backup"
    )]
    CutTail {
        /// The last entry there is.
        head: u64,
        /// The last fenced entry.
        fence: i64,
    },
    /// Whether the entry was written could not be learnt.
    #[error(
        "whether entry {seq} was written is unknown: {problem}; run the command again, it finds the entry if it is there"
    )]
    Unknown {
        /// The entry's number.
        seq: u64,
        /// What the store said last.
        problem: String,
    },
    /// The entry is written, its fence could not be made certain.
    #[error(
        "entry {seq} is written, but not yet fenced in the table, so it is not acknowledged: {problem}; run the command again, it completes the fence"
    )]
    NotFenced {
        /// The entry's number.
        seq: u64,
        /// Why not.
        problem: String,
    },
    /// Others appended faster than this could.
    #[error(
        "the ledger is busy: {attempts} attempts lost to others, nothing was written; try again"
    )]
    Busy {
        /// Attempts made.
        attempts: u32,
    },
    /// Our clock and the store's disagree.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// The machine does not say who is acting, or similar.
    #[error("{0}")]
    Invalid(String),
}

impl LedgerError {
    pub(crate) fn record(path: impl Into<String>) -> impl FnOnce(RecordError) -> Self {
        let path = path.into();
        move |source| Self::Record { path, source }
    }

    pub(crate) fn conflict(seq: u64, conflict: &Conflict) -> Self {
        Self::NotFenced {
            seq,
            problem: conflict.to_string(),
        }
    }
}
