//! What a run counts, in Prometheus' text format, and whether it is alive and ready.

mod sampled;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use holdfast_archive::Counts;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::pipeline::{Batch, Cause, Verdict};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ClosedBy {
    cause: &'static str,
}

impl From<Cause> for ClosedBy {
    fn from(cause: Cause) -> Self {
        Self {
            cause: cause.as_str(),
        }
    }
}

/// A partition of a topic, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Partition {
    partition: i32,
}

/// An origin of an outbox, as a label.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Origin {
    origin: String,
}

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    records: Family<Outcome, Counter>,
    disposed: Counter,
    conflicting: Counter,
    batches: Family<ClosedBy, Counter>,
    commits: Counter,
    refused: Counter,
    resets: Counter,
    rebalances: Counter,
    paused: Gauge,
    version: Gauge,
    commit_seconds: Histogram,
    batch_seconds: Histogram,
    lag_events: Family<Partition, Gauge>,
    lag_seconds: Family<Partition, Gauge<f64, AtomicU64>>,
    outbox_lag_events: Family<Origin, Gauge>,
    outbox_lag_seconds: Family<Origin, Gauge<f64, AtomicU64>>,
    outbox_unsequenced: Gauge,
    standby: Gauge,
    source_failures: Counter,
    held_bytes: Gauge,
    attachments_pending: Gauge,
    attachments_copied: Counter,
    attachments_failed: Counter,
    attachments_undigested: Counter,
    compacted: Family<Outcome, Counter>,
    built_splits: Counter,
    garbage_files: Counter,
    alive: AtomicBool,
    ready: AtomicBool,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Registers a clone and hands the metric back.
