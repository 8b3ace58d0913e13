//! `search`, `export`, `verification` and `params.removed`: acts that change no event.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Digest;

/// Events were searched or looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Search {
    /// The command: `search`, `show`, `thread`, `rooms`, `explain`.
    pub command: String,
    /// The query as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What else narrowed it, by option.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The pinned table version, when it was known beforehand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_version: Option<u64>,
}

/// Events were written out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Export {
    /// The query as given.
    pub query: String,
    /// What else narrowed it, by option.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// The format.
    pub format: String,
    /// The pinned table version.
    pub table_version: u64,
}

/// Something was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// What: `archive`, `deep`, `completeness`, `ledger`, `anchor`, `hold`.
    pub what: String,
    /// Which one, where there are several: a hold's name, an anchor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The table version.
    pub table_version: u64,
    /// Problems found.
    pub problems: u64,
    /// Figures, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, u64>,
    /// SHA-256 of the object that says it all: the receipt of a hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// An entry's parameters were removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ParamsRemoved {
    /// Whose.
    pub seq: u64,
    /// Why.
    pub reason: String,
    /// The act without its words, when the fold needs it: same action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stand_in: Option<Value>,
}
