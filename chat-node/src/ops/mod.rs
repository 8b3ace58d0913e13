//! Every operation of a node, each in a file with its SQL: rules are asked, the change and its compliance event are committed together, and then
//! told to whoever listens. Interfaces (`http/`, `ws/`) only translate.

pub mod admin;
pub mod categories;
pub mod files;
pub mod members;
pub mod messages;
pub mod rooms;
pub mod search;
pub mod users;

use crate::error::{ChatError, Result};

/// What a change or deletion is bound to: a thing that has another version is left as it is, since somebody else has changed it meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expected {
    /// To nothing.
    AnyVersion,
    /// To one of these versions.
    OneOf(Vec<i64>),
}

impl Expected {
    /// Compares with what is stored.
    ///
    /// # Errors
    /// [`ChatError::Stale`]: it has another version.
    pub(crate) fn check(&self, what: &'static str, stored: i64) -> Result<()> {
        match self {
            Self::OneOf(versions) if !versions.contains(&stored) => Err(ChatError::Stale { what }),
            Self::OneOf(_) | Self::AnyVersion => Ok(()),
        }
    }
}

/// What changed between two JSON objects, as an event's `before` and `after`: only the members that differ.
pub(crate) fn changes(
    before: &serde_json::Value,
    after: &serde_json::Value,
) -> (serde_json::Value, serde_json::Value) {
    let (mut old, mut new) = (serde_json::Map::new(), serde_json::Map::new());
    if let (Some(before), Some(after)) = (before.as_object(), after.as_object()) {
        for (name, value) in after {
            let was = before.get(name).unwrap_or(&serde_json::Value::Null);
            if was != value {
                old.insert(name.clone(), was.clone());
                new.insert(name.clone(), value.clone());
            }
        }
    }
    (old.into(), new.into())
}
