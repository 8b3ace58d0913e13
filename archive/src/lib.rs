//! The record: a Delta table of Parquet segments with positions, commits, snapshots and garbage collection.
//!
//! Knows no Kafka, no Tantivy and no words of law. A reader opens an [`Archive`], takes a [`Snapshot`] and reads its
//! [`Segment`]s; a writer encodes segments, puts them, and adds them together with moved positions in one commit
//! ([`Archive::append`]). Rewrites name their exact inputs ([`Archive::replace`]); there is no way to express them as
//! an append.

mod archive;
pub mod attachments;
mod background;
pub mod clock;
mod commit;
pub mod cut;
mod error;
pub mod gc;
mod history;
mod kept;
pub mod lease;
mod location;
mod log;
pub mod maintain;
mod origins;
pub mod read;
pub mod segment;
mod shared;
mod snapshot;
mod store;
mod table;

pub use archive::{Archive, OpenOptions};
pub use commit::{
    Advance, AdvanceOnly, Append, CommitKind, Conflict, Counts, Disposal, LedgerIs, Outcome,
    Recheck, RecheckFuture, Replace, Uncertain,
};
pub use error::ArchiveError;
pub use history::CommitRecord;
pub use kept::{Kept, KeptChange};
pub use location::{Location, LocationError};
pub use segment::{EncodedSegment, NewSegment, Segment, SegmentStats};
pub use snapshot::Snapshot;
pub use store::{Staged, is_disk_full, store_answer, store_at, store_hint};

/// Application id under which the last fenced ledger entry is kept.
pub const LEDGER_APP_ID: &str = "ledger";
/// Application id under which the garbage collection horizon (milliseconds since 1970) is kept.
pub const GC_APP_ID: &str = "gc";
