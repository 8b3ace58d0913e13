//! Work on the archive beside ingest: merging small segments, building splits that lack, collecting garbage, keeping the log short. One process at a
//! time does each, under the archive's lease; and merges only while the pipeline has room, unless small segments pile up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_archive::gc::{self, GcOptions};
use holdfast_archive::lease::{self, Taken};
use holdfast_archive::{Archive, ArchiveError, maintain};
use holdfast_indexer::maintenance::policy::{Policy, plan};
use holdfast_indexer::maintenance::{CompactOptions, LEASE, MaintenanceError, compact};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

mod splits;

use self::splits::MissingSplits;
use crate::clock;
use crate::metrics::Metrics;
use crate::pipeline::Budget;
use crate::settings::UpkeepSettings;

/// Time between two garbage collections: what they remove is an hour old at least.
const GC_EVERY: Duration = Duration::from_secs(3600);
/// How long the lease is taken for a collection: a listing of some million files, and the removal of an hour's garbage.
const GC_LEASE_TIME: Duration = Duration::from_secs(900);
/// How long the end of a run waits for its lease to be given back.
const GIVE_BACK_TIME: Duration = Duration::from_secs(5);
/// With so many merges due, compaction no longer waits for a quiet moment: searches slow down with every segment.
const MERGES_DUE_MAX: usize = 16;
/// Merges in a row before the lease is given back and the pipeline is looked at again.
const MERGES_AT_ONCE: usize = 4;

/// Whether to merge now.
#[must_use]
pub fn worth_now(merges_due: usize, quiet: bool) -> bool {
    merges_due > 0 && (quiet || merges_due >= MERGES_DUE_MAX)
}

/// Whether the pipeline leaves room for other work.
#[must_use]
pub fn is_quiet(held_bytes: u64, held_bytes_max: u64) -> bool {
    held_bytes < held_bytes_max / 4
}

/// The background task.
#[derive(Debug)]
pub struct Upkeep {
    /// The archive.
    pub archive: Archive,
    /// What to do, and how often.
    pub settings: UpkeepSettings,
    /// What the pipeline holds.
    pub budget: Arc<Budget>,
    /// What it may hold.
    pub held_bytes_max: u64,
    /// The run's metrics.
    pub metrics: Arc<Metrics>,
    /// Who holds the lease: this process.
    pub holder: String,
}

/// The task at work.
#[derive(Debug)]
pub struct Running {
    task: JoinHandle<()>,
    ended: CancellationToken,
}

impl Running {
    /// Breaks off what it does and waits until the lease is given back: who compacts next need not wait until it runs out.
    pub async fn end(self) {
        self.ended.cancel();
        if let Err(error) = self.task.await {
            tracing::warn!(%error, "upkeep ended by a mistake in holdfast-ingest, please report it");
        }
    }
}

impl Upkeep {
    /// Looks after the archive until `ended`.
    #[must_use]
    pub fn start(self, ended: CancellationToken) -> Running {
        let token = ended.clone();
        let task = tokio::spawn(async move {
            let _ = token.run_until_cancelled(self.rounds()).await;
            self.give_back().await;
        });
        Running { task, ended }
    }

