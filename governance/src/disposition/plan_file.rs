//! A saved plan: which rows go, by row id, and the numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::columns::name;
use holdfast_schemas::ledger::plan::PlanSaved;
use holdfast_schemas::ledger::policy::PolicySet;
use holdfast_schemas::ledger::{Act, Digest};
use jiff::Timestamp;
use roaring::{RoaringBitmap, RoaringTreemap};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::carried::Carried;
use super::{DispositionError, objects};
use crate::actor::By;
use crate::ledger::{Appended, Ledger};
use crate::plan::{Basis, Difference, Plan, PlanError, SegmentPlan, Tally};
use crate::policy::{POLICIES_MAX, Rule, RuleError};

/// Folder of the plans, relative to the archive.
pub const FOLDER: &str = "ledger/plans";

/// A plan as it is saved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanFile {
    /// Its id.
    pub id: String,
    /// The snapshot it was made on.
    pub table_version: u64,
    /// The moment it judged for, UTC microseconds.
    pub now_us: i64,
    /// The numbers.
    pub tally: Tally,
    /// The holds it was made with, and how many expansions of each it knew.
    pub holds: BTreeMap<String, usize>,
    /// The plan saved before, and what differs from it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<(String, Difference)>,
    /// Row ids that go.
    #[serde(with = "objects::rows")]
    pub rows: RoaringTreemap,
    /// The decision, so that a run need only look at what changed since; a plan without it is made anew by its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Carried>,
}

/// A plan that was made, not saved yet.
#[derive(Debug)]
pub struct Made {
    /// What goes.
    pub plan: Plan,
    /// What it was judged by.
    pub basis: Arc<Basis>,
    /// The snapshot it was made on.
    pub snapshot: Snapshot,
    /// The ledger's state it was made with; its head is at or behind the snapshot's fence.
    pub state: Arc<crate::ledger::State>,
}

impl PlanFile {
    /// Reads a plan that the ledger names.
    ///
    /// # Errors
    /// The object is gone or was changed.
    pub async fn of(archive: &Archive, saved: &PlanSaved) -> Result<Self, DispositionError> {
        objects::get(archive, &saved.path, &saved.sha256).await
    }
}

/// Row ids of a plan's rows.
///
/// # Errors
/// A segment cannot be read.
pub(crate) async fn row_ids(
    archive: &Archive,
    plans: &[SegmentPlan],
) -> Result<RoaringTreemap, DispositionError> {
    let mut found = RoaringTreemap::new();
    for plan in plans {
        found |= segment_row_ids(archive, &plan.segment, &plan.rows).await?;
    }
    Ok(found)
}

/// Row ids of a plan's rows by the policy that deletes them; `all`: of all of them, as [`row_ids`] answers.
///
/// # Errors
/// A segment cannot be read.
pub(crate) async fn row_ids_by_policy(
    archive: &Archive,
    plans: &[SegmentPlan],
    all: &RoaringTreemap,
) -> Result<BTreeMap<String, RoaringTreemap>, DispositionError> {
    let names: BTreeSet<&str> = plans
        .iter()
        .flat_map(|plan| plan.by.iter().map(|(policy, _)| policy.as_str()))
        .collect();
    if let (1, Some(only)) = (names.len(), names.first()) {
        return Ok(BTreeMap::from([((*only).to_owned(), all.clone())]));
    }
    let mut found: BTreeMap<String, RoaringTreemap> = BTreeMap::new();
    for plan in plans {
        for (policy, rows) in &plan.by {
            let ids = segment_row_ids(archive, &plan.segment, rows).await?;
            *found.entry(policy.clone()).or_default() |= ids;
        }
    }
    Ok(found)
}

