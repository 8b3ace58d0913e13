//! Whether the effect of an intent is in the table: what recovery decides by.
//!
//! A run that was committed left an entry of what is kept under its own name. Only restores and purges take that away, and
//! both begin with an entry that names the run: so table and ledger tell it, however much of the table's log was cleaned
//! meanwhile. The log only adds which commit it was, and when.

use holdfast_archive::Archive;
use holdfast_schemas::ledger::{Act, Digest};
use uuid::Uuid;

use super::certificate::{self, Certificate};
use super::{DispositionError, objects, outcome, recover};
use crate::ledger::Ledger;
use crate::ledger::intent::{Found, commit_id, find};
use crate::ledger::state::{Intent, IntentKind};

/// The outcome of an intent whose commit is there; nothing when it is not.
pub(super) async fn outcome(
    ledger: &Ledger,
    id: &str,
    intent: &Intent,
) -> Result<Option<Act>, DispositionError> {
    match intent.kind {
        IntentKind::Disposition | IntentKind::Erasure => of_run(ledger, id, intent).await,
        IntentKind::Restore => crate::restore::evidence(ledger, id, intent).await,
        // Its files are deleted before its outcome: it settles itself.
        IntentKind::Purge => Ok(None),
    }
}

/// A certificate that was written for an intent, and the commit that it would have led to.
struct Candidate {
    commit_id: Uuid,
    path: String,
    sha256: Digest,
    certificate: Certificate,
}

async fn of_run(
    ledger: &Ledger,
    id: &str,
    intent: &Intent,
) -> Result<Option<Act>, DispositionError> {
    let archive = ledger.archive();
    // The table first: a restore that took the entry away is then known.
    let snapshot = archive.snapshot().await?;
    let state = ledger.refresh().await?;
    let was_out = state
        .restores
        .values()
        .any(|restore| restore.intent.run == id);
    if !was_out && !snapshot.kept()?.contains_key(id) {
        return Ok(None);
    }
    let candidates = candidates(archive, id, intent).await?;
    let ids: Vec<Uuid> = candidates.iter().map(|one| one.commit_id).collect();
    let (one, version, time_us) = match find(archive, intent.table_version, &ids).await? {
        Found::Committed { version, time_us } => {
            let record = archive.commit_record(version).await?;
            let id = record.and_then(|record| record.commit_id);
            let one = candidates.iter().find(|one| Some(one.commit_id) == id);
            (one, version, time_us)
        }
        // Only a conflict leads to another attempt: the last one is the one that was committed.
        Found::LogCleaned { .. } | Found::Absent { .. } => {
            let one = candidates
                .iter()
                .max_by_key(|one| one.certificate.table_version);
            (one, snapshot.version(), None)
        }
    };
    let Some(one) = one else {
        return Err(DispositionError::Corrupt {
            path: format!("{}/{id}-*.json", certificate::FOLDER),
            problem: format!("run {id} took rows out of the table, and its certificate is gone"),
        });
    };
    let outcome = outcome::outcome(
        &one.certificate,
        one.path.clone(),
        one.sha256,
        version,
        // Not known any more: the grace begins late rather than early.
        time_us.unwrap_or_else(|| ledger.now_us()),
    );
    Ok(Some(match intent.kind {
        IntentKind::Erasure => crate::erasure::outcome_act(
            &one.certificate.of,
            &outcome,
            one.certificate.tally.stayed(),
        ),
        IntentKind::Disposition | IntentKind::Restore | IntentKind::Purge => {
            Act::DispositionOutcome(outcome)
        }
    }))
}

/// Every certificate that was written for an intent.
async fn candidates(
    archive: &Archive,
    id: &str,
    intent: &Intent,
) -> Result<Vec<Candidate>, DispositionError> {
    let mut found = Vec::new();
    for path in recover::named(archive, certificate::FOLDER, id).await? {
        let Some(bytes) = objects::bytes(archive, &path).await? else {
            continue;
        };
        let sha256 = Digest::of(&bytes);
        // A put that was cut off leaves nothing, or something that is no certificate: it led to no commit.
        if let Ok(certificate) = serde_json::from_slice(&bytes) {
            found.push(Candidate {
                commit_id: commit_id(&intent.hash, &sha256),
                path,
                sha256,
                certificate,
            });
        }
    }
    Ok(found)
}
