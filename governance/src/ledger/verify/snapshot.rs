//! The snapshot of the fold against the chain.

use bytes::Bytes;
use holdfast_schemas::ledger::SNAPSHOT_PATH;
use holdfast_schemas::ledger::snapshot::Snapshot;

use super::fold::Folding;
use super::{Report, Tampering};
use crate::ledger::error::LedgerError;
use crate::ledger::objects::Objects;
use crate::ledger::state::State;

/// The snapshot is derived: it must say what the chain says. `written`: as it was before the chain was looked at.
pub(super) async fn compare(
    objects: &Objects,
    written: Result<Option<Bytes>, LedgerError>,
    state: Option<&State>,
    folding: &Folding<'_>,
    report: &mut Report,
) {
    let bytes = match written {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return,
        Err(error) => return report.find(0, Tampering::Unreadable, error.to_string()),
    };
    let Some((seq, problem)) = says_otherwise(&bytes, state, folding) else {
        return;
    };
    // One that was exchanged meanwhile is looked at next time.
    if let Ok(Some(now)) = objects.get(SNAPSHOT_PATH).await
        && now != bytes
    {
        return;
    }
    report.find(seq, Tampering::Snapshot, problem);
}

/// What is wrong with a snapshot, and the entry it stands for.
fn says_otherwise(
    bytes: &Bytes,
    state: Option<&State>,
    folding: &Folding<'_>,
) -> Option<(u64, String)> {
    let snapshot = match Snapshot::decode(bytes) {
        Ok(Some(snapshot)) => snapshot,
        Ok(None) => return None,
        Err(error) => return Some((0, error.to_string())),
    };
    let seq = snapshot.seq;
    let found = |problem: &str| Some((seq, problem.to_owned()));
    match folding.chain.get(&seq) {
        Some(entry) if entry.hash == snapshot.hash => {}
        Some(_) | None => return found("it stands for no entry of the chain"),
    }
    let state = state?;
    let Ok(said) = serde_json::from_str::<State>(snapshot.state.get()) else {
        return found("its state cannot be read");
    };
    if said.head.seq != seq {
        return found("its state is that of another entry");
    }
    let mut removed = folding.removed.keys().take_while(|gone| **gone <= seq);
    if removed.any(|gone| !said.removed.contains_key(gone)) {
        return found("it may hold words that were removed since");
    }
    // The fold goes on from what it says to the end: it must get where the chain gets.
    match folding.rest(said) == *state {
        true => None,
        false => found("it says something else than the chain"),
    }
}
