//! `approval.request` and `approval.give`: four eyes.

use serde::{Deserialize, Serialize};

use super::Digest;

/// Something waits for a second pair of eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRequest {
    /// What for: `plan:ID`, `purge:ID`, `erasure:ID`, `release:HOLD:DIGEST:UNTIL` (SHA-256 of the reason; until when it holds
    /// all the same), or `act:DIGEST` for an act that is repeated word for word.
    pub subject: String,
    /// In words, for the one who approves.
    pub summary: String,
    /// SHA-256 of the act's canonical parameters, when the approval is for exactly these.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub act_digest: Option<Digest>,
}

/// The second pair of eyes agreed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalGive {
    /// What for.
    pub subject: String,
    /// The request's entry.
    pub request: u64,
}
