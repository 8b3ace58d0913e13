//! Keeping the log short: checkpoints, and removal of entries that nobody needs.
//!
//! A checkpoint is due when max(100, live files / 100) entries lie above the last one: a cold start reads few entries,
//! and the work of writing checkpoints stays in proportion. Each is read back, compared with the log and marked; one
//! that says something else is withdrawn. Three are kept. Entries older than a day and below the oldest kept one are
//! removed, if that one is marked. Everything here may fail or be killed at any
//! point: it only ever removes what a verified checkpoint stands for.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use sha2::{Digest, Sha256};

use crate::archive::Archive;
use crate::background;
use crate::error::ArchiveError;
use crate::log::paths::{self, Kind};
use crate::log::state::{LogFile, State};
use crate::shared::Shared;

/// Entries between two checkpoints, at least.
const CHECKPOINT_ENTRIES_MIN: u64 = 100;
/// Live files for one more entry between checkpoints.
const FILES_AN_ENTRY: u64 = 100;
/// Checkpoints that are kept.
const CHECKPOINTS_KEPT: usize = 3;
/// Log entries younger than this stay: readers may be on their way through them.
const ENTRY_AGE_MIN_MS: i64 = 24 * 3_600_000;
/// Old entries are looked for at most this often: the log's folder is listed for it.
const CLEAN_INTERVAL_MS: i64 = 3_600_000;

/// One checkpoint of a process at a time: each blocks some of the few threads there are for it.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// What maintenance did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogReport {
    /// Version of the checkpoint that was written, if one was due.
    pub checkpoint: Option<u64>,
    /// Log entries and old checkpoints removed.
    pub removed: u64,
}

/// Writes a checkpoint when one is due and removes log entries older than 24 hours below the oldest kept one.
/// Commits do this by themselves in the background; this is for `holdfast gc`.
///
/// # Errors
/// The store's errors.
pub async fn run(archive: &Archive, now_ms: i64) -> Result<LogReport, ArchiveError> {
    let state = archive.shared.refresh().await?;
    let checkpoint = checkpoint_if_due(&archive.shared, &state).await?;
    let removed = clean(&archive.shared, now_ms).await?;
    Ok(LogReport {
        checkpoint,
        removed,
    })
}

/// Starts maintenance in the background when it is due after a commit. Never fails a commit, which is done.
pub(crate) fn after_commit(shared: &Arc<Shared>, state: &Arc<State>) {
    if !shared.maintenance || !is_due(state) || shared.maintaining.swap(true, Ordering::AcqRel) {
        return;
    }
    let (busy, version) = (Arc::clone(shared), state.version);
    let (shared, state) = (Arc::clone(shared), Arc::clone(state));
    let started = background::spawn(async move {
        let done = in_background(&shared, &state).await;
        shared.maintaining.store(false, Ordering::Release);
        if let Err(error) = done {
            tracing::warn!(version, %error, "log maintenance failed; the next commits try again");
        }
    });
    if let Err(error) = started {
        busy.maintaining.store(false, Ordering::Release);
        tracing::warn!(version, %error, "log maintenance could not begin; the next commits try again");
    }
}

async fn in_background(shared: &Arc<Shared>, state: &Arc<State>) -> Result<(), ArchiveError> {
    checkpoint_if_due(shared, state).await?;
    let now_ms = shared.environment.now_ms();
    let last = shared.cleaned_ms.load(Ordering::Acquire);
    if now_ms.saturating_sub(last) >= CLEAN_INTERVAL_MS {
        shared.cleaned_ms.store(now_ms, Ordering::Release);
        clean(shared, now_ms).await?;
    }
    Ok(())
}

fn is_due(state: &State) -> bool {
    let since = state.version - state.checkpoint.map_or(0, |c| c.version);
    since >= CHECKPOINT_ENTRIES_MIN.max(state.live.len() as u64 / FILES_AN_ENTRY)
}

/// Writes the checkpoint of `state` unless it is not due, or another process wrote one meanwhile.
async fn checkpoint_if_due(
    shared: &Arc<Shared>,
    state: &Arc<State>,
) -> Result<Option<u64>, ArchiveError> {
    if let Some(hint) = shared.reader.checkpoint_hint().await?
        && hint <= state.version
    {
        adopt(shared, state, hint).await?;
    }
    let state = if shared.latest().version == state.version {
        shared.latest()
    } else {
        Arc::clone(state)
    };
    if !is_due(&state) {
        return Ok(None);
    }
    write_checkpoint(shared, &state).await?;
    Ok(Some(state.version))
}

