//! The ledger's objects in the store: read whole, put where nothing is, made certain.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use holdfast_archive::clock::Environment;
use holdfast_archive::{Archive, Staged, is_disk_full};
use holdfast_schemas::ledger::entry::params_path;
use holdfast_schemas::ledger::{Act, Entry, Params};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode};

use super::error::LedgerError;

const WAIT_FIRST_MS: u64 = 2;
const WAIT_MOST_MS: u64 = 250;
/// Tries of a put that may be repeated as it is.
const PUTS_MAX: u32 = 4;

/// What stands behind an entry.
// Read 32 at a time and folded at once: a box would only be in the way.
#[allow(clippy::large_enum_variant)]
#[derive(Debug, Clone, PartialEq)]
pub enum Words {
    /// Its parameters.
    Params(Params),
    /// The fold does not need them: not read.
    NotRead,
    /// They are not there: removed, or lost.
    Missing,
}

/// Who took a number.
pub(super) enum Slot {
    Ours,
    Theirs,
}

/// The store as the ledger uses it.
#[derive(Debug, Clone)]
pub(super) struct Objects {
    archive: Archive,
    store: Arc<dyn ObjectStore>,
    environment: Arc<dyn Environment>,
    time_max: Duration,
}

impl Objects {
    pub(super) fn new(
        archive: &Archive,
        environment: Arc<dyn Environment>,
        time_max: Duration,
    ) -> Self {
        Self {
            archive: archive.clone(),
            store: Arc::clone(archive.store()),
            environment,
            time_max,
        }
    }

    /// Whether they are files of a folder.
    pub(super) fn in_folder(&self) -> bool {
        self.archive.local_root().is_some()
    }

    /// The bytes of an object, or nothing.
    pub(super) async fn get(&self, path: &str) -> Result<Option<Bytes>, LedgerError> {
        let read = async { self.store.get(&Path::from(path)).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(store_error("read", path, source)),
        }
    }

    /// The entry in a slot, its content held against its hash.
    pub(super) async fn entry(&self, seq: u64) -> Result<Option<Entry>, LedgerError> {
        let path = Entry::path(seq);
        let Some(bytes) = self.get(&path).await? else {
            return Ok(None);
        };
        let entry = Entry::decode(&bytes).map_err(LedgerError::record(&path))?;
        if entry.seq != seq {
            return Err(LedgerError::Broken {
                path,
                problem: format!("it holds entry {}", entry.seq),
            });
        }
        Ok(Some(entry))
    }

    /// An entry's parameters; those that the fold does not need only with `all`.
    pub(super) async fn words(&self, entry: &Entry, all: bool) -> Result<Words, LedgerError> {
        if !all && Act::folds_without_params(&entry.action) {
            return Ok(Words::NotRead);
        }
        let path = entry.params_path();
        let Some(bytes) = self.get(&path).await? else {
            return Ok(Words::Missing);
        };
        let params =
            Params::decode(&bytes, &entry.params_digest).map_err(LedgerError::record(&path))?;
        if params.seq != entry.seq || params.act.action() != entry.action {
            return Err(LedgerError::Broken {
                path,
                problem: format!(
                    "it belongs to entry {} ({})",
                    params.seq,
                    params.act.action()
                ),
            });
        }
        Ok(Words::Params(params))
    }

    /// Entry and parameters of a slot.
    pub(super) async fn read(
        &self,
        seq: u64,
        all: bool,
    ) -> Result<Option<(Entry, Words)>, LedgerError> {
        let Some(entry) = self.entry(seq).await? else {
            return Ok(None);
        };
        let words = self.words(&entry, all).await?;
        Ok(Some((entry, words)))
    }

