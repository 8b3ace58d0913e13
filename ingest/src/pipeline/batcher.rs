//! Chunks to batches, on one thread: puts chunks back into their order, judges their rows, and closes the open batch when it is due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use holdfast_archive::Archive;
use tokio::runtime::Handle;

use super::batch::{Batch, Cause, Fill, due};
use super::decode::Decoded;
use super::judge::{Known, Verdict, judge};
use super::lookup::{ArchivedIds, Everywhere};
use super::shared::{OnTheWay, Shared};
use super::{Budget, Gate, Stop};
use crate::clock;
use crate::error::IngestError;
use crate::metrics::Metrics;
use crate::settings::FlushSettings;
use crate::source::Feedback;

/// How often a batch's age and the builders are looked at while no chunk arrives.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The batching stage.
#[derive(Debug)]
pub(super) struct Batcher {
    flush: FlushSettings,
    building_max: usize,
    shared: Arc<Shared>,
    budget: Arc<Budget>,
    gate: Arc<Gate>,
    feedback: Arc<Feedback>,
    metrics: Arc<Metrics>,
    archive: Archive,
    runtime: Handle,
    lookup: ArchivedIds,
    known: Known,
    generation: u64,
    next_chunk: u64,
    /// Chunks that came before their turn, by number.
    early: BTreeMap<u64, Decoded>,
    open: Batch,
    totals: Totals,
}

/// Counts that no commit carries: of batches that changed nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records of chunks that held nothing but duplicates, in a source without positions.
    pub duplicates: u64,
}

/// What the stage works with.
#[derive(Debug)]
pub(super) struct Parts {
    /// When batches are closed.
    pub flush: FlushSettings,
    /// Batches being built at a time.
    pub building_max: usize,
    /// Snapshot and batches on their way.
    pub shared: Arc<Shared>,
    /// The memory budget.
    pub budget: Arc<Budget>,
    /// The publishing barrier.
    pub gate: Arc<Gate>,
    /// News for the source.
    pub feedback: Arc<Feedback>,
    /// The run's metrics.
    pub metrics: Arc<Metrics>,
    /// The archive.
    pub archive: Archive,
    /// Where its futures run.
    pub runtime: Handle,
}

impl Batcher {
    /// A stage that has seen nothing yet.
    #[must_use]
    pub(super) fn new(parts: Parts) -> Self {
        let Parts {
            flush,
            building_max,
            shared,
            budget,
            gate,
            feedback,
            metrics,
            archive,
            runtime,
        } = parts;
        Self {
            flush,
            building_max,
            shared,
            budget,
            gate,
            feedback,
            metrics,
            lookup: ArchivedIds::new(archive.clone(), runtime.clone()),
            archive,
            runtime,
            known: Known::default(),
            generation: 0,
            next_chunk: 0,
            early: BTreeMap::new(),
            open: Batch::new(0, 0, Instant::now()),
            totals: Totals::default(),
        }
    }

    /// Runs until the decoders have ended; then closes what is open.
    ///
    /// # Errors
    /// The archive cannot be read, or a batch does not add up.
    pub(super) fn run(
        mut self,
        decoded: &Receiver<Decoded>,
        batches: &Sender<Batch>,
        stop: &Stop,
    ) -> Result<Totals, IngestError> {
        while !stop.aborted() {
            match decoded.recv_timeout(LOOK_EVERY) {
                Ok(chunk) => {
                    self.early.insert(chunk.number, chunk);
                    while let Some(chunk) = self.early.remove(&self.next_chunk) {
                        self.next_chunk += 1;
                        self.take(chunk, batches)?;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    self.close(Cause::End, batches);
                    break;
                }
            }
            if let Some(cause) = self.due() {
                self.close(cause, batches);
            }
        }
        Ok(self.totals)
    }

    fn due(&self) -> Option<Cause> {
        if self.open.chunks == 0 {
            return None;
        }
        let fill = Fill {
            rows: self.open.row_count(),
            bytes: self.open.grant.as_ref().map_or(0, super::Grant::bytes),
            age: self.open.first_at.elapsed(),
            building: self.shared.building(),
            starved: self.budget.starved(),
        };
        due(&self.flush, self.building_max, &fill)
    }

    fn take(&mut self, chunk: Decoded, batches: &Sender<Batch>) -> Result<(), IngestError> {
        if chunk.generation > self.generation {
            self.begin_generation(chunk.generation)?;
        }
        // Read before a partition was lost: the new owner reads it again.
        if chunk.generation < self.generation || chunk.generation < self.gate.generation() {
            self.feedback.settle(1);
            return Ok(());
        }
        let Decoded {
            at,
            rows,
            records,
            consumed,
            positions,
            flush,
            mut grant,
            ..
        } = chunk;
        let open = self.open.rows.iter().map(|rows| &rows.batch).collect();
        let mut ids = Everywhere {
            open,
            shared: &self.shared,
            archived: &mut self.lookup,
        };
        let verdict = judge(rows, &records, clock::now_us(), &mut self.known, &mut ids)?;
        drop(records);
        self.metrics.judged(&verdict);
        grant.resize(memory(&verdict));
        if self.open.chunks == 0 {
            self.open.first_at = at;
        }
        self.open.add(verdict, consumed, positions, grant)?;
        if flush {
            self.close(Cause::End, batches);
        }
        Ok(())
    }

    /// What was open is dropped, and what is known comes from the table again: the gate let every older commit end before it gave
    /// the new generation out, so the newest snapshot holds them all, and no other will follow.
    fn begin_generation(&mut self, generation: u64) -> Result<(), IngestError> {
        tracing::info!(
            generation,
            dropped_rows = self.open.row_count(),
            "starting over from the table's positions"
        );
        self.feedback.settle(self.open.chunks);
        self.generation = generation;
        self.open = Batch::new(self.open.number, generation, Instant::now());
        self.shared
            .renew(self.runtime.block_on(self.archive.snapshot())?);
        self.shared.drop_older(generation);
        self.known.clear();
        Ok(())
    }

    fn close(&mut self, cause: Cause, batches: &Sender<Batch>) {
        if self.open.chunks == 0 {
            return;
        }
        let next = Batch::new(self.open.number + 1, self.generation, Instant::now());
        let batch = std::mem::replace(&mut self.open, next);
        self.metrics.closed(cause, &batch);
        self.metrics.holds(self.budget.used());
        if batch.is_void() {
            self.totals.duplicates += batch.counts.duplicates;
            self.open.number = batch.number;
            self.feedback.settle(batch.chunks);
            return;
        }
        tracing::debug!(
            batch = batch.number,
            rows = batch.row_count(),
            ?cause,
            "batch closed"
        );
        self.shared.depart(OnTheWay::of(&batch));
        // The builders live until this end of the channel is dropped; if they failed, the run is aborted and nothing is lost by this.
        drop(batches.send(batch));
    }
}

/// What a chunk holds from now on: its columns and hashes, no longer the records' bytes.
fn memory(verdict: &Verdict) -> u64 {
    let of = |rows: &super::rows::Rows| {
        rows.batch.get_array_memory_size()
            + rows.hashes.len() * size_of::<holdfast_schemas::EventHash>()
    };
    verdict.kept.iter().map(of).sum::<usize>() as u64
}
