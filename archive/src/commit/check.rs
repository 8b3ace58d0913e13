//! What must hold before every attempt.

use std::collections::BTreeSet;
use std::sync::Arc;

use ulid::Ulid;

use crate::LEDGER_APP_ID;
use crate::commit::{
    Advance, Append, CommitKind, Conflict, Disposal, LedgerIs, Plan, Recheck, Replace,
};
use crate::error::ArchiveError;
use crate::log::state::State;
use crate::segment::NewSegment;
use crate::shared::Shared;
use crate::snapshot::Snapshot;

/// Whether the plan makes sense at all; asked once.
pub(crate) fn validate(plan: &Plan) -> Result<(), ArchiveError> {
    let invalid = |problem: String| {
        Err(ArchiveError::Invalid(format!(
            "commit {}: {problem}",
            plan.commit_id()
        )))
    };
    let mut seen = BTreeSet::new();
    for Advance { app_id, from, to } in plan.positions() {
        if !seen.insert(app_id) {
            return invalid(format!("position {app_id} is moved twice"));
        }
        if from.is_some_and(|from| *to < from) {
            return invalid(format!(
                "position {app_id} would move back from {from:?} to {to}"
            ));
        }
    }
    let mut names = BTreeSet::new();
    for segment in plan.adds() {
        if segment.rows == 0 || segment.ulid().is_none() || !names.insert(&segment.path) {
            return invalid(format!("{} is no segment, or named twice", segment.path));
        }
    }
    match plan {
        Plan::Append(append) if !matches!(append.kind, CommitKind::Append) => {
            invalid(format!("an append cannot be a {}", append.kind.as_str()))
        }
        Plan::Append(append) => rows_are_accounted_for(append),
        Plan::Replace(replace) => match replace.kind {
            CommitKind::Compaction | CommitKind::Disposition | CommitKind::Erasure => {
                if replace.inputs.is_empty() {
                    return invalid("a rewrite without inputs".to_owned());
                }
                if replace.inputs.iter().collect::<BTreeSet<_>>().len() != replace.inputs.len() {
                    return invalid("an input is named twice".to_owned());
                }
                Ok(())
            }
            other => invalid(format!("a rewrite cannot be a {}", other.as_str())),
        },
        Plan::Dispose(disposal) => match shape(disposal) {
            Some(problem) => invalid(problem.to_owned()),
            None => Ok(()),
        },
        Plan::Advance(advance) => match advance.kind {
            CommitKind::Fence | CommitKind::Gc => Ok(()),
            other => invalid(format!("positions alone cannot be a {}", other.as_str())),
        },
        Plan::Lease(_) => Ok(()),
    }
}

/// Every archived row has its sequence in a set, and every sequence its row: the sets are what tells a duplicate from
/// a new event for ever.
fn rows_are_accounted_for(append: &Append) -> Result<(), ArchiveError> {
    let rows: u64 = append.segments.iter().map(|s| s.rows).sum();
    let sequences: u64 = append
        .archived
        .values()
        .map(roaring::RoaringTreemap::len)
        .sum();
    if rows != sequences {
        return Err(ArchiveError::Invalid(format!(
            "commit {}: {rows} rows, but {sequences} sequences marked as archived",
            append.commit_id
        )));
    }
    Ok(())
}

/// The first reason why the plan cannot be committed after `state`, if there is one. `checked` is the version up to
/// which it is known that no newer event alters the plan.
pub(crate) async fn conflict(
    shared: &Arc<Shared>,
    plan: &Plan,
    checked: u64,
    state: &Arc<State>,
) -> Result<Option<Conflict>, ArchiveError> {
    if let Some(conflict) =
        moved(plan.positions(), state).or_else(|| below_horizon(plan.adds(), state))
    {
        return Ok(Some(conflict));
    }
    match plan {
        Plan::Append(append) => archived_already(shared, append, state).await,
        Plan::Replace(replace) => replaceable(shared, replace, checked, state).await,
        Plan::Dispose(disposal) => disposable(shared, disposal, checked, state).await,
        Plan::Advance(_) => Ok(None),
        Plan::Lease(change) => crate::lease::held(change, state),
    }
}

fn moved(positions: &[Advance], state: &State) -> Option<Conflict> {
    positions.iter().find_map(|Advance { app_id, from, .. }| {
        let found = state.txn(app_id);
        (found != *from).then(|| {
            if app_id == LEDGER_APP_ID {
                Conflict::LedgerMoved {
                    expected: *from,
                    found,
                }
            } else {
                Conflict::PositionMoved {
                    app_id: app_id.clone(),
                    expected: *from,
                    found,
                }
            }
        })
    })
}

fn below_horizon(segments: &[NewSegment], state: &State) -> Option<Conflict> {
    let horizon_ms = state.horizon_ms()?;
    segments
        .iter()
        .find(|segment| segment.ulid().is_some_and(|id| is_below(id, horizon_ms)))
        .map(|segment| Conflict::BelowHorizon {
            path: segment.path.clone(),
            horizon_ms,
        })
}

/// Whether a name was made before the horizon.
pub(crate) fn is_below(id: Ulid, horizon_ms: i64) -> bool {
    u64::try_from(horizon_ms).is_ok_and(|horizon| id.timestamp_ms() < horizon)
}

async fn archived_already(
    shared: &Shared,
    append: &Append,
    state: &State,
) -> Result<Option<Conflict>, ArchiveError> {
    for (origin, new) in &append.archived {
        let Some(entry) = state.origins.get(origin) else {
            continue;
        };
        let known = entry.set(origin, &shared.store).await?;
        if !known.is_disjoint(new) {
            return Ok(Some(Conflict::AlreadyArchived {
                origin: origin.clone(),
                sequences: &*known & new,
            }));
        }
    }
    Ok(None)
}