    /// Puts an object that may be put again as it is: its name tells its content, or the last one wins.
    pub(super) async fn put(&self, path: &str, bytes: Bytes) -> Result<(), LedgerError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let put = self
                .store
                .put(&Path::from(path), bytes.clone().into())
                .await;
            match put {
                Ok(_) => return Ok(()),
                Err(source)
                    if tries >= PUTS_MAX || is_refusal(&source) || is_disk_full(&source) =>
                {
                    return Err(store_error("write", path, source));
                }
                Err(_) => self.wait(tries).await,
            }
        }
    }

    /// Puts an entry's parameters at `path`, and then the entry, by [`Objects::take`]. In a folder the entry is written before, and both get to the disk
    /// together; its name it gets when the parameters are there.
    pub(super) async fn append(
        &self,
        path: &str,
        params: Bytes,
        seq: u64,
        entry: &Bytes,
    ) -> Result<Slot, LedgerError> {
        let staged = self.archive.stage(&Entry::path(seq), entry);
        self.put(path, params).await?;
        self.take(seq, entry, staged).await
    }

    /// Puts an entry where nothing is, and makes the answer certain: only an acknowledged put is. Everything else is read
    /// back, since the store may have repeated our own request. An empty slot decides nothing: the first request may
    /// still be on its way, so the same bytes are put again into the same slot until somebody fills it. `staged`, the entry
    /// written already, is the first try.
    async fn take(
        &self,
        seq: u64,
        bytes: &Bytes,
        mut staged: Option<Staged>,
    ) -> Result<Slot, LedgerError> {
        let path = Path::from(Entry::path(seq));
        let started = Instant::now();
        let mut tries = 0;
        let mut acknowledged_lost = false;
        loop {
            tries += 1;
            let put = match staged.take() {
                Some(staged) => {
                    // Others of this thread may go first, as before each put.
                    tokio::task::yield_now().await;
                    staged.create()
                }
                None => {
                    let put = bytes.clone().into();
                    let put = self.store.put_opts(&path, put, PutMode::Create.into());
                    put.await.map(drop)
                }
            };
            let source = match put {
                Ok(_) => return Ok(Slot::Ours),
                // The first answer of a store that lets nobody write: nothing is on its way.
                Err(source) if is_refusal(&source) && !acknowledged_lost => {
                    return Err(store_error("write", path.as_ref(), source));
                }
                Err(source) => source,
            };
            // A full disk is the answer of a folder: nobody repeats our request behind our back.
            let certain = !acknowledged_lost && is_disk_full(&source);
            acknowledged_lost = true;
            let problem = match self.get(path.as_ref()).await {
                Ok(None) if certain => return Err(store_error("write", path.as_ref(), source)),
                Ok(Some(found)) if found == *bytes => match self.sync_entries().await {
                    Ok(()) => return Ok(Slot::Ours),
                    Err(error) => error.to_string(),
                },
                Ok(Some(_)) => return Ok(Slot::Theirs),
                Ok(None) => source.to_string(),
                Err(error) => error.to_string(),
            };
            if started.elapsed() >= self.time_max {
                return Err(LedgerError::Unknown { seq, problem });
            }
            self.wait(tries).await;
        }
    }

    /// Removes an object; a missing one is no error.
    pub(super) async fn delete(&self, path: &str) -> Result<(), LedgerError> {
        match self.store.delete(&Path::from(path)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(store_error("delete", path, source)),
        }
    }

    /// When the store says that an object was written, UTC microseconds.
    pub(super) async fn written_us(&self, path: &str) -> Result<i64, LedgerError> {
        match self.store.head(&Path::from(path)).await {
            Ok(meta) => Ok(meta.last_modified.timestamp_micros()),
            Err(source) => Err(store_error("look for", path, source)),
        }
    }

    /// Names in a folder of the ledger.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<String>, LedgerError> {
        let prefix = Path::from(folder);
        match self.store.list_with_delimiter(Some(&prefix)).await {
            Ok(listed) => Ok(listed
                .objects
                .into_iter()
                .map(|meta| meta.location.to_string())
                .collect()),
            Err(source) => Err(store_error("list", folder, source)),
        }
    }

    pub(super) fn now_us(&self) -> i64 {
        self.environment.now_ms().saturating_mul(1000)
    }

    pub(super) async fn wait(&self, tries: u32) {
        let full = (WAIT_FIRST_MS << tries.min(10)).min(WAIT_MOST_MS);
        let wait = full / 2 + self.environment.random() % (full / 2 + 1);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    /// What is read back from a folder counts once its name is on the disk: the put may have failed before that.
    async fn sync_entries(&self) -> std::io::Result<()> {
        let Some(root) = self.archive.local_root() else {
            return Ok(());
        };
        let folder = root.join(holdfast_schemas::ledger::FOLDER);
        tokio::task::spawn_blocking(move || std::fs::File::open(folder)?.sync_all()).await?
    }
}

/// Path of parameters that were put for a number that somebody else took.
pub(super) fn orphan_path(entry: &Entry) -> String {
    params_path(entry.seq, &entry.params_digest)
}

/// Whether the store says that we may not, so that asking again is in vain.
fn is_refusal(error: &Error) -> bool {
    if matches!(
        error,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. }
    ) {
        return true;
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return matches!(
                io.kind(),
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem
            );
        }
        source = cause.source();
    }
    false
}

pub(super) fn store_error(
    operation: &'static str,
    path: &str,
    source: object_store::Error,
) -> LedgerError {
    if operation == "write" && is_refusal(&source) {
        return LedgerError::ReadOnly {
            path: path.to_owned(),
            problem: source.to_string(),
        };
    }
    LedgerError::Store {
        operation,
        path: path.to_owned(),
        source,
    }
}
