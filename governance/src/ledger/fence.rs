//! The fence: a table commit that only sets `txn ledger`, so that no commit planned before it can slip past.

use holdfast_archive::{
    Advance, AdvanceOnly, CommitKind, Conflict, Counts, LEDGER_APP_ID, Outcome, Snapshot,
};
use uuid::Uuid;

use super::Ledger;
use super::append::{Appended, Context, Judged};
use super::error::{LedgerError, Refusal};
use super::state::State;
use crate::actor::By;

/// Times a fence is tried anew because others moved it, or settled because its outcome was unknown.
const FENCES_MAX: u32 = 100;

/// An entry with its fence.
#[derive(Debug, Clone)]
pub struct Fenced {
    /// The entry.
    pub appended: Appended,
    /// A table version whose `txn ledger` is at or behind the entry.
    pub snapshot: Snapshot,
}

impl Ledger {
    /// [`Ledger::append`], then the fence. Acknowledged only with both; a repeated command completes its fence.
    ///
    /// # Errors
    /// As [`Ledger::append`]; [`LedgerError::NotFenced`] when the entry is there and its fence is not certain.
    pub async fn append_fenced(
        &self,
        by: &By,
        context: Context<'_>,
        decide: impl Fn(&State) -> Result<Judged, Refusal>,
    ) -> Result<Fenced, LedgerError> {
        let appended = self.append(by, context, decide).await?;
        let snapshot = self.fence(appended.seq).await?;
        Ok(Fenced { appended, snapshot })
    }

    /// [`Ledger::append_or_request`], then the fence.
    ///
    /// # Errors
    /// As [`Ledger::append_fenced`].
    pub async fn append_fenced_or_request(
        &self,
        by: &By,
        context: Context<'_>,
        decide: impl Fn(&State) -> Result<Judged, Refusal>,
    ) -> Result<Fenced, LedgerError> {
        let appended = self.append_or_request(by, context, decide).await?;
        let snapshot = self.fence(appended.seq).await?;
        Ok(Fenced { appended, snapshot })
    }

    /// Moves the fence to an entry, unless it is there or beyond: it never moves back.
    ///
    /// # Errors
    /// [`LedgerError::NotFenced`] when that is not certain.
    pub async fn fence(&self, seq: u64) -> Result<Snapshot, LedgerError> {
        let not_fenced = |problem: String| LedgerError::NotFenced { seq, problem };
        let to = i64::try_from(seq).map_err(|e| not_fenced(e.to_string()))?;
        let archive = &self.archive;
        for _ in 0..FENCES_MAX {
            let base = archive
                .snapshot()
                .await
                .map_err(|e| not_fenced(e.to_string()))?;
            let from = base.position(LEDGER_APP_ID).await?;
            if from.is_some_and(|from| from >= to) {
                return Ok(base);
            }
            let advance = AdvanceOnly {
                commit_id: Uuid::new_v4(),
                kind: CommitKind::Fence,
                positions: vec![Advance {
                    app_id: LEDGER_APP_ID.to_owned(),
                    from,
                    to,
                }],
                counts: Counts::default(),
            };
            let mut outcome = archive.advance(&base, advance).await;
            let mut settled = 0;
            let conflict = loop {
                match outcome.map_err(|e| not_fenced(e.to_string()))? {
                    Outcome::Committed(snapshot) => return Ok(snapshot),
                    Outcome::Conflicted(conflict) => break conflict,
                    Outcome::Unknown(uncertain) => {
                        settled += 1;
                        if settled >= 2 {
                            return Err(not_fenced(uncertain.reason));
                        }
                        outcome = archive.settle(uncertain).await;
                    }
                }
            };
            match conflict {
                // Somebody else fenced meanwhile: perhaps beyond us.
                Conflict::LedgerMoved { .. } | Conflict::PositionMoved { .. } => {}
                other @ (Conflict::AlreadyArchived { .. }
                | Conflict::BelowHorizon { .. }
                | Conflict::InputGone { .. }
                | Conflict::DecisionChanged { .. }
                | Conflict::KeptChanged { .. }
                | Conflict::LeaseHeld { .. }) => return Err(LedgerError::conflict(seq, &other)),
            }
        }
        Err(not_fenced("others moved the fence every time".to_owned()))
    }
}
