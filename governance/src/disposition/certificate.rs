//! Certificates: what a run removed, in numbers and roots before its commit, event by event before its purge.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures::TryStreamExt;
use holdfast_archive::Archive;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::time::format_us;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::account::commits_of;
use super::kept::KeptSegment;
use super::{DispositionError, objects, plan_file};
use crate::plan::{PlanError, Tally};

/// Folder of the certificates, relative to the archive.
pub const FOLDER: &str = "ledger/certificates";

/// Copies of what was removed that Holdfast does not reach.
pub const NOT_COVERED: &[&str] = &[
    "the chat nodes' own databases and file stores",
    "records still within the retention of the Kafka topic",
    "backups and replicas of the archive made by other means",
    "object versions of a bucket whose versioning was suspended before",
    "exports made before, wherever they were copied",
    "caches of the index on other machines, until the next search there empties them",
];

/// A segment before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentLine {
    /// Relative to `events/`.
    pub path: String,
    /// Its rows before.
    pub rows_before: u64,
    /// Merkle root of its rows before.
    pub root_before: Digest,
    /// Where the rows that stayed are now, relative to `events/`; nothing when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewritten: Option<String>,
    /// Rows that stayed.
    pub rows_after: u64,
    /// Merkle root of the rows that stayed; nothing when none did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root_after: Option<Digest>,
}

/// The certificate of a run or an erasure: its hash is in the id of the commit, and in the ledger's outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Certificate {
    /// The run.
    pub run: String,
    /// The plan, or the erasure request.
    pub of: String,
    /// The moment judged for, UTC microseconds.
    pub now_us: i64,
    /// The snapshot judged on.
    pub table_version: u64,
    /// `txn ledger` that the commit requires.
    pub ledger_fence: Option<i64>,
    /// The version (entry) of each policy judged by.
    pub policies: BTreeMap<String, u64>,
    /// Who approved, when four eyes are set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
    /// Segments before and after.
    pub segments: Vec<SegmentLine>,
    /// The numbers.
    pub tally: Tally,
    /// Row ids removed.
    #[serde(with = "objects::rows")]
    pub rows: RoaringTreemap,
    /// The same row ids by the policy that deleted them; not of an erasure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleRows>,
    /// Copies that are not covered.
    pub not_covered: Vec<String>,
}

/// What one version of a policy removed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RuleRows {
    /// The policy.
    pub policy: String,
    /// Its version (entry).
    pub version: u64,
    /// Row ids.
    #[serde(with = "objects::rows")]
    pub rows: RoaringTreemap,
}

/// One removed event, one line of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// The event's id; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its type; not of an erasure.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub event_type: Option<String>,
    /// When it happened, RFC 3339 UTC; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The room's id; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// The actor's id; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The outbox that sequenced it.
    pub origin: String,
    /// Its sequence there.
    pub sequence: u64,
    /// Its hash.
    pub hash: Digest,
    /// The commit that archived it; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
    /// Its place in its room; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room_seq: Option<i64>,
    /// The policy that deleted it; not of an erasure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// That policy's version (entry).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_version: Option<u64>,
    /// Who approved, where somebody had to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approver: Option<String>,
}

/// The list of a run: of every event that is out, one line, in the order of segments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct List {
    /// Where it lies, relative to the archive.
    pub path: String,
    /// SHA-256 of the object.
    pub sha256: Digest,
    /// Events in it.
    pub events: u64,
}

/// Where a run's list lies.
#[must_use]
pub fn list_path(run: &str) -> String {
    format!("{FOLDER}/{run}.jsonl")
}

impl Certificate {
    /// Puts it; answers where, and its digest.
    pub(crate) async fn put(
        &self,
        archive: &Archive,
    ) -> Result<(String, Digest), DispositionError> {
        objects::put(archive, FOLDER, &self.run, self).await
    }

    /// Reads one that the ledger names.
    ///
    /// # Errors
    /// The object is gone or was changed.
    pub async fn of(
        archive: &Archive,
        path: &str,
        sha256: &Digest,
    ) -> Result<Self, DispositionError> {
        objects::get(archive, path, sha256).await
    }
}

