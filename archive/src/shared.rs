//! What the clones of an archive share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use object_store::ObjectStore;

use crate::clock::Environment;
use crate::error::ArchiveError;
use crate::log::reader::{LogReader, gone};
use crate::log::state::State;
use crate::table::Kernel;

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) local: Option<PathBuf>,
    pub(crate) fsync: bool,
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
    pub(crate) fsync: bool,
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
            fsync,
            url,
            environment,
            commit_time_max,
            maintenance,
        } = given;
        Self {
            store,
            local,
            fsync,
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

    /// Makes a state known, unless a newer one is. A newer version may come from a writer who has not heard of the
    /// checkpoint that was written meanwhile: what is known of it is kept.
    pub(crate) fn publish(&self, state: &Arc<State>) -> Arc<State> {
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        let rank = |s: &State| (s.version, s.checkpoint.map(|c| c.version), s.seen_ms);
        let state = match latest.checkpoint {
            Some(known) if known.version <= state.version && state.checkpoint != Some(known) => {
                Arc::new(state.with_checkpoint(known))
            }
            Some(_) | None => Arc::clone(state),
        };
        if rank(&state) > rank(&latest) {
            *latest = Arc::clone(&state);
        }
        state
    }

    /// Reads the log on to its end.
    pub(crate) async fn refresh(&self) -> Result<Arc<State>, ArchiveError> {
        let _turn = self.refreshing.lock().await;
        let state = self.reader.catch_up(&self.latest()).await?;
        Ok(self.publish(&state))
    }

    /// Reads the log as if for the first time: what was known of it is not believed any more, however new it seems.
    pub(crate) async fn reopen(&self) -> Result<Arc<State>, ArchiveError> {
        let _turn = self.refreshing.lock().await;
        let state = self.reader.open().await?;
        let state = Arc::new(state.ok_or_else(|| gone(self.latest().version))?);
        *self.latest.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&state);
        Ok(state)
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use url::Url;

    use crate::Archive;
    use crate::log::state::{LogFile, State};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_newer_version_keeps_the_known_checkpoint() {
        let url = Url::parse("memory:///").unwrap();
        let archive = Archive::create_in(Arc::new(InMemory::new()), url)
            .await
            .unwrap();
        let shared = &archive.shared;
        let old = shared.latest();
        let checkpoint = LogFile {
            version: 0,
            bytes: 7,
        };
        shared.publish(&Arc::new(old.with_checkpoint(checkpoint)));
        assert_eq!(shared.latest().checkpoint, Some(checkpoint));
        // A writer that began before commits version 1.
        let newer = State {
            version: 1,
            ..State::clone(&old)
        };
        let published = shared.publish(&Arc::new(newer));
        assert_eq!(
            (published.version, published.checkpoint),
            (1, Some(checkpoint))
        );
        assert!(published.tail.is_empty());
        // An older version never replaces a newer one.
        shared.publish(&old);
        assert_eq!(shared.latest().version, 1);
    }
}