async fn replaceable(
    shared: &Arc<Shared>,
    replace: &Replace,
    checked: u64,
    state: &Arc<State>,
) -> Result<Option<Conflict>, ArchiveError> {
    let found = state.txn(LEDGER_APP_ID);
    if replace.ledger.is_some() && replace.ledger != found {
        return Ok(Some(Conflict::LedgerMoved {
            expected: replace.ledger,
            found,
        }));
    }
    if let Some(gone) = gone(&replace.inputs, state) {
        return Ok(Some(gone));
    }
    if replace.kind == CommitKind::Compaction {
        let rows_in = rows(&replace.inputs, state);
        let rows_out: u64 = replace.segments.iter().map(|s| s.rows).sum();
        if rows_in != rows_out {
            return Err(ArchiveError::Invalid(format!(
                "commit {}: a compaction of {rows_in} rows into {rows_out}",
                replace.commit_id
            )));
        }
    }
    asked(shared, replace.recheck.as_ref(), checked, state).await
}

/// Why a disposal makes no sense, if it does not.
fn shape(disposal: &Disposal) -> Option<&'static str> {
    let (inputs, outputs) = (&disposal.inputs, &disposal.segments);
    match disposal.kind {
        CommitKind::Disposition | CommitKind::Erasure if inputs.is_empty() => {
            Some("a disposition without inputs")
        }
        CommitKind::Restore if !inputs.is_empty() || outputs.is_empty() => {
            Some("what is restored adds files and takes none away")
        }
        CommitKind::Purge if !inputs.is_empty() || !outputs.is_empty() => {
            Some("a purge has no files of the table")
        }
        CommitKind::Purge if disposal.fence.is_none() => Some("a purge without a fence"),
        CommitKind::Disposition | CommitKind::Erasure | CommitKind::Purge
            if disposal.ledger == LedgerIs::Anything =>
        {
            Some("what takes away must name the ledger's position it was decided with")
        }
        // Without it the same rows could be put back twice.
        _ if disposal.kept.is_empty() => Some("nothing says where its rows are kept"),
        CommitKind::Disposition | CommitKind::Erasure | CommitKind::Restore | CommitKind::Purge => {
            let distinct: BTreeSet<_> = inputs.iter().collect();
            (distinct.len() != inputs.len()).then_some("an input is named twice")
        }
        CommitKind::Create
        | CommitKind::Append
        | CommitKind::Compaction
        | CommitKind::Fence
        | CommitKind::Gc
        | CommitKind::Lease => Some("this kind disposes of nothing"),
    }
}

async fn disposable(
    shared: &Arc<Shared>,
    disposal: &Disposal,
    checked: u64,
    state: &Arc<State>,
) -> Result<Option<Conflict>, ArchiveError> {
    let found = state.txn(LEDGER_APP_ID);
    if let LedgerIs::Exactly(expected) = disposal.ledger
        && expected != found
    {
        return Ok(Some(Conflict::LedgerMoved { expected, found }));
    }
    if disposal
        .fence
        .is_some_and(|to| found.is_some_and(|found| to < found))
    {
        return Ok(Some(Conflict::LedgerMoved {
            expected: disposal.fence,
            found,
        }));
    }
    if let Some(conflict) = crate::kept::changed(&disposal.kept, state)? {
        return Ok(Some(conflict));
    }
    if let Some(gone) = gone(&disposal.inputs, state) {
        return Ok(Some(gone));
    }
    let rows_out: u64 = disposal.segments.iter().map(|s| s.rows).sum();
    let rows_in = rows(&disposal.inputs, state);
    if !disposal.inputs.is_empty() && rows_out >= rows_in {
        return Err(ArchiveError::Invalid(format!(
            "commit {}: a disposition of {rows_in} rows leaves {rows_out}",
            disposal.commit_id
        )));
    }
    asked(shared, disposal.recheck.as_ref(), checked, state).await
}

fn gone(inputs: &[String], state: &State) -> Option<Conflict> {
    let gone = inputs.iter().find(|path| state.live.get(path).is_none());
    gone.map(|path| Conflict::InputGone { path: path.clone() })
}

fn rows(inputs: &[String], state: &State) -> u64 {
    let live = inputs.iter().filter_map(|path| state.live.get(path));
    live.map(|segment| segment.rows).sum()
}

async fn asked(
    shared: &Arc<Shared>,
    recheck: Option<&Recheck>,
    checked: u64,
    state: &Arc<State>,
) -> Result<Option<Conflict>, ArchiveError> {
    if let Some(recheck) = recheck
        && state.version > checked
    {
        let newer = state
            .live
            .iter()
            .filter(|s| s.commit_version > checked)
            .cloned()
            .collect();
        let verdict = recheck(Snapshot::new(shared, Arc::clone(state)), newer).await?;
        return Ok(verdict
            .err()
            .map(|reason| Conflict::DecisionChanged { reason }));
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ar1_a_file_named_at_the_horizon_is_not_below_it() {
        let named = |ms| Ulid::from_parts(ms, 7);
        assert!(is_below(named(999), 1_000));
        // Garbage collection leaves it, and names that are never below the horizon begin there.
        assert!(!is_below(named(1_000), 1_000));
        assert!(!is_below(named(1_001), 1_000));
        assert!(!is_below(named(0), -1));
    }
}
