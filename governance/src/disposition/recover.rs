//! Runs, restores and purges that broke off: completed or abandoned before anything new begins.

use futures::TryStreamExt;
use holdfast_schemas::ledger::{Act, Digest};
use object_store::ObjectStore;
use object_store::path::Path;
use uuid::Uuid;

use super::certificate::{self, Certificate};
use super::{DispositionError, objects, run};
use crate::actor::By;
use crate::ledger::intent::{Found, Settled, commit_id, find};
use crate::ledger::state::{Intent, IntentEnd, IntentKind};
use crate::ledger::{Context, Judged, Ledger, LedgerError};

/// Settles every intent that broke off. One whose process is still at work is settled too, to its harm: its commit fails,
/// or is found and counts.
///
/// # Errors
/// The archive or the ledger cannot be read or written.
pub async fn all(ledger: &Ledger, by: &By) -> Result<(), DispositionError> {
    let state = ledger.refresh().await?;
    let open: Vec<(String, Intent)> = state
        .open_intents()
        .into_iter()
        .map(|(id, intent)| (id.to_owned(), intent.clone()))
        .collect();
    for (id, intent) in open {
        match intent.kind {
            IntentKind::Disposition => disposition(ledger, by, &id, &intent).await?,
            IntentKind::Restore => crate::restore::recover(ledger, by, &id, &intent).await?,
            IntentKind::Purge => crate::purge::recover(ledger, by, &id, &intent).await?,
            IntentKind::Erasure => crate::erasure::recover(ledger, by, &id, &intent).await?,
        }
    }
    Ok(())
}

/// Ends an intent of which nothing was committed.
pub(crate) async fn abandon(
    ledger: &Ledger,
    by: &By,
    id: &str,
    reason: &str,
) -> Result<(), DispositionError> {
    let settled = ledger
        .settle_intent(by, id, &[], reason, |_, _| impossible(id))
        .await?;
    match settled {
        Settled::Abandoned(_) | Settled::Happened(_) => Ok(()),
    }
}

/// Never written: without commit ids nothing is found.
fn impossible(id: &str) -> Act {
    Act::Unknown {
        action: "none".to_owned(),
        params: id.into(),
    }
}

/// A certificate that was written for an intent, and the commit that it would have led to.
pub(crate) struct Candidate {
    pub(crate) commit_id: Uuid,
    pub(crate) path: String,
    pub(crate) sha256: Digest,
    pub(crate) certificate: Certificate,
}

/// Every certificate that was written for an intent.
pub(crate) async fn candidates(
    ledger: &Ledger,
    id: &str,
    intent: &Intent,
) -> Result<Vec<Candidate>, DispositionError> {
    let archive = ledger.archive();
    let mut found = Vec::new();
    for path in named(archive, certificate::FOLDER, id).await? {
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

/// Objects of a folder whose name begins with an id and a digest.
pub(crate) async fn named(
    archive: &holdfast_archive::Archive,
    folder: &str,
    id: &str,
) -> Result<Vec<String>, DispositionError> {
    let listed = archive
        .store()
        .list(Some(&Path::from(folder)))
        .try_collect::<Vec<_>>()
        .await;
    let listed = match listed {
        Ok(listed) => listed,
        Err(object_store::Error::NotFound { .. }) => Vec::new(),
        Err(source) => {
            return Err(DispositionError::Store {
                operation: "list",
                path: folder.to_owned(),
                source,
            });
        }
    };
    let paths = listed.into_iter().map(|meta| meta.location.to_string());
    let prefix = format!("{folder}/{id}-");
    Ok(paths
        .filter(|path| path.starts_with(&prefix) && path.ends_with(".json"))
        .collect())
}

async fn disposition(
    ledger: &Ledger,
    by: &By,
    id: &str,
    intent: &Intent,
) -> Result<(), DispositionError> {
    let candidates = candidates(ledger, id, intent).await?;
    let ids: Vec<Uuid> = candidates.iter().map(|one| one.commit_id).collect();
    let outcome = |commit: Commit| {
        let one = candidates.iter().find(|one| one.commit_id == commit.id)?;
        let (path, time_us) = (one.path.clone(), commit.time_us);
        let outcome = run::outcome(&one.certificate, path, one.sha256, commit.version, time_us);
        Some(Act::DispositionOutcome(outcome))
    };
    conclude(ledger, by, id, intent, &ids, outcome).await?;
    Ok(())
}

/// A commit that was found in the table's log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Commit {
    pub(crate) id: Uuid,
    pub(crate) version: u64,
    /// UTC microseconds by its writer's clock.
    pub(crate) time_us: i64,
}

/// Ends an intent: with its outcome if one of the commits it can have led to is there, abandoned otherwise. Answers
/// whether it happened. The second look is behind the abandonment's fence: from there on no commit can land.
pub(crate) async fn conclude(
    ledger: &Ledger,
    by: &By,
    id: &str,
    intent: &Intent,
    ids: &[Uuid],
    outcome: impl Fn(Commit) -> Option<Act>,
) -> Result<bool, DispositionError> {
    for last in [false, true] {
        if let Some(commit) = look(ledger, intent, ids).await? {
            let act = outcome(commit).ok_or_else(|| {
                LedgerError::Invalid(format!("commit {} of {id} is not known", commit.id))
            })?;
            ledger
                .append(by, Context::default(), |state| {
                    match state.intents.get(id).and_then(|intent| intent.end) {
                        Some(IntentEnd::Happened(seq)) => Ok(Judged::Done(seq)),
                        Some(IntentEnd::Abandoned(_)) | None => Ok(Judged::Write(act.clone())),
                    }
                })
                .await?;
            return Ok(true);
        }
        if !last {
            abandon(ledger, by, id, "it broke off before its commit").await?;
        }
    }
    Ok(false)
}

/// Looks for the commit of an intent in the table's log.
pub(crate) async fn look(
    ledger: &Ledger,
    intent: &Intent,
    ids: &[Uuid],
) -> Result<Option<Commit>, DispositionError> {
    if ids.is_empty() {
        return Ok(None);
    }
    let archive = ledger.archive();
    match find(archive, intent.table_version, ids).await? {
        Found::Absent { .. } => Ok(None),
        Found::LogCleaned { version } => Err(LedgerError::Invalid(format!(
            "whether {} happened cannot be told: version {version} of the table's log was cleaned; compare its certificate with the archive",
            intent.mark.seq
        ))
        .into()),
        Found::Committed { version, time_us } => {
            let id = archive.commit_record(version).await?.and_then(|record| record.commit_id);
            Ok(id.map(|id| Commit {
                id,
                version,
                time_us: time_us.unwrap_or_default(),
            }))
        }
    }
}