async fn segment_row_ids(
    archive: &Archive,
    segment: &holdfast_archive::Segment,
    rows: &RoaringBitmap,
) -> Result<RoaringTreemap, DispositionError> {
    let reader = holdfast_archive::read::SegmentReader::open(archive, segment).await?;
    if reader.is_original() {
        let id = |row: u32| u64::try_from(segment.base_row_id).unwrap_or(0) + u64::from(row);
        return Ok(rows.iter().map(id).collect());
    }
    let mut found = RoaringTreemap::new();
    let mut batches = crate::plan::open_rows(archive, segment, &[name::EVENT_TIME]).await?;
    let mut first = 0u32;
    while let Some(batch) = batches.try_next().await? {
        let ids = crate::plan::row_ids_of(segment, &batch)?;
        let within = ids
            .iter()
            .zip(first..)
            .filter(|(_, row)| rows.contains(*row));
        found.extend(within.filter_map(|(id, _)| u64::try_from(*id).ok()));
        first += batch.num_rows() as u32;
    }
    Ok(found)
}

/// Row numbers of a segment whose row ids are among these.
pub(crate) async fn rows_with_ids(
    archive: &Archive,
    segment: &holdfast_archive::Segment,
    ids: &RoaringTreemap,
) -> Result<RoaringBitmap, DispositionError> {
    let mut found = RoaringBitmap::new();
    let mut batches = crate::plan::open_rows(archive, segment, &[name::EVENT_TIME]).await?;
    let mut first = 0u32;
    while let Some(batch) = batches.try_next().await? {
        let all = crate::plan::row_ids_of(segment, &batch)?;
        let within = all.iter().zip(first..);
        let within = within.filter(|(id, _)| u64::try_from(**id).is_ok_and(|id| ids.contains(id)));
        found.extend(within.map(|(_, row)| row));
        first += batch.num_rows() as u32;
    }
    Ok(found)
}

/// Those of the row ids that a segment holds.
pub(crate) async fn present(
    archive: &Archive,
    segment: &holdfast_archive::Segment,
    ids: &RoaringTreemap,
) -> Result<RoaringTreemap, DispositionError> {
    let mut found = RoaringTreemap::new();
    let mut batches = crate::plan::open_rows(archive, segment, &[name::EVENT_TIME]).await?;
    while let Some(batch) = batches.try_next().await? {
        let all = crate::plan::row_ids_of(segment, &batch)?.iter();
        let all = all.filter_map(|id| u64::try_from(*id).ok());
        found.extend(all.filter(|id| ids.contains(*id)));
    }
    Ok(found)
}

/// Makes a plan on the newest snapshot, as of `now_us`.
///
/// # Errors
/// The archive or the ledger cannot be read; a hold or a policy not be judged by.
pub async fn make(ledger: &Ledger, now_us: i64) -> Result<Made, DispositionError> {
    make_by(ledger, now_us, None).await
}

/// As [`make`], by other policies than those in force: what would go if they were.
///
/// # Errors
/// As [`make`]; one of the policies cannot be judged by.
pub async fn make_by(
    ledger: &Ledger,
    now_us: i64,
    policies: Option<&[PolicySet]>,
) -> Result<Made, DispositionError> {
    let archive = ledger.archive();
    // The snapshot first: a hold fenced after it fails the commit, a hold before it is in the state.
    let snapshot = archive.snapshot().await?;
    let state = ledger.refresh().await?;
    let mut basis = crate::plan::current(archive, &snapshot, &state, now_us)
        .await?
        .basis;
    if let Some(policies) = policies {
        let grace_us = now_us.saturating_sub(basis.ingested_before_us);
        let at = Timestamp::from_microsecond(now_us).unwrap_or(Timestamp::UNIX_EPOCH);
        let rules = policies.iter().map(|set| Rule::new(set, 0, at));
        let rules: Vec<Rule> = rules.collect::<Result<_, _>>().map_err(PlanError::from)?;
        if rules.len() > POLICIES_MAX {
            let count = rules.len();
            return Err(PlanError::from(RuleError::TooMany { count }).into());
        }
        basis = Basis::new(rules, basis.holds, now_us, grace_us);
    }
    let basis = Arc::new(basis);
    let plan = crate::plan::make(archive, &snapshot, &basis).await?;
    Ok(Made {
        plan,
        basis,
        snapshot,
        state,
    })
}

/// What a plan has that a saved one had not.
///
/// # Errors
/// The saved plan's object is gone or was changed; a segment cannot be read.
pub async fn against_saved(
    ledger: &Ledger,
    made: &Made,
    saved: &PlanSaved,
) -> Result<Difference, DispositionError> {
    let archive = ledger.archive();
    let file = PlanFile::of(archive, saved).await?;
    let rows = row_ids(archive, &made.plan.segments).await?;
    let (before, now) = ((&file.tally, &file.rows), (&made.plan.tally, &rows));
    Ok(Difference::of(before, now))
}