/// Writes the list of the rows that are out, for good: it is the answer to `explain` once they are gone. `of`: the run's
/// certificate; of an erasure nothing, and only origin, sequence and hash are written.
pub(crate) async fn write_list(
    archive: &Archive,
    run: &str,
    segments: &[KeptSegment],
    rows: &RoaringTreemap,
    of: Option<&Certificate>,
) -> Result<List, DispositionError> {
    let mut out = Vec::new();
    let mut events = 0;
    let rule_of = |id: i64| {
        let id = u64::try_from(id).ok()?;
        of?.rules.iter().find(|rule| rule.rows.contains(id))
    };
    for kept in segments {
        let segment = kept.segment();
        let wanted: Vec<u32> = plan_file::rows_with_ids(archive, &segment, rows)
            .await?
            .iter()
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let mut batches = crate::plan::open_whole_with_ids(archive, &segment, &wanted).await?;
        let mut scratch = Vec::new();
        while let Some(batch) = batches.try_next().await? {
            let view = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            let ids = crate::plan::row_ids_of(&segment, &batch)?;
            let commits = commits_of(&batch);
            for (place, id) in (0..view.len()).zip(ids) {
                let event = view.event(place);
                let said = |text: &str| of.map(|_| text.to_owned());
                let rule = rule_of(*id);
                let commit = commits.and_then(|commits| u64::try_from(commits[place]).ok());
                let line = EventLine {
                    id: said(&event.id),
                    event_type: said(&event.event_type),
                    time: said(&format_us(event.time_us)),
                    room: event.room.id.as_deref().and_then(said),
                    actor: event.actor.id.as_deref().and_then(said),
                    origin: event.origin.to_string(),
                    sequence: event.sequence,
                    hash: Digest(event_hash(&event, &mut scratch)),
                    commit: commit.filter(|_| of.is_some()),
                    room_seq: event.room_seq.filter(|_| of.is_some()),
                    rule: rule.map(|rule| rule.policy.clone()),
                    policy_version: rule.map(|rule| rule.version),
                    approver: of.and_then(|of| of.approver.clone()),
                };
                serde_json::to_writer(&mut out, &line)
                    .map_err(|error| DispositionError::Task(error.to_string()))?;
                out.push(b'\n');
                events += 1;
            }
        }
    }
    let path = list_path(run);
    let sha256 = Digest::of(&out);
    objects::put_bytes(archive, &path, Bytes::from(out)).await?;
    Ok(List {
        path,
        sha256,
        events,
    })
}

/// Reads a list that a purge names, its bytes held against the digest that the purge wrote down.
///
/// # Errors
/// The list is gone or was changed.
pub async fn list_of(archive: &Archive, list: &List) -> Result<Vec<EventLine>, DispositionError> {
    let corrupt = |problem: String| DispositionError::Corrupt {
        path: list.path.clone(),
        problem,
    };
    let Some(bytes) = objects::bytes(archive, &list.path).await? else {
        return Err(corrupt("it is gone".to_owned()));
    };
    let found = Digest::of(&bytes);
    if found != list.sha256 {
        let said = list.sha256;
        return Err(corrupt(format!(
            "its SHA-256 is {found}, its purge wrote {said} down"
        )));
    }
    lines(&bytes).map_err(|error| corrupt(error.to_string()))
}

/// Reads a run's list; nothing when it was not purged.
///
/// # Errors
/// The store's errors, or a list that cannot be read.
pub async fn read_list(
    archive: &Archive,
    run: &str,
) -> Result<Option<Vec<EventLine>>, DispositionError> {
    let path = list_path(run);
    let Some(bytes) = objects::bytes(archive, &path).await? else {
        return Ok(None);
    };
    let lines = lines(&bytes).map_err(|error| DispositionError::Corrupt {
        path,
        problem: error.to_string(),
    })?;
    Ok(Some(lines))
}

fn lines(bytes: &[u8]) -> Result<Vec<EventLine>, serde_json::Error> {
    let lines = bytes
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines.map(serde_json::from_slice).collect()
}
