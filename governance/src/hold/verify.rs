//! Proving a hold: every row it covered when it was acknowledged is still there.

use std::sync::Arc;

use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::hold::HoldRelease;
use holdfast_schemas::ledger::reading::Verification;
use jiff::Timestamp;

use super::place::receipt;
use super::{Coverage, covered};
use crate::actor::By;
use crate::disposition::DispositionError;
use crate::ledger::{Context, Fenced, Judged, Ledger, Refusal, State};
use crate::plan::PlanError;

/// What verification of a hold found.
#[derive(Debug, Clone, PartialEq)]
pub struct HoldProof {
    /// The hold.
    pub hold: String,
    /// Events that it covered when it was acknowledged; nothing when its receipt is missing.
    pub matched_then: Option<u64>,
    /// What it covers now.
    pub now: Coverage,
    /// Events that it covered then and that are not there any more.
    pub removed: u64,
    /// The snapshot that was looked at.
    pub table_version: u64,
}

/// Verifies a hold; recorded in the ledger.
///
/// # Errors
/// There is no such hold; the archive or the ledger cannot be read or written.
pub async fn verify(ledger: &Ledger, by: &By, name: &str) -> Result<HoldProof, DispositionError> {
    let archive = ledger.archive();
    let snapshot = archive.snapshot().await?;
    let state = ledger.refresh().await?;
    let known = find(&state, name)?;
    let entry = known.placed.seq;
    // A released hold is judged as it stood.
    let at_us = known.placed.time_us;
    let (holds, _) = crate::plan::holds(archive, &snapshot, &state, at_us).await?;
    let hold = holds.into_iter().find(|hold| hold.name == name);
    let hold = hold
        .ok_or_else(|| PlanError::Task(format!("hold {name} did not hold when it was placed")))?;
    let at = Timestamp::from_microsecond(at_us).unwrap_or(Timestamp::UNIX_EPOCH);
    let scope = &known.place.scope;
    let each = crate::plan::by_custodian(archive, &snapshot, scope, at).await?;
    let now = covered(archive, &snapshot, &hold, each).await?;
    let first = match &known.receipt {
        Some(sha256) => receipt(ledger, entry, sha256).await?,
        None => None,
    };
    let mut missing = first
        .as_ref()
        .map(|receipt| receipt.coverage.rows.clone())
        .unwrap_or_default();
    missing -= &now.rows;
    // Coverage may change only with what is known of custodians: what is there is not removed.
    if !missing.is_empty() {
        for segment in snapshot.segments().await?.iter() {
            missing -= crate::disposition::plan_file::present(archive, segment, &missing).await?;
        }
    }
    let proof = HoldProof {
        hold: name.to_owned(),
        matched_then: first.map(|receipt| receipt.coverage.events),
        removed: missing.len(),
        table_version: snapshot.version(),
        now,
    };
    let figures = [
        ("then", proof.matched_then.unwrap_or_default()),
        ("now", proof.now.events),
        ("removed", proof.removed),
    ];
    let done = Verification {
        what: "hold".to_owned(),
        subject: Some(name.to_owned()),
        table_version: proof.table_version,
        problems: proof.removed + u64::from(proof.matched_then.is_none()),
        figures: figures
            .into_iter()
            .map(|(name, figure)| (name.to_owned(), figure))
            .collect(),
        sha256: None,
    };
    ledger.append_act(by, None, Act::Verification(done)).await?;
    Ok(proof)
}

fn find<'s>(state: &'s State, name: &str) -> Result<&'s crate::ledger::state::HoldState, Refusal> {
    state.holds.get(name).ok_or_else(|| {
        Refusal::because(
            format!("there is no hold `{}`", name.escape_debug()),
            "`holdfast hold list` shows them",
        )
    })
}

/// Events that the next run would remove if this hold held no longer, and does not because it does.
///
/// # Errors
/// There is no such hold; the archive or the ledger cannot be read.
pub async fn freed(ledger: &Ledger, name: &str) -> Result<u64, DispositionError> {
    let archive = ledger.archive();
    let snapshot = archive.snapshot().await?;
    let state = ledger.refresh().await?;
    find(&state, name)?;
    let mut events = [0; 2];
    for (without, events) in [false, true].into_iter().zip(&mut events) {
        let now_us = ledger.now_us();
        let mut basis = crate::plan::current(archive, &snapshot, &state, now_us)
            .await?
            .basis;
        basis.holds.retain(|hold| !without || hold.name != name);
        let plan = crate::plan::make(archive, &snapshot, &Arc::new(basis)).await?;
        *events = plan.tally.events;
    }
    Ok(events[1].saturating_sub(events[0]))
}

/// Releases a hold: from `holds_until_us` on it holds no longer.
///
/// # Errors
/// There is no such hold, it is not approved, or the ledger cannot be written.
pub async fn release(
    ledger: &Ledger,
    by: &By,
    release: &HoldRelease,
) -> Result<Fenced, DispositionError> {
    let matter = find(&*ledger.refresh().await?, &release.name)?
        .place
        .matter
        .clone();
    let context = Context {
        matter: Some(&matter),
        command: None,
    };
    let judged = |state: &State| {
        let known = find(state, &release.name)?;
        match &known.released {
            Some((mark, _)) => Ok(Judged::Done(mark.seq)),
            None => Ok(Judged::Write(Act::HoldRelease(release.clone()))),
        }
    };
    Ok(ledger.append_fenced_or_request(by, context, judged).await?)
}
