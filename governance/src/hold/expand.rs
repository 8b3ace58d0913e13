//! What custodians could see: told anew from the membership events at every disposition, never from an index.
//!
//! It may grow, never shrink: what was found before is in the ledger (`hold.expand`) and stays. Membership is read from
//! what lies in the table and from what a run took out and could still put back.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment};
use holdfast_indexer::participants::{Follower, merged};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::event_type;
use holdfast_schemas::json::Json;
use holdfast_schemas::ledger::hold::{HoldExpand, HoldScope, SeenRoom};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};

use super::HoldError;
use crate::plan::{PlanError, open_rows, open_some};
use crate::policy::folded;

/// Columns that tell who belonged where when.
const COLUMNS: &[&str] = &[
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::ROOM_SEQ,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
    name::EXTRA,
];

/// The membership events of some segments.
#[derive(Debug, Default)]
pub struct Memberships {
    batches: Vec<RecordBatch>,
}

impl Memberships {
    /// Reads them.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn read(archive: &Archive, segments: &[Segment]) -> Result<Self, PlanError> {
        let mut wanted: BTreeSet<&str> = Follower::types().into_iter().collect();
        wanted.insert(event_type::HISTORY_VIEWED);
        let mut batches = Vec::new();
        for segment in segments {
            let mut rows = Vec::new();
            let mut first = 0u32;
            let mut types = open_rows(archive, segment, &[name::EVENT_TYPE]).await?;
            while let Some(batch) = types.try_next().await? {
                let view = view(&batch, segment)?;
                rows.extend(
                    (0..view.len())
                        .zip(first..)
                        .filter(|(place, _)| wanted.contains(&*view.event(*place).event_type))
                        .map(|(_, row)| row),
                );
                first += batch.num_rows() as u32;
            }
            if !rows.is_empty() {
                let found: Vec<RecordBatch> = open_some(archive, segment, COLUMNS, &rows)
                    .await?
                    .try_collect()
                    .await?;
                batches.extend(found);
            }
        }
        Ok(Self { batches })
    }

    /// What the custodians of a hold could see, and as whom they are known; nothing for a hold without custodians.
    /// `table_version`: the snapshot that was read.
    ///
    /// # Errors
    /// A segment cannot be read, or a custodian not be asked for.
    pub async fn expand(
        &self,
        archive: &Archive,
        segments: &[Segment],
        hold: &str,
        scope: &HoldScope,
        table_version: u64,
    ) -> Result<Option<HoldExpand>, PlanError> {
        if scope.custodians.is_empty() {
            return Ok(None);
        }
        let mut grown = scope.clone();
        let mut seen: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        let mut viewed: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
        for custodian in &mut grown.custodians {
            let better = custodian
                .identities
                .iter()
                .any(|one| one.kind != IdentityKind::Name);
            let known: Vec<String> = custodian
                .identities
                .iter()
                .filter(|one| !better || one.kind != IdentityKind::Name)
                .map(|one| one.value.clone())
                .collect();
            if known.is_empty() {
                continue;
            }
            let mut follower = Follower::new(&known).map_err(|error| HoldError {
                hold: hold.to_owned(),
                problem: format!("custodian {}: {error}", custodian.given),
            })?;
            self.learn(&mut follower)?;
            self.each(|row| {
                follower.note(row);
                if row.event_type == event_type::HISTORY_VIEWED && follower.is_author(row) {
                    viewed.extend_with(row);
                }
            })?;
            let mut names: BTreeSet<String> = custodian
                .identities
                .iter()
                .map(|one| folded(&one.value))
                .collect();
            for learned in follower.known() {
                if names.insert(learned.clone()) {
                    custodian.identities.push(identity(learned));
                }
            }
            for (room, spans) in follower.rooms() {
                seen.entry(room).or_default().extend(spans);
            }
        }
        for (room, spans) in times(archive, segments, &viewed).await? {
            seen.entry(room).or_default().extend(spans);
        }
        let open = |end: i64, none: i64| Some(end).filter(|end| *end != none);
        let seen = seen.into_iter().map(|(room, spans)| SeenRoom {
            room,
            spans_us: spans
                .into_iter()
                .map(|(from, to)| (open(from, i64::MIN), open(to, i64::MAX)))
                .collect(),
        });
        Ok(Some(HoldExpand {
            name: hold.to_owned(),
            table_version,
            scope: grown,
            seen: seen.collect(),
        }))
    }

    fn learn(&self, follower: &mut Follower) -> Result<(), PlanError> {
        loop {
            let before = follower.known().len();
            self.each(|event| follower.learn(event))?;
            if follower.known().len() == before {
                return Ok(());
            }
        }
    }

    fn each(&self, mut each: impl FnMut(&holdfast_schemas::Event<'_>)) -> Result<(), PlanError> {
        for batch in &self.batches {
            let rows = Rows::new(batch).map_err(|error| PlanError::Segment {
                segment: "membership events".to_owned(),
                problem: error.to_string(),
            })?;
            (0..rows.len()).for_each(|place| each(&rows.event(place)));
        }
        Ok(())
    }
}

