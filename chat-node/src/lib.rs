//! The chat node: rooms on SQL content storage; every compliance event leaves by the outbox.
//!
//! A request goes `http/` or `ws/` → `ops/` (asks `rules/`, changes SQL) → `outbox/` → Kafka or ingest. Posts go through `write/` (group commit),
//! and come back to people through `hub/` and, across nodes, `pool/`.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod db;
pub mod error;
pub mod files;
pub mod http;
pub mod hub;
pub mod limits;
pub mod migrate;
pub mod model;
pub mod node;
pub mod ops;
pub mod outbox;
pub mod pool;
pub mod rate;
pub mod rules;
pub mod settings;
pub mod wire;
pub mod write;
pub mod ws;
