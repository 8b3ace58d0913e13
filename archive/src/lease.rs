//! Leases in the table: one holder at a time, fenced by a number that only grows.
//!
//! Domain metadata `holdfast.lease.<name>` holds `{"holder":…,"until_ms":…,"fencing":…}`. Times are the holders'
//! clocks: a lease keeps two compactors from doing the same work twice, the commit protocol alone keeps the archive
//! right (a rewrite whose inputs are gone is refused).

use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::archive::Archive;
use crate::commit::{self, Conflict, LeaseChange, Outcome, Plan};
use crate::error::ArchiveError;
use crate::log::paths;
use crate::log::state::State;
use crate::snapshot::Snapshot;

const DOMAIN_PREFIX: &str = "holdfast.lease.";

/// A lease that was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// Its name, `compactor` for one.
    pub name: String,
    /// Who holds it.
    pub holder: String,
    /// Until when, milliseconds since 1970.
    pub until_ms: i64,
    /// Grows with every change of hands.
    pub fencing: u64,
}

/// Answer to asking for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Taken {
    /// It is ours.
    Ours(Lease),
    /// Somebody else has it.
    Theirs(Lease),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    holder: String,
    until_ms: i64,
    fencing: u64,
}

/// Takes or renews a lease. A holder's name must be unique to its process.
///
/// # Errors
/// The store's errors, or an outcome that could not be learnt.
pub async fn take(
    archive: &Archive,
    name: &str,
    holder: &str,
    duration: Duration,
    now_ms: i64,
) -> Result<Taken, ArchiveError> {
    let until_ms = now_ms.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    let base = archive.snapshot().await?;
    // Asking costs a commit only when the answer may be yes.
    if let Some(lease) = current(&base, name)?
        && lease.holder != holder
        && lease.until_ms > now_ms
    {
        return Ok(Taken::Theirs(lease));
    }
    match change(archive, &base, name, holder, until_ms, now_ms).await? {
        Outcome::Committed(snapshot) => match current(&snapshot, name)? {
            Some(lease) => Ok(Taken::Ours(lease)),
            None => Err(ArchiveError::Invalid(format!(
                "lease {name} was taken and is not there"
            ))),
        },
        Outcome::Conflicted(conflict) => match current(&archive.known_snapshot(), name)? {
            Some(lease) => Ok(Taken::Theirs(lease)),
            None => Err(ArchiveError::Invalid(format!("lease {name}: {conflict}"))),
        },
        Outcome::Unknown(uncertain) => Err(ArchiveError::Invalid(format!(
            "whether lease {name} was taken is unknown: {}",
            uncertain.reason
        ))),
    }
}

/// Gives a lease back, if it still is ours.
///
/// # Errors
/// The store's errors.
pub async fn release(archive: &Archive, lease: &Lease) -> Result<(), ArchiveError> {
    let base = archive.snapshot().await?;
    if current(&base, &lease.name)?.as_ref() != Some(lease) {
        return Ok(());
    }
    // An unknown outcome or a conflict is no harm: the lease ends by itself.
    match change(archive, &base, &lease.name, &lease.holder, 0, 0).await? {
        Outcome::Committed(_) | Outcome::Conflicted(_) | Outcome::Unknown(_) => Ok(()),
    }
}

/// Gives back what a holder has of this name, if anything: for one that was broken off and does not know.
///
/// # Errors
/// The store's errors.
pub async fn release_of(archive: &Archive, name: &str, holder: &str) -> Result<(), ArchiveError> {
    match current(&archive.snapshot().await?, name)? {
        Some(lease) if lease.holder == holder && lease.until_ms > 0 => {
            release(archive, &lease).await
        }
        _ => Ok(()),
    }
}

/// The lease as a snapshot has it, ended ones included.
///
/// # Errors
/// Its record is broken.
pub fn current(snapshot: &Snapshot, name: &str) -> Result<Option<Lease>, ArchiveError> {
    Ok(record(&snapshot.state, name)?.map(
        |Record {
             holder,
             until_ms,
             fencing,
         }| Lease {
            name: name.to_owned(),
            holder,
            until_ms,
            fencing,
        },
    ))
}

async fn change(
    archive: &Archive,
    base: &Snapshot,
    name: &str,
    holder: &str,
    until_ms: i64,
    now_ms: i64,
) -> Result<Outcome, ArchiveError> {
    let change = LeaseChange {
        commit_id: Uuid::new_v4(),
        name: name.to_owned(),
        holder: holder.to_owned(),
        until_ms,
        now_ms,
    };
    commit::run(&archive.shared, base, Plan::Lease(change)).await
}

fn record(state: &State, name: &str) -> Result<Option<Record>, ArchiveError> {
    let Some(text) = state.domains.get(&format!("{DOMAIN_PREFIX}{name}")) else {
        return Ok(None);
    };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|e| ArchiveError::Corrupt {
            path: format!("{}/{DOMAIN_PREFIX}{name}", paths::LOG),
            problem: e.to_string(),
        })
}

/// Whether somebody else holds the lease.
pub(crate) fn held(change: &LeaseChange, state: &State) -> Result<Option<Conflict>, ArchiveError> {
    Ok(record(state, &change.name)?.and_then(|record| {
        let theirs = record.holder != change.holder;
        // Giving back what somebody else took meanwhile would end their lease.
        let held = theirs && (change.until_ms <= 0 || record.until_ms > change.now_ms);
        held.then(|| Conflict::LeaseHeld {
            name: change.name.clone(),
            holder: record.holder,
            until_ms: record.until_ms,
        })
    }))
}

/// The domain entry after the change.
pub(crate) fn domain(
    change: &LeaseChange,
    state: &State,
) -> Result<(String, String), ArchiveError> {
    let before = record(state, &change.name)?;
    let fencing = match &before {
        // A holder that let its lease end may have been replaced in between without knowing: a new number.
        Some(old)
            if old.holder == change.holder
                && (change.until_ms <= 0 || old.until_ms > change.now_ms) =>
        {
            old.fencing
        }
        Some(old) => old.fencing + 1,
        None => 1,
    };
    let record = Record {
        holder: change.holder.clone(),
        until_ms: change.until_ms,
        fencing,
    };
    let text = serde_json::to_string(&record).map_err(|e| {
        ArchiveError::Invalid(format!("lease {} cannot be written: {e}", change.name))
    })?;
    Ok((format!("{DOMAIN_PREFIX}{}", change.name), text))
}
