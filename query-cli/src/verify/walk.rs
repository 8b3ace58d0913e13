//! The one pass over the rows that a statement of completeness needs, and a second one for the neighbours of its gaps.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::event_type;
use holdfast_schemas::json::Json;
use roaring::RoaringTreemap;

use super::completeness::Asked;
use super::heartbeats::Beat;
use crate::failure::Failure;

/// What the rows tell.
#[derive(Debug, Default)]
pub struct Walked {
    pub(super) rooms: BTreeMap<String, Room>,
    /// When each origin's newest event was archived.
    pub(super) newest: BTreeMap<String, i64>,
    /// Heartbeats, by origin.
    pub beats: BTreeMap<String, Vec<Beat>>,
    /// Times of the neighbours of gaps: (is a room, name, number).
    pub(super) edges: BTreeMap<(bool, String, u64), i64>,
}

#[derive(Debug, Default)]
pub(super) struct Room {
    /// Its name, and when it had it.
    pub(super) name: (i64, String),
    pub(super) places: RoaringTreemap,
    pub(super) duplicates: u64,
    pub(super) newest_us: Option<i64>,
    /// Whether something of it is asked about.
    asked: bool,
}

const COLUMNS: &[&str] = &[
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::INGEST_TIME,
    name::ORIGIN,
    name::ORIGIN_SEQ,
    name::ROOM_ID,
    name::ROOM_NAME,
    name::ROOM_SEQ,
];

/// Walks the rows once.
///
/// # Errors
/// A segment cannot be read.
pub async fn walk(
    archive: &Archive,
    segments: &[Arc<Segment>],
    asked: &Asked,
) -> Result<Walked, Failure> {
    let mut walked = Walked::default();
    for segment in segments {
        let mut beats: Vec<u32> = Vec::new();
        let mut first = 0u32;
        let mut batches = open(archive, segment, COLUMNS, None).await?;
        while let Some(batch) = batches.try_next().await? {
            let columns = Columns::of(&batch, segment)?;
            for row in 0..batch.num_rows() {
                if columns.event_type.value(row) == event_type::ORIGIN_HEARTBEAT {
                    beats.push(first + u32::try_from(row).unwrap_or(u32::MAX));
                }
                walked.row(&columns, row, asked);
            }
            first += u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        }
        if beats.is_empty() {
            continue;
        }
        let wanted = [
            name::ORIGIN,
            name::ORIGIN_SEQ,
            name::EXTRA,
            name::EVENT_TYPE,
        ];
        let mut batches = open(archive, segment, &wanted, Some(&beats)).await?;
        while let Some(batch) = batches.try_next().await? {
            walked.heartbeats(&batch, segment)?;
        }
    }
    walked.rooms.retain(|_, room| room.asked);
    Ok(walked)
}

/// The columns of a batch.
struct Columns<'b> {
    event_type: &'b arrow::array::StringArray,
    time: &'b arrow::array::TimestampMicrosecondArray,
    ingest: &'b arrow::array::TimestampMicrosecondArray,
    origin: &'b arrow::array::StringArray,
    sequence: &'b arrow::array::Int64Array,
    room: &'b arrow::array::StringArray,
    room_name: &'b arrow::array::StringArray,
    room_seq: &'b arrow::array::Int64Array,
}

impl<'b> Columns<'b> {
    fn of(batch: &'b RecordBatch, segment: &Segment) -> Result<Self, Failure> {
        let text = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_string_opt::<i32>())
        };
        let time = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
        };
        let number = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt::<Int64Type>())
        };
        let columns = || {
            Some(Self {
                event_type: text(name::EVENT_TYPE)?,
                time: time(name::EVENT_TIME)?,
                ingest: time(name::INGEST_TIME)?,
                origin: text(name::ORIGIN)?,
                sequence: number(name::ORIGIN_SEQ)?,
                room: text(name::ROOM_ID)?,
                room_name: text(name::ROOM_NAME)?,
                room_seq: number(name::ROOM_SEQ)?,
            })
        };
        columns().ok_or_else(|| Failure::Damaged {
            place: segment.path.clone(),
            message: "its columns have other types".to_owned(),
        })
    }
}

