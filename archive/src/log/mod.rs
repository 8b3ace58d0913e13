//! The table's log: its entries, its checkpoints, and the state they add up to.
//!
//! Entries are read by name: the next version is asked for until there is none. Nothing is listed, because a local
//! listing reads the whole folder (0.65 s at a million entries) and a remote one costs a request anyway. A cold start
//! begins at the checkpoint that `_last_checkpoint` names.

pub(crate) mod action;
pub(crate) mod checkpoint;
mod live;
pub(crate) mod paths;
pub(crate) mod reader;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod tombstones;
