//! A batch as an append, or as a commit of positions when none of its records is new.

use holdfast_archive::{
    Advance, AdvanceOnly, Append, ArchiveError, CommitKind, Conflict, NewSegment, Outcome,
};

use super::Committer;
use crate::attachments::UNDIGESTED;
use crate::error::IngestError;
use crate::pipeline::batch::Batch;

/// Whether a commit was refused only because another process counted attachments meanwhile: it is made again with the count as it is now.
/// Every process moves this position, and none reads anything by it.
pub(super) fn is_of_the_count(conflict: &Conflict) -> bool {
    matches!(conflict, Conflict::PositionMoved { app_id, .. } if app_id == UNDIGESTED)
}

impl Committer {
    /// Other writers may take every slot for a minute; nothing is committed then, and the batch is as good as before.
    pub(super) fn append_patiently(
        &self,
        batch: &Batch,
        segments: &[NewSegment],
        merkle_root: [u8; 32],
    ) -> Result<Outcome, IngestError> {
        loop {
            match self
                .runtime
                .block_on(self.append(batch, segments, merkle_root))
            {
                Err(error @ ArchiveError::Busy { .. }) if !self.stop.asked() => {
                    tracing::warn!(batch = batch.number, %error, "trying again");
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

    async fn append(
        &self,
        batch: &Batch,
        segments: &[NewSegment],
        merkle_root: [u8; 32],
    ) -> Result<Outcome, ArchiveError> {
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
        if segments.is_empty() {
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
            segments: segments.to_vec(),
            positions,
            archived: batch
                .sequences
                .iter()
                .map(|(origin, set)| (origin.to_string(), set.clone()))
                .collect(),
            counts: batch.counts,
            merkle_root,
        };
        self.archive.append(&base, append).await
    }
}
