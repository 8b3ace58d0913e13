//! `config.set`.

use serde::{Deserialize, Serialize};

/// A setting of the archive was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigSet {
    /// Its name, `retention.grace` for one.
    pub key: String,
    /// Its value, in the canonical spelling of its type.
    pub value: String,
}
