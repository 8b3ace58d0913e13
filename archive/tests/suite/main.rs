//! The archive through its interface: one program, a file for each subject.
// Clippy takes helpers outside of `#[test]` functions for production code.
#![allow(clippy::unwrap_used, clippy::panic)]

mod attachments;
mod checkpoints;
mod commits;
mod common;
mod faults;
mod gc;
mod leases;
mod opening;
mod reading;
mod rewrites;
mod sleepers;
mod strangers;
mod writers;
