//! What the clones of an archive share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use object_store::ObjectStore;

use crate::clock::Environment;
use crate::error::ArchiveError;
use crate::log::reader::LogReader;
use crate::log::state::State;
use crate::table::Kernel;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) local: Option<PathBuf>,
    pub(crate) url: String,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) reader: LogReader,
    pub(crate) kernel: Kernel,
    pub(crate) commit_time_max: Duration,
    /// Checkpoints and log removal by themselves after commits.
    pub(crate) maintenance: bool,
    /// The newest state that anybody here has seen.
    latest: RwLock<Arc<State>>,
    /// One reads on, the others take what it found.
    pub(crate) refreshing: tokio::sync::Mutex<()>,
    /// Commits of one process go one after the other: they would only collide.
    pub(crate) committing: tokio::sync::Mutex<()>,
    /// A checkpoint is being written.
    pub(crate) maintaining: AtomicBool,
    /// When the log's old entries were last removed, milliseconds since 1970.
    pub(crate) cleaned_ms: AtomicI64,
}

/// The parts of [`Shared`] that are given, not made.
pub(crate) struct Given {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) local: Option<PathBuf>,
    pub(crate) url: String,
    pub(crate) environment: Arc<dyn Environment>,
    pub(crate) commit_time_max: Duration,
    pub(crate) maintenance: bool,
}

impl Shared {
    pub(crate) fn new(given: Given, reader: LogReader, kernel: Kernel, state: State) -> Self {
        let Given {
            store,
            local,
            url,
            environment,
            commit_time_max,
            maintenance,
        } = given;
        Self {
            store,
            local,
            url,
            environment,
            reader,
            kernel,
            commit_time_max,
            maintenance,
            latest: RwLock::new(Arc::new(state)),
            refreshing: tokio::sync::Mutex::default(),
            committing: tokio::sync::Mutex::default(),
            maintaining: AtomicBool::default(),
            cleaned_ms: AtomicI64::default(),
        }
    }

    pub(crate) fn latest(&self) -> Arc<State> {
        Arc::clone(&self.latest.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes a state known, unless a newer one is.
    pub(crate) fn publish(&self, state: &Arc<State>) {
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        let rank = |s: &State| (s.version, s.checkpoint.map(|c| c.version), s.seen_ms);
        if rank(state) > rank(&latest) {
            *latest = Arc::clone(state);
        }
    }

    /// Reads the log on to its end.
    pub(crate) async fn refresh(&self) -> Result<Arc<State>, ArchiveError> {
        let _turn = self.refreshing.lock().await;
        let state = self.reader.catch_up(&self.latest()).await?;
        self.publish(&state);
        Ok(state)
    }
}
