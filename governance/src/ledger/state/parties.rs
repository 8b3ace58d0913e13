//! Actors, approvals, matters, persons and expected origins.

use std::collections::BTreeSet;

use holdfast_schemas::ledger::actor::Role;
use holdfast_schemas::ledger::person::Identity;
use holdfast_schemas::ledger::{Act, Digest};
use serde::{Deserialize, Serialize};

use super::{Mark, State};

/// An actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActorState {
    /// When and by whom added.
    pub added: Mark,
    /// What they may do.
    pub roles: BTreeSet<Role>,
    /// Ed25519 public key, base64.
    pub key: String,
    /// When and by whom disabled.
    pub disabled: Option<Mark>,
}

/// One pair of eyes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Eyes {
    /// Who and when.
    pub mark: Mark,
    /// Their key then (base64); none without actors.
    pub key: Option<String>,
}

/// A request for approval.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who asked.
    pub requested: Eyes,
    /// In words.
    pub summary: String,
    /// For exactly these parameters.
    pub act_digest: Option<Digest>,
    /// Who agreed.
    pub given: Option<Eyes>,
    /// The entry that made use of it.
    pub used: Option<u64>,
}

/// A matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatterState {
    /// When and by whom opened.
    pub opened: Mark,
    /// What it is about.
    pub title: Option<String>,
    /// When and by whom closed.
    pub closed: Option<Mark>,
    /// Entries that belong to it.
    pub entries: u64,
}

/// A person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonState {
    /// When and by whom added.
    pub added: Mark,
    /// Their names.
    pub identities: BTreeSet<Identity>,
}

/// An origin that was expected or retired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OriginState {
    /// When and by whom expected.
    pub expected: Option<Mark>,
    /// When and by whom retired.
    pub retired: Option<Mark>,
}

pub(super) fn apply(state: &mut State, mark: Mark, act: &Act) {
    match act {
        Act::ActorAdd(add) => {
            state.actors.entry(add.name.clone()).or_insert(ActorState {
                added: mark,
                roles: add.roles.clone(),
                key: add.key.clone(),
                disabled: None,
            });
        }
        Act::ActorDisable(disable) => {
            if let Some(actor) = state.actors.get_mut(&disable.name) {
                actor.disabled.get_or_insert(mark);
            }
        }
        Act::ApprovalRequest(request) => {
            let requested = eyes(state, mark);
            let approval = Approval {
                requested,
                summary: request.summary.clone(),
                act_digest: request.act_digest,
                given: None,
                used: None,
            };
            // One that was used is over; one that waits stays as it is.
            match state.approvals.get(&request.subject) {
                Some(known) if known.used.is_none() => {}
                Some(_) | None => {
                    state.approvals.insert(request.subject.clone(), approval);
                }
            }
        }
        Act::ApprovalGive(give) => {
            let given = eyes(state, mark);
            if let Some(approval) = state.approvals.get_mut(&give.subject)
                && approval.requested.mark.seq == give.request
            {
                approval.given.get_or_insert(given);
            }
        }
        Act::MatterOpen(open) => {
            let matter = MatterState {
                opened: mark,
                title: open.title.clone(),
                closed: None,
                entries: 1,
            };
            state.matters.entry(open.name.clone()).or_insert(matter);
        }
        Act::MatterClose(close) => {
            if let Some(matter) = state.matters.get_mut(&close.name) {
                matter.closed.get_or_insert(mark);
            }
        }
        Act::PersonAdd(add) => {
            let person = state.persons.entry(add.person.clone());
            let person = person.or_insert_with(|| PersonState {
                added: mark,
                identities: BTreeSet::new(),
            });
            person.identities.extend(add.identities.iter().cloned());
        }
        Act::PersonLink(link) => {
            if let Some(person) = state.persons.get_mut(&link.person) {
                person.identities.insert(link.identity.clone());
            }
        }
        Act::OriginExpect(expect) => {
            let origin = OriginState {
                expected: Some(mark),
                retired: None,
            };
            state.origins.insert(expect.origin.clone(), origin);
        }
        Act::OriginRetire(retire) => {
            let origin = state.origins.entry(retire.origin.clone());
            let origin = origin.or_insert(OriginState {
                expected: None,
                retired: None,
            });
            origin.retired = Some(mark);
        }
        _ => {}
    }
}

/// Whoever wrote an entry, with the key they had.
pub(super) fn eyes(state: &State, mark: Mark) -> Eyes {
    let key = state.actors.get(&mark.actor).map(|actor| actor.key.clone());
    Eyes { mark, key }
}
