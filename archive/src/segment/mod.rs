//! Segments: Parquet files of one year, sorted by (event_time, event_id).

mod encode;
pub(crate) mod footer;

use bytes::Bytes;
use ulid::Ulid;
use uuid::Uuid;

pub use encode::{PAGE_ROWS, encode};

/// A live file of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// `event_year=2026/<ulid>.parquet`, relative to `events/`.
    pub path: String,
    /// UTC year of its rows.
    pub event_year: i32,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Row id of its first row, unless the rows carry their own.
    pub base_row_id: i64,
    /// Version of the commit that added the file (`defaultRowCommitVersion`).
    pub commit_version: u64,
    /// SHA-256 of the file's bytes, as the commit that added it says; nothing when another program added it, or a
    /// Holdfast that did not write it yet.
    pub sha256: Option<[u8; 32]>,
    /// Least and greatest values.
    pub stats: SegmentStats,
}

/// Least and greatest values of columns without content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SegmentStats {
    /// `event_time`, UTC microseconds.
    pub event_time_us: (i64, i64),
    /// `ingest_time`, UTC microseconds.
    pub ingest_time_us: (i64, i64),
    /// `origin`.
    pub origin: (String, String),
    /// `origin_seq`.
    pub origin_seq: (u64, u64),
}

impl Segment {
    /// The ULID in the file's name.
    #[must_use]
    pub fn id(&self) -> &str {
        id_of(&self.path)
    }
    /// `index/event_year=…/<ulid>.a<N>.split`, relative to the archive.
    #[must_use]
    pub fn split_path(&self, analyzer_version: u32) -> String {
        split_path(&self.path, analyzer_version)
    }
}

pub(crate) fn id_of(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.strip_suffix(".parquet").unwrap_or(name)
}

fn split_path(path: &str, analyzer_version: u32) -> String {
    let stem = path.strip_suffix(".parquet").unwrap_or(path);
    format!("index/{stem}.a{analyzer_version}.split")
}

/// A file that was put and waits for its commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewSegment {
    /// `event_year=2026/<ulid>.parquet`, relative to `events/`.
    pub path: String,
    /// UTC year of its rows.
    pub event_year: i32,
    /// Rows in it.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of the file's bytes.
    pub sha256: [u8; 32],
    /// Least and greatest values.
    pub stats: SegmentStats,
}

impl NewSegment {
    /// The ULID, when the path is one of ours: `event_year=<year>/<ulid>.parquet`.
    #[must_use]
    pub fn ulid(&self) -> Option<Ulid> {
        let (folder, _) = self.path.split_once('/')?;
        let year: i32 = folder.strip_prefix("event_year=")?.parse().ok()?;
        (year == self.event_year)
            .then(|| Ulid::from_string(self.id()).ok())
            .flatten()
    }
    /// When the name was made, milliseconds since 1970.
    #[must_use]
    pub fn created_ms(&self) -> Option<i64> {
        i64::try_from(self.ulid()?.timestamp_ms()).ok()
    }
    /// The ULID in the file's name.
    #[must_use]
    pub fn id(&self) -> &str {
        id_of(&self.path)
    }
    /// `index/event_year=…/<ulid>.a<N>.split`, relative to the archive.
    #[must_use]
    pub fn split_path(&self, analyzer_version: u32) -> String {
        split_path(&self.path, analyzer_version)
    }
}

/// A segment's bytes, ready to be put.
#[derive(Debug, Clone)]
pub struct EncodedSegment {
    /// Its name, years, counts and statistics.
    pub segment: NewSegment,
    /// The Parquet file.
    pub bytes: Bytes,
}

/// What a segment's footer says about the commit it was written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentFooter {
    /// The commit.
    pub commit_id: Uuid,
    /// (application id, position after the commit).
    pub positions: Vec<(String, i64)>,
    /// Rows in the file.
    pub rows: u64,
    /// Merkle root of this segment's rows in (origin, sequence) order.
    pub merkle_root: [u8; 32],
}

/// Row ids and commit versions that rewritten rows keep.
#[derive(Debug, Clone)]
pub struct CarriedRowIds {
    /// Names of the table's materialised columns, from [`crate::Snapshot::row_tracking_columns`].
    pub columns: (String, String),
    /// One row id a row.
    pub row_ids: Vec<i64>,
    /// One commit version a row.
    pub commit_versions: Vec<i64>,
}

/// A new ULID for a segment written now. Where there is a snapshot, [`crate::Snapshot::new_id`] is the better one.
#[must_use]
pub fn new_id() -> Ulid {
    crate::clock::new_ulid(crate::clock::system_now_ms())
}
