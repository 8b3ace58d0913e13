//! Splits that lack or cannot be used, built from the segments.
//!
//! A split is missing when there is no file of this analyzer's version, which one listing tells; it is of no use, too, when its tail does not open or
//! speaks of another segment. Its blocks are not read for that: a block that is damaged is found by the search that needs it and by `holdfast verify`,
//! and mended by building every split anew.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::error::ArrowError;
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_archive::read::SegmentReader;
use holdfast_archive::{Archive, ArchiveError, Segment};
use holdfast_schemas::columns::segment_schema;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use super::compact::read_all;
use super::{ANALYZER_VERSION, MaintenanceError};
use crate::split::{Tails, Wanted};
use crate::{SplitError, build_split};

/// Tails opened at the same time: on an object store each is a request.
const OPENED_AT_ONCE: usize = 8;

/// What to build anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReindexOptions {
    /// Every split, not only those that lack.
    pub all: bool,
    /// Splits, at most; nothing for no bound.
    pub splits_max: Option<usize>,
}

/// What was built.
#[derive(Debug, Default)]
pub struct ReindexReport {
    /// Segments looked at.
    pub segments: usize,
    /// Splits built.
    pub built: usize,
    /// Rows in them.
    pub rows: u64,
    /// Segments whose split could not be looked at or built, each with why. They are scanned.
    pub failed: Vec<(String, MaintenanceError)>,
}

/// Builds the splits of the newest snapshot. `progress` is called with (segments done, segments in all). A segment that fails is told in the report and
/// keeps none of the others from theirs.
///
/// # Errors
/// The table cannot be read.
pub async fn reindex(
    archive: &Archive,
    options: ReindexOptions,
    mut progress: impl FnMut(usize, usize),
) -> Result<ReindexReport, MaintenanceError> {
    let segments = archive.snapshot().await?.segments().await?;
    let tails = Arc::new(Tails::new(archive.clone()));
    let looks = segments.iter().map(|segment| {
        let (tails, wanted) = (Arc::clone(&tails), Wanted::of(segment));
        async move {
            let opened = match options.all {
                true => Err(SplitError::Missing),
                false => tails.open(&wanted).await,
            };
            (segment, wanted.path, opened)
        }
    });
    let mut looks = stream::iter(looks).buffered(OPENED_AT_ONCE);
    let mut report = ReindexReport::default();
    while let Some((segment, path, opened)) = looks.next().await {
        if options.splits_max.is_some_and(|most| report.built >= most) {
            break;
        }
        let built = match opened {
            Ok(()) => Ok(false),
            Err(why) if why.is_mended_by_building() => build(archive, segment).await,
            Err(source) => Err(MaintenanceError::Split { path, source }),
        };
        match built {
            Ok(true) => {
                report.built += 1;
                report.rows += segment.rows;
            }
            Ok(false) => {}
            Err(error) => report.failed.push((segment.path.clone(), error)),
        }
        report.segments += 1;
        progress(report.segments, segments.len());
    }
    Ok(report)
}

/// Segments of a snapshot whose split is not there, in its order, by one listing.
///
/// # Errors
/// The index's folder cannot be listed.
pub async fn missing(
    archive: &Archive,
    segments: &[Arc<Segment>],
) -> Result<Vec<Arc<Segment>>, MaintenanceError> {
    let folder = Path::from("index");
    let listing = archive.store().list(Some(&folder));
    let listed = listing.map_ok(|meta| meta.location).try_collect().await;
    let there: HashSet<Path> = listed.map_err(|source| ArchiveError::Store {
        operation: "list",
        path: "index".to_owned(),
        source,
    })?;
    // Both sides are spelled as the store spells them.
    let lacks = |segment: &&Arc<Segment>| {
        !there.contains(&Path::from(segment.split_path(ANALYZER_VERSION).as_str()))
    };
    Ok(segments.iter().filter(lacks).cloned().collect())
}

/// Builds a segment's split and puts it where searches look; false when the segment left the table meanwhile.
///
/// # Errors
/// The segment cannot be read, or its split not be written.
pub async fn build(archive: &Archive, segment: &Segment) -> Result<bool, MaintenanceError> {
    let path = segment.split_path(ANALYZER_VERSION);
    let split = split_of(archive, segment).await;
    // A look may be hours old. What has left the table may have left the store, too: that is no failure.
    if !is_live(archive, segment).await? {
        return Ok(false);
    }
    archive.put_split(&path, split?).await?;
    if is_live(archive, segment).await? {
        return Ok(true);
    }
    // Nobody refers to it, and a purge that ran beside may have looked for it before it was there: its words must not outlive their events.
    let deleted = archive.store().delete(&Path::from(path.as_str())).await;
    match deleted {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(false),
        Err(source) => Err(MaintenanceError::Archive(ArchiveError::Store {
            operation: "delete",
            path,
            source,
        })),
    }
}

async fn is_live(archive: &Archive, segment: &Segment) -> Result<bool, MaintenanceError> {
    let segments = archive.snapshot().await?.segments().await?;
    Ok(segments.iter().any(|live| live.path == segment.path))
}

async fn split_of(archive: &Archive, segment: &Segment) -> Result<bytes::Bytes, MaintenanceError> {
    let rows = rows_of(archive, segment).await?;
    let id = segment.id().to_owned();
    let built = tokio::task::spawn_blocking(move || build_split(&rows, &id));
    Ok(built
        .await
        .map_err(|error| MaintenanceError::Task(error.to_string()))??)
}

/// Every row of a segment, read column by column: as batches and once more in one they would be in memory twice.
async fn rows_of(archive: &Archive, segment: &Segment) -> Result<RecordBatch, MaintenanceError> {
    let failed = |source| MaintenanceError::Arrow {
        operation: "reading",
        path: segment.path.clone(),
        source,
    };
    let reader = [SegmentReader::open(archive, segment).await?];
    let schema = segment_schema();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let read = read_all(&reader, &[field.name()], false, &|| segment.path.clone()).await?;
        let column = read
            .first()
            .and_then(|batch| batch.column_by_name(field.name()));
        let missing = || ArrowError::SchemaError(format!("{} was not read", field.name()));
        columns.push(Arc::clone(column.ok_or_else(missing).map_err(failed)?));
    }
    let rows = usize::try_from(reader[0].rows()).unwrap_or(usize::MAX);
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(failed)
}
