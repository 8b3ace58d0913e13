//! Reading segments for a plan.

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::stream::BoxStream;
use holdfast_archive::read::{ROW_ID, ReadOptions, SegmentReader};
use holdfast_archive::{Archive, ArchiveError, Segment};
use holdfast_schemas::columns::Rows;

use super::PlanError;

/// Rows read at once.
const BATCH_ROWS: usize = 32 * 1024;

/// Batches of a segment.
pub(crate) type Batches = BoxStream<'static, Result<RecordBatch, ArchiveError>>;

/// Some columns, of all rows or of some.
pub(super) async fn open(
    archive: &Archive,
    segment: &Segment,
    columns: Option<&[&str]>,
    rows: Option<&[u32]>,
    row_ids: bool,
) -> Result<Batches, PlanError> {
    let reader = SegmentReader::open(archive, segment).await?;
    let options = ReadOptions {
        columns,
        rows,
        with_row_versions: row_ids,
        batch_rows: BATCH_ROWS,
    };
    Ok(reader.read(&options)?)
}

/// Some columns of all rows, with row ids.
pub(crate) async fn open_rows(
    archive: &Archive,
    segment: &Segment,
    columns: &[&str],
) -> Result<Batches, PlanError> {
    open(archive, segment, Some(columns), None, true).await
}

/// Some columns of some rows.
pub(crate) async fn open_some(
    archive: &Archive,
    segment: &Segment,
    columns: &[&str],
    rows: &[u32],
) -> Result<Batches, PlanError> {
    open(archive, segment, Some(columns), Some(rows), false).await
}

/// Every column of some rows.
pub(crate) async fn open_whole(
    archive: &Archive,
    segment: &Segment,
    rows: &[u32],
) -> Result<Batches, PlanError> {
    open(archive, segment, None, Some(rows), false).await
}

/// Every column of some rows, with row ids.
pub(crate) async fn open_whole_with_ids(
    archive: &Archive,
    segment: &Segment,
    rows: &[u32],
) -> Result<Batches, PlanError> {
    open(archive, segment, None, Some(rows), true).await
}

/// Every column of every row, with row ids.
pub(crate) async fn open_every(archive: &Archive, segment: &Segment) -> Result<Batches, PlanError> {
    open(archive, segment, None, None, true).await
}

/// A batch as rows.
pub(super) fn view<'b>(segment: &Segment, batch: &'b RecordBatch) -> Result<Rows<'b>, PlanError> {
    Rows::new(batch).map_err(|error| PlanError::Segment {
        segment: segment.path.clone(),
        problem: error.to_string(),
    })
}

/// The row ids of a batch that was read with them.
pub(crate) fn row_ids_of<'b>(
    segment: &Segment,
    batch: &'b RecordBatch,
) -> Result<&'b [i64], PlanError> {
    let column = batch.column_by_name(ROW_ID);
    let column = column.and_then(|column| column.as_primitive_opt::<Int64Type>());
    column
        .map(|ids| &ids.values()[..])
        .ok_or_else(|| PlanError::Segment {
            segment: segment.path.clone(),
            problem: "it was read without row ids".to_owned(),
        })
}
