//! Forgetting words: an entry's parameters are removed by an act of their own, and the chain still holds.
//!
//! Order: the act (with what stands in for the removed act, where the fold needs it), a snapshot of the fold without the
//! words, then the deletion. Crash states: (1) act, old snapshot: whoever opens next folds anew and the deletion is
//! repeated with the command; (2) snapshot, no deletion: the same. A process that lives on after (1) folds anew as well.
//! Acknowledged means gone; only a snapshot from before, which another process has on its way, may come after and stand
//! until the next one.

use std::collections::BTreeMap;

use holdfast_archive::gc;
use holdfast_schemas::ledger::hold::HoldScope;
use holdfast_schemas::ledger::reading::ParamsRemoved;
use holdfast_schemas::ledger::{Act, PARAMS_FOLDER};

use super::append::{Appended, Context, Judged};
use super::error::{LedgerError, Refusal};
use super::objects::Words;
use super::state::State;
use super::{Ledger, load};
use crate::actor::By;

/// What is written where words were.
pub const REMOVED: &str = "(removed)";
const STAND_IN: &str = "what stands in for removed words";

impl Ledger {
    /// Removes the parameters of entry `seq`. Searches, exports and whatever else the fold does not need go whole; of
    /// other acts the free text goes, and what they did stays.
    ///
    /// # Errors
    /// There is no such entry, or its words are what an act in force consists of (a policy, what a hold was found to cover).
    pub async fn remove_params(
        &self,
        by: &By,
        seq: u64,
        reason: &str,
    ) -> Result<Appended, LedgerError> {
        let state = self.refresh().await?;
        let Some((entry, words)) = self.objects.read(seq, true).await? else {
            return Err(Refusal::because(
                format!("there is no entry {seq}"),
                "`holdfast ledger log` shows them",
            )
            .into());
        };
        let stand_in = match &words {
            Words::Params(params) => match of_ended_hold(&state, self.now_us(), &params.act) {
                Some(act) => Some(act.params().map_err(LedgerError::record(STAND_IN))?),
                None => stand_in(&params.act)?,
            },
            Words::NotRead => None,
            Words::Missing if state.removed.contains_key(&seq) => None,
            Words::Missing => {
                return Err(LedgerError::Broken {
                    path: entry.params_path(),
                    problem: "they are gone, and no entry removes them".to_owned(),
                });
            }
        };
        let removed = ParamsRemoved {
            seq,
            reason: reason.to_owned(),
            stand_in,
        };
        let appended = self
            .append(by, Context::default(), |state| {
                Ok(match state.removed.get(&seq) {
                    Some(by) => Judged::Done(*by),
                    None => Judged::Write(Act::ParamsRemoved(removed.clone())),
                })
            })
            .await?;
        let mut known = load::from_chain(&self.objects).await?;
        known.snapshot = self.put_snapshot(&known.state).await?;
        self.publish(known);
        self.objects.delete(&entry.params_path()).await?;
        // The same words may have been put for a number that somebody else took.
        self.sweep().await?;
        Ok(appended)
    }

    /// Removes parameters that stand for no entry and whose number is taken: left by writers that died, in the middle of a
    /// put even, or lost a race.
    /// Answers how many. Those above the head may belong to an append on its way.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn sweep(&self) -> Result<u64, LedgerError> {
        let state = self.refresh().await?;
        let listed = self.objects.list(PARAMS_FOLDER).await?;
        let mut numbered: BTreeMap<u64, Vec<&String>> = BTreeMap::new();
        for path in &listed {
            let name = path.rsplit('/').next().unwrap_or_default();
            if let Some(seq) = name.get(..20).and_then(|seq| seq.parse().ok()) {
                numbered.entry(seq).or_default().push(path);
            }
        }
        let mut swept = 0;
        for (seq, paths) in numbered.range(1..=state.head.seq.max(1)) {
            let genuine = if state.removed.contains_key(seq) {
                None
            } else if paths.len() == 1 {
                // An entry's own, or it has none: that is not for us to hide.
                continue;
            } else {
                self.objects
                    .entry(*seq)
                    .await?
                    .map(|entry| entry.params_path())
            };
            for path in paths.iter().filter(|path| Some(**path) != genuine.as_ref()) {
                self.objects.delete(path).await?;
                swept += 1;
            }
        }
        // Of a number that is taken no put is on its way any more, but for one that has lost: it puts again.
        let head = state.head.seq;
        let is_over = move |name: &str| {
            let seq = name.get(..20).and_then(|seq| seq.parse().ok());
            seq.is_some_and(|seq: u64| seq <= head)
        };
        let left = gc::remove_leftovers(&self.archive, PARAMS_FOLDER, is_over).await?;
        Ok(swept + left)
    }
}

