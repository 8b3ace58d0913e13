//! What goes and what stays, over a pinned snapshot.
//!
//! ```text
//!  survey: what is remembered of every segment -> which families have several events, which state records there are
//!    |        (a segment that no plan has met yet is read once, and remembered)
//!    |
//!  scan: id, type, time, room, message and actor columns of the segments where something can have expired, in parallel
//!    |        a family of one event is decided on the spot; parts of larger families are collected
//!    |        and of every segment that a family of theirs reaches into, until none is left
//!    |
//!  families: each decided as a whole
//!    |
//!  state records: those whose time is over, against the days on which something they explain stays
//!    |
//!  rows that go, by segment
//! ```
//! Memory holds the parts of families that have more than one event (edits, reactions, files), the state records, and a
//! bitmap a segment; a stream of plain messages leaves nothing behind. Text is read only of rows that a query decides about.

mod basis;
mod current;
mod difference;
mod domains;
mod families;
mod going;
mod judge;
mod make;
pub(crate) mod memory;
mod read;
mod scan;
mod state_records;
mod survey;
mod tally;
mod touches;

pub use basis::Basis;
pub(crate) use current::readable;
pub use current::{Current, by_custodian, current, expanded, holds, rules};
pub use difference::{Difference, LineDifference};
pub(crate) use make::each;
#[doc(hidden)]
pub use make::make_by_reading_everything;
pub use make::{Plan, SegmentPlan, make};
pub(crate) use read::{
    open_every, open_rows, open_some, open_whole, open_whole_with_ids, row_ids_of,
};
pub use tally::{Line, Reason, Tally};
pub use touches::Touches;

use holdfast_archive::ArchiveError;

/// A plan cannot be made. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The archive cannot be read.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A policy cannot be judged by.
    #[error(transparent)]
    Rule(#[from] crate::policy::RuleError),
    /// A hold cannot be judged by.
    #[error(transparent)]
    Hold(#[from] crate::hold::HoldError),
    /// A segment's columns are not as the contract says.
    #[error("{segment}: {problem}; run `holdfast verify --deep`")]
    Segment {
        /// The segment.
        segment: String,
        /// What is wrong.
        problem: String,
    },
    /// A task of the runtime failed.
    #[error("planning: {0}")]
    Task(String),
}
