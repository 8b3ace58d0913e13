//! The source's end of the pipeline.

use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{SendTimeoutError, Sender};
use holdfast_archive::{AdvanceOnly, Archive, ArchiveError, Outcome};
use roaring::RoaringTreemap;
use tokio::runtime::Handle;

use super::{Chunk, Draft};
use crate::clock;
use crate::metrics::Metrics;
use crate::pipeline::{Budget, Gate, Grant, Stop};

/// What became of a draft.
#[derive(Debug)]
pub enum Pushed {
    /// It is on its way.
    Taken,
    /// The pipeline is full: pause, and offer it again.
    Full(Draft),
    /// The pipeline has ended; nothing will be taken any more.
    Closed,
}

/// What the committer tells the source. The newest value counts, so nothing queues up.
#[derive(Debug, Default)]
pub struct Feedback {
    news: Mutex<News>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct News {
    committed: BTreeMap<Arc<str>, i64>,
    reset: Option<String>,
    settled_chunks: u64,
}

impl Feedback {
    fn news(&self) -> MutexGuard<'_, News> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Positions committed since the last call.
    #[must_use]
    pub fn take_committed(&self) -> BTreeMap<Arc<str>, i64> {
        std::mem::take(&mut self.news().committed)
    }

    /// Why the source has to take its positions from the table again and start over, if it has to.
    #[must_use]
    pub fn take_reset(&self) -> Option<String> {
        self.news().reset.take()
    }

    /// Chunks that were committed or dropped.
    #[must_use]
    pub fn settled_chunks(&self) -> u64 {
        self.news().settled_chunks
    }

    /// Waits until `chunks` chunks are settled or a reset is asked for, at most `patience`; true when one of them is so.
    #[must_use]
    pub fn wait(&self, chunks: u64, patience: Duration) -> bool {
        let waiting = |news: &mut News| news.settled_chunks < chunks && news.reset.is_none();
        let (_news, timeout) = self
            .changed
            .wait_timeout_while(self.news(), patience, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        !timeout.timed_out()
    }

    pub(crate) fn commit(&self, positions: impl IntoIterator<Item = (Arc<str>, i64)>) {
        self.news().committed.extend(positions);
    }

    pub(crate) fn settle(&self, chunks: u64) {
        self.news().settled_chunks += chunks;
        self.changed.notify_all();
    }

    pub(crate) fn reset(&self, reason: String) {
        self.news().reset = Some(reason);
        self.changed.notify_all();
    }
}

/// Takes drafts into the pipeline.
#[derive(Debug)]
pub struct Feed {
    pub(crate) chunks: Sender<Chunk>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) feedback: Arc<Feedback>,
    pub(crate) stop: Arc<Stop>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) archive: Archive,
    pub(crate) runtime: Handle,
    pub(crate) next_number: u64,
    pub(crate) paid: Option<Grant>,
}

/// Bytes of memory a draft takes beside its records.
const OVERHEAD_BYTES_PER_DRAFT: u64 = 4096;
/// Bytes of memory a record takes beside its own: its row's numbers, offsets, hash and place. Without them millions of empty lines would cost
/// nothing.
const OVERHEAD_BYTES_PER_RECORD: u64 = 128;

impl Feed {
    /// Offers a draft, waiting at most `patience` for room.
    pub fn push(&mut self, draft: Draft, patience: Duration) -> Pushed {
        let until = Instant::now() + patience;
        let bytes = draft.bytes.len() as u64
            + OVERHEAD_BYTES_PER_DRAFT
            + OVERHEAD_BYTES_PER_RECORD * draft.record_count();
        // A grant taken for a draft that then found the channel full is kept for its next offer.
        let grant = match self.paid.take().filter(|grant| grant.bytes() == bytes) {
            Some(grant) => grant,
            None => match self.budget.acquire(bytes, patience, || self.stop.aborted()) {
                Some(grant) => grant,
                None if self.stop.aborted() => return Pushed::Closed,
                None => return Pushed::Full(draft),
            },
        };
        let chunk = Chunk {
            number: self.next_number,
            draft,
            grant,
            at: Instant::now(),
            ingest_time_us: clock::now_us(),
        };
        match self
            .chunks
            .send_deadline(chunk, until.max(Instant::now() + Duration::from_millis(1)))
        {
            Ok(()) => {
                self.next_number += 1;
                Pushed::Taken
            }
            Err(SendTimeoutError::Timeout(chunk)) => {
                self.paid = Some(chunk.grant);
                Pushed::Full(chunk.draft)
            }
            Err(SendTimeoutError::Disconnected(_)) => Pushed::Closed,
        }
    }

    /// Offers a draft until it is taken; false when the pipeline has ended. For sources that have nothing else to do meanwhile.
    pub fn push_waiting(&mut self, mut draft: Draft) -> bool {
        loop {
            match self.push(draft, Duration::from_secs(1)) {
                Pushed::Taken => return true,
                Pushed::Closed => return false,
                Pushed::Full(back) => draft = back,
            }
        }
    }

    /// Chunks taken so far.
    #[must_use]
    pub fn pushed_chunks(&self) -> u64 {
        self.next_number
    }

    /// Whether to stop reading, gracefully or not.
    #[must_use]
    pub fn stopping(&self) -> bool {
        self.stop.asked()
    }

    /// Whether the pipeline has failed: nothing that was pushed will be committed any more.
    #[must_use]
    pub fn aborted(&self) -> bool {
        self.stop.aborted()
    }

    /// What the committer has to say.
    #[must_use]
    pub fn feedback(&self) -> &Feedback {
        &self.feedback
    }

    /// The barrier between this source's generations.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The barrier, for what may outlive the feed.
    #[must_use]
    pub(crate) fn shared_gate(&self) -> Arc<Gate> {
        Arc::clone(&self.gate)
    }

    /// The run's metrics.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Every position of the newest version of the table.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn positions(&self) -> Result<BTreeMap<String, i64>, ArchiveError> {
        self.runtime.block_on(async {
            Ok(self
                .archive
                .snapshot()
                .await?
                .positions()
                .await?
                .into_iter()
                .collect())
        })
    }

    /// Every sequence ever archived from an origin, as the newest version of the table says.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn origin_set(&self, origin: &str) -> Result<Arc<RoaringTreemap>, ArchiveError> {
        self.runtime
            .block_on(async { self.archive.snapshot().await?.origin_set(origin).await })
    }

    /// The archive's id.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub fn archive_id(&self) -> Result<String, ArchiveError> {
        self.runtime
            .block_on(async { Ok(self.archive.snapshot().await?.table_id().to_owned()) })
    }

    /// Commits moved positions alone, beside whatever is on its way.
    ///
    /// # Errors
    /// The archive cannot be read or written; nothing was committed then.
    pub fn advance(&self, advance: AdvanceOnly) -> Result<Outcome, ArchiveError> {
        self.runtime.block_on(async {
            let base = self.archive.snapshot().await?;
            self.archive.advance(&base, advance).await
        })
    }
}
