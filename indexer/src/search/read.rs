//! Reading rows from worker threads.

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, Segment};
use tokio::runtime::Handle;

use crate::error::SearchError;

/// Batches of a segment, one after another.
pub(crate) type Batches = Box<dyn Iterator<Item = Result<RecordBatch, SearchError>>>;

/// Opens a segment. Blocks.
pub(crate) fn open(
    archive: &Archive,
    segment: &Segment,
    runtime: &Handle,
) -> Result<SegmentReader, SearchError> {
    Ok(if archive.local_root().is_some() {
        SegmentReader::open_blocking(archive, segment)?
    } else {
        runtime.block_on(SegmentReader::open(archive, segment))?
    })
}

/// Reads rows of an open segment. Blocks: on the disk here, on the store's answers elsewhere.
pub(crate) fn read(
    archive: &Archive,
    reader: &SegmentReader,
    options: &ReadOptions<'_>,
    runtime: &Handle,
) -> Result<Batches, SearchError> {
    if archive.local_root().is_some() {
        let batches = reader.read_blocking(options)?;
        return Ok(Box::new(
            batches.map(|batch| batch.map_err(SearchError::from)),
        ));
    }
    let (mut batches, runtime) = (reader.read(options)?, runtime.clone());
    Ok(Box::new(std::iter::from_fn(move || {
        runtime
            .block_on(batches.try_next())
            .map_err(SearchError::from)
            .transpose()
    })))
}
