//! The snapshot of the fold: derived from the chain, so that opening does not read all of it.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Digest, RecordError, parse};

const NAME: &str = "ledger snapshot";
/// Grows when the fold changes: a snapshot of another version is passed over.
pub const VERSION: u32 = 1;

/// The fold up to an entry.
#[derive(Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// [`VERSION`] of the program that wrote it.
    pub version: u32,
    /// The last entry in it.
    pub seq: u64,
    /// That entry's hash.
    pub hash: Digest,
    /// SHA-256 of `state` as it is written here.
    pub state_sha256: Digest,
    /// The folded state.
    pub state: Box<RawValue>,
}

impl Snapshot {
    /// Makes a snapshot of a state's JSON.
    ///
    /// # Errors
    /// The text is no JSON.
    pub fn new(seq: u64, hash: Digest, state: String) -> Result<Self, RecordError> {
        let state_sha256 = Digest::of(state.as_bytes());
        let state = RawValue::from_string(state).map_err(|e| super::shape(NAME, &e))?;
        Ok(Self {
            version: VERSION,
            seq,
            hash,
            state_sha256,
            state,
        })
    }

    /// What is put.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        serde_json::to_vec(self).map_err(|e| super::shape(NAME, &e))
    }

    /// Reads a snapshot; nothing when it is of another version.
    ///
    /// # Errors
    /// It is none, or its state was changed.
    pub fn decode(bytes: &[u8]) -> Result<Option<Self>, RecordError> {
        #[derive(Deserialize)]
        struct Version {
            version: u32,
        }
        let Version { version } = parse(bytes, NAME)?;
        if version != VERSION {
            return Ok(None);
        }
        let snapshot: Self = parse(bytes, NAME)?;
        let computed = Digest::of(snapshot.state.get().as_bytes());
        if computed == snapshot.state_sha256 {
            Ok(Some(snapshot))
        } else {
            Err(RecordError::Hash {
                stated: snapshot.state_sha256,
                computed,
            })
        }
    }
}
