//! What a run took out of the table and can still put back: the files, and which of their rows.
//!
//! The table's entry `holdfast.kept.<run>` names the files, so that garbage collection leaves them, and an object that
//! says which rows of them are out. A restore writes another object with fewer rows and exchanges the entry; a purge
//! takes the entry away. Each is compare-and-set: the same rows cannot be put back twice, or purged while they are.

use holdfast_archive::{Archive, Kept, Segment, SegmentStats, Snapshot};
use holdfast_schemas::ledger::Digest;
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::{DispositionError, objects};

/// Folder of the objects, relative to the archive.
pub const FOLDER: &str = "ledger/kept";

/// A segment that left the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSegment {
    /// Relative to `events/`.
    pub path: String,
    /// UTC year of its rows.
    pub event_year: i32,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file, where its commit named it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
    /// Row id of its first row, unless the rows carry their own.
    pub base_row_id: i64,
    /// Version of the commit that added the file.
    pub commit_version: u64,
    /// Least and greatest event time, UTC microseconds.
    pub event_time_us: (i64, i64),
    /// Least and greatest ingest time, UTC microseconds.
    pub ingest_time_us: (i64, i64),
}

/// The rows of one run that are out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Out {
    /// The run.
    pub run: String,
    /// The files that hold them.
    pub segments: Vec<KeptSegment>,
    /// Their row ids.
    #[serde(with = "objects::rows")]
    pub rows: RoaringTreemap,
}

/// What the table's entry notes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Note {
    object: String,
    sha256: Digest,
}

impl From<&Segment> for KeptSegment {
    fn from(segment: &Segment) -> Self {
        Self {
            path: segment.path.clone(),
            event_year: segment.event_year,
            rows: segment.rows,
            bytes: segment.bytes,
            sha256: segment.sha256.map(Digest),
            base_row_id: segment.base_row_id,
            commit_version: segment.commit_version,
            event_time_us: segment.stats.event_time_us,
            ingest_time_us: segment.stats.ingest_time_us,
        }
    }
}

impl KeptSegment {
    /// As the archive reads it.
    #[must_use]
    pub fn segment(&self) -> Segment {
        Segment {
            path: self.path.clone(),
            event_year: self.event_year,
            rows: self.rows,
            bytes: self.bytes,
            sha256: self.sha256.map(|digest| digest.0),
            base_row_id: self.base_row_id,
            commit_version: self.commit_version,
            stats: SegmentStats {
                event_time_us: self.event_time_us,
                ingest_time_us: self.ingest_time_us,
                ..SegmentStats::default()
            },
        }
    }
}

impl Out {
    /// Puts the object, and answers the table's entry for it.
    pub(crate) async fn put(&self, archive: &Archive) -> Result<Kept, DispositionError> {
        let (object, sha256) = objects::put(archive, FOLDER, &self.run, self).await?;
        let note = serde_json::to_string(&Note { object, sha256 }).map_err(|error| {
            DispositionError::Corrupt {
                path: FOLDER.to_owned(),
                problem: error.to_string(),
            }
        })?;
        Ok(Kept {
            paths: self
                .segments
                .iter()
                .map(|segment| segment.path.clone())
                .collect(),
            note,
        })
    }

    /// Reads what a table's entry stands for.
    ///
    /// # Errors
    /// The object is gone or was changed.
    pub async fn of(archive: &Archive, run: &str, kept: &Kept) -> Result<Self, DispositionError> {
        let note: Note =
            serde_json::from_str(&kept.note).map_err(|error| DispositionError::Corrupt {
                path: format!("holdfast.kept.{run}"),
                problem: error.to_string(),
            })?;
        objects::get(archive, &note.object, &note.sha256).await
    }

    /// Everything that is out in a snapshot, with the entry it was read from.
    ///
    /// # Errors
    /// As [`Out::of`].
    pub async fn all(
        archive: &Archive,
        snapshot: &Snapshot,
    ) -> Result<Vec<(Kept, Self)>, DispositionError> {
        let mut found = Vec::new();
        for (run, kept) in snapshot.kept()? {
            let out = Self::of(archive, &run, &kept).await?;
            found.push((kept, out));
        }
        Ok(found)
    }
}
