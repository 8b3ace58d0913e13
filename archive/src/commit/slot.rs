//! Learning what became of a put: who is in the slot?

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use object_store::{Error, ObjectStore, ObjectStoreExt};

use crate::clock::{Environment, backoff};
use crate::error::ArchiveError;
use crate::log::action::parse_entry;
use crate::log::paths;
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
/// so the very same bytes are put again at the very same version until somebody fills it.
pub(crate) async fn settle_slot(
    store: &Arc<dyn ObjectStore>,
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
            Ok(Some(found)) => return owner(attempt, &found),
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
