//! The commits themselves: what `verify` and `status` read.

use uuid::Uuid;

use crate::archive::Archive;
use crate::commit::Counts;
use crate::error::ArchiveError;
use crate::log::action::Entry;
use crate::log::paths::Kind;
use crate::maintain;

/// One commit, as its log entry tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// The version it made.
    pub version: u64,
    /// When, milliseconds since 1970, by the writer's clock.
    pub timestamp_ms: Option<i64>,
    /// Its id; nothing when another program made it.
    pub commit_id: Option<Uuid>,
    /// Its kind ([`crate::CommitKind::as_str`]), or the operation's name when another program made it.
    pub kind: String,
    /// Records by what became of them.
    pub counts: Counts,
    /// Merkle root of its rows in (origin, sequence) order.
    pub merkle_root: Option<[u8; 32]>,
    /// SHA-256 of the entry before, as this one says.
    pub previous_sha256: Option<[u8; 32]>,
    /// SHA-256 of this entry.
    pub sha256: [u8; 32],
    /// Paths added, relative to `events/`.
    pub added: Vec<String>,
    /// Paths removed, relative to `events/`.
    pub removed: Vec<String>,
    /// Positions after it, those that it moved.
    pub positions: Vec<(String, i64)>,
}

impl Archive {
    /// The commit that made `version`, or nothing when its entry is not in the log (any more).
    ///
    /// # Errors
    /// The store's errors, or an entry that is not as it must be.
    pub async fn commit_record(&self, version: u64) -> Result<Option<CommitRecord>, ArchiveError> {
        Ok(self.shared.reader.entry(version).await?.map(record))
    }

    /// Versions whose entries the log still holds, ascending. Lists the log's folder.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn kept_versions(&self) -> Result<Vec<u64>, ArchiveError> {
        let listed = self.shared.reader.list().await?;
        Ok(listed
            .iter()
            .filter_map(|(kind, _)| {
                if let Kind::Entry(v) = kind {
                    Some(*v)
                } else {
                    None
                }
            })
            .collect())
    }

    /// That nothing lies behind a missing entry of the log: for those who write without reading far ahead, or act on what the
    /// log does not name. Lists the log's folder.
    ///
    /// # Errors
    /// [`ArchiveError::Corrupt`] names the entry that is missing; or the store's errors.
    pub async fn expect_whole_log(&self) -> Result<(), ArchiveError> {
        self.shared.reader.expect_no_hole().await
    }

    /// Paths of the checkpoints that are no longer what they were when they were compared with the log. Lists the log's folder
    /// and reads every checkpoint.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn changed_checkpoints(&self) -> Result<Vec<String>, ArchiveError> {
        let mut changed = Vec::new();
        for (kind, meta) in self.shared.reader.list().await? {
            if let Kind::Checkpoint(version) = kind
                && maintain::standing(&self.shared, version).await? == maintain::Standing::Changed
            {
                changed.push(meta.location.to_string());
            }
        }
        Ok(changed)
    }
}

fn record(entry: Entry) -> CommitRecord {
    let info = entry.info;
    let counts = info.counts.unwrap_or_default();
    CommitRecord {
        version: entry.version,
        timestamp_ms: info.timestamp,
        commit_id: info.commit_id,
        kind: info.kind.or(info.operation).unwrap_or_default(),
        counts: Counts {
            consumed: counts.consumed,
            archived: counts.archived,
            quarantined: counts.quarantined,
            duplicates: counts.duplicates,
        },
        merkle_root: info.merkle_root.as_deref().and_then(digest),
        previous_sha256: info.previous_commit_sha256.as_deref().and_then(digest),
        sha256: entry.sha256,
        added: entry.adds.into_iter().map(|segment| segment.path).collect(),
        removed: entry
            .removes
            .into_iter()
            .map(|removed| removed.path)
            .collect(),
        positions: entry.txns,
    }
}

fn digest(text: &str) -> Option<[u8; 32]> {
    let mut digest = [0; 32];
    hex::decode_to_slice(text, &mut digest)
        .ok()
        .map(|()| digest)
}
