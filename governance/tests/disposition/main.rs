//! RE-1 and HO-1: runs, restores, purges and erasures, and what is left after them.

// Clippy takes helpers outside of `#[test]` functions for production code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code
)]

#[path = "../model/acts.rs"]
mod acts;
#[path = "../model/events.rs"]
mod events;
#[path = "../model/world.rs"]
mod world;

mod accounts;
mod contract_types;
mod forgetting;
mod runs;
