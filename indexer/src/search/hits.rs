//! Hits of many segments as one stream in (event_time, event_id) order.
//!
//! A segment's rows already stand in that order, so segments are merged as they are read. Memory holds, for each segment
//! whose hits the merge has reached, one batch of rows; segments are opened when the merge reaches their first hit, and
//! the batches are smaller the more segments there are.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, ArchiveError, Segment};
use holdfast_schemas::columns::{Rows, name, segment_schema};
use roaring::RoaringBitmap;

use super::coverage::Coverage;
use super::status::{Changes, Status};
use crate::error::SearchError;

/// Rows of a batch that [`Hits::next`] returns, at most.
pub const HIT_BATCH_ROWS_MAX: usize = 1024;
/// Rows held by all segments that are being merged, about.
const ROWS_HELD: usize = 64 * 1024;
/// A batch of fewer rows than this costs more to read than it saves.
const READ_ROWS_MIN: usize = 64;

/// Some hits, in order.
#[derive(Debug, Clone)]
pub struct HitBatch {
    /// Their rows, with the columns of `holdfast_schemas::columns::segment_schema()`.
    pub rows: RecordBatch,
    /// The standing of each.
    pub status: Vec<Status>,
}

/// The result of a search: what it covers, how many events it found, and the events.
pub struct Hits {
    coverage: Coverage,
    total: u64,
    left: u64,
    merge: Merge,
    changes: Arc<Changes>,
}

impl std::fmt::Debug for Hits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hits")
            .field("total", &self.total)
            .field("coverage", &self.coverage)
            .finish_non_exhaustive()
    }
}

impl Hits {
    pub(super) fn new(
        coverage: Coverage,
        limit: Option<usize>,
        merge: Merge,
        changes: Arc<Changes>,
    ) -> Self {
        let total = merge.total();
        let left = limit.map_or(total, |limit| total.min(limit as u64));
        Self {
            coverage,
            total,
            left,
            merge,
            changes,
        }
    }

    /// What was searched.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Events found, whatever the limit.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Events that are still to come.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.left
    }

    /// The next hits, or nothing when all were returned.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn next(&mut self) -> Result<Option<HitBatch>, SearchError> {
        let want = usize::try_from(self.left)
            .unwrap_or(usize::MAX)
            .min(HIT_BATCH_ROWS_MAX);
        if want == 0 {
            return Ok(None);
        }
        let Some(rows) = self.merge.next(want).await? else {
            // Fewer than were counted: what is missing must not look like the end.
            let missing = std::mem::take(&mut self.left);
            return Err(SearchError::Ended { missing });
        };
        self.left -= rows.num_rows() as u64;
        let view = Rows::new(&rows)?;
        let status = (0..view.len())
            .map(|row| self.changes.status(&view.event(row)))
            .collect();
        Ok(Some(HitBatch { rows, status }))
    }
}

/// Rows of one segment that the merge has to return.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) segment: Arc<Segment>,
    pub(super) rows: RoaringBitmap,
    /// No hit of it is earlier, UTC microseconds.
    pub(super) from_us: i64,
}

/// One of the merged segments, being read.
struct Lane {
    batches: BoxStream<'static, Result<RecordBatch, ArchiveError>>,
    /// Index of its current batch among the held ones.
    batch: usize,
    row: usize,
}

/// Key of a lane's next row. Ties cannot be, short of one event archived twice.
type Key = Reverse<(i64, String, usize)>;

/// The merge of segments' rows.
pub(super) struct Merge {
    archive: Archive,
    /// Not opened yet, the earliest last.
    waiting: Vec<Found>,
    lanes: Vec<Option<Lane>>,
    heap: BinaryHeap<Key>,
    /// Batches that the next result may be cut from.
    held: Vec<RecordBatch>,
    total: u64,
    read_rows: usize,
    schema: SchemaRef,
}

impl Merge {
    pub(super) fn new(archive: Archive, mut found: Vec<Found>, limit: Option<usize>) -> Self {
        found.retain(|found| !found.rows.is_empty());
        found.sort_by_key(|found| Reverse(found.from_us));
        let share = ROWS_HELD / found.len().max(1);
        let wanted = limit.unwrap_or(usize::MAX).max(READ_ROWS_MIN);
        Self {
            archive,
            total: found.iter().map(|found| found.rows.len()).sum(),
            lanes: Vec::with_capacity(found.len()),
            waiting: found,
            heap: BinaryHeap::new(),
            held: Vec::new(),
            read_rows: share
                .clamp(READ_ROWS_MIN, 8 * HIT_BATCH_ROWS_MAX)
                .min(wanted),
            schema: segment_schema(),
        }
    }

    fn total(&self) -> u64 {
        self.total
    }