/// Writes and verifies a checkpoint, then lets the shared state go on from it.
async fn write_checkpoint(shared: &Arc<Shared>, state: &Arc<State>) -> Result<(), ArchiveError> {
    let hint_before = shared.reader.get(&paths::last_checkpoint()).await?;
    let (kernel, at) = (shared.kernel.clone(), Arc::clone(state));
    let written = {
        let _turn = TURN.lock().await;
        background::run("write a checkpoint", move |threads| {
            kernel.checkpoint(&at, threads)
        })
        .await
    };
    written??;
    match verify(shared, state).await {
        Ok(sha256) => put(shared, &paths::verified(state.version), sha256.into()).await?,
        // Not read: it stays, unmarked, and nothing is removed on its word.
        Err(error @ ArchiveError::Store { .. }) => return Err(error),
        Err(error) => {
            withdraw(shared, state.version, hint_before).await?;
            return Err(error);
        }
    }
    adopt(shared, state, state.version).await?;
    Ok(())
}

/// Takes a checkpoint that is not what it must be out of use: readers go on from the one before.
async fn withdraw(
    shared: &Arc<Shared>,
    version: u64,
    hint_before: Option<Bytes>,
) -> Result<(), ArchiveError> {
    delete(shared, &paths::verified(version)).await?;
    // The file first: a hint without its file is passed over.
    delete(shared, &paths::checkpoint(version)).await?;
    if shared.reader.checkpoint_hint().await? != Some(version) {
        return Ok(());
    }
    match hint_before {
        Some(hint) => put(shared, &paths::last_checkpoint(), hint).await,
        None => delete(shared, &paths::last_checkpoint()).await,
    }
}

async fn put(shared: &Shared, path: &Path, bytes: Bytes) -> Result<(), ArchiveError> {
    let put = shared.store.put(path, bytes.into()).await;
    put.map(|_| ()).map_err(|source| ArchiveError::Store {
        operation: "write",
        path: path.to_string(),
        source,
    })
}

async fn delete(shared: &Shared, path: &Path) -> Result<(), ArchiveError> {
    match shared.store.delete(path).await {
        Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(source) => Err(ArchiveError::Store {
            operation: "delete",
            path: path.to_string(),
            source,
        }),
    }
}

/// What a checkpoint is, against the mark that was made when it was compared with the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// There, byte for byte the one that was compared.
    Verified,
    /// There, and not the one that was compared.
    Changed,
    /// Nobody compared it, or it is gone.
    Unknown,
}

/// How the checkpoint of `version` stands.
pub(crate) async fn standing(shared: &Shared, version: u64) -> Result<Standing, ArchiveError> {
    let Some(sha256) = shared.reader.get(&paths::verified(version)).await? else {
        return Ok(Standing::Unknown);
    };
    let bytes = shared.reader.get(&paths::checkpoint(version)).await?;
    Ok(match bytes {
        Some(bytes) if *sha256 == *hex::encode(Sha256::digest(&bytes)).as_bytes() => {
            Standing::Verified
        }
        Some(_) => Standing::Changed,
        None => Standing::Unknown,
    })
}

/// Reads the checkpoint of `state`'s version back and compares it with the state; answers its SHA-256.
async fn verify(shared: &Arc<Shared>, state: &State) -> Result<String, ArchiveError> {
    let path = paths::checkpoint(state.version);
    let bytes = shared.reader.get(&path).await?;
    let path = path.to_string();
    let Some(bytes) = bytes else {
        return Err(ArchiveError::Corrupt {
            path,
            problem: "it was written and is not there".to_owned(),
        });
    };
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let found = shared.reader.checkpoint_in(state.version, bytes).await?;
    let same = found.txns == state.txns
        && found.domains == state.domains
        && found.origins.keys().eq(state.origins.keys())
        && found
            .origins
            .values()
            .zip(state.origins.values())
            .all(|(a, b)| a.same(b))
        && found.table.metadata == state.table.metadata
        && found.table.protocol == state.table.protocol
        && found.live.iter().eq(state.live.iter());
    if same {
        Ok(sha256)
    } else {
        Err(ArchiveError::Corrupt {
            path,
            problem: "it does not say what the log says".to_owned(),
        })
    }
}

/// `state`, beginning its tail at the newest checkpoint that any process wrote. A process that never looks would hold
/// on to a checkpoint that others have long removed.
pub(crate) async fn adopt_newest(
    shared: &Arc<Shared>,
    state: &Arc<State>,
) -> Result<Arc<State>, ArchiveError> {
    match shared.reader.checkpoint_hint().await? {
        Some(hint) if hint <= state.version => adopt(shared, state, hint).await,
        Some(_) | None => Ok(Arc::clone(state)),
    }
}

