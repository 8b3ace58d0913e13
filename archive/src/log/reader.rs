//! Reading the log: a cold start, and catching up.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};

use crate::clock::Environment;
use crate::error::ArchiveError;
use crate::log::action::{Entry, parse_entry};
use crate::log::checkpoint;
use crate::log::paths::{self, Kind};
use crate::log::state::{LogFile, Parts, State};
use crate::store::parquet::Ranged;

/// Entries asked for at once when catching up.
const READ_AHEAD: usize = 16;
/// A state that was not refreshed for this long may have fallen behind what is left of the log (entries are kept for
/// a day): it is compared with the newest checkpoint first.
const STALE_MS: i64 = 3_600_000;

/// Up to this size a checkpoint is read whole, with one request: a second one takes longer than so many bytes.
const WHOLE_BYTES_MAX: u64 = 1024 * 1024;

/// What `_last_checkpoint` says.
#[derive(Debug, serde::Deserialize)]
struct Hint {
    version: u64,
    #[serde(rename = "sizeInBytes")]
    bytes: Option<u64>,
}

/// Reads one archive's log.
#[derive(Debug, Clone)]
pub(crate) struct LogReader {
    store: Arc<dyn ObjectStore>,
    environment: Arc<dyn Environment>,
}

impl LogReader {
    pub(crate) fn new(store: Arc<dyn ObjectStore>, environment: Arc<dyn Environment>) -> Self {
        Self { store, environment }
    }

    /// The newest state from nothing; `None` when there is no table.
    pub(crate) async fn open(&self) -> Result<Option<State>, ArchiveError> {
        let Some(start) = self.start().await? else {
            return Ok(None);
        };
        Ok(Some(self.read_on(start).await?))
    }

    /// The newest state from a known one.
    pub(crate) async fn catch_up(&self, state: &Arc<State>) -> Result<Arc<State>, ArchiveError> {
        if self.is_stale(state)
            && let Some(newest) = self.beyond(state).await?
        {
            return Ok(newest);
        }
        // Taken before the look: a process that sleeps in between must not believe that it looked just now.
        let now_ms = self.environment.now_ms();
        let first = self.entry(state.version + 1).await?;
        let Some(first) = first else {
            if now_ms.saturating_sub(state.seen_ms) < STALE_MS / 4 {
                return Ok(Arc::clone(state));
            }
            // A slot may be empty because its entry was removed, much too early, by a process whose clock is a day ahead.
            if let Some(newest) = self.beyond(state).await? {
                return Ok(newest);
            }
            // Ends where it ended. `seen_ms` moves so that a writer knows how fresh its slot is.
            return Ok(Arc::new(State {
                seen_ms: now_ms,
                ..State::clone(state)
            }));
        };
        let next = state.next(first, now_ms)?;
        Ok(Arc::new(self.read_on(next).await?))
    }

    /// The newest state read anew, if there is a checkpoint above a state: entries between the two may be gone.
    async fn beyond(&self, state: &State) -> Result<Option<Arc<State>>, ArchiveError> {
        if self
            .checkpoint_hint()
            .await?
            .is_none_or(|hint| hint <= state.version)
        {
            return Ok(None);
        }
        let newest = self.open().await?.map(Arc::new);
        newest.map(Some).ok_or_else(|| gone(state.version))
    }

    /// Whether a state is too old to be trusted to lie within the kept part of the log.
    pub(crate) fn is_stale(&self, state: &State) -> bool {
        self.environment.now_ms().saturating_sub(state.seen_ms) > STALE_MS
    }

    /// One entry, or nothing when the slot is empty.
    pub(crate) async fn entry(&self, version: u64) -> Result<Option<Entry>, ArchiveError> {
        let path = paths::entry(version);
        match self.get(&path).await? {
            Some(bytes) => parse_entry(version, path.as_ref(), &bytes).map(Some),
            None => Ok(None),
        }
    }

    /// Version of the newest checkpoint according to `_last_checkpoint`, if there is one.
    pub(crate) async fn checkpoint_hint(&self) -> Result<Option<u64>, ArchiveError> {
        Ok(self.hint().await?.map(|hint| hint.version))
    }

