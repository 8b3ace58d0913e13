//! Splits that lack, or are of another analyzer version, built from the segments.

use arrow::compute::concat_batches;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::segment_schema;

use super::{ANALYZER_VERSION, MaintenanceError};
use crate::build_split;

/// What to build anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReindexOptions {
    /// Every split, not only those that lack.
    pub all: bool,
    /// Splits, at most; nothing for no bound.
    pub splits_max: Option<usize>,
}

/// What was built.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReindexReport {
    /// Segments looked at.
    pub segments: usize,
    /// Splits built.
    pub built: usize,
    /// Rows in them.
    pub rows: u64,
}

/// Builds the splits of the newest snapshot. `progress` is called with (segments done, segments in all).
///
/// # Errors
/// The archive cannot be read or written.
pub async fn reindex(
    archive: &Archive,
    options: ReindexOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<ReindexReport, MaintenanceError> {
    let snapshot = archive.snapshot().await?;
    let segments = snapshot.segments().await?;
    let mut report = ReindexReport::default();
    for segment in segments.iter() {
        if options.splits_max.is_some_and(|most| report.built >= most) {
            break;
        }
        let path = segment.split_path(ANALYZER_VERSION);
        if options.all || archive.split_bytes(&path).await?.is_none() {
            let split = split_of(archive, segment).await?;
            archive.put_split(&path, split).await?;
            report.built += 1;
            report.rows += segment.rows;
        }
        report.segments += 1;
        progress(report.segments, segments.len());
    }
    Ok(report)
}

async fn split_of(archive: &Archive, segment: &Segment) -> Result<bytes::Bytes, MaintenanceError> {
    let reader = SegmentReader::open(archive, segment).await?;
    let batches: Vec<_> = reader
        .read(&ReadOptions {
            batch_rows: 64 * 1024,
            ..ReadOptions::default()
        })?
        .try_collect()
        .await?;
    let (path, id) = (segment.path.clone(), segment.id().to_owned());
    let built = tokio::task::spawn_blocking(move || {
        let rows = concat_batches(&segment_schema(), &batches).map_err(|source| {
            MaintenanceError::Arrow {
                operation: "reading",
                path,
                source,
            }
        })?;
        drop(batches);
        Ok::<_, MaintenanceError>(build_split(&rows, &id)?)
    });
    built
        .await
        .map_err(|error| MaintenanceError::Task(error.to_string()))?
}
