//! People, and whoever makes a request.

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::Author;
use crate::rules::Principal;

/// A user as events show them: as it is written, an event's `actor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Person {
    /// Stable id: the token's `sub`.
    pub id: String,
    /// SIP or other URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// Display name.
    pub name: String,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Whether the user belongs to the organisation.
    pub internal: bool,
    /// `user`, `bot` or `system`.
    pub kind: String,
}

impl Person {
    /// A node acting by itself.
    #[must_use]
    pub fn system(node: &str) -> Self {
        Self {
            id: format!("node:{node}"),
            uri: None,
            name: node.to_owned(),
            email: None,
            internal: true,
            kind: "system".into(),
        }
    }

    /// Somebody of whom only the id is known.
    #[must_use]
    pub fn unknown(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            uri: None,
            name: id.to_owned(),
            email: None,
            internal: true,
            kind: "user".into(),
        }
    }

    /// As an event's `user`, `member` or `by`.
    #[must_use]
    pub fn as_target(&self) -> serde_json::Value {
        json!({"id": self.id, "uri": self.uri, "name": self.name, "email": self.email, "kind": self.kind})
    }
}

/// Whoever makes a request, as the token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The user.
    pub person: Person,
    /// The user with groups, for the categories' lists.
    pub principal: Principal,
    /// The token names the role `admin`.
    pub administrator: bool,
    /// When the token ends: microseconds since 1970-01-01T00:00:00Z.
    pub expires_us: i64,
}

impl Caller {
    /// The user's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.person.id
    }

    /// The user as everybody sees who they are.
    #[must_use]
    pub fn author(&self) -> Author {
        Author {
            id: self.person.id.clone(),
            name: self.person.name.clone(),
        }
    }
}
