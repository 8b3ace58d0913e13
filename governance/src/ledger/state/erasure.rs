//! Erasure requests.

use holdfast_schemas::ledger::erasure::{Blocked, ErasureJudged, ErasureOutcome, ErasureRequest};
use holdfast_schemas::ledger::{Act, Entry};
use serde::{Deserialize, Serialize};

use super::disposition::{abandoned, begin, happened};
use super::{Approval, IntentKind, Mark, State, parties};

/// Where a request stands. Whether it is approved is in [`State::approvals`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErasureStatus {
    /// Not judged yet.
    Requested,
    /// Something stands in the way.
    Blocked(Vec<Blocked>),
    /// Nothing stands in the way.
    Ready,
    /// It was executed in part: something stayed.
    Partial,
    /// It was executed.
    Executed,
    /// It was withdrawn or refused.
    Closed(String),
}

/// An erasure request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasureState {
    /// When and by whom requested.
    pub requested: Mark,
    /// What it asks for.
    pub request: ErasureRequest,
    /// Where it stands.
    pub status: ErasureStatus,
    /// How it was last judged.
    pub judged: Option<(Mark, ErasureJudged)>,
    /// Executions, oldest first.
    pub outcomes: Vec<(Mark, ErasureOutcome)>,
}

pub(super) fn apply(state: &mut State, entry: &Entry, mark: Mark, act: &Act) {
    match act {
        Act::ErasureRequest(request) => {
            let approval = Approval {
                requested: parties::eyes(state, mark.clone()),
                summary: format!("erasure {}", request.id),
                act_digest: None,
                given: None,
                used: None,
            };
            let subject = crate::approval::erasure_subject(&request.id);
            state.approvals.entry(subject).or_insert(approval);
            let erasure = ErasureState {
                requested: mark,
                request: request.clone(),
                status: ErasureStatus::Requested,
                judged: None,
                outcomes: Vec::new(),
            };
            state.erasures.entry(request.id.clone()).or_insert(erasure);
        }
        Act::ErasureJudged(judged) => {
            if let Some(erasure) = state.erasures.get_mut(&judged.id) {
                let over = matches!(
                    erasure.status,
                    ErasureStatus::Executed | ErasureStatus::Closed(_)
                );
                if !over {
                    erasure.status = match judged.blocked.is_empty() {
                        true => ErasureStatus::Ready,
                        false => ErasureStatus::Blocked(judged.blocked.clone()),
                    };
                }
                erasure.judged = Some((mark, judged.clone()));
            }
        }
        Act::ErasureClose(close) => {
            if let Some(erasure) = state.erasures.get_mut(&close.id) {
                erasure.status = ErasureStatus::Closed(close.reason.clone());
            }
        }
        Act::ErasureIntent(intent) => {
            let step = (intent.table_version, intent.ledger_fence);
            begin(state, entry, IntentKind::Erasure, &intent.run, step);
        }
        Act::ErasureOutcome(outcome) => {
            happened(state, &outcome.run, mark.seq);
            if let Some(erasure) = state.erasures.get_mut(&outcome.id) {
                erasure.status = match outcome.stayed {
                    0 => ErasureStatus::Executed,
                    _ => ErasureStatus::Partial,
                };
                erasure.outcomes.push((mark, outcome.clone()));
            }
        }
        Act::ErasureAbandoned(gone) => abandoned(state, gone, mark.seq),
        _ => {}
    }
}

/// What an execution erased came back, wholly or in part: the request is open again.
pub(super) fn restored(state: &mut State, run: &str) {
    let erasures = state.erasures.values_mut();
    for erasure in erasures.filter(|one| one.outcomes.iter().any(|(_, outcome)| outcome.run == run))
    {
        if erasure.status == ErasureStatus::Executed {
            erasure.status = ErasureStatus::Partial;
        }
    }
}
