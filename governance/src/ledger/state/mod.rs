//! The state: a pure fold over the entries. No I/O, no clock.
//!
//! What an append let through is folded as it stands. An entry that the present rules would not have let through (a
//! ledger put together by hand) folds to as little as possible and never takes a protection away that is there.

mod disposition;
mod erasure;
mod hold;
mod parties;
mod policy;

use std::collections::BTreeMap;

use holdfast_schemas::ledger::{Act, Digest, Entry, anchor};
use serde::{Deserialize, Serialize};

pub use disposition::{
    DispositionState, Intent, IntentEnd, IntentKind, PlanState, PurgeState, RestoreState,
};
pub use erasure::{ErasureState, ErasureStatus};
pub use hold::HoldState;
pub use parties::{ActorState, Approval, Eyes, MatterState, OriginState, PersonState};
pub use policy::{PolicyState, ScheduleState};

/// The last entry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 when there is none.
    pub seq: u64,
    /// Its hash; zero when there is none.
    pub hash: Digest,
    /// Its time, UTC microseconds.
    pub time_us: i64,
}

/// Who wrote an entry, and when.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The entry's number.
    pub seq: u64,
    /// Its time, UTC microseconds.
    pub time_us: i64,
    /// Its actor.
    pub actor: String,
}

impl Mark {
    pub(crate) fn of(entry: &Entry) -> Self {
        Self {
            seq: entry.seq,
            time_us: entry.time_us,
            actor: entry.actor.clone(),
        }
    }
}

/// The last verification of a kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VerificationState {
    /// Its entry.
    pub mark: Mark,
    /// The table version.
    pub table_version: u64,
    /// Problems found.
    pub problems: u64,
    /// Quarantined records there were, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quarantined: Option<u64>,
}

/// The last anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorState {
    /// Its entry.
    pub mark: Mark,
    /// What it says.
    pub anchor: anchor::Anchor,
    /// Where it went.
    pub to: Vec<String>,
}

/// Everything that follows from the entries up to [`State::head`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The last entry in it.
    pub head: Head,
    /// Settings, by key, in their canonical spelling; see [`crate::config`].
    pub config: BTreeMap<String, String>,
    /// Actors, by name, disabled ones included.
    pub actors: BTreeMap<String, ActorState>,
    /// Requests for approval, by subject.
    pub approvals: BTreeMap<String, Approval>,
    /// Matters, by name, closed ones included.
    pub matters: BTreeMap<String, MatterState>,
    /// Persons, by id.
    pub persons: BTreeMap<String, PersonState>,
    /// Origins that were expected or retired, by name.
    pub origins: BTreeMap<String, OriginState>,
    /// Holds, by name, released ones included.
    pub holds: BTreeMap<String, HoldState>,
    /// Retention policies, by name, removed ones included.
    pub policies: BTreeMap<String, PolicyState>,
    /// When retention runs by itself.
    pub schedule: Option<ScheduleState>,
    /// Saved plans, by id.
    pub plans: BTreeMap<String, PlanState>,
    /// Runs, by id.
    pub dispositions: BTreeMap<String, DispositionState>,
    /// Purges, by id.
    pub purges: BTreeMap<String, PurgeState>,
    /// Restores, by id.
    pub restores: BTreeMap<String, RestoreState>,
    /// Erasure requests, by id.
    pub erasures: BTreeMap<String, ErasureState>,
    /// Three-step acts, by the id their intent gave.
    pub intents: BTreeMap<String, Intent>,
    /// The last verification of each kind (`archive`, `deep`, `ledger`, …).
    pub verifications: BTreeMap<String, VerificationState>,
    /// The last anchor.
    pub anchor: Option<AnchorState>,
    /// Entries of commands that carry an idempotency key.
    pub commands: BTreeMap<String, u64>,
    /// Entries whose parameters were removed, and by which entry.
    pub removed: BTreeMap<u64, u64>,
    /// Entries of each act.
    pub counts: BTreeMap<String, u64>,
    /// Acts that this version does not know, with the last entry of each.
    pub unknown: BTreeMap<String, u64>,
}

