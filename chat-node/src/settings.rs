//! What is configured: flags over environment over a TOML file over defaults.

mod flags;
mod resolve;

pub use flags::{Cli, Command, MigrateFlags, ServeFlags, TokenFlags};
pub use resolve::{Settings, SettingsError, TlsFiles};

use std::time::Duration;

use crate::limits::{
    CONNECTIONS_DEFAULT, DATABASE_ANSWER_DEFAULT, FILE_BYTES_DEFAULT, REQUESTS_DEFAULT,
};
use crate::rate::Rate;

/// Limits that an operator sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// A file, in bytes.
    pub file_bytes_max: u64,
    /// HTTP requests of one user.
    pub requests: Rate,
    /// WebSockets of one user.
    pub connections: usize,
    /// What the database may take for a batch of posts, and for a commit.
    pub database_answer: Duration,
    /// `compliance.required`: posts are refused while more events than this wait; `None`: never.
    pub compliance_backlog_max: Option<i64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            file_bytes_max: FILE_BYTES_DEFAULT,
            requests: REQUESTS_DEFAULT,
            connections: CONNECTIONS_DEFAULT,
            database_answer: DATABASE_ANSWER_DEFAULT,
            compliance_backlog_max: None,
        }
    }
}
