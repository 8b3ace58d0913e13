//! Whether a plan still holds: what changed since it was made is looked at, and nothing else.
//!
//! A run carries its plan out as it was saved when
//!
//! | since the plan | is as it was, or |
//! |---|---|
//! | policies, the ingest grace | - |
//! | time | later: what was due stays due |
//! | holds | those that are new, or found more of their custodians, cover no row that goes |
//! | the segments that lose rows | - |
//! | newer segments | hold nothing of a family that goes, and nothing that a state record explains that goes |
//! | all other segments | - (only when state records go: what is gone no longer ends the interval that they govern) |
//!
//! Otherwise it plans anew. The archive asks the question about newer segments once more before the commit, so anything
//! else an ingest does may go on beside a run.

use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Recheck, Segment, Snapshot};
use holdfast_schemas::columns::Rows;

use super::carried::{Carried, holds, keys};
use super::plan_file::{PlanFile, versions};
use super::{DispositionError, carried};
use crate::hold::Hold;
use crate::ledger::State;
use crate::plan::{Current, Plan, PlanError, SegmentPlan, Touches, open_whole};

/// The question that the archive asks after a true conflict.
pub(crate) fn recheck(archive: &Archive, plan: &Plan, custodians: bool) -> Recheck {
    let touches = Arc::new(Touches::new(archive, plan, custodians));
    Arc::new(move |_: Snapshot, newer: Vec<Arc<Segment>>| {
        let touches = Arc::clone(&touches);
        Box::pin(async move {
            let altered = touches.altered_by(&newer).await;
            altered
                .map(|reason| reason.map_or(Ok(()), Err))
                .map_err(|error| holdfast_archive::ArchiveError::Invalid(error.to_string()))
        })
    })
}

/// The plan as it was saved, if nothing that happened since alters it.
///
/// # Errors
/// A segment cannot be read.
pub(super) async fn unaltered(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    current: &Current,
    file: &PlanFile,
) -> Result<Option<Plan>, DispositionError> {
    let Some(decision) = &file.decision else {
        return Ok(None);
    };
    if !judged_alike(decision, current, file.now_us) {
        return Ok(None);
    }
    let Some(plan) = live(snapshot, file, decision).await? else {
        return Ok(None);
    };
    let segments = snapshot.segments().await?;
    let (newer, older): (Vec<_>, Vec<_>) = segments
        .iter()
        .cloned()
        .partition(|segment| segment.commit_version > file.table_version);
    if !plan.records.is_empty() && older.len() as u64 != decision.segments_total {
        return Ok(None);
    }
    let changed = changed_holds(decision, state, current);
    if catch_any(archive, &plan, changed).await? {
        return Ok(None);
    }
    let custodians = current.basis.holds.iter().any(Hold::has_custodians);
    let touches = Touches::new(archive, &plan, custodians);
    if !newer.is_empty() && touches.altered_by(&newer).await?.is_some() {
        return Ok(None);
    }
    Ok(Some(plan))
}

/// Whether policies, grace and time still say what they said.
fn judged_alike(decision: &Carried, current: &Current, planned_us: i64) -> bool {
    let basis = &current.basis;
    decision.keys == keys()
        && basis.marked.is_none()
        && decision.policies == versions(basis)
        && planned_us <= basis.now_us
        && decision.ingested_before_us <= basis.ingested_before_us
}

/// The plan's rows in the table as it is now; nothing when a segment left it.
async fn live(
    snapshot: &Snapshot,
    file: &PlanFile,
    decision: &Carried,
) -> Result<Option<Plan>, DispositionError> {
    let mut segments = Vec::with_capacity(decision.segments.len());
    for carried::Rows { path, rows, by } in &decision.segments {
        let live = snapshot.segment(path).await?;
        let live = live.filter(|segment| segment.commit_version <= file.table_version);
        let Some(segment) = live else {
            return Ok(None);
        };
        segments.push(SegmentPlan {
            segment,
            rows: rows.clone(),
            by: by
                .iter()
                .map(|one| (one.policy.clone(), one.rows.clone()))
                .collect(),
        });
    }
    Ok(Some(Plan {
        segments,
        tally: file.tally.clone(),
        records: decision.records.clone(),
    }))
}

/// Holds that were placed since, or that found more of what their custodians saw.
fn changed_holds(decision: &Carried, state: &State, current: &Current) -> Vec<Hold> {
    let known = holds(state, current.basis.now_us);
    let as_planned = |hold: &&Hold| {
        let grown = current.grown.iter().any(|expand| expand.name == hold.name);
        let then = decision.holds.get(&hold.name);
        !grown && then.is_some() && then == known.get(&hold.name)
    };
    let changed = current.basis.holds.iter().filter(|hold| !as_planned(hold));
    changed.cloned().collect()
}

/// Whether any of the holds covers a row that goes.
async fn catch_any(
    archive: &Archive,
    plan: &Plan,
    mut holds: Vec<Hold>,
) -> Result<bool, DispositionError> {
    if holds.is_empty() {
        return Ok(false);
    }
    for SegmentPlan { segment, rows, .. } in &plan.segments {
        let rows: Vec<u32> = rows.iter().collect();
        let mut batches = open_whole(archive, segment, &rows).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            let caught = (0..view.len()).any(|place| {
                let row = view.row(place);
                holds.iter_mut().any(|hold| hold.covers(&row))
            });
            if caught {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
