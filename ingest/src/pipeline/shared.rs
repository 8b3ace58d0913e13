//! What the batcher and the committer both know: the newest snapshot, and the rows on their way to the table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow::array::RecordBatch;
use holdfast_archive::Snapshot;
use roaring::RoaringTreemap;

use super::batch::Batch;
use super::judge::IdColumns;

/// The ids of a batch's rows while the batch is on its way.
#[derive(Debug)]
pub(super) struct OnTheWay {
    /// The batch's number.
    pub number: u64,
    /// The batch's generation.
    pub generation: u64,
    /// Its rows' sequences, by origin.
    pub sequences: BTreeMap<Arc<str>, RoaringTreemap>,
    /// The id columns of its rows.
    pub ids: Vec<RecordBatch>,
}

impl OnTheWay {
    /// Of a batch; columns are shared, not copied.
    #[must_use]
    pub(super) fn of(batch: &Batch) -> Self {
        let ids = batch
            .rows
            .iter()
            .map(|rows| id_columns(&rows.batch))
            .collect();
        Self {
            number: batch.number,
            generation: batch.generation,
            sequences: batch.sequences.clone(),
            ids,
        }
    }
}

fn id_columns(batch: &RecordBatch) -> RecordBatch {
    let indices: Vec<usize> = IdColumns::NAMES
        .iter()
        .filter_map(|name| batch.schema_ref().index_of(name).ok())
        .collect();
    // All three are in every segment's schema; a projection of columns that exist does not fail.
    batch.project(&indices).unwrap_or_else(|_| batch.clone())
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    snapshot: Snapshot,
    on_the_way: Vec<Arc<OnTheWay>>,
}

impl Shared {
    /// Begins with a snapshot and nothing on its way.
    #[must_use]
    pub(super) fn new(snapshot: Snapshot) -> Self {
        Self {
            state: Mutex::new(State {
                snapshot,
                on_the_way: Vec::new(),
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest snapshot, and what is not in it yet. Both at once: a batch is in one of the two at any time.
    #[must_use]
    pub(super) fn view(&self) -> (Snapshot, Vec<Arc<OnTheWay>>) {
        let state = self.state();
        (state.snapshot.clone(), state.on_the_way.clone())
    }

    /// The newest snapshot.
    #[must_use]
    pub(super) fn snapshot(&self) -> Snapshot {
        self.state().snapshot.clone()
    }

    /// Batches on their way.
    #[must_use]
    pub(super) fn building(&self) -> usize {
        self.state().on_the_way.len()
    }

    /// A batch left the batcher.
    pub(super) fn depart(&self, batch: OnTheWay) {
        self.state().on_the_way.push(Arc::new(batch));
    }

    /// A batch was committed or dropped; `snapshot` is not older than its commit.
    pub(super) fn arrive(&self, number: u64, snapshot: Option<Snapshot>) {
        let mut state = self.state();
        state.on_the_way.retain(|batch| batch.number != number);
        if let Some(snapshot) = snapshot {
            Self::renew_in(&mut state, snapshot);
        }
    }

    /// Batches of older generations will not be committed any more.
    pub(super) fn drop_older(&self, generation: u64) {
        self.state()
            .on_the_way
            .retain(|batch| batch.generation >= generation);
    }

    /// A newer snapshot was read.
    pub(super) fn renew(&self, snapshot: Snapshot) {
        Self::renew_in(&mut self.state(), snapshot);
    }

    fn renew_in(state: &mut State, snapshot: Snapshot) {
        if snapshot.version() >= state.snapshot.version() {
            state.snapshot = snapshot;
        }
    }
}
