//! The contract: examples, round trips, bytes that may never change.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod contract;
mod ledger_golden;
mod roundtrip;
mod valid;
