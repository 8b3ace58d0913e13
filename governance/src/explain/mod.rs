//! Why an event is kept, until when, and by what; or when it went, by which rule and on whose word.

use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_schemas::columns::{Rows, name};

use crate::disposition::DispositionError;
use crate::disposition::certificate::{EventLine, read_list};
use crate::disposition::kept::Out;
use crate::family::{Class, class_of, keys_of};
use crate::hold::Hold;
use crate::ledger::state::DispositionState;
use crate::ledger::{Ledger, State};
use crate::plan::{Basis, PlanError, SegmentPlan, open_every};
use crate::policy::{Decision, Facts, Mask, Part, Verdict, decide, rule_covers};

/// What is known of an event.
#[derive(Debug, Clone, PartialEq)]
pub enum Explanation {
    /// It is there.
    There {
        /// What is decided on its family now, and why.
        decision: Decision,
        /// Ids of its family's events.
        family: Vec<String>,
    },
    /// It is not there.
    Away(Away),
}

/// What is known of an event that is in no segment.
#[derive(Debug, Clone, PartialEq)]
pub enum Away {
    /// A run took it out; it can be restored.
    Out {
        /// The run.
        run: Box<DispositionState>,
        /// Its id.
        id: String,
    },
    /// It was purged.
    Gone {
        /// The run.
        run: Box<DispositionState>,
        /// Its id.
        id: String,
        /// Its line in the run's list.
        line: Box<EventLine>,
    },
    /// It was never here, or was erased: an erasure's list holds no ids.
    Unknown,
}

/// An event of the archive, as far as explaining needs it.
#[derive(Debug, Clone)]
struct Seen {
    id: String,
    content: bool,
    time_us: i64,
    part: Part,
}

/// Explains an event of a snapshot, by what the ledger says now.
///
/// # Errors
/// The archive or the ledger cannot be read.
pub async fn explain(
    ledger: &Ledger,
    snapshot: &Snapshot,
    event_id: &str,
) -> Result<Explanation, DispositionError> {
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let wanted = event_id.to_lowercase();
    match find(archive, snapshot, &wanted).await? {
        Some(place) => there(archive, snapshot, &state, ledger.now_us(), &wanted, place).await,
        None => Ok(Explanation::Away(
            away(archive, snapshot, &state, &wanted).await?,
        )),
    }
}

/// What is known of an event that is not there; nothing for one that is. Judges nothing, and reads no more of the rows than their ids.
///
/// # Errors
/// The archive or the ledger cannot be read.
pub async fn explain_away(
    ledger: &Ledger,
    snapshot: &Snapshot,
    event_id: &str,
) -> Result<Option<Away>, DispositionError> {
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let wanted = event_id.to_lowercase();
    match find(archive, snapshot, &wanted).await? {
        Some(_) => Ok(None),
        None => away(archive, snapshot, &state, &wanted).await.map(Some),
    }
}

/// Where an event is that is in no segment: out, gone, or never here.
async fn away(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    wanted: &str,
) -> Result<Away, DispositionError> {
    for (_, out) in Out::all(archive, snapshot).await? {
        for kept in &out.segments {
            let segment = kept.segment();
            let found = row_of(archive, &segment, wanted).await?;
            if found.is_some_and(|(_, id)| u64::try_from(id).is_ok_and(|id| out.rows.contains(id)))
                && let Some(run) = state.dispositions.get(&out.run)
            {
                return Ok(Away::Out {
                    run: Box::new(run.clone()),
                    id: out.run,
                });
            }
        }
    }
    for (id, run) in state
        .dispositions
        .iter()
        .filter(|(_, run)| run.purged.is_some())
    {
        let lines = read_list(archive, id).await?.unwrap_or_default();
        if let Some(line) = lines
            .into_iter()
            .find(|line| line.id.as_deref() == Some(wanted))
        {
            return Ok(Away::Gone {
                run: Box::new(run.clone()),
                id: id.clone(),
                line: Box::new(line),
            });
        }
    }
    Ok(Away::Unknown)
}

type Place = (Arc<Segment>, u32);

async fn find(
    archive: &Archive,
    snapshot: &Snapshot,
    id: &str,
) -> Result<Option<Place>, PlanError> {
    for segment in snapshot.segments().await?.iter() {
        if let Some((row, _)) = row_of(archive, segment, id).await? {
            return Ok(Some((Arc::clone(segment), row)));
        }
    }
    Ok(None)
}

