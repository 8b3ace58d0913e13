//! Splits that lack, built beside ingest, a few a turn. What is missing, outdated or does not open is found by a listing and by the ends of the files;
//! damage inside of a split is for `holdfast verify` and `holdfast reindex --all`.

use std::collections::HashSet;
use std::time::Duration;

use holdfast_archive::lease::{self, Taken};
use holdfast_archive::read::SegmentReader;
use holdfast_archive::{Archive, Segment};
use holdfast_indexer::maintenance::{LEASE, Lacking, MaintenanceError, Usable, build, lacking};

use super::Upkeep;
use crate::clock;
use crate::pipeline::Grant;

/// Splits built in a turn: the lease is renewed before each, and merging goes on after them.
const SPLITS_AT_ONCE: usize = 2;
/// How long the lease is taken for one split, which takes seconds.
const SPLIT_LEASE_TIME: Duration = Duration::from_secs(300);
/// How often a turn asks for room in the pipeline's memory, and how long it rests in between. Without room the next turn asks again.
const ROOM_ASKED_MAX: u32 = 20;
const ROOM_PAUSE: Duration = Duration::from_millis(100);

/// What a run knows about the archive's splits.
#[derive(Debug, Default)]
pub(super) struct MissingSplits {
    usable: Usable,
    /// Paths of segments that are too large to be read beside ingest; each is told once.
    too_large: HashSet<String>,
}

impl MissingSplits {
    /// Builds some of the splits that lack, unless another process has the lease or the pipeline no room.
    ///
    /// # Errors
    /// The archive cannot be read or written.
    pub(super) async fn build(&mut self, upkeep: &Upkeep) -> Result<(), MaintenanceError> {
        let archive = &upkeep.archive;
        let segments = archive.snapshot().await?.segments().await?;
        let lacking = lacking(archive, &segments, &mut self.usable).await?;
        // The lease costs a commit: it is asked for only when there is something to do.
        if lacking.is_empty() {
            return Ok(());
        }
        let done = self.build_some(upkeep, &lacking).await;
        // After a failure too: who looks next need not wait until the lease runs out.
        let released = lease::release_of(archive, LEASE, &upkeep.holder).await;
        done?;
        Ok(released?)
    }

    async fn build_some(
        &mut self,
        upkeep: &Upkeep,
        lacking: &[Lacking],
    ) -> Result<(), MaintenanceError> {
        let mut built = 0;
        for Lacking { segment, why } in lacking {
            if built == SPLITS_AT_ONCE || self.too_large.contains(&segment.path) {
                continue;
            }
            let bytes = held_bytes(&upkeep.archive, segment).await?;
            if bytes > upkeep.held_bytes_max {
                self.leave(segment, bytes);
                continue;
            }
            // Held until the split is there: the source waits rather than that both together take too much.
            let Some(_room) = room(upkeep, bytes).await else {
                tracing::debug!(
                    segment = segment.path,
                    "no room to build its split, later again"
                );
                return Ok(());
            };
            match lease::take(
                &upkeep.archive,
                LEASE,
                &upkeep.holder,
                SPLIT_LEASE_TIME,
                clock::now_ms(),
            )
            .await?
            {
                Taken::Ours(_) => {}
                Taken::Theirs(theirs) => {
                    tracing::debug!(holder = theirs.holder, "another process has the lease");
                    return Ok(());
                }
            }
            if build(&upkeep.archive, segment).await? {
                built += 1;
                upkeep.metrics.split_built();
                tracing::info!(segment = segment.path, rows = segment.rows, %why, "split built");
            }
        }
        Ok(())
    }

    fn leave(&mut self, segment: &Segment, bytes: u64) {
        tracing::warn!(
            segment = segment.path,
            bytes,
            "its split lacks and it is too large to be built beside ingest, so its events are scanned; `holdfast reindex` builds it"
        );
        self.too_large.insert(segment.path.clone());
    }
}

/// What a segment's rows hold at least when all of them are read.
async fn held_bytes(archive: &Archive, segment: &Segment) -> Result<u64, MaintenanceError> {
    let reader = SegmentReader::open(archive, segment).await?;
    Ok(reader.uncompressed_bytes())
}

/// A share of the pipeline's memory, if there is one soon.
async fn room(upkeep: &Upkeep, bytes: u64) -> Option<Grant> {
    for _ in 0..ROOM_ASKED_MAX {
        // Not waited for inside: that would make the pipeline close its batches early.
        let room = upkeep.budget.acquire(bytes, Duration::ZERO, || false);
        if room.is_some() {
            return room;
        }
        tokio::time::sleep(ROOM_PAUSE).await;
    }
    None
}
