//! Whether a restore that broke off had happened.

use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::ledger::{Act, Digest};

use super::{Back, FOLDER, outcome};
use crate::disposition::kept::Out;
use crate::disposition::{DispositionError, objects, plan_file, recover};
use crate::ledger::intent::{Found, commit_id, find};
use crate::ledger::state::Intent;
use crate::ledger::{Ledger, State};

/// The outcome of a restore whose commit is there; nothing when it is not. Where the table's log does not tell any more,
/// the rows do.
pub(crate) async fn evidence(
    ledger: &Ledger,
    id: &str,
    intent: &Intent,
) -> Result<Option<Act>, DispositionError> {
    let archive = ledger.archive();
    let snapshot = archive.snapshot().await?;
    let state = ledger.refresh().await?;
    for (digest, back) in records(archive, id).await? {
        let commit = commit_id(&intent.hash, &digest);
        let version = match find(archive, intent.table_version, &[commit]).await? {
            Found::Committed { version, .. } => Some(version),
            Found::Absent { .. } => None,
            Found::LogCleaned { .. } => is_back(archive, &snapshot, &state, &back)
                .await?
                .then(|| snapshot.version()),
        };
        if let Some(version) = version {
            return Ok(Some(Act::RestoreOutcome(outcome(&back, version))));
        }
    }
    Ok(None)
}

/// What was written for a restore: at most one, before its commit.
async fn records(archive: &Archive, id: &str) -> Result<Vec<(Digest, Back)>, DispositionError> {
    let mut found = Vec::new();
    for path in recover::named(archive, FOLDER, id).await? {
        if let Some(bytes) = objects::bytes(archive, &path).await?
            && let Ok(back) = serde_json::from_slice(&bytes)
        {
            found.push((Digest::of(&bytes), back));
        }
    }
    Ok(found)
}

/// Whether the rows are in the table by this restore: they are not out any more, no other restore brought them back, and
/// they are there.
async fn is_back(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
    back: &Back,
) -> Result<bool, DispositionError> {
    if let Some(kept) = snapshot.kept()?.get(&back.run) {
        let out = Out::of(archive, &back.run, kept).await?;
        if !out.rows.is_disjoint(&back.rows) {
            return Ok(false);
        }
    }
    let others = state.restores.iter().filter(|(id, other)| {
        **id != back.id && other.intent.run == back.run && other.outcome.is_some()
    });
    for (id, _) in others {
        for (_, other) in records(archive, id).await? {
            if !other.rows.is_disjoint(&back.rows) {
                return Ok(false);
            }
        }
    }
    for segment in snapshot.segments().await?.iter() {
        let there = plan_file::present(archive, segment, &back.rows).await?;
        if !there.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}
