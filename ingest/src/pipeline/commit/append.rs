//! A batch as an append, or as a commit of positions when none of its records is new.

use holdfast_archive::{
    Advance, AdvanceOnly, Append, ArchiveError, CommitKind, Conflict, NewSegment, Outcome,
};

use super::Committer;
use crate::attachments::{DELETED, UNDIGESTED};
use crate::error::IngestError;
use crate::pipeline::batch::Batch;

/// A batch whose files are put.
pub(super) struct Ready<'b> {
    pub(super) batch: &'b Batch,
    pub(super) segments: Vec<NewSegment>,
    pub(super) merkle_root: [u8; 32],
    /// What has to be as it was when the batch's attachments were looked for.
    pub(super) files: Option<Advance>,
}

/// Whether a commit was refused only because another process counted attachments meanwhile, or some were deleted: it is made again with the count
/// as it is now, and the files looked for anew. No source's records are told by either position.
pub(super) fn is_of_attachments(conflict: &Conflict) -> bool {
    matches!(conflict, Conflict::PositionMoved { app_id, .. } if [DELETED, UNDIGESTED].contains(&app_id.as_str()))
}

impl Committer {
    /// Other writers may take every slot for a minute; nothing is committed then, and the batch is as good as before.
    pub(super) fn append_patiently(&self, ready: &Ready<'_>) -> Result<Outcome, IngestError> {
        loop {
            match self.runtime.block_on(self.append(ready)) {
                Err(error @ ArchiveError::Busy { .. }) if !self.stop.asked() => {
                    tracing::warn!(batch = ready.batch.number, %error, "trying again");
                }
                result => return Ok(result?),
            }
        }
    }

    /// Reads the newest version of the table.
    pub(super) fn renew(&self) -> Result<(), ArchiveError> {
        self.shared
            .renew(self.runtime.block_on(self.archive.snapshot())?);
        Ok(())
    }

    async fn append(&self, ready: &Ready<'_>) -> Result<Outcome, ArchiveError> {
        let batch = ready.batch;
        let base = self.shared.snapshot();
        let mut positions: Vec<Advance> = batch
            .positions
            .iter()
            .map(|(app_id, (from, to))| Advance {
                app_id: app_id.to_string(),
                from: *from,
                to: *to,
            })
            .collect();
        let undigested = i64::try_from(batch.undigested()).unwrap_or(i64::MAX);
        if undigested > 0 {
            let from = base.position(UNDIGESTED).await?;
            positions.push(Advance {
                app_id: UNDIGESTED.to_owned(),
                from,
                to: from.unwrap_or(0).saturating_add(undigested),
            });
        }
        positions.extend(ready.files.clone());
        if ready.segments.is_empty() {
            let advance = AdvanceOnly {
                commit_id: batch.commit_id,
                kind: CommitKind::Fence,
                positions,
                counts: batch.counts,
            };
            return self.archive.advance(&base, advance).await;
        }
        let append = Append {
            commit_id: batch.commit_id,
            kind: CommitKind::Append,
            segments: ready.segments.clone(),
            positions,
            archived: batch
                .sequences
                .iter()
                .map(|(origin, set)| (origin.to_string(), set.clone()))
                .collect(),
            counts: batch.counts,
            merkle_root: ready.merkle_root,
        };
        self.archive.append(&base, append).await
    }
}
