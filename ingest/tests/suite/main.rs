//! Whole runs of the pipeline: one program, a file for each subject.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

mod attachments;
mod endpoints;
mod ingest;
mod maintenance;
mod outbox;
mod outbox_store_faults;
mod reference;
