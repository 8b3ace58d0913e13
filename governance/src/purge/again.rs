//! A second look at what earlier purges deleted.

use super::delete::Eraser;
use super::{Files, attachments};
use crate::disposition::{DispositionError, objects};
use crate::ledger::Ledger;
use crate::ledger::state::PurgeState;

/// How much older than the last purge another may be, for the next one to look at its attachments again: each is looked at
/// at least once after this time. Copies of files that were under way, and what breaks off at them, end far sooner.
/// Microseconds.
const LOOKED_AT_US: i64 = 30 * 86_400_000_000;
/// Sees to the attachments of earlier purges: one that somebody was copying meanwhile may have been stored after them, and
/// whoever worked on the same purge and was late may have died between removing one and looking who refers to it.
pub(super) async fn look_again(ledger: &Ledger) -> Result<(), DispositionError> {
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let ended = |purge: &PurgeState| purge.outcome.as_ref().map(|(mark, _)| mark.time_us);
    let Some(last_us) = state.purges.values().filter_map(ended).max() else {
        return Ok(());
    };
    let since_us = last_us.saturating_sub(LOOKED_AT_US);
    let mut used = None;
    let mut erasers = Vec::new();
    for purge in state.purges.values() {
        if ended(purge).is_none_or(|ended_us| ended_us < since_us) {
            continue;
        }
        let named = &purge.intent;
        let files: Files = objects::get(archive, &named.files, &named.files_sha256).await?;
        if files.attachments.is_empty() {
            continue;
        }
        let used = match &used {
            Some(used) => used,
            None => {
                // Whoever died in between may have removed something and not said so.
                archive.note_deleted().await?;
                used.insert(attachments::referred(archive).await?)
            }
        };
        let mut eraser = Eraser::new(archive, &files.id).await?;
        if !attachments::is_settled(archive, &files.attachments, used).await? {
            attachments::delete(archive, &files.attachments, &mut eraser).await?;
        }
        erasers.push(eraser);
    }
    // A bucket that keeps versions hinders no look.
    for eraser in erasers {
        eraser.gone().await?;
    }
    Ok(())
}