impl Walked {
    fn row(&mut self, columns: &Columns<'_>, row: usize, asked: &Asked) {
        let (origin, ingest_us) = (columns.origin.value(row), columns.ingest.value(row));
        match self.newest.get_mut(origin) {
            Some(newest) => *newest = (*newest).max(ingest_us),
            None => {
                self.newest.insert(origin.to_owned(), ingest_us);
            }
        }
        if columns.room.is_null(row) {
            return;
        }
        let (room, time_us) = (columns.room.value(row), columns.time.value(row));
        if !self.rooms.contains_key(room) {
            self.rooms.insert(room.to_owned(), Room::default());
        }
        let Some(known) = self.rooms.get_mut(room) else {
            return;
        };
        if !columns.room_name.is_null(row) && time_us >= known.name.0 {
            known.name = (time_us, columns.room_name.value(row).to_owned());
        }
        known.asked |= asked.has(room, time_us, time_us);
        known.newest_us = known.newest_us.max(Some(time_us));
        let message = columns.event_type.value(row) == event_type::MESSAGE_POSTED;
        if let (false, Ok(seq)) = (
            columns.room_seq.is_null(row),
            u64::try_from(columns.room_seq.value(row)),
        ) {
            let new = known.places.insert(seq);
            known.duplicates += u64::from(message && !new);
        }
    }

    fn heartbeats(&mut self, batch: &RecordBatch, segment: &Segment) -> Result<(), Failure> {
        let rows = Rows::new(batch).map_err(|error| Failure::Damaged {
            place: segment.path.clone(),
            message: error.to_string(),
        })?;
        for event in (0..rows.len()).map(|row| rows.event(row)) {
            let extra = event
                .extra
                .as_deref()
                .and_then(|extra| Json::parse(extra).ok());
            if let Some(beat) = extra.as_ref().and_then(|extra| beat(event.sequence, extra)) {
                self.beats
                    .entry(event.origin.to_string())
                    .or_default()
                    .push(beat);
            }
        }
        Ok(())
    }
}

/// What a heartbeat says; nothing when it says nothing that can be compared.
fn beat(sequence: u64, extra: &Json) -> Option<Beat> {
    let data = extra.get("data")?;
    let through = match data.get("through")? {
        Json::Number(digits) | Json::String(digits) => digits.parse().ok()?,
        _ => return None,
    };
    let Json::String(digest) = data.get("digest")? else {
        return None;
    };
    let digest = hex::decode(digest.as_bytes()).ok()?.try_into().ok()?;
    Some(Beat {
        sequence,
        through,
        digest,
    })
}

/// When the neighbours of gaps happened.
pub(super) async fn edges(
    archive: &Archive,
    segments: &[Arc<Segment>],
    wanted: &BTreeSet<(bool, String, u64)>,
    walked: &mut Walked,
) -> Result<(), Failure> {
    for segment in segments {
        let mut batches = open(archive, segment, COLUMNS, None).await?;
        while let Some(batch) = batches.try_next().await? {
            let columns = Columns::of(&batch, segment)?;
            for row in 0..batch.num_rows() {
                let mut note = |room: bool, name: &str, number: i64| {
                    let key = (room, name.to_owned(), u64::try_from(number).unwrap_or(0));
                    if wanted.contains(&key) {
                        walked.edges.insert(key, columns.time.value(row));
                    }
                };
                note(
                    false,
                    columns.origin.value(row),
                    columns.sequence.value(row),
                );
                if !columns.room.is_null(row) && !columns.room_seq.is_null(row) {
                    note(true, columns.room.value(row), columns.room_seq.value(row));
                }
            }
        }
    }
    Ok(())
}

async fn open(
    archive: &Archive,
    segment: &Segment,
    columns: &[&str],
    rows: Option<&[u32]>,
) -> Result<
    futures::stream::BoxStream<'static, Result<RecordBatch, holdfast_archive::ArchiveError>>,
    Failure,
> {
    let reader = SegmentReader::open(archive, segment).await?;
    Ok(reader.read(&ReadOptions {
        columns: Some(columns),
        rows,
        ..ReadOptions::default()
    })?)
}
