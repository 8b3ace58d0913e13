//! What a commit carries, and how it can end.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::commit::run::Progress;
use crate::error::ArchiveError;
use crate::kept::KeptChange;
use crate::segment::{NewSegment, Segment};
use crate::snapshot::Snapshot;

/// What a commit is for; written to its commitInfo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommitKind {
    /// The table's first version.
    Create,
    /// New rows.
    Append,
    /// Small segments merged; no row lost or changed.
    Compaction,
    /// Rows disposed of by a retention policy.
    Disposition,
    /// Rows erased by order.
    Erasure,
    /// Rows of a disposition or an erasure put back.
    Restore,
    /// The point from which rows that were taken out cannot be put back.
    Purge,
    /// Positions only: a ledger fence, or duplicates skipped.
    Fence,
    /// A new garbage collection horizon.
    Gc,
    /// A lease taken, renewed or given back.
    Lease,
}

impl CommitKind {
    /// Its name in commitInfo.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Append => "append",
            Self::Compaction => "compaction",
            Self::Disposition => "disposition",
            Self::Erasure => "erasure",
            Self::Restore => "restore",
            Self::Purge => "purge",
            Self::Fence => "fence",
            Self::Gc => "gc",
            Self::Lease => "lease",
        }
    }
}

/// A position moved by a commit: compared before every attempt, so that no record is archived twice or skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// `kafka/<cluster id>/<topic id>/<partition>`, `outbox/<origin>`, `ledger` or `gc`.
    pub app_id: String,
    /// What the table must hold now; nothing when the application id is new.
    pub from: Option<i64>,
    /// What it holds afterwards; never less than `from`.
    pub to: i64,
}

/// Records of a commit, by what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records taken from the source.
    pub consumed: u64,
    /// Rows archived as events.
    pub archived: u64,
    /// Rows archived as quarantined.
    pub quarantined: u64,
    /// Records dropped because they are archived already.
    pub duplicates: u64,
}

/// New rows: segments, positions and the origins' new sequences in one commit.
#[derive(Debug, Clone)]
pub struct Append {
    /// Identifies the commit for ever; also the read-back's key.
    pub commit_id: Uuid,
    /// [`CommitKind::Append`], in general.
    pub kind: CommitKind,
    /// Files already put.
    pub segments: Vec<NewSegment>,
    /// Positions that move with them.
    pub positions: Vec<Advance>,
    /// New sequences by origin; none of them may be archived already.
    pub archived: BTreeMap<String, RoaringTreemap>,
    /// Records by what became of them.
    pub counts: Counts,
    /// Merkle root of the rows in (origin, sequence) order.
    pub merkle_root: [u8; 32],
}

/// A rewrite: exact inputs out, outputs in, one commit.
#[derive(Clone)]
pub struct Replace {
    /// Identifies the commit for ever.
    pub commit_id: Uuid,
    /// [`CommitKind::Compaction`], [`CommitKind::Disposition`] or [`CommitKind::Erasure`].
    pub kind: CommitKind,
    /// Exact paths of live segments, relative to `events/`.
    pub inputs: Vec<String>,
    /// Files already put, with row ids and commit versions carried.
    pub segments: Vec<NewSegment>,
    /// The `ledger` position the plan was made with; checked before every attempt when given.
    pub ledger: Option<i64>,
    /// Asked after a true conflict, with the newer snapshot and the segments added since: does the plan still hold?
    pub recheck: Option<Recheck>,
    /// Records by what became of them.
    pub counts: Counts,
    /// Merkle root of the output rows in (origin, sequence) order.
    pub merkle_root: [u8; 32],
}

/// The answer of a [`Recheck`]: `Ok(Ok(()))` goes on, `Ok(Err(reason))` ends as [`Conflict::DecisionChanged`].
pub type RecheckFuture =
    Pin<Box<dyn Future<Output = Result<Result<(), String>, ArchiveError>> + Send>>;
/// Decides whether a plan still holds when segments were added after it was made.
pub type Recheck = Arc<dyn Fn(Snapshot, Vec<Arc<Segment>>) -> RecheckFuture + Send + Sync>;

impl std::fmt::Debug for Replace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replace")
            .field("commit_id", &self.commit_id)
            .field("kind", &self.kind)
            .field("inputs", &self.inputs)
            .field("segments", &self.segments)
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}

/// What the `ledger` position must be for a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LedgerIs {
    /// Exactly this; nothing when no entry was ever fenced.
    Exactly(Option<i64>),
    /// It does not matter: nothing is taken away.
    Anything,
}

