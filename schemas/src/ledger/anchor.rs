//! The anchor: what is put where the archive's owner cannot reach; and `anchor`, the act of putting it.

use serde::{Deserialize, Serialize};

use super::{Digest, RecordError, canonical, parse};

const NAME: &str = "anchor";

/// What an anchor says about archive and ledger at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// Format of this record.
    pub holdfast_anchor: u32,
    /// When, UTC microseconds.
    pub time_us: i64,
    /// Last entry of the ledger; 0 when it is empty.
    pub ledger_seq: u64,
    /// Its hash.
    pub ledger_hash: Digest,
    /// Version of the table.
    pub table_version: u64,
    /// Last fenced entry in that version.
    pub ledger_fence: Option<u64>,
    /// Segments in that version.
    pub segments: u64,
    /// Merkle root (RFC 6962) over each segment's (path, rows, Merkle root), by path.
    pub segments_root: Digest,
}

impl Anchor {
    /// What is put, and stamped: canonical JSON.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        canonical(self, NAME)
    }

    /// Reads an anchor.
    ///
    /// # Errors
    /// It is none, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let anchor: Self = parse(bytes, NAME)?;
        if anchor.holdfast_anchor != 1 {
            return Err(RecordError::Shape {
                record: NAME,
                problem: format!(
                    "format {} is not known to this version",
                    anchor.holdfast_anchor
                ),
            });
        }
        Ok(anchor)
    }
}

/// An anchor was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorPut {
    /// What it says.
    pub anchor: Anchor,
    /// Where it went: a URI, or the time-stamp authority's URL.
    pub to: String,
    /// The time-stamp token (DER, base64), when an authority gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}
