//! Splits that are missing or of an older analyzer, built beside ingest, a few a turn. What is there and does not open is for `holdfast reindex`.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use holdfast_archive::Segment;
use holdfast_archive::lease::{self, Taken};
use holdfast_indexer::maintenance::{LEASE, MaintenanceError, build, missing};

use super::Upkeep;
use crate::clock;

/// Turns between two looks: each lists every split of the archive.
const LOOK_EVERY: u32 = 20;
/// Splits built in a turn: the lease is renewed before each, and merging goes on after them.
const SPLITS_AT_ONCE: usize = 4;
/// How long the lease is taken for one split, which takes seconds.
const SPLIT_LEASE_TIME: Duration = Duration::from_secs(300);

/// What a run knows about splits that are missing.
#[derive(Debug, Default)]
pub(super) struct MissingSplits {
    /// Turns until the next look.
    rest: u32,
    /// Segments of the last look whose splits were missing and are still to be built.
    waiting: VecDeque<Arc<Segment>>,
    /// Paths of segments that are larger than what is merged beside ingest; each is told once.
    too_large: HashSet<String>,
}

impl MissingSplits {
    /// Builds some of the splits that are missing, unless another process has the lease or the pipeline is busy: what is read for it is in memory beside
    /// what the pipeline holds, as with merges.
    ///
    /// # Errors
    /// The archive cannot be read, or the lease not be had.
    pub(super) async fn build(&mut self, upkeep: &Upkeep) -> Result<(), MaintenanceError> {
        if self.waiting.is_empty() && self.rest > 0 {
            self.rest -= 1;
            return Ok(());
        }
        if !upkeep.is_quiet() || !lead(upkeep).await? {
            return Ok(());
        }
        let done = self.build_some(upkeep).await;
        // After a failure too: who looks next need not wait until the lease runs out.
        let released = lease::release_of(&upkeep.archive, LEASE, &upkeep.holder).await;
        done?;
        Ok(released?)
    }

    async fn build_some(&mut self, upkeep: &Upkeep) -> Result<(), MaintenanceError> {
        if self.waiting.is_empty() {
            self.rest = LOOK_EVERY;
            let segments = upkeep.archive.snapshot().await?.segments().await?;
            let missing = missing(&upkeep.archive, &segments).await?;
            let rows_max = upkeep.settings.rows_max;
            let (small, large): (Vec<_>, Vec<_>) = missing
                .into_iter()
                .partition(|segment| segment.rows <= rows_max);
            self.leave(&large);
            self.waiting = small.into();
        }
        for _ in 0..SPLITS_AT_ONCE {
            if self.waiting.is_empty() || !lead(upkeep).await? {
                break;
            }
            let Some(segment) = self.waiting.pop_front() else {
                break;
            };
            match build(&upkeep.archive, &segment).await {
                Ok(true) => {
                    upkeep.metrics.split_built();
                    tracing::info!(
                        segment = segment.path,
                        rows = segment.rows,
                        "missing split built"
                    );
                }
                // It left the table.
                Ok(false) => {}
                // The next look finds it again; the others do not wait for it.
                Err(error) => {
                    tracing::warn!(segment = segment.path, %error, "its split cannot be built, so its events are scanned");
                }
            }
        }
        Ok(())
    }

    fn leave(&mut self, segments: &[Arc<Segment>]) {
        for segment in segments {
            if self.too_large.insert(segment.path.clone()) {
                tracing::warn!(
                    segment = segment.path,
                    rows = segment.rows,
                    "its split is missing and it is larger than what is read beside ingest (`[upkeep] rows_max`), so its events are scanned; \
                     `holdfast reindex` builds it"
                );
            }
        }
    }
}

/// Takes or renews the lease; whether it is ours.
async fn lead(upkeep: &Upkeep) -> Result<bool, MaintenanceError> {
    let taken = lease::take(
        &upkeep.archive,
        LEASE,
        &upkeep.holder,
        SPLIT_LEASE_TIME,
        clock::now_ms(),
    );
    match taken.await? {
        Taken::Ours(_) => Ok(true),
        Taken::Theirs(theirs) => {
            tracing::debug!(holder = theirs.holder, "another process has the lease");
            Ok(false)
        }
    }
}
