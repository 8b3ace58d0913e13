//! Which rows of a segment belong to a version of the archive.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use holdfast_archive::read::{COMMIT_VERSION, ReadOptions};
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::columns::name;
use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use super::read;
use crate::error::SearchError;

/// Rows of a segment that a version holds.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Visible {
    /// Every one.
    All,
    /// None of them.
    None,
    /// These: the segment was rewritten later, and some of its rows were archived by then.
    Some(RoaringBitmap),
}

impl Visible {
    /// How many of `rows` rows.
    pub(crate) fn count(&self, rows: u64) -> u64 {
        match self {
            Self::All => rows,
            Self::None => 0,
            Self::Some(visible) => visible.len(),
        }
    }

    /// Removes rows that are not visible.
    pub(crate) fn restrict(&self, rows: &mut RoaringBitmap) {
        match self {
            Self::All => {}
            Self::None => rows.clear(),
            Self::Some(visible) => *rows &= visible,
        }
    }
}

/// Reads which rows of a segment were archived by commits up to `version`.
///
/// A file that was added by such a commit holds no later row. One that was added later may be a rewrite: its rows carry
/// the versions of their commits along. Blocks.
pub(crate) fn visible(
    archive: &Archive,
    segment: &Segment,
    version: u64,
    runtime: &Handle,
) -> Result<Visible, SearchError> {
    if segment.commit_version <= version {
        return Ok(Visible::All);
    }
    let reader = read::open(archive, segment, runtime)?;
    if reader.is_original() {
        return Ok(Visible::None);
    }
    let options = ReadOptions {
        columns: Some(&[name::EVENT_TIME]),
        with_row_versions: true,
        batch_rows: 64 * 1024,
        ..ReadOptions::default()
    };
    let mut rows = RoaringBitmap::new();
    let mut first = 0;
    let limit = i64::try_from(version).unwrap_or(i64::MAX);
    for batch in read::read(archive, &reader, &options, runtime)? {
        let batch = batch?;
        let versions = batch
            .column_by_name(COMMIT_VERSION)
            .and_then(|array| array.as_primitive_opt::<Int64Type>());
        let versions = versions.ok_or_else(|| {
            let problem = format!("it was read without the column {COMMIT_VERSION}");
            SearchError::Segment {
                segment: segment.path.clone(),
                problem,
            }
        })?;
        rows.extend(
            (first..)
                .zip(versions.values())
                .filter(|(_, version)| **version <= limit)
                .map(|(row, _)| row),
        );
        first += batch.num_rows() as u32;
    }
    Ok(match rows.len() {
        0 => Visible::None,
        all if all == segment.rows => Visible::All,
        _ => Visible::Some(rows),
    })
}