impl State {
    /// Folds one more entry. `act`: nothing when the fold does not need it, or its words were removed and nothing
    /// stands in for them. `command`: its idempotency key.
    pub fn apply(&mut self, entry: &Entry, act: Option<&Act>, command: Option<&str>) {
        self.head = Head {
            seq: entry.seq,
            hash: entry.hash,
            time_us: entry.time_us,
        };
        *self.counts.entry(entry.action.clone()).or_default() += 1;
        if let Some(matter) = entry.matter.as_ref().and_then(|m| self.matters.get_mut(m)) {
            matter.entries += 1;
        }
        if let Some(command) = command.filter(|_| !Act::folds_without_params(&entry.action)) {
            self.commands.entry(command.to_owned()).or_insert(entry.seq);
        }
        if let Some(act) = act {
            self.apply_act(entry, act);
        }
    }

    fn apply_act(&mut self, entry: &Entry, act: &Act) {
        let mark = Mark::of(entry);
        // Before the act: switching four eyes off takes an approval, too.
        crate::approval::spend(self, entry, act);
        match act {
            Act::ConfigSet(set) => {
                self.config.insert(set.key.clone(), set.value.clone());
            }
            Act::ActorAdd(_)
            | Act::ActorDisable(_)
            | Act::ApprovalRequest(_)
            | Act::ApprovalGive(_)
            | Act::MatterOpen(_)
            | Act::MatterClose(_)
            | Act::PersonAdd(_)
            | Act::PersonLink(_)
            | Act::OriginExpect(_)
            | Act::OriginRetire(_) => parties::apply(self, mark, act),
            Act::Search(_) | Act::Export(_) => {}
            Act::Verification(done) => {
                hold::apply(self, mark.clone(), act);
                let last = VerificationState {
                    mark,
                    table_version: done.table_version,
                    problems: done.problems,
                    quarantined: done.figures.get("quarantined").copied(),
                };
                self.verifications.insert(done.what.clone(), last);
            }
            Act::Anchor(put) => {
                self.anchor = Some(AnchorState {
                    mark,
                    anchor: put.anchor.clone(),
                    to: put.to.clone(),
                });
            }
            Act::ParamsRemoved(removed) => {
                self.removed.insert(removed.seq, entry.seq);
            }
            Act::HoldPlace(_) | Act::HoldExpand(_) | Act::HoldRelease(_) => {
                hold::apply(self, mark, act);
            }
            Act::PolicySet(_)
            | Act::PolicyRemove(_)
            | Act::PolicyLock(_)
            | Act::ScheduleSet(_)
            | Act::ScheduleRemove(_)
            | Act::ScheduleRan(_)
            | Act::ScheduleFailed(_) => policy::apply(self, mark, act),
            Act::PlanSaved(_)
            | Act::DispositionIntent(_)
            | Act::DispositionOutcome(_)
            | Act::DispositionAbandoned(_)
            | Act::PurgeIntent(_)
            | Act::PurgeOutcome(_)
            | Act::PurgeAbandoned(_)
            | Act::RestoreIntent(_)
            | Act::RestoreOutcome(_)
            | Act::RestoreAbandoned(_) => disposition::apply(self, entry, mark, act),
            Act::ErasureRequest(_)
            | Act::ErasureJudged(_)
            | Act::ErasureClose(_)
            | Act::ErasureIntent(_)
            | Act::ErasureOutcome(_)
            | Act::ErasureAbandoned(_) => erasure::apply(self, entry, mark, act),
            Act::Unknown { action, .. } => {
                self.unknown.insert(action.clone(), entry.seq);
            }
        }
    }

    /// Intents that neither happened nor were abandoned, oldest first.
    #[must_use]
    pub fn open_intents(&self) -> Vec<(&str, &Intent)> {
        let open = |intent: &&Intent| intent.end.is_none();
        let mut found: Vec<_> = self
            .intents
            .iter()
            .filter(|(_, intent)| open(intent))
            .map(|(id, intent)| (id.as_str(), intent))
            .collect();
        found.sort_by_key(|(_, intent)| intent.mark.seq);
        found
    }

    /// Whether anybody was ever added as an actor: from then on every entry is signed.
    #[must_use]
    pub fn has_actors(&self) -> bool {
        !self.actors.is_empty()
    }
}
