//! New, duplicate, conflict or disposed of: what becomes of each row.
//!
//! | its sequence is | and the event found there has | verdict |
//! |---|---|---|
//! | in no set | | new |
//! | in its origin's set, or in a batch open or in flight | the same id | duplicate: dropped |
//! | | another id | conflict: quarantined |
//! | | found nowhere | disposed of, and it stays so: dropped |
//!
//! A chunk whose sequences are all in no set costs one comparison of bitmaps an origin; rows are looked at one by one only where sets meet.

use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow::compute::filter_record_batch;
use holdfast_schemas::columns::name;
use holdfast_schemas::quarantine::{IDENTITIES, quarantined_as};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use uuid::Uuid;

use super::decode::RecordBytes;
use super::lookup::take_from;
use super::rows::{AttachmentRef, Collector, OriginRows, Rows};
use crate::error::IngestError;

/// Sequences that are archived or on their way, by origin.
pub(super) type Known = FxHashMap<Arc<str>, RoaringTreemap>;

/// Finds the ids of events by origin and sequence, among rows on their way and in the archive.
pub(super) trait FindIds {
    /// Ids of those sequences that are found; the others were disposed of.
    ///
    /// # Errors
    /// The archive cannot be read.
    fn find(
        &mut self,
        origin: &str,
        sequences: &RoaringTreemap,
    ) -> Result<FxHashMap<u64, Uuid>, IngestError>;
    /// Every sequence ever archived from an origin.
    ///
    /// # Errors
    /// The archive cannot be read.
    fn archived(&mut self, origin: &str) -> Result<RoaringTreemap, IngestError>;
}

/// What became of a chunk's rows.
#[derive(Debug, Default)]
pub struct Verdict {
    /// The rows to archive; the second set are conflicts among the first's, quarantined.
    pub kept: Vec<Rows>,
    /// Rows dropped as archived already, disposed ones included.
    pub duplicates: u64,
    /// Of these, rows that were disposed of.
    pub disposed: u64,
    /// Rows quarantined because another event has their sequence.
    pub conflicts: u64,
}

/// Judges a chunk's rows, and notes the new ones as known.
///
/// # Errors
/// The archive cannot be read.
pub(super) fn judge(
    rows: Rows,
    records: &RecordBytes,
    ingest_time_us: i64,
    known: &mut Known,
    ids: &mut dyn FindIds,
) -> Result<Verdict, IngestError> {
    let mut verdict = Verdict::default();
    let conflicts = sift(rows, known, ids, &mut verdict)?;
    if conflicts.is_empty() {
        return Ok(verdict);
    }
    verdict.conflicts = conflicts.len() as u64;
    let (mut left, mut scratch) = (conflicts, Vec::new());
    for nth in 0..IDENTITIES {
        let mut collector = Collector::new(left.len());
        for Conflict { row, reason } in &left {
            let (raw, position) = records.of_row(*row);
            let intake = records.intake(*row, ingest_time_us);
            let row = quarantined_as(nth, raw, reason, &position, intake);
            collector.add_quarantined(&row, &mut scratch);
        }
        // A conflict that was quarantined before is a duplicate now. Where another row has its sequence the record gets its next
        // identity, the same one each time it is read; rows kept of this chunk count, though they are in no batch yet.
        let mut with_kept = WithKept {
            kept: verdict.kept.iter().map(|rows| rows.batch.clone()).collect(),
            ids: &mut *ids,
        };
        let again = sift(collector.finish()?, known, &mut with_kept, &mut verdict)?;
        left = again
            .into_iter()
            .filter_map(|again| {
                let Conflict { row, reason } = left.get(again.row)?;
                Some(Conflict {
                    row: *row,
                    reason: reason.clone(),
                })
            })
            .collect();
        if left.is_empty() {
            return Ok(verdict);
        }
    }
    Err(IngestError::Machine {
        what: "quarantining a record",
        problem: format!(
            "{} records find all their {IDENTITIES} identities taken; the first: {}",
            left.len(),
            left.first().map_or("", |conflict| &conflict.reason)
        ),
    })
}

