//! The end-to-end tests, a module each, named by the promise it holds. One program, so that the workspace is linked once, the servers are started once,
//! and tests that mostly wait do so side by side.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures
)]

mod ar1_collocated;
mod ar1_compaction_beside_ingest;
mod ar1_jsonl_equals_kafka;
mod ar1_kafka_kills;
mod ar1_kafka_pause;
mod ar1_kafka_resends;
mod ar1_late_attachments;
mod ar1_object_stores;
mod ar1_odd_records;
mod ar1_origins;
mod ar1_pipes;
mod ar1_store_faults;
mod ar1_until_idle;
mod ar2_kafka_positions;
mod ch1_archive_behind_kafka;
mod ch1_kafka_trouble;
mod ch1_topologies;
mod ch2_pool_under_fire;
mod dependency_directions;
mod ho1_full_disk;
mod ho1_processes;
mod ingest_endpoints;
mod kafka_broker;
mod kafka_sasl_tls;
mod re1_s3_caches;
mod readme_walkthrough;
