//! Does the archive still say what was archived? Everything is recomputed from the columns and compared with what was
//! written down elsewhere: footers, commits, positions, the origins' sets, the splits.

pub mod attachments;
pub mod commits;
pub mod completeness;
pub mod dispositions;
pub mod heartbeats;
pub mod ledger;
pub mod log;
pub mod origins;
pub mod report;
pub mod rows;
pub mod segments;
pub mod splits;
pub mod statement;
pub mod walk;

pub use report::{Check, Problem, Report};