/// What stands in for the scope of a hold that holds no longer: whom and what it was about goes, too.
fn of_ended_hold(state: &State, now_us: i64, act: &Act) -> Option<Act> {
    let ended = |name: &str| {
        let hold = state.holds.get(name);
        hold.is_some_and(|hold| !hold.holds_at(now_us))
    };
    match act.clone() {
        Act::HoldPlace(mut act) if ended(&act.name) => {
            act.reason = REMOVED.to_owned();
            forget(&mut act.scope);
            Some(Act::HoldPlace(act))
        }
        Act::HoldExpand(mut act) if ended(&act.name) => {
            forget(&mut act.scope);
            Some(Act::HoldExpand(act))
        }
        _ => None,
    }
}

/// A scope without names and words; what is left of it is never wider.
fn forget(scope: &mut HoldScope) {
    for custodian in &mut scope.custodians {
        custodian.given = REMOVED.to_owned();
        custodian.person = None;
        custodian.identities.clear();
    }
    scope.rooms.iter_mut().for_each(|room| room.name = None);
    if let Some(query) = &mut scope.query {
        *query = REMOVED.to_owned();
    }
}

/// What stands in for an act whose words are removed; nothing when the fold does not need it.
fn stand_in(act: &Act) -> Result<Option<serde_json::Value>, LedgerError> {
    let blank = || Some(REMOVED.to_owned());
    let stand_in = match act.clone() {
        Act::Search(_) | Act::Export(_) | Act::Unknown { .. } => return Ok(None),
        Act::ActorDisable(mut act) => {
            act.reason = blank();
            Act::ActorDisable(act)
        }
        Act::ApprovalRequest(mut act) => {
            act.summary = REMOVED.to_owned();
            Act::ApprovalRequest(act)
        }
        Act::MatterOpen(mut act) => {
            act.title = blank();
            Act::MatterOpen(act)
        }
        Act::MatterClose(mut act) => {
            act.reason = blank();
            Act::MatterClose(act)
        }
        // Who somebody was goes with the names; that there was somebody stays.
        Act::PersonAdd(mut act) => {
            act.identities.clear();
            Act::PersonAdd(act)
        }
        Act::PersonLink(mut act) => {
            act.identity.value = REMOVED.to_owned();
            Act::PersonLink(act)
        }
        Act::OriginRetire(mut act) => {
            act.reason = blank();
            Act::OriginRetire(act)
        }
        Act::Verification(mut act) => {
            act.subject = None;
            Act::Verification(act)
        }
        Act::ParamsRemoved(mut act) => {
            act.reason = REMOVED.to_owned();
            Act::ParamsRemoved(act)
        }
        Act::HoldPlace(mut act) => {
            act.reason = REMOVED.to_owned();
            Act::HoldPlace(act)
        }
        Act::HoldRelease(mut act) => {
            act.reason = REMOVED.to_owned();
            Act::HoldRelease(act)
        }
        Act::PolicySet(mut act) => {
            act.reason = blank();
            Act::PolicySet(act)
        }
        Act::PolicyRemove(mut act) => {
            act.reason = blank();
            Act::PolicyRemove(act)
        }
        Act::ErasureRequest(mut act) => {
            act.reason = REMOVED.to_owned();
            if let holdfast_schemas::ledger::erasure::ErasureSubject::Person {
                identities, ..
            } = &mut act.subject
            {
                identities.clear();
            }
            Act::ErasureRequest(act)
        }
        Act::ErasureClose(mut act) => {
            act.reason = REMOVED.to_owned();
            Act::ErasureClose(act)
        }
        other @ (Act::ConfigSet(_)
        | Act::ActorAdd(_)
        | Act::ApprovalGive(_)
        | Act::OriginExpect(_)
        | Act::Anchor(_)
        | Act::HoldExpand(_)
        | Act::PolicyLock(_)
        | Act::ScheduleSet(_)
        | Act::ScheduleRemove(_)
        | Act::ScheduleRan(_)
        | Act::ScheduleFailed(_)
        | Act::PlanSaved(_)
        | Act::DispositionIntent(_)
        | Act::DispositionOutcome(_)
        | Act::DispositionAbandoned(_)
        | Act::PurgeIntent(_)
        | Act::PurgeOutcome(_)
        | Act::PurgeAbandoned(_)
        | Act::RestoreIntent(_)
        | Act::RestoreOutcome(_)
        | Act::RestoreAbandoned(_)
        | Act::ErasureJudged(_)
        | Act::ErasureIntent(_)
        | Act::ErasureOutcome(_)
        | Act::ErasureAbandoned(_)) => {
            return Err(Refusal::because(
                format!("an entry `{}` has no words that could go", other.action()),
                "its parameters are what it did; nothing of it is free text",
            )
            .into());
        }
    };
    let value = stand_in.params().map_err(LedgerError::record(STAND_IN))?;
    Ok(Some(value))
}
