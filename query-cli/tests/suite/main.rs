//! The commands as processes: one program, a file for each group of them.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

mod commands;
mod export;
mod ledger;
mod retention;
mod verify;
