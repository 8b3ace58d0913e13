//! Erasure requests: what they cover, what stands in the way, and their execution.
//!
//! ```text
//!  requested --judge--> blocked (by a hold, or by a policy that retains) --judge--> ready --approve--> run
//!      run: executed, or partial when something of it stayed; what stayed is judged anew
//! ```
//! A request covers the families whose content a person wrote, or the family of one event. It is planned as retention
//! is: a deletion without a period beside the policies that retain, which go on to win, and the holds. Nothing runs by itself.

mod subject;

use std::sync::Arc;

use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::DispositionOutcome;
use holdfast_schemas::ledger::erasure::{
    Blocked, ErasureClose, ErasureIntent, ErasureJudged, ErasureOutcome, ErasureRequest,
};
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};
use jiff::Timestamp;

use crate::actor::By;
use crate::disposition::purpose::Purpose;
use crate::disposition::run::{RunReport, start};
use crate::disposition::{DispositionError, recover};
use crate::ledger::state::ErasureStatus;
use crate::ledger::{Appended, Context, Judged, Ledger, Refusal, State};
use crate::period::expires_us;
use crate::plan::{Basis, Plan, PlanError, Reason};
use crate::policy::{POLICIES_MAX, Rule, RuleError};

pub use subject::{Marked, mark};

/// Name of the rule that erases, beside the policies.
const RULE: &str = "(erasure)";

/// Judges `erase request`.
///
/// # Errors
/// The id was used.
pub fn judge_request(state: &State, request: &ErasureRequest) -> Result<Judged, Refusal> {
    match state.erasures.get(&request.id) {
        None => Ok(Judged::Write(Act::ErasureRequest(request.clone()))),
        Some(known) if known.request == *request => Ok(Judged::Done(known.requested.seq)),
        Some(_) => Err(Refusal::because(
            format!("there is a request `{}` already", request.id),
            "give another id",
        )),
    }
}

/// Judges `erase close`: withdrawn, or refused.
///
/// # Errors
/// There is no such request, or it was executed.
pub fn judge_close(state: &State, close: &ErasureClose) -> Result<Judged, Refusal> {
    match &find(state, &close.id)?.status {
        ErasureStatus::Executed => Err(Refusal::because(
            format!("request `{}` was executed", close.id),
            "what is erased does not come back",
        )),
        ErasureStatus::Closed(_)
        | ErasureStatus::Requested
        | ErasureStatus::Blocked(_)
        | ErasureStatus::Ready
        | ErasureStatus::Partial => Ok(Judged::Write(Act::ErasureClose(close.clone()))),
    }
}

fn find<'s>(state: &'s State, id: &str) -> Result<&'s crate::ledger::state::ErasureState, Refusal> {
    state.erasures.get(id).ok_or_else(|| {
        Refusal::because(
            format!("there is no erasure request `{}`", id.escape_debug()),
            "`holdfast erase list` shows them",
        )
    })
}

/// Judges where a request stands and writes it down.
///
/// # Errors
/// There is no such request; the archive or the ledger cannot be read or written.
pub async fn judge(ledger: &Ledger, by: &By, id: &str) -> Result<ErasureJudged, DispositionError> {
    let archive = ledger.archive();
    let snapshot = archive.snapshot().await?;
    let state = ledger.refresh().await?;
    let request = find(&state, id)?.request.clone();
    let basis = Arc::new(basis(archive, &snapshot, &state, ledger.now_us(), &request).await?);
    let plan = crate::plan::make(archive, &snapshot, &basis).await?;
    let judged = ErasureJudged {
        id: id.to_owned(),
        table_version: snapshot.version(),
        blocked: blocked(&plan, &basis),
        events: plan.tally.events,
    };
    ledger
        .append_act(by, None, Act::ErasureJudged(judged.clone()))
        .await?;
    Ok(judged)
}

