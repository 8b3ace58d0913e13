//! From objects to a state: the snapshot of the fold, then the entries after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use holdfast_schemas::ledger::snapshot::Snapshot;
use holdfast_schemas::ledger::{Act, Entry, RecordError, SNAPSHOT_PATH};

use super::Known;
use super::error::LedgerError;
use super::objects::{Objects, Words};
use super::snapshot::Written;
use super::state::State;

/// Entries read at the same time.
pub(super) const READS_AT_ONCE: usize = 32;

type Read = (Entry, Words);

/// The state from the newest snapshot on.
pub(super) async fn open(objects: &Objects) -> Result<Known, LedgerError> {
    let known = match from_snapshot(objects).await? {
        Some(known) => known,
        None => empty(),
    };
    go_on(objects, known).await
}

fn empty() -> Known {
    Known {
        state: Arc::default(),
        snapshot: Written::default(),
    }
}

/// The state from the first entry on, whatever a snapshot says.
pub(super) async fn from_chain(objects: &Objects) -> Result<Known, LedgerError> {
    let read = read_after(objects, 0).await?;
    fold(State::default(), &read, Written::default())
}

/// The state of the snapshot, if there is one that stands for an entry of the chain. One that does not is passed over:
/// it is derived, and the chain is what counts.
async fn from_snapshot(objects: &Objects) -> Result<Option<Known>, LedgerError> {
    let Some(bytes) = objects.get(SNAPSHOT_PATH).await? else {
        return Ok(None);
    };
    let (seq, hash, state) = match decode(&bytes) {
        Ok(Some(decoded)) => decoded,
        Ok(None) => return Ok(None),
        Err(error) => {
            tracing::warn!(%error, "the ledger's snapshot cannot be used; the chain is read");
            return Ok(None);
        }
    };
    match objects.entry(seq).await? {
        Some(entry) if entry.hash == hash => {}
        Some(_) | None => {
            tracing::warn!(
                seq,
                "the ledger's snapshot stands for no entry of the chain; the chain is read"
            );
            return Ok(None);
        }
    }
    Ok(Some(Known {
        state: Arc::new(state),
        snapshot: Written {
            seq,
            bytes: bytes.len() as u64,
        },
    }))
}

fn decode(
    bytes: &Bytes,
) -> Result<Option<(u64, holdfast_schemas::ledger::Digest, State)>, RecordError> {
    let Some(snapshot) = Snapshot::decode(bytes)? else {
        return Ok(None);
    };
    let state: State =
        serde_json::from_str(snapshot.state.get()).map_err(|e| RecordError::Shape {
            record: "state of the ledger",
            problem: e.to_string(),
        })?;
    if (state.head.seq, state.head.hash) != (snapshot.seq, snapshot.hash) {
        return Ok(None);
    }
    Ok(Some((snapshot.seq, snapshot.hash, state)))
}

/// What is put as the snapshot of a state.
pub(super) fn encode(state: &State) -> Result<Bytes, RecordError> {
    let text = serde_json::to_string(state).map_err(|e| RecordError::Shape {
        record: "state of the ledger",
        problem: e.to_string(),
    })?;
    let snapshot = Snapshot::new(state.head.seq, state.head.hash, text)?;
    Ok(snapshot.encode()?.into())
}

/// Reads on from a state to the end of the chain.
pub(super) async fn go_on(objects: &Objects, known: Known) -> Result<Known, LedgerError> {
    let read = read_after(objects, known.state.head.seq).await?;
    if read.is_empty() {
        return Ok(known);
    }
    // Words that are in the state already and were removed since: the state is folded anew without them.
    let removes_known = removals(&read)
        .keys()
        .any(|seq| *seq <= known.state.head.seq);
    if removes_known {
        return from_chain(objects).await;
    }
    fold(State::clone(&known.state), &read, known.snapshot)
}

/// Every entry after `seq`: one is asked for alone, since mostly there is none; then many at a time, up to the first that is
/// not there. In a folder whoever asks also reads, so that many at a time would only look for more that are not there.
async fn read_after(objects: &Objects, seq: u64) -> Result<Vec<Read>, LedgerError> {
    let mut found = Vec::new();
    let Some(first) = objects.read(seq + 1, false).await? else {
        return Ok(found);
    };
    found.push(first);
    let at_once = if objects.in_folder() {
        1
    } else {
        READS_AT_ONCE
    };
    let reads = (seq + 2..).map(|seq| objects.read(seq, false));
    let mut reads = futures::stream::iter(reads).buffered(at_once);
    while let Some(Some(read)) = reads.try_next().await? {
        found.push(read);
    }
    Ok(found)
}

/// What stands in for words that were removed, by entry.
fn removals(read: &[Read]) -> BTreeMap<u64, Option<&serde_json::Value>> {
    read.iter()
        .filter_map(|(_, words)| match words {
            Words::Params(params) => match &params.act {
                Act::ParamsRemoved(removed) => Some((removed.seq, removed.stand_in.as_ref())),
                _ => None,
            },
            Words::NotRead | Words::Missing => None,
        })
        .collect()
}

/// Folds entries that follow a state, each held against the one before it.
fn fold(mut state: State, read: &[Read], snapshot: Written) -> Result<Known, LedgerError> {
    let removals = removals(read);
    for (entry, words) in read {
        follows(&state, entry)?;
        let record = LedgerError::record(entry.params_path());
        match (removals.get(&entry.seq), words) {
            (Some(Some(stand_in)), _) => {
                let act = Act::from_parts(&entry.action, (*stand_in).clone()).map_err(record)?;
                state.apply(entry, Some(&act), None);
            }
            (Some(None), _) | (None, Words::NotRead) => state.apply(entry, None, None),
            (None, Words::Params(params)) => {
                state.apply(entry, Some(&params.act), params.command.as_deref());
            }
            (None, Words::Missing) => {
                return Err(LedgerError::Broken {
                    path: entry.params_path(),
                    problem: format!(
                        "the parameters of entry {} are gone, and no entry removes them",
                        entry.seq
                    ),
                });
            }
        }
    }
    Ok(Known {
        state: Arc::new(state),
        snapshot,
    })
}

/// Whether an entry is the next one of a state.
pub(super) fn follows(state: &State, entry: &Entry) -> Result<(), LedgerError> {
    if entry.seq == state.head.seq + 1 && entry.prev_hash == state.head.hash {
        return Ok(());
    }
    Err(LedgerError::Broken {
        path: Entry::path(entry.seq),
        problem: format!(
            "it names another entry before it than entry {}",
            state.head.seq
        ),
    })
}