/// Row number and row id of an event in a segment.
async fn row_of(
    archive: &Archive,
    segment: &Segment,
    id: &str,
) -> Result<Option<(u32, i64)>, PlanError> {
    let mut batches = crate::plan::open_rows(archive, segment, &[name::EVENT_ID]).await?;
    let mut first = 0u32;
    while let Some(batch) = batches.try_next().await? {
        let rows = view(segment, &batch)?;
        let ids = crate::plan::row_ids_of(segment, &batch)?;
        if let Some(place) = (0..rows.len()).find(|place| rows.event(*place).id == id) {
            return Ok(Some((first + place as u32, ids[place])));
        }
        first += batch.num_rows() as u32;
    }
    Ok(None)
}

async fn there(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    now_us: i64,
    id: &str,
    place: Place,
) -> Result<Explanation, DispositionError> {
    let basis = Arc::new(
        crate::plan::current(archive, snapshot, state, now_us)
            .await?
            .basis,
    );
    let family = family(archive, snapshot, &basis, id).await?;
    let newest = |content: bool| {
        family
            .iter()
            .filter(|seen| seen.content || !content)
            .map(|seen| seen.time_us)
            .max()
    };
    let facts = Facts {
        life_from_us: newest(true).or_else(|| newest(false)).unwrap_or(i64::MAX),
        parts: family.iter().map(|seen| seen.part.clone()).collect(),
        explains_what_stays: false,
    };
    let grace_us = now_us.saturating_sub(basis.ingested_before_us);
    let judge = |facts: &Facts| {
        decide(
            facts,
            &basis.rules,
            &basis.cutoffs,
            basis.ingested_before_us,
            grace_us,
        )
    };
    let mut decision = judge(&facts);
    if matches!(decision.verdict, Verdict::Goes { .. }) {
        // What the rules let go may still explain something that stays: the plan knows.
        let plan = crate::plan::make(archive, snapshot, &basis).await?;
        let goes =
            |plan: &SegmentPlan| plan.segment.path == place.0.path && plan.rows.contains(place.1);
        if !plan.segments.iter().any(goes) {
            decision = judge(&Facts {
                explains_what_stays: true,
                ..facts
            });
        }
    }
    Ok(Explanation::There {
        decision,
        family: family.into_iter().map(|seen| seen.id).collect(),
    })
}

/// Every event of the family of one.
async fn family(
    archive: &Archive,
    snapshot: &Snapshot,
    basis: &Arc<Basis>,
    id: &str,
) -> Result<Vec<Seen>, PlanError> {
    let mut holds = basis.holds.clone();
    let mut all: Vec<Seen> = Vec::new();
    let mut keys: Vec<u64> = Vec::new();
    // A file may join messages: until no key is new, everything is looked at again.
    loop {
        let before = (keys.len(), all.len());
        for segment in snapshot.segments().await?.iter() {
            let mut batches = open_every(archive, segment).await?;
            while let Some(batch) = batches.try_next().await? {
                let rows = view(segment, &batch)?;
                for row in (0..rows.len()).map(|place| rows.row(place)) {
                    let of = keys_of(&row.event);
                    let belongs = row.event.id == id || of.iter().any(|key| keys.contains(key));
                    if belongs && all.iter().all(|seen| seen.id != row.event.id) {
                        keys.extend(of.iter().copied());
                        all.push(seen(&row, basis, &mut holds)?);
                    }
                }
            }
        }
        if (keys.len(), all.len()) == before || keys.is_empty() {
            return Ok(all);
        }
    }
}

fn seen(
    row: &holdfast_schemas::Row<'_>,
    basis: &Basis,
    holds: &mut [Hold],
) -> Result<Seen, PlanError> {
    let mut applies: Mask = 0;
    for (place, rule) in basis.rules.iter().enumerate() {
        if rule_covers(rule, row)? {
            applies |= 1 << place;
        }
    }
    let covering = holds
        .iter_mut()
        .filter_map(|hold| hold.covers(row).then(|| hold.name.clone()));
    let part = Part {
        event_id: row.event.id.to_string(),
        ingest_time_us: row.intake.ingest_time_us,
        applies,
        holds: covering.collect(),
    };
    Ok(Seen {
        id: row.event.id.to_string(),
        content: matches!(
            class_of(&row.event.event_type),
            Class::Message { content: true }
        ),
        time_us: row.event.time_us,
        part,
    })
}

fn view<'b>(
    segment: &Segment,
    batch: &'b arrow::array::RecordBatch,
) -> Result<Rows<'b>, PlanError> {
    Rows::new(batch).map_err(|error| PlanError::Segment {
        segment: segment.path.clone(),
        problem: error.to_string(),
    })
}