/// What stands in the way of some of it.
fn blocked(plan: &Plan, basis: &Basis) -> Vec<Blocked> {
    let newest_us = basis
        .marked
        .as_ref()
        .map_or(i64::MAX, |marked| marked.newest_us);
    let mut found = Vec::new();
    for (reason, _) in &plan.tally.stays {
        match reason {
            Reason::Hold(name) => found.push(Blocked::Hold { name: name.clone() }),
            Reason::Holds => found.extend(basis.holds.iter().map(|hold| Blocked::Hold {
                name: hold.name.clone(),
            })),
            Reason::Retained(name) => {
                let rule = basis.rules.iter().find(|rule| rule.name == *name);
                found.push(Blocked::Policy {
                    name: name.clone(),
                    until_us: rule.and_then(|rule| expires_us(rule.period, newest_us, &rule.zone)),
                });
            }
            Reason::Family | Reason::Grace | Reason::Explains | Reason::NotPlanned => {}
        }
    }
    found.dedup();
    found
}

/// The policies that retain, the deletion that was asked for, and the holds.
pub(crate) async fn basis(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    now_us: i64,
    request: &ErasureRequest,
) -> Result<Basis, PlanError> {
    let mut basis = crate::plan::current(archive, snapshot, state, now_us)
        .await?
        .basis;
    // Without a deletion of its own each goes on to retain; one that only deletes has no say.
    basis.rules.retain(Rule::retains);
    for rule in &mut basis.rules {
        rule.action = PolicyAction::Retain;
    }
    if basis.rules.len() >= POLICIES_MAX {
        return Err(RuleError::TooMany {
            count: basis.rules.len() + 1,
        }
        .into());
    }
    basis.rules.push(erasing()?);
    let place = basis.rules.len() - 1;
    let mut erasing = Basis::new(basis.rules, basis.holds, now_us, 0);
    erasing.cutoffs.immediately(place);
    erasing.ingested_before_us = i64::MAX;
    erasing.marked = Some(mark(archive, snapshot, &request.subject, place).await?);
    Ok(erasing)
}

fn erasing() -> Result<Rule, RuleError> {
    let set = PolicySet {
        name: RULE.to_owned(),
        scope: PolicyScope::default(),
        period: "0d".to_owned(),
        time_zone: None,
        action: PolicyAction::Delete,
        explicit: true,
        reason: None,
    };
    Rule::new(&set, 0, Timestamp::UNIX_EPOCH)
}

/// Executes a request, as far as nothing stands in the way.
///
/// # Errors
/// It is not ready or not approved; the archive or the ledger cannot be read or written.
pub async fn run(ledger: &Ledger, by: &By, id: &str) -> Result<RunReport, DispositionError> {
    recover::all(ledger, by).await?;
    let judged = judge(ledger, by, id).await?;
    if judged.events == 0 {
        return Err(Refusal::because(
            format!("request `{id}` has nothing that can be erased now"),
            "`holdfast erase show` says what stands in the way, and until when",
        )
        .into());
    }
    start(
        ledger,
        by,
        Purpose::Erasure {
            request: id.to_owned(),
        },
        None,
    )
    .await
}

/// Judges the intent of an execution.
pub(crate) fn judge_intent(state: &State, intent: &ErasureIntent) -> Result<Judged, Refusal> {
    match &find(state, &intent.id)?.status {
        ErasureStatus::Executed | ErasureStatus::Closed(_) => Err(Refusal::because(
            format!("request `{}` is over", intent.id),
            "make another request",
        )),
        ErasureStatus::Requested
        | ErasureStatus::Blocked(_)
        | ErasureStatus::Ready
        | ErasureStatus::Partial => Ok(Judged::Write(Act::ErasureIntent(intent.clone()))),
    }
}

/// Writes a request down.
///
/// # Errors
/// It is refused, or the ledger cannot be written.
pub async fn request(
    ledger: &Ledger,
    by: &By,
    request: &ErasureRequest,
) -> Result<Appended, DispositionError> {
    Ok(ledger
        .append(by, Context::default(), |state| {
            judge_request(state, request)
        })
        .await?)
}

/// What the ledger says of an execution that was committed.
pub(crate) fn outcome_act(request: &str, outcome: &DispositionOutcome, stayed: u64) -> Act {
    Act::ErasureOutcome(ErasureOutcome {
        run: outcome.run.clone(),
        id: request.to_owned(),
        table_version: outcome.table_version,
        certificate: outcome.certificate.clone(),
        certificate_sha256: outcome.certificate_sha256,
        events: outcome.events,
        stayed,
    })
}
