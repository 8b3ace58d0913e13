//! Forgetting words: an entry's parameters are removed by an act of their own, and the chain still holds.
//!
//! Order: the act (with what stands in for the removed act, where the fold needs it), a snapshot of the fold without the
//! words, then the deletion. Crash states: (1) act, old snapshot: whoever opens next folds anew and the deletion is
//! repeated with the command; (2) snapshot, no deletion: the same. Acknowledged means gone.

use std::collections::BTreeSet;

use holdfast_schemas::ledger::reading::ParamsRemoved;
use holdfast_schemas::ledger::{Act, PARAMS_FOLDER};

use super::append::{Appended, Context, Judged};
use super::error::{LedgerError, Refusal};
use super::objects::Words;
use super::{Ledger, load};
use crate::actor::By;

/// What is written where words were.
pub const REMOVED: &str = "(removed)";

impl Ledger {
    /// Removes the parameters of entry `seq`. Searches, exports and whatever else the fold does not need go whole; of
    /// other acts the free text goes, and what they did stays.
    ///
    /// # Errors
    /// There is no such entry, or its words are what an act in force consists of (a hold's scope, a policy).
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
            Words::Params(params) => stand_in(&params.act)?,
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
        let known = load::from_chain(&self.objects).await?;
        let bytes = load::encode(&known.state)
            .map_err(LedgerError::record(holdfast_schemas::ledger::SNAPSHOT_PATH))?;
        self.objects
            .put(holdfast_schemas::ledger::SNAPSHOT_PATH, bytes)
            .await?;
        self.publish(known);
        self.objects.delete(&entry.params_path()).await?;
        Ok(appended)
    }

    /// Removes parameters that stand for no entry and whose number is taken: left by writers that died or lost a race.
    /// Answers how many. Those above the head may belong to an append on its way.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn sweep(&self) -> Result<u64, LedgerError> {
        let state = self.refresh().await?;
        let listed = self.objects.list(PARAMS_FOLDER).await?;
        let numbered = listed.iter().filter_map(|path| {
            let name = path.rsplit('/').next()?;
            Some((name.get(..20)?.parse::<u64>().ok()?, path))
        });
        let mut swept = 0;
        let mut genuine: BTreeSet<String> = BTreeSet::new();
        let mut at = 0;
        for (seq, path) in numbered {
            if seq == 0 || seq > state.head.seq {
                continue;
            }
            if at != seq {
                at = seq;
                genuine.clear();
                if let Some(entry) = self.objects.entry(seq).await?
                    && !state.removed.contains_key(&seq)
                {
                    genuine.insert(entry.params_path());
                }
            }
            if !genuine.contains(path) {
                self.objects.delete(path).await?;
                swept += 1;
            }
        }
        Ok(swept)
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
    let value = stand_in
        .params()
        .map_err(LedgerError::record("what stands in for removed words"))?;
    Ok(Some(value))
}
