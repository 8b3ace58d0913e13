//! Who may do what.
//!
//! | act | records | legal | approver | auditor |
//! |---|---|---|---|---|
//! | search, export | yes | yes | yes | yes |
//! | verification, anchor | yes | yes | yes | yes |
//! | matters, holds, persons | | yes | | |
//! | persons, origins, settings, actors | yes | | | |
//! | policies, schedule, plans, runs, purges, restores, erasures, removal of words | yes | | | |
//! | restores, what holds cover as found at a disposition | yes | yes | | |
//! | how something ended that broke off: a hold is acknowledged once it is known | yes | yes | | |
//! | asking for approval | yes | yes | | |
//! | approving | | | yes | |
//!
//! Without actors anybody may do anything, and is recorded as a claim.

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::actor::Role;

use super::By;
use crate::ledger::state::ActorState;
use crate::ledger::{Refusal, State};

const ALL: &[Role] = &[Role::Records, Role::Legal, Role::Approver, Role::Auditor];
const RECORDS: &[Role] = &[Role::Records];
const LEGAL: &[Role] = &[Role::Legal];
const BOTH: &[Role] = &[Role::Records, Role::Legal];
const APPROVER: &[Role] = &[Role::Approver];

/// Roles that may do an act; any of them is enough.
#[must_use]
pub fn allowed(act: &Act) -> &'static [Role] {
    match act {
        Act::Search(_) | Act::Export(_) | Act::Verification(_) | Act::Anchor(_) => ALL,
        Act::MatterOpen(_) | Act::MatterClose(_) | Act::HoldPlace(_) | Act::HoldRelease(_) => LEGAL,
        Act::PersonAdd(_)
        | Act::PersonLink(_)
        | Act::HoldExpand(_)
        | Act::RestoreIntent(_)
        | Act::RestoreOutcome(_)
        | Act::RestoreAbandoned(_)
        | Act::DispositionOutcome(_)
        | Act::DispositionAbandoned(_)
        | Act::PurgeOutcome(_)
        | Act::PurgeAbandoned(_)
        | Act::ErasureOutcome(_)
        | Act::ErasureAbandoned(_)
        | Act::ApprovalRequest(_) => BOTH,
        Act::ApprovalGive(_) => APPROVER,
        Act::ConfigSet(_)
        | Act::ActorAdd(_)
        | Act::ActorDisable(_)
        | Act::OriginExpect(_)
        | Act::OriginRetire(_)
        | Act::ParamsRemoved(_)
        | Act::PolicySet(_)
        | Act::PolicyRemove(_)
        | Act::PolicyLock(_)
        | Act::ScheduleSet(_)
        | Act::ScheduleRemove(_)
        | Act::ScheduleRan(_)
        | Act::ScheduleFailed(_)
        | Act::PlanSaved(_)
        | Act::DispositionIntent(_)
        | Act::PurgeIntent(_)
        | Act::ErasureRequest(_)
        | Act::ErasureJudged(_)
        | Act::ErasureClose(_)
        | Act::ErasureIntent(_)
        | Act::Unknown { .. } => RECORDS,
    }
}

/// Whether `by` may write this act: known, not disabled, with the right key and a role that may.
///
/// # Errors
/// One variant each.
pub fn check(state: &State, by: &By, act: &Act) -> Result<(), Refusal> {
    let Some(actor) = active(state, by.name())? else {
        return Ok(());
    };
    let name = by.name().to_owned();
    match by.public_key() {
        None => return Err(Refusal::KeyNeeded { name }),
        Some(key) if key != actor.key => return Err(Refusal::WrongKey { name }),
        Some(_) => {}
    }
    may(state, by.name(), act)
}

/// The actor of this name; nothing as long as there are no actors.
fn active<'s>(state: &'s State, name: &str) -> Result<Option<&'s ActorState>, Refusal> {
    if !state.has_actors() {
        return Ok(None);
    }
    let name = name.to_owned();
    match state.actors.get(&name) {
        None => Err(Refusal::UnknownActor { name }),
        Some(actor) if actor.disabled.is_some() => Err(Refusal::DisabledActor { name }),
        Some(actor) => Ok(Some(actor)),
    }
}

/// Whether an actor of this name may do this: known, not disabled, with a role that may.
///
/// # Errors
/// One variant each.
pub fn may(state: &State, name: &str, act: &Act) -> Result<(), Refusal> {
    let Some(actor) = active(state, name)? else {
        return Ok(());
    };
    let allowed = allowed(act);
    if allowed.iter().any(|role| actor.roles.contains(role)) {
        return Ok(());
    }
    let roles: Vec<String> = allowed
        .iter()
        .map(|role| format!("`{}`", word(*role)))
        .collect();
    Err(Refusal::NotAllowed {
        name: name.to_owned(),
        action: act.action().to_owned(),
        roles: roles.join(" or "),
    })
}

/// A role as the command line spells it.
#[must_use]
pub fn word(role: Role) -> &'static str {
    match role {
        Role::Records => "records",
        Role::Legal => "legal",
        Role::Approver => "approver",
        Role::Auditor => "auditor",
    }
}
