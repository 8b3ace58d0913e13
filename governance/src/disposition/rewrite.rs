//! Segments without the rows that go, and segments of the rows that come back: row ids and commit versions carried, the
//! split built beside the Parquet file.

use std::sync::Arc;

use arrow::array::{AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use arrow::error::ArrowError;
use futures::TryStreamExt;
use holdfast_archive::read::{COMMIT_VERSION, ROW_ID, ReadOptions, SegmentReader};
use holdfast_archive::segment::{self, CarriedRowIds, SegmentFooter};
use holdfast_archive::{Archive, ArchiveError, EncodedSegment, NewSegment, Segment, Snapshot};
use holdfast_indexer::build_split;
use holdfast_indexer::maintenance::ANALYZER_VERSION;
use holdfast_schemas::columns::{Rows, segment_schema};
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{EventHash, merkle};
use roaring::RoaringBitmap;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::DispositionError;

/// (origin, sequence, hash) of a row.
pub(crate) type Hashed = (Arc<str>, u64, EventHash);

/// A file that was put and waits for its commit.
pub(crate) struct Built {
    pub(crate) segment: NewSegment,
    pub(crate) root: EventHash,
    pub(crate) hashes: Vec<Hashed>,
}

/// Builds and puts a segment of some rows of another one; nothing when there are none. `keep`: the rows it holds.
pub(crate) async fn subset(
    archive: &Archive,
    snapshot: &Snapshot,
    from: &Segment,
    keep: &RoaringBitmap,
    commit_id: Uuid,
) -> Result<Option<Built>, DispositionError> {
    if keep.is_empty() {
        return Ok(None);
    }
    let reader = SegmentReader::open(archive, from).await?;
    let path = from.path.clone();
    let failed = move |source| DispositionError::Arrow {
        path: path.clone(),
        source,
    };
    let (keep, year, runtime) = (keep.clone(), from.event_year, Handle::current());
    let part = failed.clone();
    let gathered = tokio::task::spawn_blocking(move || {
        runtime.block_on(gather(&reader, &keep)).map(|read| {
            let (schema, kept) = read?;
            concat_batches(&schema, &kept)
        })
    });
    let all = gathered.await.map_err(task)??.map_err(part)?;
    let (columns, id) = (snapshot.row_tracking_columns(), snapshot.new_id());
    let carried = CarriedRowIds {
        columns: (columns.0.to_owned(), columns.1.to_owned()),
        row_ids: numbers(&all, ROW_ID).map_err(&failed)?,
        commit_versions: numbers(&all, COMMIT_VERSION).map_err(&failed)?,
    };
    let rows = Arc::new(
        all.project(&places(&all).map_err(&failed)?)
            .map_err(&failed)?,
    );
    // Both files come of the same rows, each on its own core.
    let (of_split, name) = (Arc::clone(&rows), id.to_string());
    let split = tokio::task::spawn_blocking(move || build_split(&of_split, &name));
    let encoded = tokio::task::spawn_blocking(move || encode(id, year, &rows, commit_id, &carried));
    let (encoded, root, hashes) = encoded.await.map_err(task)??;
    let split = split.await.map_err(task)??;
    archive.put_segment(&encoded).await?;
    archive
        .put_split(&encoded.segment.split_path(ANALYZER_VERSION), split)
        .await?;
    Ok(Some(Built {
        segment: encoded.segment,
        root,
        hashes,
    }))
}

/// The rows that are kept, filtered batch by batch so that the others never lie in memory together.
async fn gather(
    reader: &SegmentReader,
    keep: &RoaringBitmap,
) -> Result<Result<(SchemaRef, Vec<RecordBatch>), ArrowError>, ArchiveError> {
    let options = ReadOptions {
        with_row_versions: true,
        batch_rows: 32 * 1024,
        ..ReadOptions::default()
    };
    let schema = reader.schema(&options)?;
    let mut batches = reader.read(&options)?;
    let (mut kept, mut first) = (Vec::new(), 0u32);
    while let Some(batch) = batches.try_next().await? {
        let rows = first..first + batch.num_rows() as u32;
        first = rows.end;
        let mask: BooleanArray = rows.map(|row| Some(keep.contains(row))).collect();
        match filter_record_batch(&batch, &mask) {
            Ok(batch) => kept.push(batch),
            Err(error) => return Ok(Err(error)),
        }
    }
    Ok(Ok((schema, kept)))
}

#[allow(clippy::needless_pass_by_value)]
fn task(error: tokio::task::JoinError) -> DispositionError {
    DispositionError::Task(error.to_string())
}

fn numbers(batch: &RecordBatch, column: &str) -> Result<Vec<i64>, ArrowError> {
    let column = batch
        .column_by_name(column)
        .and_then(|c| c.as_primitive_opt::<Int64Type>());
    let column =
        column.ok_or_else(|| ArrowError::SchemaError("it was read without row ids".to_owned()))?;
    Ok(column.values().to_vec())
}

/// Where a segment's own columns are.
fn places(batch: &RecordBatch) -> Result<Vec<usize>, ArrowError> {
    let schema = segment_schema();
    schema
        .fields()
        .iter()
        .map(|field| batch.schema_ref().index_of(field.name()))
        .collect()
}

fn encode(
    id: ulid::Ulid,
    year: i32,
    rows: &RecordBatch,
    commit_id: Uuid,
    carried: &CarriedRowIds,
) -> Result<(EncodedSegment, EventHash, Vec<Hashed>), DispositionError> {
    let hashes = hashes(rows)?;
    let root = root(&hashes);
    let footer = SegmentFooter {
        commit_id,
        positions: Vec::new(),
        rows: rows.num_rows() as u64,
        merkle_root: root,
    };
    let encoded = segment::encode(id, year, rows, &footer, Some(carried))?;
    Ok((encoded, root, hashes))
}

fn hashes(rows: &RecordBatch) -> Result<Vec<Hashed>, DispositionError> {
    let view = Rows::new(rows).map_err(|error| DispositionError::Task(error.to_string()))?;
    let mut scratch = Vec::new();
    let mut found: Vec<Hashed> = Vec::with_capacity(rows.num_rows());
    for place in 0..view.len() {
        let event = view.event(place);
        let hash = event_hash(&event, &mut scratch);
        // Neighbours mostly share their origin, and then its text.
        let origin = match found.last() {
            Some((last, ..)) if **last == *event.origin => Arc::clone(last),
            _ => Arc::from(&*event.origin),
        };
        found.push((origin, event.sequence, hash));
    }
    Ok(found)
}

/// Merkle root of rows in (origin, sequence) order.
pub(crate) fn root(hashes: &[Hashed]) -> EventHash {
    merkle::rows_root(
        hashes
            .iter()
            .map(|(origin, sequence, hash)| (&**origin, *sequence, *hash)),
    )
}
