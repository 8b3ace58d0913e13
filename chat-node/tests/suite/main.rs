//! The chat node's promises, on SQLite and on PostgreSQL alike.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures
)]

mod support;

mod admin;
mod bad_input;
mod cli;
mod configuration;
mod content;
mod contract;
mod document;
mod door;
mod events;
mod files;
mod identity;
mod imports;
mod leaving;
mod live;
mod migrate;
mod outbox;
mod paging;
mod passing_time;
mod pool;
mod posts;
mod restart;
mod restored;
mod roles;
mod searching;
mod unanswered;
mod walls;
