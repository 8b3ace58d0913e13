//! CH-1 and CH-2 for a pool of three nodes on PostgreSQL and Kafka, with two ingest processes: nodes are killed and stopped in their tracks under load,
//! PostgreSQL fails, the database is restored. Clients see every room in its order, and the archive has everything once.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures
)]

mod database;
mod nodes;
mod pool;
mod writers;
