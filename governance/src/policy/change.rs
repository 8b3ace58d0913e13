//! Setting, removing and locking policies, judged against the ledger's state.

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::policy::{PolicyLock, PolicyRemove, PolicySet};
use jiff::Timestamp;

use super::{POLICIES_MAX, Rule, may_replace};
use crate::ledger::{Judged, Refusal, State};

/// Judges `retention set`.
///
/// # Errors
/// It cannot be judged by, there are too many, or a lock forbids it.
pub fn judge_set(state: &State, set: &PolicySet) -> Result<Judged, Refusal> {
    crate::names::check("a policy", &set.name)?;
    Rule::new(set, 0, Timestamp::UNIX_EPOCH).map_err(|error| {
        let text = error.to_string();
        let (what, hint) = text
            .split_once("\nhint: ")
            .unwrap_or((&text, "correct it and set it again"));
        Refusal::because(what, hint)
    })?;
    let in_force = |name: &&String| {
        state
            .policies
            .get(*name)
            .is_some_and(|policy| policy.removed.is_none())
    };
    if let Some(known) = state
        .policies
        .get(&set.name)
        .filter(|policy| policy.removed.is_none())
    {
        if known.policy == *set {
            return Ok(Judged::Done(known.set.seq));
        }
        if known.locked.is_some() {
            may_replace(&known.policy, set).map_err(|error| {
                let text = error.to_string();
                let (what, hint) = text
                    .split_once("\nhint: ")
                    .unwrap_or((&text, "set another policy beside it"));
                Refusal::because(what, hint)
            })?;
        }
    } else if state.policies.keys().filter(in_force).count() >= POLICIES_MAX {
        return Err(Refusal::because(
            format!("{POLICIES_MAX} policies are set already"),
            "remove what is not needed, or widen the scope of one",
        ));
    }
    Ok(Judged::Write(Act::PolicySet(set.clone())))
}

/// Judges `retention remove`.
///
/// # Errors
/// There is none of this name, or it is locked.
pub fn judge_remove(state: &State, remove: &PolicyRemove) -> Result<Judged, Refusal> {
    let known = find(state, &remove.name)?;
    if let Some(mark) = &known.removed {
        return Ok(Judged::Done(mark.seq));
    }
    if known.locked.is_some() {
        return Err(Refusal::because(
            format!("policy `{}` is locked and cannot be removed", remove.name),
            "a locked policy stays for ever; it can be lengthened",
        ));
    }
    Ok(Judged::Write(Act::PolicyRemove(remove.clone())))
}

/// Judges `retention lock`.
///
/// # Errors
/// There is none of this name.
pub fn judge_lock(state: &State, lock: &PolicyLock) -> Result<Judged, Refusal> {
    let known = find(state, &lock.name)?;
    if known.removed.is_some() {
        return Err(Refusal::because(
            format!("policy `{}` was removed", lock.name),
            "set it again first",
        ));
    }
    match &known.locked {
        Some(mark) => Ok(Judged::Done(mark.seq)),
        None => Ok(Judged::Write(Act::PolicyLock(lock.clone()))),
    }
}

fn find<'s>(
    state: &'s State,
    name: &str,
) -> Result<&'s crate::ledger::state::PolicyState, Refusal> {
    state.policies.get(name).ok_or_else(|| {
        Refusal::because(
            format!("there is no policy `{}`", name.escape_debug()),
            "`holdfast retention list` shows them",
        )
    })
}
