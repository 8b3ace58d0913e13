//! Retention policies and their schedule.

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::policy::{PolicySet, ScheduleFailed, ScheduleRan, ScheduleSet};
use serde::{Deserialize, Serialize};

use super::{Mark, State};

/// A retention policy. Its version is the entry that set it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyState {
    /// When and by whom this version was set.
    pub set: Mark,
    /// What it says.
    pub policy: PolicySet,
    /// Versions before it, oldest first.
    pub before: Vec<(Mark, PolicySet)>,
    /// When and by whom locked.
    pub locked: Option<Mark>,
    /// When and by whom removed.
    pub removed: Option<Mark>,
}

/// When retention runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// When and by whom set.
    pub set: Mark,
    /// What it says.
    pub schedule: ScheduleSet,
    /// The last run, and its entry.
    pub ran: Option<(Mark, ScheduleRan)>,
    /// The last failure, unless a run came after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed: Option<(Mark, ScheduleFailed)>,
}

pub(super) fn apply(state: &mut State, mark: Mark, act: &Act) {
    match act {
        Act::PolicySet(set) => match state.policies.get_mut(&set.name) {
            Some(policy) => {
                let before = std::mem::replace(&mut policy.policy, set.clone());
                let marked = std::mem::replace(&mut policy.set, mark);
                policy.before.push((marked, before));
                policy.removed = None;
            }
            None => {
                let policy = PolicyState {
                    set: mark,
                    policy: set.clone(),
                    before: Vec::new(),
                    locked: None,
                    removed: None,
                };
                state.policies.insert(set.name.clone(), policy);
            }
        },
        Act::PolicyRemove(remove) => {
            if let Some(policy) = state.policies.get_mut(&remove.name)
                && policy.locked.is_none()
            {
                policy.removed = Some(mark);
            }
        }
        Act::PolicyLock(lock) => {
            if let Some(policy) = state.policies.get_mut(&lock.name) {
                policy.locked.get_or_insert(mark);
            }
        }
        Act::ScheduleSet(set) => {
            let ran = state.schedule.take().and_then(|schedule| schedule.ran);
            state.schedule = Some(ScheduleState {
                set: mark,
                schedule: set.clone(),
                ran,
                failed: None,
            });
        }
        Act::ScheduleRemove(_) => state.schedule = None,
        Act::ScheduleRan(ran) => {
            if let Some(schedule) = &mut state.schedule {
                schedule.ran = Some((mark, ran.clone()));
                schedule.failed = None;
            }
        }
        Act::ScheduleFailed(failed) => {
            if let Some(schedule) = &mut state.schedule {
                schedule.failed = Some((mark, failed.clone()));
            }
        }
        _ => {}
    }
}
