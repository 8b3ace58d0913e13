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
    /// SHA-256 of that version's entry in the table's log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_sha256: Option<Digest>,
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

/// A segment as an anchor counts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchoredSegment {
    /// Its path, relative to `events/`.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Merkle root of its rows, as its footer has it.
    pub merkle_root: Digest,
}

impl AnchoredSegment {
    /// The leaf of [`Anchor::segments_root`]: SHA-256 of its canonical JSON.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn leaf(&self) -> Result<Digest, RecordError> {
        Ok(Digest::of(&canonical(self, "anchored segment")?))
    }
}

/// A time stamp over an anchor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    /// URL of the authority.
    pub tsa: String,
    /// The request's nonce, hexadecimal: the token repeats it.
    pub nonce: String,
    /// The RFC 3161 token (DER, base64).
    pub token: String,
}

/// What `holdfast anchor` writes: the anchor, the segments under its root, and its time stamp.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorFile {
    /// The anchor: its canonical JSON is what is stamped.
    pub anchor: Anchor,
    /// The segments under its root, by path.
    pub segments: Vec<AnchoredSegment>,
    /// The time stamp, when an authority gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}

impl AnchorFile {
    /// What is put: canonical JSON.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        canonical(self, NAME)
    }

    /// Reads what [`AnchorFile::encode`] wrote.
    ///
    /// # Errors
    /// It is no anchor, or of a newer format.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let file: Self = parse(bytes, NAME)?;
        // The format's number is checked where the anchor itself is read.
        Anchor::decode(&file.anchor.encode()?)?;
        Ok(file)
    }
}

/// An anchor was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnchorPut {
    /// What it says.
    pub anchor: Anchor,
    /// Where it went: URIs and authorities.
    pub to: Vec<String>,
    /// The time stamp, when an authority gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stamp: Option<Stamp>,
}
