//! Learning what became of a put: who is in the slot?

use std::path::Path as FsPath;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::{Error, ObjectStore, ObjectStoreExt};

use crate::clock::{Environment, backoff};
use crate::error::ArchiveError;
use crate::log::action::parse_entry;
use crate::log::paths;
use crate::log::reader::LogReader;
use crate::log::state::State;
use crate::store::sync_folder_of;
use crate::table::{Attempt, Put, is_permanent, put_entry};

const WAIT_FIRST: Duration = Duration::from_millis(2);
const WAIT_MOST: Duration = Duration::from_secs(1);
/// Refusals in a row that no repetition will change, before the caller is told.
const REFUSALS_MAX: u32 = 5;

/// Who took a slot of the log.
#[derive(Debug)]
pub(crate) enum Settled {
    Ours,
    Theirs,
    /// Not learnt in time; why not.
    Unknown(String),
}

/// Makes a put certain. Only an acknowledged put is; everything else is read back, a refusal included, because a
/// store may have repeated our own request. An empty slot decides nothing: the first request may still be on its way,
/// so the very same bytes are put again at the very same version until somebody fills it. `local`: the archive's folder,
/// if it is one; what is read back there counts once its name is on the disk.
pub(crate) async fn settle_slot(
    store: &Arc<dyn ObjectStore>,
    local: Option<&FsPath>,
    environment: &Arc<dyn Environment>,
    attempt: &Attempt,
    time_max: Duration,
) -> Result<Settled, ArchiveError> {
    if let Put::Acknowledged = attempt.put {
        return Ok(Settled::Ours);
    }
    let deadline = Instant::now() + time_max;
    let (mut reason, mut refused) = match &attempt.put {
        Put::Acknowledged | Put::Occupied => ("the slot is occupied".to_owned(), 0),
        Put::Failed { problem, permanent } => (problem.clone(), u32::from(*permanent)),
    };
    let mut tries = 0;
    loop {
        let mut permanent = false;
        match read_slot(store, attempt.version).await {
            Ok(Some(found)) => match owner(attempt, &found)? {
                // The put may have failed after the file got its name and before that was on the disk.
                Settled::Ours => match sync(local, attempt.version).await {
                    Ok(()) => return Ok(Settled::Ours),
                    Err(error) => reason = error.to_string(),
                },
                settled @ (Settled::Theirs | Settled::Unknown(_)) => return Ok(settled),
            },
            Ok(None) => match put_entry(store, attempt.version, &attempt.bytes).await {
                Put::Acknowledged => return Ok(Settled::Ours),
                Put::Occupied => {}
                Put::Failed {
                    problem,
                    permanent: never,
                } => (reason, permanent) = (problem, never),
            },
            Err(error) => (reason, permanent) = (error.to_string(), is_permanent(&error)),
        }
        tries += 1;
        refused = if permanent { refused + 1 } else { 0 };
        if Instant::now() >= deadline || refused >= REFUSALS_MAX {
            return Ok(Settled::Unknown(reason));
        }
        tracing::debug!(
            version = attempt.version,
            tries,
            reason,
            "reading back a commit"
        );
        tokio::time::sleep(backoff(tries, WAIT_FIRST, WAIT_MOST, environment.random())).await;
    }
}

/// Whether a slot is known to lie below what is kept of the log. An entry in such a slot is in nobody's history: readers
/// begin at a checkpoint above it. `state` is the one that the slot's entry was built on.
pub(crate) async fn is_emptied(
    reader: &LogReader,
    state: &State,
    version: u64,
) -> Result<bool, ArchiveError> {
    if reader
        .checkpoint_hint()
        .await?
        .is_some_and(|hint| hint >= version)
    {
        return Ok(true);
    }
    if state.checkpoint.is_some_and(|c| c.version == state.version) {
        return Ok(false);
    }
    Ok(reader.get(&paths::entry(state.version)).await?.is_none())
}

async fn sync(local: Option<&FsPath>, version: u64) -> std::io::Result<()> {
    let Some(root) = local else {
        return Ok(());
    };
    let path = root.join(paths::entry(version).as_ref());
    tokio::task::spawn_blocking(move || sync_folder_of(&path)).await?
}

fn owner(attempt: &Attempt, found: &Bytes) -> Result<Settled, ArchiveError> {
    if *found == attempt.bytes {
        return Ok(Settled::Ours);
    }
    let path = paths::entry(attempt.version);
    let (ours, theirs) = (
        parse_entry(attempt.version, path.as_ref(), &attempt.bytes)?.info,
        parse_entry(attempt.version, path.as_ref(), found)?.info,
    );
    // Other bytes with our ids cannot come from another writer.
    let same = ours.commit_id.is_some()
        && ours.commit_id == theirs.commit_id
        && ours.txn_id == theirs.txn_id;
    Ok(if same { Settled::Ours } else { Settled::Theirs })
}

async fn read_slot(
    store: &Arc<dyn ObjectStore>,
    version: u64,
) -> object_store::Result<Option<Bytes>> {
    match store.get(&paths::entry(version)).await {
        Ok(answer) => answer.bytes().await.map(Some),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;
    use crate::clock::System;

    #[tokio::test]
    async fn what_is_read_back_from_a_folder_counts_once_its_name_is_on_the_disk() {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let environment: Arc<dyn Environment> = Arc::new(System::default());
        let attempt = Attempt {
            version: 7,
            bytes: Bytes::from_static(b"entry"),
            put: Put::Failed {
                problem: "fsync: no space".to_owned(),
                permanent: false,
            },
            snapshot: None,
        };
        let entry = paths::entry(7);
        store
            .put(&entry, attempt.bytes.clone().into())
            .await
            .unwrap();
        let home = tempfile::tempdir().unwrap();
        let settled = async || {
            let time_max = Duration::ZERO;
            let local = Some(home.path());
            settle_slot(&store, local, &environment, &attempt, time_max)
                .await
                .unwrap()
        };
        // The folder cannot be synced: it is not even there.
        assert!(matches!(settled().await, Settled::Unknown(_)));
        std::fs::create_dir_all(home.path().join(paths::LOG)).unwrap();
        assert!(matches!(settled().await, Settled::Ours));
    }
}
