//! Runs, restores and purges that broke off: completed or abandoned before anything new begins.

use futures::TryStreamExt;
use holdfast_schemas::ledger::Act;
use object_store::ObjectStore;
use object_store::path::Path;

use super::{DispositionError, evidence};
use crate::actor::By;
use crate::ledger::intent::Settled;
use crate::ledger::state::{Intent, IntentEnd, IntentKind};
use crate::ledger::{Context, Judged, Ledger};

/// Settles every intent that broke off; a purge past its point of no return that cannot delete stays open. One whose process is still at work is settled too, to its harm: its commit fails,
/// or is found and counts. So is one that was abandoned although its rows are out.
///
/// # Errors
/// The archive or the ledger cannot be read or written.
pub async fn all(ledger: &Ledger, by: &By) -> Result<(), DispositionError> {
    let kept = ledger.archive().snapshot().await?.kept()?;
    let state = ledger.refresh().await?;
    let is_open = |id: &String, intent: &Intent| match intent.end {
        None => true,
        Some(IntentEnd::Abandoned(_)) => kept.contains_key(id),
        Some(IntentEnd::Happened(_)) => false,
    };
    let open = state.intents.iter();
    let mut open: Vec<(String, Intent)> = open
        .filter(|(id, intent)| is_open(id, intent))
        .map(|(id, intent)| (id.clone(), intent.clone()))
        .collect();
    open.sort_by_key(|(_, intent)| intent.mark.seq);
    // What a purge gave up shows by what was not restored.
    open.sort_by_key(|(_, intent)| intent.kind == IntentKind::Purge);
    for (id, intent) in open {
        match intent.kind {
            IntentKind::Disposition | IntentKind::Erasure | IntentKind::Restore => {
                conclude(ledger, by, &id, &intent).await?;
            }
            IntentKind::Purge => crate::purge::recover(ledger, by, &id, &intent, true).await?,
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

/// Ends an intent: with its outcome if one of the commits it can have led to is there, abandoned otherwise. The second look
/// is behind the abandonment's fence: from there on no commit can land. What was written for the intent is listed anew for
/// it: a process that was taken for dead may have written more.
async fn conclude(
    ledger: &Ledger,
    by: &By,
    id: &str,
    intent: &Intent,
) -> Result<(), DispositionError> {
    for last in [false, true] {
        if let Some(act) = evidence::outcome(ledger, id, intent).await? {
            ended(ledger, by, id, act).await?;
            return Ok(());
        }
        if !last {
            abandon(ledger, by, id, "it broke off before its commit").await?;
        }
    }
    Ok(())
}

/// Appends an outcome, unless there is one.
pub(crate) async fn ended(
    ledger: &Ledger,
    by: &By,
    id: &str,
    act: Act,
) -> Result<(), DispositionError> {
    ledger
        .append(by, Context::default(), |state| {
            match state.intents.get(id).and_then(|intent| intent.end) {
                Some(IntentEnd::Happened(seq)) => Ok(Judged::Done(seq)),
                Some(IntentEnd::Abandoned(_)) | None => Ok(Judged::Write(act.clone())),
            }
        })
        .await?;
    Ok(())
}
