//! `origin.expect` and `origin.retire`.

use serde::{Deserialize, Serialize};

/// An origin that should be speaking: silent, it is missing, not absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginExpect {
    /// Its name.
    pub origin: String,
}

/// An origin that will not speak again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginRetire {
    /// Its name.
    pub origin: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