    async fn hint(&self) -> Result<Option<Hint>, ArchiveError> {
        let path = paths::last_checkpoint();
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        // A torn hint is no reason to fail: the folder can be listed.
        Ok(serde_json::from_slice(&bytes).ok())
    }

    /// Every entry and checkpoint in the log folder, ascending. Reads the whole folder: for maintenance, and for a
    /// cold start whose hint is missing.
    pub(crate) async fn list(&self) -> Result<Vec<(Kind, object_store::ObjectMeta)>, ArchiveError> {
        let folder = Path::from(paths::LOG);
        let mut found: Vec<_> = self
            .store
            .list(Some(&folder))
            .try_filter_map(|meta| {
                let kind = meta.location.filename().map_or(Kind::Other, paths::kind);
                std::future::ready(Ok((kind != Kind::Other).then_some((kind, meta))))
            })
            .try_collect()
            .await
            .or_else(|source| match source {
                Error::NotFound { .. } => Ok(Vec::new()),
                source => Err(ArchiveError::Store {
                    operation: "list",
                    path: paths::LOG.to_owned(),
                    source,
                }),
            })?;
        found.sort_by(|a, b| a.1.location.cmp(&b.1.location));
        Ok(found)
    }

    /// State at a checkpoint, its file compared with nothing but itself. A file of known size is read by ranges where
    /// that is worth it.
    async fn checkpoint(
        &self,
        version: u64,
        bytes: Option<u64>,
    ) -> Result<Option<State>, ArchiveError> {
        let path = paths::checkpoint(version);
        if let Some(bytes) = bytes.filter(|bytes| *bytes > WHOLE_BYTES_MAX) {
            let (path, text) = (path.clone(), path.to_string());
            let store = Arc::clone(&self.store);
            let read = checkpoint::read_ranged(Ranged { store, path, bytes }, &text);
            // Gone, not as its hint says, or damaged in a way that the library panics over: read whole it tells which.
            match AssertUnwindSafe(read).catch_unwind().await {
                Ok(Ok(parts)) => return self.state_of(version, bytes, parts).map(Some),
                Ok(Err(error)) => tracing::debug!(version, %error, "checkpoint is read whole"),
                Err(_) => tracing::debug!(version, "checkpoint is damaged, and read whole"),
            }
        }
        match self.get(&path).await? {
            Some(bytes) => self.checkpoint_in(version, bytes).await.map(Some),
            None => Ok(None),
        }
    }

    /// State at a checkpoint, from its file's bytes.
    pub(crate) async fn checkpoint_in(
        &self,
        version: u64,
        bytes: Bytes,
    ) -> Result<State, ArchiveError> {
        let (size, path) = (bytes.len() as u64, paths::checkpoint(version).to_string());
        let parsed = tokio::task::spawn_blocking(move || checkpoint::read(bytes, &path)).await;
        let parts = parsed.map_err(|e| task("read a checkpoint", &e))??;
        self.state_of(version, size, parts)
    }

    fn state_of(&self, version: u64, bytes: u64, parts: Parts) -> Result<State, ArchiveError> {
        let path = paths::checkpoint(version);
        let mut state = State::new(version, parts, path.as_ref(), self.environment.now_ms())?;
        state.checkpoint = Some(LogFile { version, bytes });
        Ok(state)
    }

    /// Where a cold start begins: the hinted checkpoint, else version 0, else the newest readable checkpoint.
    async fn start(&self) -> Result<Option<State>, ArchiveError> {
        if let Some(hint) = self.hint().await?
            && let Some(state) = self.usable_checkpoint(hint.version, hint.bytes).await?
        {
            return Ok(Some(state));
        }
        if let Some(first) = self.entry(0).await? {
            let path = paths::entry(0);
            return State::first(first, path.as_ref(), self.environment.now_ms()).map(Some);
        }
        let listed = self.list().await?;
        let mut any = false;
        for (kind, meta) in listed.iter().rev() {
            any = true;
            if let Kind::Checkpoint(version) = kind
                && let Some(state) = self.usable_checkpoint(*version, Some(meta.size)).await?
            {
                return Ok(Some(state));
            }
        }
        if any {
            return Err(ArchiveError::Corrupt {
                path: paths::LOG.to_owned(),
                problem: "it begins neither with entry 0 nor with a readable checkpoint".to_owned(),
            });
        }
        Ok(None)
    }

