//! A second look at what earlier purges deleted.

use holdfast_schemas::ledger::purge::PurgeIntent;

use super::delete::Eraser;
use super::{Files, attachments};
use crate::disposition::{DispositionError, objects};
use crate::ledger::state::PurgeState;
use crate::ledger::{Ledger, State};

/// How much earlier than the last purge was begun another may have ended, for the next one to look at its attachments again.
/// Each purge looks before it begins, so each that ended is looked at at least once after this time. Copies of files that were under way, and what breaks off at them, end far sooner.
/// Microseconds.
const LOOKED_AT_US: i64 = 30 * 86_400_000_000;

/// Sees to the attachments of earlier purges: one that somebody was copying meanwhile may have been stored after them, and
/// whoever worked on the same purge and was late may have died between removing one and looking who refers to it.
pub(super) async fn look_again(ledger: &Ledger) -> Result<(), DispositionError> {
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let mut purges = Vec::new();
    for named in looked_at(&state) {
        let files: Files = objects::get(archive, &named.files, &named.files_sha256).await?;
        if !files.attachments.is_empty() {
            purges.push((files.id, files.attachments));
        }
    }
    if purges.is_empty() {
        return Ok(());
    }
    // Whoever died in between may have removed something and not said so.
    archive.note_deleted().await?;
    let all = attachments::named(purges.iter().flat_map(|(_, digests)| digests));
    let used = attachments::referred(archive, &all).await?;
    let mut erasers = Vec::new();
    for (id, digests) in &purges {
        let mut eraser = Eraser::new(archive, id).await?;
        let settled = attachments::is_settled(archive, digests, &used).await?;
        if !settled {
            attachments::delete(archive, digests, &mut eraser).await?;
        }
        if !settled || eraser.lacks_probe() {
            eraser.probe().await?;
        }
        erasers.push(eraser);
    }
    // A bucket that keeps versions hinders no look.
    for eraser in erasers {
        eraser.gone().await?;
    }
    Ok(())
}

/// The purges that ended, but for those that ended long before the last was begun.
fn looked_at(state: &State) -> impl Iterator<Item = &PurgeIntent> {
    let begun = state.purges.values().map(|purge| purge.intended.time_us);
    let since_us = begun.max().unwrap_or(0).saturating_sub(LOOKED_AT_US);
    let ended = move |purge: &&PurgeState| {
        let outcome = purge.outcome.as_ref();
        outcome.is_some_and(|(mark, _)| mark.time_us >= since_us)
    };
    state
        .purges
        .values()
        .filter(ended)
        .map(|purge| &purge.intent)
}
