//! The files of a run: segments that lose some of their rows, written anew.

use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::ledger::Digest;
use roaring::RoaringBitmap;
use uuid::Uuid;

use super::certificate::SegmentLine;
use super::{DispositionError, rewrite};
use crate::plan::{Plan, SegmentPlan};

/// The files of a run.
pub(super) struct Built {
    pub(super) segments: Vec<holdfast_archive::NewSegment>,
    pub(super) lines: Vec<SegmentLine>,
    pub(super) root: [u8; 32],
}

/// Bytes of segments, as they lie on disk, that are rewritten at a time: their rows are held in memory, some ten times as
/// much.
const AT_ONCE_BYTES: u64 = 64 << 20;

/// Rewrites the segments that lose some of their rows, some at a time. One that loses all of them is not even read.
pub(super) async fn build(
    archive: &Archive,
    snapshot: &Snapshot,
    plan: &Plan,
    commit: Uuid,
) -> Result<Built, DispositionError> {
    let largest = plan.segments.iter().map(|one| one.segment.bytes).max();
    let at_once = usize::try_from(AT_ONCE_BYTES / largest.unwrap_or(1).max(1)).unwrap_or(1);
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let mut builds = Vec::with_capacity(plan.segments.len());
    for one in &plan.segments {
        builds.push(build_one(archive, snapshot, one, commit).boxed());
    }
    let mut builds = stream::iter(builds).buffered(at_once.clamp(1, cores));
    let (mut segments, mut lines, mut hashes) = (Vec::new(), Vec::new(), Vec::new());
    while let Some((line, rewritten)) = builds.try_next().await? {
        lines.push(line);
        if let Some(built) = rewritten {
            segments.push(built.segment);
            hashes.extend(built.hashes);
        }
    }
    Ok(Built {
        segments,
        lines,
        root: rewrite::root(&hashes),
    })
}

async fn build_one(
    archive: &Archive,
    snapshot: &Snapshot,
    one: &SegmentPlan,
    commit: Uuid,
) -> Result<(SegmentLine, Option<rewrite::Built>), DispositionError> {
    let reader = holdfast_archive::read::SegmentReader::open(archive, &one.segment).await?;
    let mut stays = RoaringBitmap::new();
    stays.insert_range(0..u32::try_from(one.segment.rows).unwrap_or(u32::MAX));
    stays -= &one.rows;
    let rewritten = rewrite::subset(archive, snapshot, &one.segment, &stays, commit).await?;
    let line = SegmentLine {
        path: one.segment.path.clone(),
        rows_before: one.segment.rows,
        root_before: Digest(reader.footer()?.merkle_root),
        rewritten: rewritten.as_ref().map(|built| built.segment.path.clone()),
        rows_after: stays.len(),
        root_after: rewritten.as_ref().map(|built| Digest(built.root)),
    };
    Ok((line, rewritten))
}
