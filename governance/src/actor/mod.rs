//! Who acts: actors with keys and roles, or the operating system's user as a claim.

pub mod keys;
pub mod roles;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::{Signer, SigningKey};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::actor::{ActorAdd, ActorDisable, Role};

use crate::ledger::{Judged, Refusal, State};

/// Who acts, with the key they sign with.
pub struct By {
    name: String,
    key: Option<SigningKey>,
}

impl By {
    /// Somebody by name only: a claim.
    pub fn claim(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            key: None,
        }
    }

    /// Somebody with a private key.
    pub fn signing(name: impl Into<String>, key: SigningKey) -> Self {
        Self {
            name: name.into(),
            key: Some(key),
        }
    }

    /// Their name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Their public key, as [`ActorAdd::key`] has it.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        self.key
            .as_ref()
            .map(|key| BASE64.encode(key.verifying_key().as_bytes()))
    }

    pub(crate) fn sign(&self, bytes: &[u8]) -> Option<String> {
        self.key
            .as_ref()
            .map(|key| BASE64.encode(key.sign(bytes).to_bytes()))
    }
}

// The private key stays out of every message.
impl std::fmt::Debug for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("By")
            .field("name", &self.name)
            .field("signs", &self.key.is_some())
            .finish()
    }
}

/// Judges `actor add`.
///
/// # Errors
/// The name or the key is taken, there is no role, or the first actor could not add others.
pub fn judge_add(state: &State, add: &ActorAdd) -> Result<Judged, Refusal> {
    crate::names::check("an actor", &add.name)?;
    if add.roles.is_empty() {
        return Err(Refusal::because(
            format!("actor `{}` has no role", add.name),
            "give at least one `--role`",
        ));
    }
    if let Some(known) = state.actors.get(&add.name) {
        if known.key == add.key && known.roles == add.roles && known.disabled.is_none() {
            return Ok(Judged::Done(known.added.seq));
        }
        return Err(Refusal::because(
            format!("there was an actor `{}` already", add.name),
            "choose another name: names are never used again",
        ));
    }
    if let Some((name, _)) = state.actors.iter().find(|(_, actor)| actor.key == add.key) {
        return Err(Refusal::because(
            format!("the key of `{}` is the key of actor `{name}`", add.name),
            "every actor has a key of their own",
        ));
    }
    if !state.has_actors() && !add.roles.contains(&Role::Records) {
        return Err(Refusal::because(
            "the first actor must have the role `records`",
            "add one with `--role records`: only that role adds further ones",
        ));
    }
    Ok(Judged::Write(Act::ActorAdd(add.clone())))
}

/// Judges `actor disable`.
///
/// # Errors
/// There is no such actor, or nobody would be left who can add one.
pub fn judge_disable(state: &State, disable: &ActorDisable) -> Result<Judged, Refusal> {
    let Some(actor) = state.actors.get(&disable.name) else {
        return Err(Refusal::because(
            format!("there is no actor `{}`", disable.name),
            "`holdfast actor list` shows them",
        ));
    };
    if let Some(mark) = &actor.disabled {
        return Ok(Judged::Done(mark.seq));
    }
    let others = state.actors.iter().any(|(name, other)| {
        *name != disable.name && other.disabled.is_none() && other.roles.contains(&Role::Records)
    });
    if !others {
        return Err(Refusal::because(
            format!(
                "`{}` is the last actor with the role `records`",
                disable.name
            ),
            "add another one first: nobody else could add actors again",
        ));
    }
    Ok(Judged::Write(Act::ActorDisable(disable.clone())))
}