fn register<M: prometheus_client::registry::Metric + Clone>(
    registry: &mut Registry,
    name: &str,
    help: &str,
    metric: M,
) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("holdfast_ingest");
        let r = &mut registry;
        let seconds = || Histogram::new(exponential_buckets(0.001, 2.0, 16));
        let (commit_seconds, batch_seconds) = (seconds(), seconds());
        r.register_with_unit(
            "commit",
            "Time of a commit, files put before",
            Unit::Seconds,
            commit_seconds.clone(),
        );
        r.register_with_unit(
            "batch",
            "Time from a batch's first record to its commit",
            Unit::Seconds,
            batch_seconds.clone(),
        );
        Self {
            records: register(
                r,
                "records",
                "Records by outcome; consumed is the sum of the others",
                Family::default(),
            ),
            disposed: register(
                r,
                "disposed_records",
                "Records dropped because the event was disposed of; among the duplicates",
                Counter::default(),
            ),
            conflicting: register(
                r,
                "conflicting_records",
                "Records quarantined because another event has their sequence",
                Counter::default(),
            ),
            batches: register(
                r,
                "batches",
                "Batches by what closed them",
                Family::default(),
            ),
            commits: register(r, "commits", "Commits made", Counter::default()),
            refused: register(
                r,
                "refused_commits",
                "Commits refused by a check and built again",
                Counter::default(),
            ),
            resets: register(
                r,
                "resets",
                "Times the source started over from the table's positions",
                Counter::default(),
            ),
            rebalances: register(
                r,
                "rebalances",
                "Partitions assigned or revoked",
                Counter::default(),
            ),
            paused: register(
                r,
                "paused",
                "1 while the source waits because the pipeline is full",
                Gauge::default(),
            ),
            version: register(
                r,
                "archive_version",
                "Version of the table at the last commit",
                Gauge::default(),
            ),
            lag_events: register(
                r,
                "lag_records",
                "Records in the partition behind the last committed one",
                Family::default(),
            ),
            lag_seconds: register(
                r,
                "lag_seconds",
                "Age of the last committed record (of the oldest read, before the first commit) while records wait behind it; 0 when none does",
                Family::default(),
            ),
            outbox_lag_events: register(
                r,
                "outbox_lag_events",
                "Events of the origin in the outbox behind the last committed one",
                Family::default(),
            ),
            outbox_lag_seconds: register(
                r,
                "outbox_lag_seconds",
                "Age of the oldest event of the origin in the outbox that is not committed; 0 when all are",
                Family::default(),
            ),
            outbox_unsequenced: register(
                r,
                "outbox_unsequenced_rows",
                "Rows in the outbox that wait for a chat node to give them their sequence",
                Gauge::default(),
            ),
            standby: register(
                r,
                "standby",
                "1 while another process reads the same outbox into the same archive",
                Gauge::default(),
            ),
            source_failures: register(
                r,
                "source_failures",
                "Times the outbox's database did not answer",
                Counter::default(),
            ),
            held_bytes: register(
                r,
                "held_bytes",
                "Bytes held between source and commit",
                Gauge::default(),
            ),
            attachments_pending: register(
                r,
                "attachments_pending",
                "Attachments that events refer to and that are not stored yet",
                Gauge::default(),
            ),
            attachments_copied: register(
                r,
                "attachments_copied",
                "Attachments copied and verified",
                Counter::default(),
            ),
            attachments_failed: register(
                r,
                "attachment_failures",
                "Attempts to copy an attachment that failed",
                Counter::default(),
            ),
            attachments_undigested: register(
                r,
                "undigested_attachments",
                "Attachments archived whose events give no SHA-256: they can be neither copied nor verified",
                Counter::default(),
            ),
            compacted: register(
                r,
                "compacted_segments",
                "Segments merged, by side",
                Family::default(),
            ),
            built_splits: register(
                r,
                "built_splits",
                "Splits built for segments whose split was missing, outdated or did not open",
                Counter::default(),
            ),
            garbage_files: register(
                r,
                "garbage_files",
                "Files removed by garbage collection",
                Counter::default(),
            ),
            commit_seconds,
            batch_seconds,
            registry,
            alive: AtomicBool::new(true),
            ready: AtomicBool::new(false),
        }
    }

    /// Everything in the text format.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _infallible = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }

    pub(crate) fn judged(&self, verdict: &Verdict) {
        self.disposed.inc_by(verdict.disposed);
        self.conflicting.inc_by(verdict.conflicts);
    }

    pub(crate) fn closed(&self, cause: Cause, batch: &Batch) {
        self.batches.get_or_create(&cause.into()).inc();
        if batch.is_void() {
            self.count(&batch.counts);
        }
    }

    pub(crate) fn committed(&self, counts: &Counts, age: Duration, version: u64) {
        self.count(counts);
        self.commits.inc();
        self.batch_seconds.observe(age.as_secs_f64());
        self.version.set(i64::try_from(version).unwrap_or(i64::MAX));
    }

    fn count(&self, counts: &Counts) {
        for (outcome, count) in [
            ("consumed", counts.consumed),
            ("archived", counts.archived),
            ("quarantined", counts.quarantined),
            ("duplicate", counts.duplicates),
        ] {
            self.records
                .get_or_create(&Outcome { outcome })
                .inc_by(count);
        }
    }

    pub(crate) fn commit_took(&self, time: Duration) {
        self.commit_seconds.observe(time.as_secs_f64());
    }

    pub(crate) fn conflict(&self) {
        self.refused.inc();
    }

    pub(crate) fn reset(&self) {
        self.resets.inc();
    }

    pub(crate) fn rebalanced(&self) {
        self.rebalances.inc();
    }

    pub(crate) fn paused(&self, paused: bool) {
        self.paused.set(i64::from(paused));
    }

    pub(crate) fn lag(&self, partition: i32, records: i64, seconds: f64) {
        self.lag_events
            .get_or_create(&Partition { partition })
            .set(records);
        self.lag_seconds
            .get_or_create(&Partition { partition })
            .set(seconds);
    }

    /// Partitions that are no longer ours have no lag here.
    pub(crate) fn forget_lag(&self) {
        self.lag_events.clear();
        self.lag_seconds.clear();
    }

    pub(crate) fn outbox_lag(&self, origin: &str, events: i64, seconds: f64) {
        let label = Origin {
            origin: origin.to_owned(),
        };
        self.outbox_lag_events.get_or_create(&label).set(events);
        self.outbox_lag_seconds.get_or_create(&label).set(seconds);
    }

    pub(crate) fn outbox_unsequenced(&self, rows: i64) {
        self.outbox_unsequenced.set(rows);
    }

    pub(crate) fn standing_by(&self, standby: bool) {
        self.standby.set(i64::from(standby));
    }

    pub(crate) fn source_failed(&self) {
        self.source_failures.inc();
    }

    pub(crate) fn holds(&self, bytes: u64) {
        self.held_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn attachments(&self, pending: usize) {
        self.attachments_pending
            .set(i64::try_from(pending).unwrap_or(i64::MAX));
    }

    pub(crate) fn attachment_copied(&self, copied: bool) {
        if copied {
            self.attachments_copied.inc()
        } else {
            self.attachments_failed.inc()
        };
    }

    pub(crate) fn undigested(&self, attachments: u64) {
        self.attachments_undigested.inc_by(attachments);
    }

    pub(crate) fn compacted(&self, inputs: u64, outputs: u64) {
        self.compacted
            .get_or_create(&Outcome { outcome: "in" })
            .inc_by(inputs);
        self.compacted
            .get_or_create(&Outcome { outcome: "out" })
            .inc_by(outputs);
    }

    pub(crate) fn split_built(&self) {
        self.built_splits.inc();
    }

    pub(crate) fn garbage(&self, files: u64) {
        self.garbage_files.inc_by(files);
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Release);
    }

    pub(crate) fn set_dead(&self) {
        self.alive.store(false, Ordering::Release);
        self.set_ready(false);
    }

    /// Whether the source is being read and no stage has failed.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Whether no stage has failed.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_in_the_text_too() {
        let metrics = Metrics::new();
        metrics.committed(
            &Counts {
                consumed: 6,
                archived: 3,
                quarantined: 2,
                duplicates: 1,
            },
            Duration::from_millis(5),
            7,
        );
        let text = metrics.encode();
        for line in [
            "holdfast_ingest_records_total{outcome=\"consumed\"} 6",
            "holdfast_ingest_records_total{outcome=\"archived\"} 3",
            "holdfast_ingest_records_total{outcome=\"quarantined\"} 2",
            "holdfast_ingest_records_total{outcome=\"duplicate\"} 1",
            "holdfast_ingest_archive_version 7",
            "holdfast_ingest_batch_seconds_count 1",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }
}
