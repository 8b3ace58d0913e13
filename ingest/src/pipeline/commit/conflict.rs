//! What to do about a refused commit: build again, leave out what others archived meanwhile, or start over.

use holdfast_archive::Conflict;
use roaring::RoaringTreemap;
use uuid::Uuid;

use super::{Attempt, Committer};
use crate::error::IngestError;
use crate::pipeline::batch::Batch;
use crate::pipeline::judge::{IdColumns, retain};

impl Committer {
    /// What to do about a refusal.
    pub(super) fn conflict(
        &mut self,
        batch: Batch,
        conflict: Conflict,
    ) -> Result<Attempt, IngestError> {
        tracing::warn!(batch = batch.number, %conflict, "a commit was refused");
        self.metrics.conflict();
        self.renew()?;
        match conflict {
            Conflict::PositionMoved { .. } => {
                let reason = conflict.to_string();
                Ok(Attempt::Reset(batch, reason))
            }
            Conflict::AlreadyArchived { origin, sequences } => {
                self.drop_archived(batch, &origin, &sequences)
            }
            // The files are too old to be trusted. They are built again under names of the snapshot that was just read, which are not, whatever
            // this machine's clock says.
            Conflict::BelowHorizon { .. } => Ok(Attempt::Rebuild(Batch {
                commit_id: Uuid::new_v4(),
                ..batch
            })),
            Conflict::InputGone { .. }
            | Conflict::LedgerMoved { .. }
            | Conflict::DecisionChanged { .. }
            | Conflict::KeptChanged { .. }
            | Conflict::LeaseHeld { .. } => Err(IngestError::Refused(conflict)),
        }
    }

    /// Another process archived some of the batch's sequences meanwhile. Rows with the same ids are dropped. A row with another id
    /// needs its record's bytes for the quarantine, which are gone: the source reads it again.
    fn drop_archived(
        &mut self,
        mut batch: Batch,
        origin: &str,
        sequences: &RoaringTreemap,
    ) -> Result<Attempt, IngestError> {
        let found = self
            .lookup
            .find(&self.shared.snapshot(), origin, sequences)?;
        let mut rows = Vec::with_capacity(batch.rows.len());
        for kept in std::mem::take(&mut batch.rows) {
            if !kept
                .origins
                .iter()
                .any(|own| &*own.origin == origin && !own.sequences.is_disjoint(sequences))
            {
                rows.push(kept);
                continue;
            }
            let columns = IdColumns::new(&kept.batch)?;
            let mut keep = vec![true; columns.rows()];
            for (row, keep) in keep.iter_mut().enumerate() {
                let sequence = columns.sequence(row);
                if columns.origin(row) != origin || !sequences.contains(sequence) {
                    continue;
                }
                let id = columns.id(row)?;
                if found.get(&sequence).is_some_and(|archived| *archived != id) {
                    let reason = format!(
                        "sequence {sequence} of origin {origin} was archived meanwhile as another event"
                    );
                    return Ok(Attempt::Reset(batch, reason));
                }
                *keep = false;
            }
            let quarantined = kept
                .quarantined
                .iter()
                .filter(|row| !keep[**row as usize])
                .count() as u64;
            let dropped = keep.iter().filter(|keep| !**keep).count() as u64;
            batch.counts.duplicates += dropped;
            batch.counts.quarantined -= quarantined;
            batch.counts.archived -= dropped - quarantined;
            if keep.contains(&true) {
                rows.push(retain(&kept, &keep)?);
            }
        }
        batch.rows = rows;
        if let Some(own) = batch.sequences.get_mut(origin) {
            *own -= sequences;
            if own.is_empty() {
                batch.sequences.remove(origin);
            }
        }
        batch.commit_id = Uuid::new_v4();
        Ok(Attempt::Rebuild(batch))
    }
}