/// What a plan has that another one has not.
///
/// # Errors
/// A segment cannot be read.
pub async fn against(
    ledger: &Ledger,
    made: &Made,
    other: &Made,
) -> Result<Difference, DispositionError> {
    let archive = ledger.archive();
    let before = row_ids(archive, &other.plan.segments).await?;
    let rows = row_ids(archive, &made.plan.segments).await?;
    let (before, now) = ((&other.plan.tally, &before), (&made.plan.tally, &rows));
    Ok(Difference::of(before, now))
}

/// The plan saved last.
#[must_use]
pub fn last_saved(state: &crate::ledger::State) -> Option<&PlanSaved> {
    let last = state.plans.values().max_by_key(|known| known.saved.seq)?;
    Some(&last.plan)
}

/// Saves a plan: the object first, then the entry that names it.
///
/// # Errors
/// The store or the ledger cannot be written.
pub async fn save(
    ledger: &Ledger,
    by: &By,
    made: &Made,
) -> Result<(PlanSaved, Appended), DispositionError> {
    let archive = ledger.archive();
    let segments = made.snapshot.segments().await?;
    let id = Ulid::from_parts(
        u64::try_from(made.basis.now_us / 1000).unwrap_or(0),
        rand::random(),
    )
    .to_string();
    let rows = row_ids(archive, &made.plan.segments).await?;
    let file = PlanFile {
        before: before(archive, made, &rows).await?,
        id: id.clone(),
        table_version: made.snapshot.version(),
        now_us: made.basis.now_us,
        tally: made.plan.tally.clone(),
        holds: holds(&made.state, made.basis.now_us),
        rows,
        decision: Some(Carried::new(
            &made.plan,
            &made.basis,
            &made.state,
            segments.len() as u64,
        )),
    };
    let (path, sha256) = objects::put(archive, FOLDER, &id, &file).await?;
    let fence = made
        .snapshot
        .position(holdfast_archive::LEDGER_APP_ID)
        .await?;
    let saved = PlanSaved {
        id,
        path,
        sha256,
        table_version: made.snapshot.version(),
        ledger_fence: fence.and_then(|fence| u64::try_from(fence).ok()),
        ledger_seq: made.state.head.seq,
        now_us: made.basis.now_us,
        events: file.tally.events,
        families: file.tally.families,
        bytes: file.tally.bytes,
        events_total: segments.iter().map(|segment| segment.rows).sum(),
        policies: versions(&made.basis),
    };
    let appended = ledger
        .append_act(by, None, Act::PlanSaved(saved.clone()))
        .await?;
    Ok((saved, appended))
}

/// What differs from the plan saved last; nothing without one, or when its object is gone.
async fn before(
    archive: &Archive,
    made: &Made,
    rows: &RoaringTreemap,
) -> Result<Option<(String, Difference)>, DispositionError> {
    let Some(last) = last_saved(&made.state) else {
        return Ok(None);
    };
    match PlanFile::of(archive, last).await {
        Ok(file) => {
            let (before, now) = ((&file.tally, &file.rows), (&made.plan.tally, rows));
            Ok(Some((last.id.clone(), Difference::of(before, now))))
        }
        Err(DispositionError::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Versions of the policies judged by.
pub(crate) fn versions(basis: &Basis) -> BTreeMap<String, u64> {
    basis
        .rules
        .iter()
        .map(|rule| (rule.name.clone(), rule.version))
        .collect()
}

/// Holds in force, and how many expansions of each are known.
pub(crate) fn holds(state: &crate::ledger::State, now_us: i64) -> BTreeMap<String, usize> {
    let in_force = state.holds.iter().filter(|(_, hold)| hold.holds_at(now_us));
    in_force
        .map(|(name, hold)| (name.clone(), hold.expansions.len()))
        .collect()
}

/// A digest as text, for names.
#[must_use]
pub fn short(digest: &Digest) -> String {
    digest.to_string()[..16].to_owned()
}
