//! Batches to files: each segment is sorted and gathered once, then its Parquet file and its split are built side by side.

use bytes::Bytes;
use holdfast_archive::segment::{self, SegmentFooter};
use holdfast_archive::{EncodedSegment, Snapshot};
use holdfast_indexer::maintenance::order::{self, Plan};
use holdfast_schemas::{EventHash, merkle};
use rayon::prelude::*;

use super::batch::Batch;
use super::judge::IdColumns;

use crate::error::IngestError;

/// A batch with its files, ready to be put.
#[derive(Debug)]
pub(super) struct Built {
    /// The batch; its rows are kept until the commit, for the case that some turn out to be archived by somebody else.
    pub batch: Batch,
    /// Its segments.
    pub segments: Vec<BuiltSegment>,
    /// Merkle root over all its rows in (origin, sequence) order.
    pub merkle_root: EventHash,
}

/// The two files of a segment.
#[derive(Debug)]
pub(super) struct BuiltSegment {
    /// The Parquet file.
    pub encoded: EncodedSegment,
    /// The split.
    pub split: Bytes,
}

/// Builds a batch's files, named by a snapshot's clock: a horizon that another machine set ahead of this one's time would refuse names by this
/// one's alone until it has caught up. Call it on a rayon pool: it spreads over the pool's threads.
///
/// # Errors
/// Parquet, Tantivy or Arrow refuse.
pub(super) fn build(batch: Batch, snapshot: &Snapshot) -> Result<Built, IngestError> {
    let sources: Vec<_> = batch.rows.iter().map(|rows| &rows.batch).collect();
    let plans = order::plan(&sources).map_err(|source| IngestError::Arrow {
        operation: "sorting a batch",
        source,
    })?;
    let (root, segments) =
        rayon::join(
            || {
                root(
                    &batch,
                    batch.rows.iter().enumerate().flat_map(|(chunk, rows)| {
                        (0..rows.hashes.len()).map(move |row| (chunk, row))
                    }),
                )
            },
            || {
                plans
                    .par_iter()
                    .map(|plan| build_segment(&batch, plan, snapshot))
                    .collect::<Result<Vec<_>, _>>()
            },
        );
    let (merkle_root, segments) = (root?, segments?);
    Ok(Built {
        batch,
        segments,
        merkle_root,
    })
}

fn build_segment(
    batch: &Batch,
    plan: &Plan,
    snapshot: &Snapshot,
) -> Result<BuiltSegment, IngestError> {
    let sources: Vec<_> = batch.rows.iter().map(|rows| &rows.batch).collect();
    let rows = order::assemble(&sources, &plan.rows).map_err(|source| IngestError::Arrow {
        operation: "gathering a segment",
        source,
    })?;
    let id = snapshot.new_id();
    let (encoded, split) = rayon::join(
        || {
            let footer = SegmentFooter {
                commit_id: batch.commit_id,
                positions: batch
                    .positions
                    .iter()
                    .map(|(app_id, (_, to))| (app_id.to_string(), *to))
                    .collect(),
                rows: plan.rows.len() as u64,
                merkle_root: root(batch, plan.rows.iter().copied())?,
            };
            Ok::<_, IngestError>(segment::encode(id, plan.event_year, &rows, &footer, None)?)
        },
        || {
            holdfast_indexer::build_split(&rows, &id.to_string())
                .map_err(|error| IngestError::Index(error.to_string()))
        },
    );
    Ok(BuiltSegment {
        encoded: encoded?,
        split: split?,
    })
}

/// Merkle root over rows in (origin, sequence) order.
fn root(batch: &Batch, rows: impl Iterator<Item = order::Place>) -> Result<EventHash, IngestError> {
    let columns = batch
        .rows
        .iter()
        .map(|rows| IdColumns::new(&rows.batch))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(merkle::rows_root(rows.map(|(chunk, row)| {
        (
            columns[chunk].origin(row),
            columns[chunk].sequence(row),
            batch.rows[chunk].hashes[row],
        )
    })))
}