/// Lets a state, and the shared one, begin their tails at a checkpoint.
async fn adopt(
    shared: &Arc<Shared>,
    state: &Arc<State>,
    version: u64,
) -> Result<Arc<State>, ArchiveError> {
    if state.checkpoint.is_some_and(|c| c.version >= version) {
        return Ok(Arc::clone(state));
    }
    // One that was not verified may be withdrawn again.
    let marked = shared.reader.get(&paths::verified(version)).await?;
    if marked.is_none() {
        return Ok(Arc::clone(state));
    }
    let path = paths::checkpoint(version);
    let bytes = match shared.store.head(&path).await {
        Ok(meta) => meta.size,
        // The hint is ahead of what there is: nothing to adopt.
        Err(object_store::Error::NotFound { .. }) => return Ok(Arc::clone(state)),
        Err(source) => {
            return Err(ArchiveError::Store {
                operation: "look for",
                path: path.to_string(),
                source,
            });
        }
    };
    let file = LogFile { version, bytes };
    shared.publish(&Arc::new(shared.latest().with_checkpoint(file)));
    Ok(Arc::new(state.with_checkpoint(file)))
}

/// Removes what the log no longer needs; answers how many files.
async fn clean(shared: &Arc<Shared>, now_ms: i64) -> Result<u64, ArchiveError> {
    let listed = shared.reader.list().await?;
    let files: Vec<(Kind, i64)> = listed
        .iter()
        .map(|(kind, meta)| (*kind, meta.last_modified.timestamp_millis()))
        .collect();
    let Some((oldest, removable)) = removable(&files, now_ms) else {
        return Ok(0);
    };
    // The oldest kept checkpoint stands for everything below it: one that nobody has compared with the log does not.
    if removable.is_empty() || standing(shared, oldest).await? != Standing::Verified {
        return Ok(0);
    }
    for &index in &removable {
        let (kind, meta) = &listed[index];
        if let Kind::Checkpoint(version) = kind {
            delete(shared, &paths::verified(*version)).await?;
        }
        delete(shared, &meta.location).await?;
    }
    Ok(removable.len() as u64)
}

/// The oldest checkpoint to keep, and which of the files (kind, milliseconds since 1970 of their writing; ascending) may go: entries below it that
/// are old enough, and older checkpoints.
///
/// Entries go from the oldest on without a gap, whatever times they have (those of a copied archive may stand in any order): where entry 0 is there,
/// all are, and a reader without a hint may begin there.
fn removable(files: &[(Kind, i64)], now_ms: i64) -> Option<(u64, Vec<usize>)> {
    let mut checkpoints: Vec<u64> = files
        .iter()
        .filter_map(|(kind, _)| {
            if let Kind::Checkpoint(v) = kind {
                Some(*v)
            } else {
                None
            }
        })
        .collect();
    checkpoints.sort_unstable_by(|a, b| b.cmp(a));
    let oldest = *checkpoints
        .get(CHECKPOINTS_KEPT - 1)
        .or(checkpoints.last())?;
    let is_old = |written_ms: i64| now_ms.saturating_sub(written_ms) >= ENTRY_AGE_MIN_MS;
    let mut contiguous = true;
    let removable = files
        .iter()
        .enumerate()
        .filter(|(_, (kind, written_ms))| match kind {
            Kind::Entry(version) => {
                contiguous &= *version < oldest && is_old(*written_ms);
                contiguous
            }
            // A reader that was told of an older checkpoint finds the next one by listing.
            Kind::Checkpoint(version) => *version < oldest && is_old(*written_ms),
            Kind::Other => false,
        })
        .map(|(index, _)| index)
        .collect();
    Some((oldest, removable))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = ENTRY_AGE_MIN_MS;

    #[test]
    fn only_old_files_below_the_third_checkpoint_go() {
        let mut files: Vec<(Kind, i64)> = (0..500)
            .map(|v| (Kind::Entry(v), i64::try_from(v).unwrap()))
            .collect();
        files
            .extend([100, 200, 300, 400].map(|v| (Kind::Checkpoint(v), i64::try_from(v).unwrap())));
        files.push((Kind::Other, 0));
        let gone = |files: &[(Kind, i64)]| {
            let (oldest, gone) = removable(files, DAY + 150).unwrap();
            assert_eq!(oldest, 200);
            gone.into_iter().map(|i| files[i].0).collect::<Vec<_>>()
        };
        let expected = |entries| {
            let entries = (0..entries).map(Kind::Entry);
            entries.chain([Kind::Checkpoint(100)]).collect::<Vec<_>>()
        };
        assert_eq!(gone(&files), expected(151));
        // An entry that is younger than those after it, as in a copy of the archive.
        files[50].1 = 9 * DAY;
        assert_eq!(gone(&files), expected(50));
    }

    #[test]
    fn without_a_checkpoint_nothing_goes() {
        assert_eq!(
            removable(&[(Kind::Entry(0), 0), (Kind::Entry(1), 0)], 100 * DAY),
            None
        );
        let (oldest, gone) =
            removable(&[(Kind::Entry(0), 0), (Kind::Checkpoint(0), 0)], 100 * DAY).unwrap();
        assert_eq!((oldest, gone.len()), (0, 0));
    }
}