    /// A checkpoint, or nothing when it is missing or broken: an older one, or the log itself, may still do.
    async fn usable_checkpoint(
        &self,
        version: u64,
        bytes: Option<u64>,
    ) -> Result<Option<State>, ArchiveError> {
        match self.checkpoint(version, bytes).await {
            Ok(state) => Ok(state),
            Err(
                error @ (ArchiveError::Corrupt { .. }
                | ArchiveError::Parquet { .. }
                | ArchiveError::Arrow { .. }
                | ArchiveError::Task { .. }),
            ) => {
                tracing::warn!(version, %error, "checkpoint skipped");
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Applies entries until there is no next one.
    async fn read_on(&self, mut state: State) -> Result<State, ArchiveError> {
        loop {
            let first = state.version + 1;
            let asked_ms = self.environment.now_ms();
            let mut entries = stream::iter(first..first.saturating_add(READ_AHEAD as u64))
                .map(|version| self.entry(version))
                .buffered(READ_AHEAD);
            let mut empty = false;
            let mut behind = None;
            while let Some(entry) = entries.next().await {
                match entry? {
                    Some(entry) if empty => {
                        behind = Some(entry.version);
                        break;
                    }
                    Some(entry) => state.apply(entry, asked_ms)?,
                    None => empty = true,
                }
            }
            match behind {
                Some(behind) => state = self.over_hole(state, behind).await?,
                None if empty => {
                    state.seen_ms = asked_ms;
                    return Ok(state);
                }
                None => {}
            }
        }
    }

    /// Where reading goes on when the next entry was not there, and a later one is.
    async fn over_hole(&self, state: State, behind: u64) -> Result<State, ArchiveError> {
        let next = state.version + 1;
        // All of them may have been written since the first was asked for.
        if self.get(&paths::entry(next)).await?.is_some() {
            return Ok(state);
        }
        // It may have been removed, much too early, by a process whose clock is a day ahead: then a checkpoint stands for it.
        let newer = match self.hint().await? {
            Some(hint) if hint.version >= next => {
                self.usable_checkpoint(hint.version, hint.bytes).await?
            }
            _ => None,
        };
        // Else what follows would be hidden, and the next commit would fill the hole.
        newer.ok_or_else(|| missing(next, behind))
    }

    /// That no entry of the log lies behind the newest state: for those who act on what the log does not name. Lists the
    /// log's folder.
    pub(crate) async fn expect_no_hole(&self) -> Result<(), ArchiveError> {
        let listed = self.list().await?;
        let last = listed.iter().filter_map(|(kind, _)| kind.version()).max();
        // After the listing: whatever was listed is reached from the beginning, unless something is missing.
        let head = self.open().await?.map(|state| state.version);
        match (head, last) {
            (Some(head), Some(last)) if head < last => Err(missing(head + 1, last)),
            _ => Ok(()),
        }
    }

    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>, ArchiveError> {
        let failed = |source| ArchiveError::Store {
            operation: "read",
            path: path.to_string(),
            source,
        };
        match self.store.get(path).await {
            Ok(answer) => answer.bytes().await.map(Some).map_err(failed),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }
}

pub(crate) fn task(operation: &'static str, error: &tokio::task::JoinError) -> ArchiveError {
    ArchiveError::Task {
        operation,
        problem: error.to_string(),
    }
}

fn missing(version: u64, behind: u64) -> ArchiveError {
    ArchiveError::Corrupt {
        path: paths::entry(version).to_string(),
        problem: format!("it is missing, and version {behind} is there"),
    }
}

pub(crate) fn gone(version: u64) -> ArchiveError {
    ArchiveError::Corrupt {
        path: paths::LOG.to_owned(),
        problem: format!("version {version} was read before, and now there is no table"),
    }
}