    async fn give_back(&self) {
        let released = lease::release_of(&self.archive, LEASE, &self.holder);
        match tokio::time::timeout(GIVE_BACK_TIME, released).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the compactor's lease runs out by itself"),
            Err(_) => tracing::warn!(
                "the store does not answer: the compactor's lease runs out by itself"
            ),
        }
    }

    /// Failures are logged and tried again: they harm no event.
    async fn rounds(&self) {
        let mut last_gc: Option<Instant> = None;
        let mut splits = MissingSplits::default();
        loop {
            tokio::time::sleep(self.settings.interval).await;
            if let Err(error) = self.merge().await {
                tracing::warn!(%error, "compaction failed; it is tried again");
            }
            if let Err(error) = splits.build(self).await {
                tracing::warn!(%error, "building missing splits failed; it is tried again");
            }
            if last_gc.is_none_or(|at| at.elapsed() >= GC_EVERY) {
                match self.collect().await {
                    // Whoever has the lease may be merging only: it is asked for again soon.
                    Ok(Collected::HeldByOther) => {}
                    Ok(Collected::Done) => last_gc = Some(Instant::now()),
                    Err(error) => {
                        last_gc = Some(Instant::now());
                        tracing::warn!(%error, "garbage collection failed; it is tried again");
                    }
                }
            }
        }
    }

    fn is_quiet(&self) -> bool {
        is_quiet(self.budget.used(), self.held_bytes_max)
    }

    fn policy(&self) -> Policy {
        Policy {
            rows_max: self.settings.rows_max,
            bytes_max: self.settings.bytes_max,
            ..Policy::default()
        }
    }

    async fn merge(&self) -> Result<(), MaintenanceError> {
        let segments = self.archive.snapshot().await?.segments().await?;
        let due = plan(&segments, &self.policy()).len();
        if !worth_now(due, self.is_quiet()) {
            return Ok(());
        }
        let options = CompactOptions {
            policy: self.policy(),
            holder: self.holder.clone(),
            merges_max: MERGES_AT_ONCE,
        };
        let report = compact(&self.archive, &options).await?;
        for merge in &report.merges {
            self.metrics
                .compacted(merge.inputs as u64, merge.outputs as u64);
            tracing::info!(
                year = merge.event_year,
                inputs = merge.inputs,
                outputs = merge.outputs,
                rows = merge.rows,
                "segments merged"
            );
        }
        Ok(())
    }

    /// Collects garbage and shortens the log, unless another process has the lease: several at a time would list the same folders and remove the
    /// same files, for nothing.
    async fn collect(&self) -> Result<Collected, ArchiveError> {
        // Before the lease: its commit would fill a hole of the log.
        self.archive.expect_whole_log().await?;
        let (now_ms, holder) = (clock::now_ms(), self.holder.as_str());
        let ours = match lease::take(&self.archive, LEASE, holder, GC_LEASE_TIME, now_ms).await? {
            Taken::Ours(ours) => ours,
            Taken::Theirs(theirs) => {
                tracing::debug!(holder = theirs.holder, "another process has the lease");
                return Ok(Collected::HeldByOther);
            }
        };
        let collected = gc::run(&self.archive, GcOptions::default(), clock::now_ms()).await;
        let shortened = maintain::run(&self.archive, clock::now_ms()).await;
        lease::release(&self.archive, &ours).await?;
        let report = collected?;
        self.metrics.garbage(report.deleted.len() as u64);
        if !report.deleted.is_empty() {
            tracing::info!(
                files = report.deleted.len(),
                bytes = report.bytes,
                "garbage collected"
            );
        }
        shortened.map(|_| Collected::Done)
    }
}

/// Whether garbage was collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collected {
    Done,
    HeldByOther,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upkeep(archive: &Archive, holder: &str) -> Upkeep {
        Upkeep {
            archive: archive.clone(),
            settings: UpkeepSettings {
                enabled: true,
                interval: Duration::from_secs(1),
                rows_max: 1000,
                bytes_max: 1000,
            },
            budget: Budget::new(1),
            held_bytes_max: 1,
            metrics: Arc::new(Metrics::new()),
            holder: holder.to_owned(),
        }
    }

    #[tokio::test]
    async fn one_process_at_a_time_collects_garbage() {
        let store = Arc::new(object_store::memory::InMemory::new());
        let url = url::Url::parse("memory:///").unwrap();
        let archive = Archive::create_in(store, url).await.unwrap();
        let now_ms = clock::now_ms();
        let taken = lease::take(&archive, LEASE, "other", GC_LEASE_TIME, now_ms).await;
        let Taken::Ours(theirs) = taken.unwrap() else {
            panic!("nobody had it");
        };
        let ours = upkeep(&archive, "ours");
        assert_eq!(ours.collect().await.unwrap(), Collected::HeldByOther);
        let horizon = async || archive.snapshot().await.unwrap().gc_horizon_ms();
        assert_eq!(horizon().await, None, "nothing was done");
        lease::release(&archive, &theirs).await.unwrap();
        assert_eq!(ours.collect().await.unwrap(), Collected::Done);
        assert!(horizon().await.is_some());
        // It was given back.
        let next = upkeep(&archive, "next").collect().await;
        assert_eq!(next.unwrap(), Collected::Done);
    }

    #[tokio::test]
    async fn an_ended_run_gives_back_the_lease_of_what_it_broke_off() {
        let store = Arc::new(object_store::memory::InMemory::new());
        let url = url::Url::parse("memory:///").unwrap();
        let archive = Archive::create_in(store, url).await.unwrap();
        let take = async |holder| {
            lease::take(&archive, LEASE, holder, GC_LEASE_TIME, clock::now_ms())
                .await
                .unwrap()
        };
        let running = upkeep(&archive, "ours").start(CancellationToken::new());
        assert!(matches!(take("ours").await, Taken::Ours(_)));
        assert!(matches!(take("next").await, Taken::Theirs(_)));
        running.end().await;
        assert!(matches!(take("next").await, Taken::Ours(_)));
        // What is somebody else's stays theirs.
        upkeep(&archive, "ours")
            .start(CancellationToken::new())
            .end()
            .await;
        assert!(matches!(take("ours").await, Taken::Theirs(_)));
    }

    #[test]
    fn merging_waits_for_a_quiet_moment_but_not_for_ever() {
        assert!(is_quiet(24, 100) && !is_quiet(25, 100));
        assert!(!worth_now(0, true));
        assert!(worth_now(1, true));
        assert!(!worth_now(1, false));
        assert!(worth_now(MERGES_DUE_MAX, false));
    }
}
