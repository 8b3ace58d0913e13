//! `actor.add` and `actor.disable`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// What an actor may do; the table is `governance::actor::roles`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Records managers: policies, plans, runs, purges, erasures, settings, actors.
    Records,
    /// Legal: matters and holds.
    Legal,
    /// Approves what others ask for.
    Approver,
    /// Looks at everything, changes nothing.
    Auditor,
}

/// An actor with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorAdd {
    /// Unique name.
    pub name: String,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// Ed25519 public key, 32 bytes in base64.
    pub key: String,
}

/// An actor may do nothing from now on. Names and keys are never used again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorDisable {
    /// Which.
    pub name: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}
