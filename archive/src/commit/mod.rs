//! The commit protocol.

mod types;

pub use types::{
    Advance, AdvanceOnly, Append, CommitKind, Conflict, Counts, Outcome, Recheck, RecheckFuture,
    Replace, Uncertain,
};
