//! Disposition in three steps: intent, (the commit), outcome; or abandoned.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;

/// On whose word a disposition runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Authority {
    /// A saved plan, approved where four eyes are set.
    Plan,
    /// The schedule, under approved policies and within its share.
    Schedule {
        /// The share that was allowed, parts of a million.
        max_share_ppm: u32,
    },
}

/// Step 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispositionIntent {
    /// The run's id.
    pub run: String,
    /// The plan it removes a subset of.
    pub plan: String,
    /// On whose word.
    pub authority: Authority,
    /// The snapshot it starts from.
    pub table_version: u64,
    /// `txn ledger` that the commit requires.
    pub ledger_fence: Option<u64>,
    /// The version (entry) of each policy it judged by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, u64>,
}

/// Step 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispositionOutcome {
    /// The run's id.
    pub run: String,
    /// The commit's version.
    pub table_version: u64,
    /// Its time, UTC microseconds: grace counts from here.
    pub time_us: i64,
    /// Where the certificate lies, relative to the archive.
    pub certificate: String,
    /// SHA-256 of that object.
    pub certificate_sha256: Digest,
    /// Events removed.
    pub events: u64,
    /// Families removed.
    pub families: u64,
    /// Families of the plan that stayed, by why.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stayed: BTreeMap<String, u64>,
}

/// An act that will not happen: from its fence on, its commit cannot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abandoned {
    /// The id that its intent gave: a run, a purge, a restore, an erasure.
    pub id: String,
    /// The intent's entry.
    pub intent: u64,
    /// Why.
    pub reason: String,
}
