//! Purges that broke off.

use holdfast_schemas::ledger::purge::PurgeIntent;

use super::{Files, finish};
use crate::actor::By;
use crate::disposition::{DispositionError, objects, recover as runs};
use crate::ledger::Ledger;
use crate::ledger::intent::{Found, commit_id, find};
use crate::ledger::state::{Intent, IntentKind};

/// Completes the deletions that an earlier purge could not; what hinders them is told here.
pub(super) async fn complete(ledger: &Ledger, by: &By) -> Result<(), DispositionError> {
    let state = ledger.refresh().await?;
    let open = state.open_intents();
    for (id, intent) in open
        .into_iter()
        .filter(|(_, intent)| intent.kind == IntentKind::Purge)
    {
        recover(ledger, by, id, intent, false).await?;
    }
    Ok(())
}

/// Ends a purge that broke off: completed when its commit is there, abandoned otherwise. `aside`: a deletion that fails
/// is left to the next purge, since what is past its point of no return must not keep a hold from being placed.
pub(crate) async fn recover(
    ledger: &Ledger,
    by: &By,
    id: &str,
    intent: &Intent,
    aside: bool,
) -> Result<(), DispositionError> {
    let state = ledger.state();
    let Some(purge) = state.purges.get(id) else {
        return Ok(());
    };
    for last in [false, true] {
        if let Some(version) = committed(ledger, intent, &purge.intent).await? {
            let named = &purge.intent;
            let files: Files =
                objects::get(ledger.archive(), &named.files, &named.files_sha256).await?;
            match finish(ledger, by, &files, version).await {
                Err(error) if aside => {
                    tracing::warn!(purge = id, %error, "deletion is left to the next purge");
                }
                finished => {
                    finished?;
                }
            }
            return Ok(());
        }
        if !last {
            runs::abandon(ledger, by, id, "it broke off before its commit").await?;
        }
    }
    Ok(())
}

/// The version of a purge's commit, if it is there. Where the table's log does not tell any more, what is kept does: of a
/// run that nobody restored as a whole, and no other purge gave up, it is gone by this one.
async fn committed(
    ledger: &Ledger,
    intent: &Intent,
    purge: &PurgeIntent,
) -> Result<Option<u64>, DispositionError> {
    let archive = ledger.archive();
    let snapshot = archive.snapshot().await?;
    let commit = commit_id(&intent.hash, &purge.files_sha256);
    match find(archive, intent.table_version, &[commit]).await? {
        Found::Committed { version, .. } => return Ok(Some(version)),
        Found::Absent { .. } => return Ok(None),
        Found::LogCleaned { .. } => {}
    }
    let state = ledger.refresh().await?;
    let kept = snapshot.kept()?;
    let by_another = |run: &String| {
        let restored = state.restores.values().any(|restore| {
            let whole = restore.outcome.as_ref().is_some_and(|(_, done)| done.whole);
            restore.intent.run == *run && whole
        });
        restored
            || state.purges.iter().any(|(id, other)| {
                *id != purge.id && other.outcome.is_some() && other.intent.runs.contains(run)
            })
    };
    let mut runs = purge.runs.iter();
    let ours = runs.all(|run| !kept.contains_key(run) && !by_another(run));
    Ok(ours.then(|| snapshot.version()))
}
