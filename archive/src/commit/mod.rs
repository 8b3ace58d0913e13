//! The commit protocol (ARCHITECTURE.md, "Commit protocol").
//!
//! ```text
//!            +--------------------------------- true conflict: files survive, checks again -----------------+
//!            v                                                                                              |
//!  checks on the state --> entry built on it --> put where nothing is --> acknowledged ------> Committed    |
//!       |                                              |                                                    |
//!       | a check fails                                | anything else: read the slot                       |
//!       v                                              v                                                    |
//!   Conflicted                         empty -> put the same bytes again at the same version                |
//!                                      ours  -> Committed                                                   |
//!                                      theirs -------------------------------------------------------------+
//!                                      unreadable until the time is up -> Unknown
//! ```
//!
//! Nothing is cleaned up here after a failure: files that were put and not committed are garbage collection's.

mod check;
mod plan;
mod run;
mod slot;
mod types;

pub(crate) use check::is_below;
pub(crate) use plan::{LeaseChange, Plan};
pub(crate) use run::{resume, run};
pub(crate) use slot::{Settled, settle_slot};
pub use types::{
    Advance, AdvanceOnly, Append, CommitKind, Conflict, Counts, Disposal, LedgerIs, Outcome,
    Recheck, RecheckFuture, Replace, Uncertain,
};