/// Rows taken out of the table and kept aside, put back, or given up for good.
#[derive(Clone)]
pub struct Disposal {
    /// Identifies the commit for ever.
    pub commit_id: Uuid,
    /// [`CommitKind::Disposition`], [`CommitKind::Erasure`], [`CommitKind::Restore`] or [`CommitKind::Purge`].
    pub kind: CommitKind,
    /// Exact paths of live segments that rows are taken out of, relative to `events/`.
    pub inputs: Vec<String>,
    /// Files already put, with row ids and commit versions carried.
    pub segments: Vec<NewSegment>,
    /// Checked before every attempt.
    pub ledger: LedgerIs,
    /// Where the `ledger` position moves, if it does.
    pub fence: Option<i64>,
    /// What is kept from now on, and what no longer.
    pub kept: Vec<KeptChange>,
    /// Asked when the table went on after the plan: does it still hold?
    pub recheck: Option<Recheck>,
    /// Merkle root of the rows of `segments` in (origin, sequence) order.
    pub merkle_root: [u8; 32],
}

impl std::fmt::Debug for Disposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Disposal")
            .field("commit_id", &self.commit_id)
            .field("kind", &self.kind)
            .field("inputs", &self.inputs)
            .field("segments", &self.segments)
            .field("ledger", &self.ledger)
            .field("fence", &self.fence)
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}

/// Positions moved without files.
#[derive(Debug, Clone)]
pub struct AdvanceOnly {
    /// Identifies the commit for ever.
    pub commit_id: Uuid,
    /// [`CommitKind::Fence`] or [`CommitKind::Gc`].
    pub kind: CommitKind,
    /// The positions.
    pub positions: Vec<Advance>,
    /// Records by what became of them (a batch of duplicates only).
    pub counts: Counts,
}

/// How a commit ended.
#[derive(Debug)]
#[must_use]
pub enum Outcome {
    /// It is in the log; here is the archive with it.
    Committed(Snapshot),
    /// It is not in the log and never will be: a check failed. The files that were put are garbage.
    Conflicted(Conflict),
    /// Time ran out without certainty. Call [`crate::Archive::settle`], or stop and start over from a new snapshot.
    Unknown(Uncertain),
}

/// Why a commit cannot be made as planned.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Conflict {
    /// Somebody else moved a position: reset the source to it and replay.
    #[error(
        "position {app_id} is {found:?} in the table, {expected:?} was expected; another process took it over"
    )]
    PositionMoved {
        /// Which.
        app_id: String,
        /// What the commit's `from` says.
        expected: Option<i64>,
        /// What the table says.
        found: Option<i64>,
    },
    /// Sequences to archive are archived already: drop them as duplicates and rebuild.
    #[error("{} sequences of origin {origin} are archived already", sequences.len())]
    AlreadyArchived {
        /// The origin.
        origin: String,
        /// Which of them.
        sequences: RoaringTreemap,
    },
    /// A file is older than the garbage collection horizon and may be gone: rebuild it under a new name.
    #[error("{path} is older than the garbage collection horizon {horizon_ms} (ms since 1970)")]
    BelowHorizon {
        /// The file.
        path: String,
        /// The table's horizon, milliseconds since 1970.
        horizon_ms: i64,
    },
    /// A rewrite's input is no longer live: plan anew.
    #[error("{path} is no longer part of the archive")]
    InputGone {
        /// The input.
        path: String,
    },
    /// The ledger was fenced after the plan was made: plan anew.
    #[error("the ledger is fenced at {found:?}, the plan was made at {expected:?}")]
    LedgerMoved {
        /// What the plan was made with.
        expected: Option<i64>,
        /// What the table says.
        found: Option<i64>,
    },
    /// Newer events alter a decision: plan anew.
    #[error("the plan no longer holds: {reason}")]
    DecisionChanged {
        /// What [`Replace::recheck`] said.
        reason: String,
    },
    /// What is kept under a name is not what the commit was made for: look again.
    #[error("what is kept as {name} was changed by somebody else")]
    KeptChanged {
        /// The name.
        name: String,
    },
    /// Another holder has the lease that this commit needs.
    #[error("lease {name} is held by {holder} until {until_ms} (ms since 1970)")]
    LeaseHeld {
        /// The lease.
        name: String,
        /// Who has it.
        holder: String,
        /// Until when, milliseconds since 1970.
        until_ms: i64,
    },
}

/// A commit whose outcome could not be learnt in time.
#[derive(Debug)]
pub struct Uncertain {
    /// The commit.
    pub commit_id: Uuid,
    /// The log version it tried to take.
    pub version: u64,
    /// What the store said last.
    pub reason: String,
    pub(crate) progress: Box<Progress>,
}
