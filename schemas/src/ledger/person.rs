//! `person.add` and `person.link`: who is who, and when.

use serde::{Deserialize, Serialize};

/// What kind of name an identity is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IdentityKind {
    /// A user id of the chat system.
    Id,
    /// `sip:ana@example.com`
    Uri,
    /// An e-mail address.
    Email,
    /// A display name: people share them.
    Name,
}

/// One name of a person, and when it was theirs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Identity {
    /// What kind of name.
    pub kind: IdentityKind,
    /// The name.
    pub value: String,
    /// Theirs from here on, UTC microseconds, included; from ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_us: Option<i64>,
    /// Theirs until here, UTC microseconds, included; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_us: Option<i64>,
}

/// A person with identities.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonAdd {
    /// Unique id in this archive, as `--custodian` takes it.
    pub person: String,
    /// Their names.
    pub identities: Vec<Identity>,
}

/// One more identity of a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonLink {
    /// Whose.
    pub person: String,
    /// The name.
    pub identity: Identity,
}
