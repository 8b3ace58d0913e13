//! Purge and restore, each in three steps.

use serde::{Deserialize, Serialize};

use super::Digest;

/// Purge, step 1: with the exact files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeIntent {
    /// The purge's id.
    pub id: String,
    /// The runs whose rows go for good.
    pub runs: Vec<String>,
    /// Where the list of files lies, relative to the archive.
    pub files: String,
    /// SHA-256 of that object.
    pub files_sha256: Digest,
    /// Files in it.
    pub files_count: u64,
    /// The snapshot it starts from.
    pub table_version: u64,
    /// `txn ledger` before the point of no return.
    pub ledger_fence: Option<u64>,
}

/// Purge, step 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeOutcome {
    /// The purge's id.
    pub id: String,
    /// Version of the commit that was the point of no return.
    pub table_version: u64,
    /// Files deleted.
    pub files: u64,
    /// Bytes deleted.
    pub bytes: u64,
    /// Copies that are not covered: object versions, backups.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_covered: Vec<String>,
}

/// Restore, step 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreIntent {
    /// The restore's id.
    pub id: String,
    /// The run whose rows come back.
    pub run: String,
    /// The hold that asks for them; everything comes back when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<String>,
    /// The snapshot it starts from.
    pub table_version: u64,
    /// `txn ledger` that the commit requires.
    pub ledger_fence: Option<u64>,
}

/// Restore, step 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreOutcome {
    /// The restore's id.
    pub id: String,
    /// The run.
    pub run: String,
    /// The commit's version.
    pub table_version: u64,
    /// Events that came back.
    pub events: u64,
    /// Whether all of the run's came back.
    pub whole: bool,
}
