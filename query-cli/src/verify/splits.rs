//! Splits: each segment has one of this analyzer, of the same rows, undamaged; with `--deep`, one built anew is the same.

use std::sync::Arc;

use arrow::compute::concat_batches;
use futures::{StreamExt, TryStreamExt, stream};
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, ArchiveError, Segment};
use holdfast_indexer::{Searcher, SplitError, build_split, is_built_anew};
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_schemas::columns::segment_schema;
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::report::Problem;
use crate::failure::Failure;

/// The name of the check.
pub const CHECK: &str = "splits";

/// What is wrong with the splits of these segments.
///
/// # Errors
/// The archive cannot be read; a split that cannot be used is a problem, not an error.
pub async fn verify(
    archive: &Archive,
    searcher: &Searcher,
    segments: &[Arc<Segment>],
    deep: bool,
) -> Result<Vec<Problem>, Failure> {
    // Checksums over whole files: a core each.
    let mut checks = Vec::with_capacity(segments.len());
    for segment in segments {
        checks.push(one(archive, searcher, segment, deep));
    }
    let found: Vec<Option<Problem>> = stream::iter(checks)
        .buffered(crate::open::cores())
        .try_collect()
        .await?;
    Ok(found.into_iter().flatten().collect())
}

async fn one(
    archive: &Archive,
    searcher: &Searcher,
    segment: &Segment,
    deep: bool,
) -> Result<Option<Problem>, Failure> {
    let path = segment.split_path(ANALYZER_VERSION);
    let message = match searcher.check_split(segment).await {
        Ok(()) if deep => match same_when_built_anew(archive, segment, &path).await? {
            true => return Ok(None),
            false => "differs from one built anew from its segment".to_owned(),
        },
        Ok(()) => return Ok(None),
        Err(SplitError::Missing) => "is missing; its events are scanned".to_owned(),
        Err(e) => format!("cannot be used: {e}; its events are scanned"),
    };
    Ok(Some(Problem {
        check: CHECK,
        place: path,
        message,
    }))
}

/// Builds the split again and compares the bytes. A segment that cannot be read is told by the segments' own check.
async fn same_when_built_anew(
    archive: &Archive,
    segment: &Segment,
    path: &str,
) -> Result<bool, Failure> {
    let stored = archive
        .store()
        .get(&Path::from(path))
        .await
        .map_err(|e| store_error(path, e))?;
    let stored = stored.bytes().await.map_err(|e| store_error(path, e))?;
    let reader = SegmentReader::open(archive, segment).await?;
    let read: Result<Vec<_>, ArchiveError> =
        reader.read(&ReadOptions::default())?.try_collect().await;
    let Ok(batches) = read else { return Ok(true) };
    let id = segment.id().to_owned();
    let built = tokio::task::spawn_blocking(move || {
        let rows = concat_batches(&segment_schema(), &batches).map_err(|e| e.to_string())?;
        build_split(&rows, &id).map_err(|e| e.to_string())
    });
    let built = built
        .await
        .map_err(|e| Failure::Output(std::io::Error::other(e)))?;
    let built = built.map_err(|message| Failure::Damaged {
        place: segment.path.clone(),
        message,
    })?;
    Ok(is_built_anew(&stored, &built))
}

fn store_error(path: &str, source: object_store::Error) -> ArchiveError {
    ArchiveError::Store {
        operation: "read",
        path: path.to_owned(),
        source,
    }
}
