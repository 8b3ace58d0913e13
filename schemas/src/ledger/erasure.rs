//! Erasure requests and how they end.

use serde::{Deserialize, Serialize};

use super::Digest;
use super::person::Identity;

/// Whose or which events go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "of")]
pub enum ErasureSubject {
    /// Everything a person wrote.
    Person {
        /// The person of `person.add`, or as given.
        person: String,
        /// Their names as known then.
        identities: Vec<Identity>,
    },
    /// The family of one event.
    Event {
        /// Its id.
        id: String,
    },
}

/// Somebody asks for erasure. It is also the request that `approve ID` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureRequest {
    /// Its id.
    pub id: String,
    /// What goes.
    pub subject: ErasureSubject,
    /// By when, UTC microseconds.
    pub due_us: i64,
    /// Why.
    pub reason: String,
}

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Blocked {
    /// A hold.
    Hold {
        /// Its name.
        name: String,
    },
    /// A rule that keeps it (GDPR 17(3)(b)).
    Policy {
        /// Its name.
        name: String,
        /// Until when, UTC microseconds; without end when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until_us: Option<i64>,
    },
}

/// Where a request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureJudged {
    /// Which.
    pub id: String,
    /// The snapshot it was judged on.
    pub table_version: u64,
    /// What stands in the way; nothing means ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<Blocked>,
    /// Events that would go.
    pub events: u64,
}

/// A request is withdrawn or refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureClose {
    /// Which.
    pub id: String,
    /// Why.
    pub reason: String,
}

/// Step 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureIntent {
    /// This execution's id.
    pub run: String,
    /// The request.
    pub id: String,
    /// The snapshot it starts from.
    pub table_version: u64,
    /// `txn ledger` that the commit requires.
    pub ledger_fence: Option<u64>,
}

/// Step 3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureOutcome {
    /// This execution's id.
    pub run: String,
    /// The request.
    pub id: String,
    /// The commit's version.
    pub table_version: u64,
    /// Where the certificate lies, relative to the archive.
    pub certificate: String,
    /// SHA-256 of that object: only origin, sequence and hash of each event.
    pub certificate_sha256: Digest,
    /// Events erased.
    pub events: u64,
    /// Events that stayed, since something stands in the way.
    pub stayed: u64,
}
