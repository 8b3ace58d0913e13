//! Splits that lack or cannot be used, built from the segments.
//!
//! A split lacks when there is no file of this analyzer's version, or when its tail does not open or speaks of another segment. Its blocks are not
//! read for that: a block that is damaged is found by the search that needs it and by `holdfast verify`, and mended by building every split anew.

use std::collections::HashMap;
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReindexReport {
    /// Segments looked at.
    pub segments: usize,
    /// Splits built.
    pub built: usize,
    /// Rows in them.
    pub rows: u64,
}

/// A segment whose split cannot be used.
#[derive(Debug)]
pub struct Lacking {
    /// The segment.
    pub segment: Arc<Segment>,
    /// What is the matter with its split.
    pub why: SplitError,
}

/// Splits that were opened and are usable: what makes a look cheap that is repeated. One is opened again when its file is another.
#[derive(Debug, Default)]
pub struct Usable {
    /// By path.
    seen: HashMap<String, File>,
}

/// What a listing tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct File {
    bytes: u64,
    modified_ms: i64,
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
    let segments = archive.snapshot().await?.segments().await?;
    let lacking = match options.all {
        true => Vec::new(),
        false => lacking(archive, &segments, &mut Usable::default()).await?,
    };
    let mut lacking = lacking.iter().map(|one| &one.segment.path).peekable();
    let mut report = ReindexReport::default();
    for segment in segments.iter() {
        if options.splits_max.is_some_and(|most| report.built >= most) {
            break;
        }
        let lacks = lacking.next_if(|path| **path == segment.path).is_some();
        if (options.all || lacks) && build(archive, segment).await? {
            report.built += 1;
            report.rows += segment.rows;
        }
        report.segments += 1;
        progress(report.segments, segments.len());
    }
    Ok(report)
}

/// Segments of a snapshot without a usable split, in its order. `usable` is what earlier looks found, and is brought up to date.
///
/// # Errors
/// The index's folder cannot be listed, or a split cannot be read for a reason that a new one would not mend.
pub async fn lacking(
    archive: &Archive,
    segments: &[Arc<Segment>],
    usable: &mut Usable,
) -> Result<Vec<Lacking>, MaintenanceError> {
    let there = listed(archive).await?;
    let tails = Arc::new(Tails::new(archive.clone()));
    let earlier = std::mem::take(&mut usable.seen);
    let mut looks = Vec::with_capacity(segments.len());
    for segment in segments {
        let wanted = Wanted::of(segment);
        // Both sides are spelled as the store spells them.
        let file = there
            .get(Path::from(wanted.path.as_str()).as_ref())
            .copied();
        let known = file.is_some() && earlier.get(&wanted.path).copied() == file;
        let tails = Arc::clone(&tails);
        looks.push(async move {
            let opened = match file {
                None => Err(SplitError::Missing),
                Some(_) if known => Ok(()),
                // Of an empty file a store gives no last bytes.
                Some(File { bytes: 0, .. }) => Err(SplitError::Damaged("it is empty".to_owned())),
                Some(_) => tails.open(&wanted).await,
            };
            (segment, wanted, file, opened)
        });
    }
    let mut looks = stream::iter(looks).buffered(OPENED_AT_ONCE);
    let mut lacking = Vec::new();
    while let Some((segment, wanted, file, opened)) = looks.next().await {
        match (opened, file) {
            (Ok(()), Some(file)) => {
                usable.seen.insert(wanted.path, file);
            }
            (Ok(()), None) => {}
            (Err(why), _) if why.is_mended_by_building() => lacking.push(Lacking {
                segment: Arc::clone(segment),
                why,
            }),
            (Err(source), _) => {
                let path = wanted.path;
                return Err(MaintenanceError::Split { path, source });
            }
        }
    }
    Ok(lacking)
}

/// The files under `index/`, by path.
async fn listed(archive: &Archive) -> Result<HashMap<String, File>, MaintenanceError> {
    let folder = Path::from("index");
    let listing = archive.store().list(Some(&folder));
    let files = listing.map_ok(|meta| {
        let file = File {
            bytes: meta.size,
            modified_ms: meta.last_modified.timestamp_millis(),
        };
        (meta.location.to_string(), file)
    });
    let listed = files.try_collect().await;
    Ok(listed.map_err(|source| ArchiveError::Store {
        operation: "list",
        path: "index".to_owned(),
        source,
    })?)
}

/// Builds a segment's split and puts it where searches look; false when the segment left the table meanwhile.
///
/// # Errors
/// The segment cannot be read, or its split not be written.
pub async fn build(archive: &Archive, segment: &Segment) -> Result<bool, MaintenanceError> {
    let path = segment.split_path(ANALYZER_VERSION);
    let split = split_of(archive, segment).await?;
    archive.put_split(&path, split).await?;
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
