//! Acts in three steps: intent, a commit that names it, outcome; and what recovery makes of those that broke off.
//!
//! The effect's commit is named after its intent and its certificate ([`commit_id`]), so the table's log tells whether
//! it happened. Crash states: (1) intent, no certificate: there is no commit, and abandoning makes sure there never will
//! be; (2) certificate, no commit: the same; (3) commit, no outcome: the outcome is appended; (4) a zombie that commits
//! after we looked: the abandonment's fence moves `txn ledger`, so its commit fails; one that slipped in between our
//! look and the fence is found by the second look, and its outcome is appended after the abandonment and wins.

use holdfast_archive::{Archive, ArchiveError};
use holdfast_schemas::ledger::disposition::Abandoned;
use holdfast_schemas::ledger::{Act, Digest};
use uuid::{Builder, Uuid};

use super::Ledger;
use super::append::{Appended, Context, Judged};
use super::error::{LedgerError, Refusal};
use super::state::{Intent, IntentEnd, IntentKind};
use crate::actor::By;

/// The id of the commit that an intent leads to: UUIDv8 of the intent's hash and the certificate's SHA-256.
#[must_use]
pub fn commit_id(intent_hash: &Digest, certificate_sha256: &Digest) -> Uuid {
    let mut bytes = b"holdfast effect 1\0".to_vec();
    bytes.extend_from_slice(&intent_hash.0);
    bytes.extend_from_slice(&certificate_sha256.0);
    let mut id = [0; 16];
    id.copy_from_slice(&Digest::of(&bytes).0[..16]);
    Builder::from_custom_bytes(id).into_uuid()
}

/// What the table's log says about an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// It is the commit of this version, made at this time (UTC microseconds by its writer's clock).
    Committed {
        /// The version.
        version: u64,
        /// When, if the commit says so.
        time_us: Option<i64>,
    },
    /// It is in no version up to this one.
    Absent {
        /// The newest version looked at.
        through: u64,
    },
    /// Entries since the intent were cleaned from the log: it does not tell any more.
    LogCleaned {
        /// The first version that is missing.
        version: u64,
    },
}

/// How recovery ended an intent.
#[derive(Debug, Clone)]
pub enum Settled {
    /// It had happened; its outcome is recorded now.
    Happened(Appended),
    /// It had not, and cannot any more.
    Abandoned(Appended),
}

/// Looks for the commits with these ids in the versions above `after`.
///
/// # Errors
/// The archive's errors.
pub async fn find(archive: &Archive, after: u64, ids: &[Uuid]) -> Result<Found, ArchiveError> {
    let through = archive.snapshot().await?.version();
    for version in after + 1..=through {
        let Some(commit) = archive.commit_record(version).await? else {
            return Ok(Found::LogCleaned { version });
        };
        if commit.commit_id.is_some_and(|id| ids.contains(&id)) {
            return Ok(Found::Committed {
                version,
                time_us: commit.timestamp_ms.map(|ms| ms.saturating_mul(1000)),
            });
        }
    }
    Ok(Found::Absent { through })
}

impl Ledger {
    /// Ends an intent that broke off. `ids`: the ids its commit can have, one a certificate that was written
    /// ([`commit_id`]); none when there is no certificate. `outcome` makes the outcome's act from the commit's version
    /// and time.
    ///
    /// # Errors
    /// [`LedgerError::Invalid`] when the log does not tell any more; otherwise as [`Ledger::append_fenced`].
    pub async fn settle_intent(
        &self,
        by: &By,
        id: &str,
        ids: &[Uuid],
        reason: &str,
        outcome: impl Fn(u64, Option<i64>) -> Act,
    ) -> Result<Settled, LedgerError> {
        let state = self.refresh().await?;
        let Some(intent) = state.intents.get(id) else {
            return Err(LedgerError::Invalid(format!(
                "there is no intent with the id {id}"
            )));
        };
        if let Some(IntentEnd::Happened(seq)) = intent.end {
            return Ok(Settled::Happened(self.done(by, seq).await?));
        }
        if let Some(settled) = self.happened(by, id, intent, ids, &outcome).await? {
            return Ok(settled);
        }
        let fenced = self
            .append_fenced(by, Context::default(), |state| {
                match state.intents.get(id).and_then(|intent| intent.end) {
                    Some(IntentEnd::Happened(seq) | IntentEnd::Abandoned(seq)) => {
                        Ok(Judged::Done(seq))
                    }
                    None => Ok(Judged::Write(abandon(id, intent, reason))),
                }
            })
            .await?;
        // From here on the commit cannot land any more; it may have since we looked.
        if let Some(settled) = self.happened(by, id, intent, ids, &outcome).await? {
            return Ok(settled);
        }
        let end = fenced.appended.state.intents.get(id).and_then(|i| i.end);
        match end {
            Some(IntentEnd::Happened(_)) => Ok(Settled::Happened(fenced.appended)),
            Some(IntentEnd::Abandoned(_)) | None => Ok(Settled::Abandoned(fenced.appended)),
        }
    }

    /// Appends the outcome if the commit is in the log.
    async fn happened(
        &self,
        by: &By,
        id: &str,
        intent: &Intent,
        ids: &[Uuid],
        outcome: &impl Fn(u64, Option<i64>) -> Act,
    ) -> Result<Option<Settled>, LedgerError> {
        if ids.is_empty() {
            return Ok(None);
        }
        match find(&self.archive, intent.table_version, ids).await? {
            Found::Absent { .. } => Ok(None),
            Found::LogCleaned { version } => Err(LedgerError::Invalid(format!(
                "whether {id} happened cannot be told: version {version} of the table's log was cleaned; compare its certificate with the archive"
            ))),
            Found::Committed { version, time_us } => {
                let appended = self.append(by, Context::default(), |state| {
                    match state.intents.get(id).and_then(|intent| intent.end) {
                        Some(IntentEnd::Happened(seq)) => Ok(Judged::Done(seq)),
                        Some(IntentEnd::Abandoned(_)) | None => {
                            Ok(Judged::Write(outcome(version, time_us)))
                        }
                    }
                });
                Ok(Some(Settled::Happened(appended.await?)))
            }
        }
    }

    async fn done(&self, by: &By, seq: u64) -> Result<Appended, LedgerError> {
        self.append(by, Context::default(), |_| {
            Ok::<_, Refusal>(Judged::Done(seq))
        })
        .await
    }
}

fn abandon(id: &str, intent: &Intent, reason: &str) -> Act {
    let gone = Abandoned {
        id: id.to_owned(),
        intent: intent.mark.seq,
        reason: reason.to_owned(),
    };
    match intent.kind {
        IntentKind::Disposition => Act::DispositionAbandoned(gone),
        IntentKind::Purge => Act::PurgeAbandoned(gone),
        IntentKind::Restore => Act::RestoreAbandoned(gone),
        IntentKind::Erasure => Act::ErasureAbandoned(gone),
    }
}