    /// At most `want` rows, in order.
    async fn next(&mut self, want: usize) -> Result<Option<RecordBatch>, SearchError> {
        self.forget_used();
        let mut indices: Vec<(usize, usize)> = Vec::with_capacity(want);
        while indices.len() < want {
            self.open_reached().await?;
            let Some(Reverse((_, _, at))) = self.heap.pop() else {
                break;
            };
            let until = self
                .heap
                .peek()
                .map(|Reverse((time, id, _))| (*time, id.as_str()));
            let Some(lane) = self.lanes[at].as_mut() else {
                continue;
            };
            let batch = &self.held[lane.batch];
            let keys = Keys::of(batch)?;
            let waiting_us = self.waiting.last().map(|found| found.from_us);
            loop {
                indices.push((lane.batch, lane.row));
                lane.row += 1;
                if indices.len() == want || lane.row == batch.num_rows() {
                    break;
                }
                let key = keys.at(lane.row);
                if until.is_some_and(|until| key >= until)
                    || waiting_us.is_some_and(|waiting| key.0 >= waiting)
                {
                    break;
                }
            }
            self.requeue(at).await?;
        }
        if indices.is_empty() {
            return Ok(None);
        }
        self.cut(&indices).map(Some)
    }

    /// Opens every segment whose hits may come before the earliest one at hand.
    async fn open_reached(&mut self) -> Result<(), SearchError> {
        loop {
            let reached = match (self.heap.peek(), self.waiting.last()) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(Reverse((time, _, _))), Some(next)) => next.from_us <= *time,
            };
            if !reached {
                return Ok(());
            }
            let Some(found) = self.waiting.pop() else {
                return Ok(());
            };
            let reader = SegmentReader::open(&self.archive, &found.segment).await?;
            let rows: Vec<u32> = if found.rows.len() == found.segment.rows {
                Vec::new()
            } else {
                found.rows.iter().collect()
            };
            let options = ReadOptions {
                rows: Some(rows.as_slice()).filter(|rows| !rows.is_empty()),
                batch_rows: self.read_rows.min(found.rows.len() as usize).max(1),
                ..ReadOptions::default()
            };
            let batches = reader.read(&options)?;
            self.lanes.push(Some(Lane {
                batches,
                batch: usize::MAX,
                row: 0,
            }));
            self.requeue(self.lanes.len() - 1).await?;
        }
    }

    /// Puts a lane's next row into the heap, reading on where its batch ends.
    async fn requeue(&mut self, at: usize) -> Result<(), SearchError> {
        let Some(lane) = self.lanes.get_mut(at).and_then(Option::as_mut) else {
            return Ok(());
        };
        while self
            .held
            .get(lane.batch)
            .is_none_or(|batch| lane.row >= batch.num_rows())
        {
            let Some(batch) = lane.batches.try_next().await? else {
                self.lanes[at] = None;
                return Ok(());
            };
            lane.batch = self.held.len();
            lane.row = 0;
            self.held.push(project(&batch, &self.schema)?);
        }
        let (time, id) = Keys::of(&self.held[lane.batch])?.at(lane.row);
        self.heap.push(Reverse((time, id.to_owned(), at)));
        Ok(())
    }

    /// Lets go of batches that no lane stands in.
    fn forget_used(&mut self) {
        let mut kept = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes.iter_mut().flatten() {
            if let Some(batch) = self.held.get(lane.batch) {
                kept.push(batch.clone());
                lane.batch = kept.len() - 1;
            }
        }
        self.held = kept;
    }

    fn cut(&self, indices: &[(usize, usize)]) -> Result<RecordBatch, SearchError> {
        let (first, last) = (indices[0], indices[indices.len() - 1]);
        // Rows ascend within a lane, so one batch from end to end is a slice.
        if first.0 == last.0
            && last.1 - first.1 + 1 == indices.len()
            && indices.iter().all(|at| at.0 == first.0)
        {
            return Ok(self.held[first.0].slice(first.1, indices.len()));
        }
        let batches: Vec<&RecordBatch> = self.held.iter().collect();
        Ok(interleave_record_batch(&batches, indices)?)
    }
}

/// The sort key's columns.
struct Keys<'a> {
    times: &'a TimestampMicrosecondArray,
    ids: &'a StringArray,
}

impl<'a> Keys<'a> {
    fn of(batch: &'a RecordBatch) -> Result<Self, SearchError> {
        let missing = |column: &str| ArrowError::SchemaError(format!("no column {column}"));
        let times = batch
            .column_by_name(name::EVENT_TIME)
            .and_then(|array| array.as_primitive_opt::<TimestampMicrosecondType>());
        let ids = batch
            .column_by_name(name::EVENT_ID)
            .and_then(|array| array.as_string_opt::<i32>());
        Ok(Self {
            times: times.ok_or_else(|| missing(name::EVENT_TIME))?,
            ids: ids.ok_or_else(|| missing(name::EVENT_ID))?,
        })
    }

    fn at(&self, row: usize) -> (i64, &'a str) {
        (self.times.value(row), self.ids.value(row))
    }
}

/// The columns of the contract: files may hold more (row ids that were carried), and not the same ones.
fn project(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SearchError> {
    if batch.schema_ref().fields() == schema.fields() {
        return Ok(batch.clone());
    }
    let columns = schema
        .fields()
        .iter()
        .map(|field| {
            let column = batch.column_by_name(field.name()).cloned();
            column.ok_or_else(|| ArrowError::SchemaError(format!("no column {}", field.name())))
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