/// Ids of a chunk's rows that are kept already, and all others.
struct WithKept<'a> {
    kept: Vec<RecordBatch>,
    ids: &'a mut dyn FindIds,
}

impl FindIds for WithKept<'_> {
    fn find(
        &mut self,
        origin: &str,
        sequences: &RoaringTreemap,
    ) -> Result<FxHashMap<u64, Uuid>, IngestError> {
        let (mut left, mut found) = (sequences.clone(), FxHashMap::default());
        for batch in &self.kept {
            take_from(batch, origin, &mut left, &mut found)?;
        }
        if !left.is_empty() {
            found.extend(self.ids.find(origin, &left)?);
        }
        Ok(found)
    }

    fn archived(&mut self, origin: &str) -> Result<RoaringTreemap, IngestError> {
        self.ids.archived(origin)
    }
}

/// A row whose sequence belongs to another event.
struct Conflict {
    row: usize,
    reason: String,
}

/// Keeps the new rows, counts the dropped ones, returns the conflicts.
fn sift(
    rows: Rows,
    known: &mut Known,
    ids: &mut dyn FindIds,
    verdict: &mut Verdict,
) -> Result<Vec<Conflict>, IngestError> {
    let mut dropped: Vec<u32> = Vec::new();
    let mut conflicts = Vec::new();
    for origin in &rows.origins {
        let known = match known.get_mut(&origin.origin) {
            Some(known) => known,
            None => known
                .entry(Arc::clone(&origin.origin))
                .or_insert(ids.archived(&origin.origin)?),
        };
        if !origin.distinct || !known.is_disjoint(&origin.sequences) {
            examine(
                &rows.batch,
                origin,
                known,
                ids,
                verdict,
                &mut dropped,
                &mut conflicts,
            )?;
        }
        *known |= &origin.sequences;
    }
    if dropped.is_empty() && conflicts.is_empty() {
        if !rows.hashes.is_empty() {
            verdict.kept.push(rows);
        }
        return Ok(conflicts);
    }
    verdict.duplicates += dropped.len() as u64;
    let mut keep = vec![true; rows.hashes.len()];
    for row in dropped
        .iter()
        .map(|row| *row as usize)
        .chain(conflicts.iter().map(|conflict| conflict.row))
    {
        keep[row] = false;
    }
    if keep.contains(&true) {
        verdict.kept.push(retain(&rows, &keep)?);
    }
    Ok(conflicts)
}

/// Looks at an origin's rows one by one.
fn examine(
    batch: &RecordBatch,
    origin: &OriginRows,
    known: &RoaringTreemap,
    ids: &mut dyn FindIds,
    verdict: &mut Verdict,
    dropped: &mut Vec<u32>,
    conflicts: &mut Vec<Conflict>,
) -> Result<(), IngestError> {
    let columns = IdColumns::new(batch)?;
    let suspects = known & &origin.sequences;
    let found = if suspects.is_empty() {
        FxHashMap::default()
    } else {
        ids.find(&origin.origin, &suspects)?
    };
    let mut here: FxHashMap<u64, Uuid> = FxHashMap::default();
    for row in origin.rows.iter().cloned().flatten() {
        let (sequence, id) = (columns.sequence(row as usize), columns.id(row as usize)?);
        let earlier = if suspects.contains(sequence) {
            found.get(&sequence).copied()
        } else if origin.distinct {
            continue;
        } else {
            match here.entry(sequence) {
                std::collections::hash_map::Entry::Vacant(place) => {
                    place.insert(id);
                    continue;
                }
                std::collections::hash_map::Entry::Occupied(earlier) => Some(*earlier.get()),
            }
        };
        match earlier {
            None => {
                verdict.disposed += 1;
                dropped.push(row);
            }
            Some(earlier) if earlier == id => dropped.push(row),
            Some(earlier) => conflicts.push(Conflict {
                row: row as usize,
                reason: format!("sequence {sequence} of origin {} belongs to event {earlier}, this record says {id}", origin.origin),
            }),
        }
    }
    Ok(())
}

/// The columns by which rows are told apart.
#[derive(Debug)]
pub(super) struct IdColumns<'a> {
    ids: &'a StringArray,
    origins: &'a StringArray,
    sequences: &'a Int64Array,
}

