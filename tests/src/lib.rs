//! What the end-to-end tests share: a real Kafka broker, real object stores, the programs under test as processes, pools of chat nodes, and a reader of archives
//! that owes nothing to the search.
//!
//! The tests themselves are in `tests/tests/suite`, named by the promise they hold. Nothing here is skipped when something is
//! missing: a test without its broker, its server or its program fails and says what to do.

// Helpers of tests: what goes wrong here fails the test that called, with the reason.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures,
    clippy::missing_panics_doc
)]

pub mod archived;
pub mod bucket;
pub mod chat;
pub mod disk;
pub mod kafka;
pub mod pipeline;
pub mod program;
pub mod rounds;
pub mod secure;
