//! Plans, runs, purges and restores; and the three steps that they share with erasure.

use holdfast_schemas::ledger::disposition::{Abandoned, DispositionIntent, DispositionOutcome};
use holdfast_schemas::ledger::plan::PlanSaved;
use holdfast_schemas::ledger::purge::{PurgeIntent, PurgeOutcome, RestoreIntent, RestoreOutcome};
use holdfast_schemas::ledger::{Act, Digest, Entry};
use serde::{Deserialize, Serialize};

use super::{Approval, Mark, State, parties};

/// A saved plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanState {
    /// When and by whom saved.
    pub saved: Mark,
    /// What it says.
    pub plan: PlanSaved,
}

/// A run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DispositionState {
    /// Its intent's entry.
    pub intended: Mark,
    /// What it intends.
    pub intent: DispositionIntent,
    /// What came of it.
    pub outcome: Option<(Mark, DispositionOutcome)>,
    /// The purge that made it final.
    pub purged: Option<String>,
    /// Restores out of it, by id.
    pub restored: Vec<String>,
}

/// A purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeState {
    /// Its intent's entry.
    pub intended: Mark,
    /// What it intends.
    pub intent: PurgeIntent,
    /// What came of it.
    pub outcome: Option<(Mark, PurgeOutcome)>,
}

/// A restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreState {
    /// Its intent's entry.
    pub intended: Mark,
    /// What it intends.
    pub intent: RestoreIntent,
    /// What came of it.
    pub outcome: Option<(Mark, RestoreOutcome)>,
}

/// What kind of three-step act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentKind {
    /// A run.
    Disposition,
    /// A purge.
    Purge,
    /// A restore.
    Restore,
    /// An erasure.
    Erasure,
}

impl IntentKind {
    /// In one word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Disposition => "run",
            Self::Purge => "purge",
            Self::Restore => "restore",
            Self::Erasure => "erasure",
        }
    }
}

/// How a three-step act ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntentEnd {
    /// It happened; the outcome's entry.
    Happened(u64),
    /// It did not, and cannot any more; the entry that says so.
    Abandoned(u64),
}

/// A three-step act as recovery sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// What kind.
    pub kind: IntentKind,
    /// Its intent's entry.
    pub mark: Mark,
    /// That entry's hash: the effect's commit is named after it ([`crate::ledger::intent::commit_id`]).
    pub hash: Digest,
    /// The snapshot it starts from: its commit is above.
    pub table_version: u64,
    /// `txn ledger` that its commit requires.
    pub ledger_fence: Option<u64>,
    /// How it ended.
    pub end: Option<IntentEnd>,
}

pub(super) fn apply(state: &mut State, entry: &Entry, mark: Mark, act: &Act) {
    match act {
        Act::PlanSaved(plan) => {
            let approval = Approval {
                requested: parties::eyes(state, mark.clone()),
                summary: format!("plan {}: {} events go", plan.id, plan.events),
                act_digest: None,
                given: None,
                used: None,
            };
            let subject = crate::approval::plan_subject(&plan.id);
            state.approvals.entry(subject).or_insert(approval);
            let saved = PlanState {
                saved: mark,
                plan: plan.clone(),
            };
            state.plans.entry(plan.id.clone()).or_insert(saved);
        }
        Act::DispositionIntent(intent) => {
            let step = (intent.table_version, intent.ledger_fence);
            begin(state, entry, IntentKind::Disposition, &intent.run, step);
            let run = DispositionState {
                intended: mark,
                intent: intent.clone(),
                outcome: None,
                purged: None,
                restored: Vec::new(),
            };
            state.dispositions.entry(intent.run.clone()).or_insert(run);
        }
        Act::DispositionOutcome(outcome) => {
            happened(state, &outcome.run, mark.seq);
            if let Some(run) = state.dispositions.get_mut(&outcome.run) {
                run.outcome.get_or_insert((mark, outcome.clone()));
            }
        }
        Act::PurgeIntent(intent) => {
            let step = (intent.table_version, intent.ledger_fence);
            begin(state, entry, IntentKind::Purge, &intent.id, step);
            let purge = PurgeState {
                intended: mark,
                intent: intent.clone(),
                outcome: None,
            };
            state.purges.entry(intent.id.clone()).or_insert(purge);
        }
        Act::PurgeOutcome(outcome) => {
            happened(state, &outcome.id, mark.seq);
            let Some(purge) = state.purges.get_mut(&outcome.id) else {
                return;
            };
            purge.outcome.get_or_insert((mark, outcome.clone()));
            for run in &purge.intent.runs {
                if let Some(run) = state.dispositions.get_mut(run) {
                    run.purged.get_or_insert_with(|| outcome.id.clone());
                }
            }
        }
        Act::RestoreIntent(intent) => {
            let step = (intent.table_version, intent.ledger_fence);
            begin(state, entry, IntentKind::Restore, &intent.id, step);
            let restore = RestoreState {
                intended: mark,
                intent: intent.clone(),
                outcome: None,
            };
            state.restores.entry(intent.id.clone()).or_insert(restore);
        }
        Act::RestoreOutcome(outcome) => {
            happened(state, &outcome.id, mark.seq);
            if let Some(restore) = state.restores.get_mut(&outcome.id) {
                restore.outcome.get_or_insert((mark, outcome.clone()));
            }
            if let Some(run) = state.dispositions.get_mut(&outcome.run)
                && !run.restored.contains(&outcome.id)
            {
                run.restored.push(outcome.id.clone());
            }
            super::erasure::restored(state, &outcome.run);
        }
        Act::DispositionAbandoned(gone)
        | Act::PurgeAbandoned(gone)
        | Act::RestoreAbandoned(gone) => abandoned(state, gone, mark.seq),
        _ => {}
    }
}

/// Step 1 of any of them.
pub(super) fn begin(
    state: &mut State,
    entry: &Entry,
    kind: IntentKind,
    id: &str,
    (table_version, ledger_fence): (u64, Option<u64>),
) {
    let intent = Intent {
        kind,
        mark: Mark::of(entry),
        hash: entry.hash,
        table_version,
        ledger_fence,
        end: None,
    };
    state.intents.entry(id.to_owned()).or_insert(intent);
}

/// Step 3. It wins over an abandonment that came too late for the commit.
pub(super) fn happened(state: &mut State, id: &str, seq: u64) {
    if let Some(intent) = state.intents.get_mut(id)
        && !matches!(intent.end, Some(IntentEnd::Happened(_)))
    {
        intent.end = Some(IntentEnd::Happened(seq));
    }
}

pub(super) fn abandoned(state: &mut State, gone: &Abandoned, seq: u64) {
    if let Some(intent) = state.intents.get_mut(&gone.id) {
        intent.end.get_or_insert(IntentEnd::Abandoned(seq));
    }
}