impl<'a> IdColumns<'a> {
    /// Names of the columns.
    pub(super) const NAMES: [&'static str; 3] = [name::EVENT_ID, name::ORIGIN, name::ORIGIN_SEQ];

    /// Takes them from a batch.
    ///
    /// # Errors
    /// One is missing or of another type.
    pub(super) fn new(batch: &'a RecordBatch) -> Result<Self, IngestError> {
        let columns = || {
            Some(Self {
                ids: batch
                    .column_by_name(name::EVENT_ID)?
                    .as_any()
                    .downcast_ref()?,
                origins: batch
                    .column_by_name(name::ORIGIN)?
                    .as_any()
                    .downcast_ref()?,
                sequences: batch
                    .column_by_name(name::ORIGIN_SEQ)?
                    .as_any()
                    .downcast_ref()?,
            })
        };
        columns().ok_or_else(|| IngestError::Arrow {
            operation: "reading ids",
            source: arrow::error::ArrowError::SchemaError(
                "event_id, origin or origin_seq is not as the contract says".into(),
            ),
        })
    }

    /// A row's origin.
    #[must_use]
    pub(super) fn origin(&self, row: usize) -> &'a str {
        self.origins.value(row)
    }

    /// A row's sequence.
    #[must_use]
    pub(super) fn sequence(&self, row: usize) -> u64 {
        self.sequences.value(row).cast_unsigned()
    }

    /// A row's id.
    ///
    /// # Errors
    /// It is no UUID, which the contract demands.
    pub(super) fn id(&self, row: usize) -> Result<Uuid, IngestError> {
        Uuid::try_parse(self.ids.value(row)).map_err(|error| IngestError::Machine {
            what: "reading an event's id",
            problem: format!("{:?}: {error}", self.ids.value(row)),
        })
    }

    /// Number of rows.
    #[must_use]
    pub(super) fn rows(&self) -> usize {
        self.sequences.len()
    }
}

/// The rows that are marked, with their hashes and sequences.
///
/// # Errors
/// Arrow refuses.
pub(super) fn retain(rows: &Rows, keep: &[bool]) -> Result<Rows, IngestError> {
    let batch =
        filter_record_batch(&rows.batch, &BooleanArray::from(keep.to_vec())).map_err(|source| {
            IngestError::Arrow {
                operation: "dropping duplicates",
                source,
            }
        })?;
    let hashes = rows
        .hashes
        .iter()
        .zip(keep)
        .filter(|(_, keep)| **keep)
        .map(|(hash, _)| *hash)
        .collect();
    let columns = IdColumns::new(&rows.batch)?;
    let mut place = vec![0_u32; keep.len()];
    let mut next = 0;
    for (place, keep) in place.iter_mut().zip(keep) {
        *place = next;
        next += u32::from(*keep);
    }
    let mut origins = Vec::with_capacity(rows.origins.len());
    let quarantined = rows
        .quarantined
        .iter()
        .filter(|row| keep[**row as usize])
        .map(|row| place[*row as usize])
        .collect();
    for origin in &rows.origins {
        let kept = || {
            origin
                .rows
                .iter()
                .cloned()
                .flatten()
                .filter(|row| keep[*row as usize])
        };
        let sequences: RoaringTreemap = kept().map(|row| columns.sequence(row as usize)).collect();
        let numbers: Vec<_> = kept().map(|row| place[row as usize]).collect();
        if numbers.is_empty() {
            continue;
        }
        let rows = numbers.iter().map(|row| *row..*row + 1).collect();
        origins.push(OriginRows {
            origin: Arc::clone(&origin.origin),
            sequences,
            distinct: true,
            rows,
        });
    }
    let attachments = rows
        .attachments
        .iter()
        .filter(|attachment| keep[attachment.row as usize])
        .map(|attachment| AttachmentRef {
            row: place[attachment.row as usize],
            ..attachment.clone()
        })
        .collect();
    Ok(Rows {
        batch,
        hashes,
        origins,
        quarantined,
        attachments,
    })
}

#[cfg(test)]
mod tests;
