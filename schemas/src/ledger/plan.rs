//! `plan.saved`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Digest;

/// A plan of what goes. It is also the request that `approve ID` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanSaved {
    /// Its id.
    pub id: String,
    /// Where its list lies, relative to the archive.
    pub path: String,
    /// SHA-256 of that object.
    pub sha256: Digest,
    /// The snapshot it was made on.
    pub table_version: u64,
    /// `txn ledger` of that snapshot.
    pub ledger_fence: Option<u64>,
    /// The ledger's head it was made with.
    pub ledger_seq: u64,
    /// The moment it judged for, UTC microseconds.
    pub now_us: i64,
    /// Events that go.
    pub events: u64,
    /// Families that go.
    pub families: u64,
    /// Bytes that go, about.
    pub bytes: u64,
    /// Events of the archive then.
    pub events_total: u64,
    /// The version (entry) of each policy it judged by.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, u64>,
}
