//! The state of an archive: gathered from the table, the index folder and the pending markers; judged by pure functions.

pub mod gather;
pub mod governed;
pub mod judge;
pub mod print;

pub use governed::Governed;
use serde::Serialize;

/// Everything `holdfast status` tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Where the archive is.
    pub archive: String,
    /// Version of the table.
    pub version: u64,
    /// Rows.
    pub events: u64,
    /// Live segment files.
    pub segments: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Bytes of the splits in use.
    pub split_bytes: u64,
    /// First and last event time, UTC microseconds; nothing in an empty archive.
    #[serde(rename = "event_times", serialize_with = "times")]
    pub event_time_us: Option<(i64, i64)>,
    /// By year, ascending.
    pub years: Vec<Year>,
    /// The index.
    pub splits: Splits,
    /// Attachments that events refer to and that are not stored yet.
    pub attachments_pending: Vec<Pending>,
    /// Attachments whose events give no SHA-256: they can be neither archived nor verified. Left out when there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attachments_undigested: Option<u64>,
    /// By origin, in order of their names.
    pub origins: Vec<Origin>,
    /// Where each source stands.
    pub positions: Vec<Position>,
    /// What the ledger tells; nothing when it cannot be read, which `ledger_problem` explains.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub governance: Option<Governed>,
    /// Why the ledger cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ledger_problem: Option<String>,
}

/// One year's segments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Year {
    /// UTC year of the events.
    pub year: i32,
    /// Rows.
    pub events: u64,
    /// Files.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// How far the index goes. Events without a usable split are scanned, never skipped.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Splits {
    /// Segments with a split of this analyzer.
    pub current: u64,
    /// Segments with a split of another analyzer only.
    pub outdated: u64,
    /// Segments without any.
    pub missing: u64,
    /// Events in segments without a usable split.
    pub unindexed_events: u64,
    /// Version of this program's analyzer.
    pub analyzer: u32,
}

/// An attachment that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pending {
    /// Its digest.
    pub sha256: String,
    /// Since when, RFC 3339 UTC.
    pub since: String,
    /// Why the last attempt failed.
    pub reason: String,
}

/// One origin and how complete it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// Its name.
    pub origin: String,
    /// Sequences ever archived.
    pub archived: u64,
    /// The last of them.
    pub last_sequence: u64,
    /// Whether every sequence up to the last was archived; nothing where sequences are not dense (quarantined records).
    pub complete: Option<bool>,
    /// Sequences that never arrived, both ends inclusive.
    pub gaps: Vec<(u64, u64)>,
    /// Time of its newest event, UTC microseconds.
    #[serde(serialize_with = "time")]
    pub newest_event: Option<i64>,
    /// When its newest event was archived, UTC microseconds.
    #[serde(serialize_with = "time")]
    pub newest_ingest: Option<i64>,
    /// How long after it happened its newest event was archived, microseconds; seconds in JSON.
    #[serde(rename = "lag_seconds", serialize_with = "seconds")]
    pub lag_us: Option<i64>,
}

/// A source's position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Position {
    /// `kafka/<cluster>/<topic id>/<partition>`, `outbox/<origin>`, `ledger` or `gc`.
    pub source: String,
    /// Where it stands.
    pub position: i64,
}

#[allow(clippy::ref_option)]
fn time<S: serde::Serializer>(us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    us.map(holdfast_schemas::time::format_us)
        .serialize(serializer)
}

#[allow(clippy::ref_option)]
fn seconds<S: serde::Serializer>(us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    us.map(|us| us as f64 / 1e6).serialize(serializer)
}

#[allow(clippy::ref_option)]
fn times<S: serde::Serializer>(us: &Option<(i64, i64)>, serializer: S) -> Result<S::Ok, S::Error> {
    us.map(|(from, to)| [from, to].map(holdfast_schemas::time::format_us))
        .serialize(serializer)
}
