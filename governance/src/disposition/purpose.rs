//! What a run is for, and whether the ledger lets it begin.

use std::collections::BTreeMap;

use holdfast_archive::CommitKind;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::{Authority, DispositionIntent};
use holdfast_schemas::ledger::erasure::ErasureIntent;
use holdfast_schemas::ledger::plan::PlanSaved;

use crate::approval;
use crate::ledger::{Judged, Refusal, State};

/// What a run is for.
#[derive(Debug, Clone)]
pub(crate) enum Purpose {
    /// A saved plan.
    Plan {
        plan: String,
        authority: Authority,
        policies: BTreeMap<String, u64>,
    },
    /// An erasure request.
    Erasure { request: String },
}

impl Purpose {
    pub(super) fn of(&self) -> &str {
        match self {
            Self::Plan { plan, .. } => plan,
            Self::Erasure { request } => request,
        }
    }

    pub(super) fn kind(&self) -> CommitKind {
        match self {
            Self::Plan { .. } => CommitKind::Disposition,
            Self::Erasure { .. } => CommitKind::Erasure,
        }
    }

    pub(super) fn approver(&self, state: &State) -> Option<String> {
        let subject = match self {
            Self::Plan { plan, .. } => approval::plan_subject(plan),
            Self::Erasure { request } => approval::erasure_subject(request),
        };
        let given = state.approvals.get(&subject)?.given.as_ref();
        given.map(|eyes| eyes.mark.actor.clone())
    }

    /// Judges the intent.
    pub(super) fn judge(
        &self,
        state: &State,
        run: &str,
        table_version: u64,
        ledger_fence: Option<u64>,
    ) -> Result<Judged, Refusal> {
        understood(state)?;
        let run = run.to_owned();
        match self {
            Self::Plan {
                plan,
                authority,
                policies,
            } => {
                let (plan, authority, policies) =
                    (plan.clone(), authority.clone(), policies.clone());
                judge(
                    state,
                    &DispositionIntent {
                        run,
                        plan,
                        authority,
                        table_version,
                        ledger_fence,
                        policies,
                    },
                )
            }
            Self::Erasure { request } => {
                let id = request.clone();
                crate::erasure::judge_intent(
                    state,
                    &ErasureIntent {
                        run,
                        id,
                        table_version,
                        ledger_fence,
                    },
                )
            }
        }
    }
}

/// A saved plan.
///
/// # Errors
/// There is none of this id.
pub(super) fn find_plan(state: &State, plan: &str) -> Result<PlanSaved, Refusal> {
    let saved = state.plans.get(plan).map(|known| known.plan.clone());
    saved.ok_or_else(|| {
        Refusal::because(
            format!("there is no plan `{}`", plan.escape_debug()),
            "save one with `holdfast retention plan --save`",
        )
    })
}

/// What a newer version wrote may keep something: nothing is taken away while this one does not know what it means.
pub(crate) fn understood(state: &State) -> Result<(), Refusal> {
    let Some((action, seq)) = state.unknown.first_key_value() else {
        return Ok(());
    };
    Err(Refusal::because(
        format!(
            "entry {seq} is `{}`, which this version does not know",
            action.escape_debug()
        ),
        "a newer version of Holdfast wrote it: run that one",
    ))
}

/// One run a plan: what stayed of it needs a new one. By itself only what the schedule allows at this moment.
fn judge(state: &State, intent: &DispositionIntent) -> Result<Judged, Refusal> {
    if let Authority::Schedule { max_share_ppm } = intent.authority {
        let plan = find_plan(state, &intent.plan)?;
        crate::schedule::allows(state, &plan, max_share_ppm)?;
    }
    let done = state
        .dispositions
        .values()
        .find(|known| known.intent.plan == intent.plan && known.outcome.is_some());
    if let Some(done) = done {
        return Err(Refusal::because(
            format!("plan `{}` ran already, as {}", intent.plan, done.intent.run),
            "save a new plan: `holdfast retention plan --save`",
        ));
    }
    Ok(Judged::Write(Act::DispositionIntent(intent.clone())))
}
