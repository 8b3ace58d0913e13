//! Holds, retention, erasure and the ledger through their interfaces: one program, a file for each subject.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures
)]

mod common;
mod model;

mod actors;
mod append;
mod attacks;
mod custodian;
mod disposition;
mod every_operation;
mod folder;
mod ho1_model;
mod intents;
mod plan_reach;
mod purge;
mod stamps;
mod tampering;
