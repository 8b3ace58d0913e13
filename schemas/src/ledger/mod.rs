//! Records of the ledger: entries, their parameters, the acts, anchors and snapshots. One file a record.
//!
//! ```text
//! ledger/<20 digits>.json                         entry        the chain; put where nothing is, never changed
//! ledger/params/<20 digits>-<16 hex>.json         params       an entry's words: removable by an act of their own
//! ledger/snapshot.json                            snapshot     the fold so far: derived, overwritten
//! ```
//! `docs/ledger-format.md` is the page for people.

pub mod act;
pub mod actor;
pub mod anchor;
pub mod approval;
pub mod config;
pub mod digest;
pub mod disposition;
pub mod entry;
pub mod erasure;
pub mod hold;
pub mod matter;
pub mod origin;
pub mod params;
pub mod person;
pub mod plan;
pub mod policy;
pub mod purge;
pub mod reading;
pub mod snapshot;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::json::Json;

pub use act::Act;
pub use digest::Digest;
pub use entry::Entry;
pub use params::Params;

/// Folder of the entries, relative to the archive.
pub const FOLDER: &str = "ledger";
/// Folder of the parameters, relative to the archive.
pub const PARAMS_FOLDER: &str = "ledger/params";
/// The snapshot of the fold, relative to the archive.
pub const SNAPSHOT_PATH: &str = "ledger/snapshot.json";

/// A record of the ledger is not what it must be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// It is no JSON, or not of this shape.
    #[error("not a {record}: {problem}")]
    Shape {
        /// What it should be.
        record: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Its content has another hash than it says.
    #[error("its content hashes to {computed}, it says {stated}")]
    Hash {
        /// What it says.
        stated: Digest,
        /// What its content hashes to.
        computed: Digest,
    },
}

/// Canonical JSON (RFC 8785) of a record.
///
/// # Errors
/// The record holds what JSON cannot: no record of this module does.
pub fn canonical<T: Serialize>(record: &T, name: &'static str) -> Result<Vec<u8>, RecordError> {
    let text = serde_json::to_string(record).map_err(|e| shape(name, &e))?;
    let json = Json::parse(&text).map_err(|e| shape(name, &e))?;
    let mut out = Vec::with_capacity(text.len());
    crate::canonical::print(&json, &mut out);
    Ok(out)
}

/// Reads a record.
///
/// # Errors
/// It is not of this shape.
pub(crate) fn parse<T: DeserializeOwned>(
    bytes: &[u8],
    name: &'static str,
) -> Result<T, RecordError> {
    serde_json::from_slice(bytes).map_err(|e| shape(name, &e))
}

fn shape(record: &'static str, problem: &dyn std::fmt::Display) -> RecordError {
    RecordError::Shape {
        record,
        problem: problem.to_string(),
    }
}