/// Which parts of which rooms' history somebody read: by folded room id, sequences from and to.
trait Viewed {
    fn extend_with(&mut self, event: &holdfast_schemas::Event<'_>);
}

impl Viewed for BTreeMap<String, Vec<(i64, i64)>> {
    fn extend_with(&mut self, event: &holdfast_schemas::Event<'_>) {
        let Some(room) = event.room.id.as_deref() else {
            return;
        };
        let extra = event
            .extra
            .as_deref()
            .and_then(|extra| Json::parse(extra).ok());
        let data = extra.as_ref().and_then(|extra| extra.get("data"));
        let number = |name: &str| {
            data.and_then(|data| data.get(name)).and_then(|n| match n {
                Json::Number(digits) => digits.parse::<i64>().ok(),
                _ => None,
            })
        };
        // An end that was not written down is open: rather too much. So are ends written the other way round.
        let (from, to) = (
            number("from_seq").unwrap_or(i64::MIN),
            number("to_seq").unwrap_or(i64::MAX),
        );
        let span = (from.min(to), from.max(to));
        self.entry(folded(room)).or_default().push(span);
    }
}

/// When the events of such sequences happened.
async fn times(
    archive: &Archive,
    segments: &[Segment],
    viewed: &BTreeMap<String, Vec<(i64, i64)>>,
) -> Result<BTreeMap<String, Vec<(i64, i64)>>, PlanError> {
    if viewed.is_empty() {
        return Ok(BTreeMap::new());
    }
    // Somebody looks at a room's history a thousand times: what they saw is few spans.
    let viewed: BTreeMap<&str, Vec<(i64, i64)>> = viewed
        .iter()
        .map(|(room, spans)| (room.as_str(), merged(spans.clone())))
        .collect();
    let mut found: BTreeMap<(&str, usize), (i64, i64)> = BTreeMap::new();
    for segment in segments {
        let columns = [name::ROOM_ID, name::ROOM_SEQ, name::EVENT_TIME];
        let mut batches = open_rows(archive, segment, &columns).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = view(&batch, segment)?;
            for event in (0..view.len()).map(|place| view.event(place)) {
                let (Some(room), Some(seq)) =
                    (event.room.id.as_deref().map(folded), event.room_seq)
                else {
                    continue;
                };
                let Some((room, spans)) = viewed.get_key_value(room.as_str()) else {
                    continue;
                };
                // They ascend and do not touch: only the last one that begins before it can hold it.
                let begun = spans.partition_point(|(from, _)| *from <= seq);
                let Some(number) = begun.checked_sub(1).filter(|last| seq <= spans[*last].1) else {
                    continue;
                };
                let span = found
                    .entry((*room, number))
                    .or_insert((event.time_us, event.time_us));
                *span = (span.0.min(event.time_us), span.1.max(event.time_us));
            }
        }
    }
    let mut by_room: BTreeMap<String, Vec<(i64, i64)>> = BTreeMap::new();
    for ((room, _), span) in found {
        by_room.entry(room.to_owned()).or_default().push(span);
    }
    Ok(by_room)
}

fn view<'b>(batch: &'b RecordBatch, segment: &Segment) -> Result<Rows<'b>, PlanError> {
    Rows::new(batch).map_err(|error| PlanError::Segment {
        segment: segment.path.clone(),
        problem: error.to_string(),
    })
}

/// An id, URI or address that was learned.
fn identity(value: &str) -> Identity {
    let kind = match value {
        uri if uri.starts_with("sip:") || uri.contains("://") => IdentityKind::Uri,
        email if email.contains('@') => IdentityKind::Email,
        _ => IdentityKind::Id,
    };
    Identity {
        kind,
        value: value.to_owned(),
        from_us: None,
        until_us: None,
    }
}
