//! One entry of the chain: who did what when, without a word of it.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{Digest, FOLDER, PARAMS_FOLDER, RecordError, canonical, parse};
use crate::time;

const NAME: &str = "ledger entry";

/// An entry's content before it is hashed and signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// When, UTC microseconds by the writer's clock.
    pub time_us: i64,
    /// Who. Without a signature it is a claim.
    pub actor: String,
    /// What ([`super::Act::action`]).
    pub action: String,
    /// The matter it belongs to.
    pub matter: Option<String>,
    /// SHA-256 of the parameters' object, which is salted.
    pub params_digest: Digest,
    /// Hash of the entry before; [`Digest::ZERO`] for the first.
    pub prev_hash: Digest,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its number, from 1 without gaps.
    pub seq: u64,
    /// When, UTC microseconds by the writer's clock.
    #[serde(
        rename = "time",
        serialize_with = "write_time",
        deserialize_with = "read_time"
    )]
    pub time_us: i64,
    /// Who. Without a signature it is a claim.
    pub actor: String,
    /// What ([`super::Act::action`]).
    pub action: String,
    /// The matter it belongs to.
    pub matter: Option<String>,
    /// SHA-256 of the parameters' object, which is salted.
    pub params_digest: Digest,
    /// Hash of the entry before; [`Digest::ZERO`] for the first.
    pub prev_hash: Digest,
    /// SHA-256 of the entry's canonical JSON without `hash` and `signature`.
    pub hash: Digest,
    /// The actor's Ed25519 signature (base64) of [`Entry::signed_bytes`]; none when no actors are configured.
    pub signature: Option<String>,
}

impl Draft {
    /// The entry, unsigned.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn seal(self) -> Result<Entry, RecordError> {
        let Self {
            seq,
            time_us,
            actor,
            action,
            matter,
            params_digest,
            prev_hash,
        } = self;
        let mut entry = Entry {
            seq,
            time_us,
            actor,
            action,
            matter,
            params_digest,
            prev_hash,
            hash: Digest::ZERO,
            signature: None,
        };
        entry.hash = content_hash(&entry.encode()?)?;
        Ok(entry)
    }
}

impl Entry {
    /// What is put: canonical JSON.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn encode(&self) -> Result<Vec<u8>, RecordError> {
        canonical(self, NAME)
    }

    /// Reads an entry and holds its content against its hash. Members of newer versions count in the hash.
    ///
    /// # Errors
    /// It is no entry, or its content was changed.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        let entry: Self = parse(bytes, NAME)?;
        let computed = content_hash(bytes)?;
        if computed == entry.hash {
            Ok(entry)
        } else {
            Err(RecordError::Hash {
                stated: entry.hash,
                computed,
            })
        }
    }

    /// What an actor signs: a domain of its own, then the hash, so that no other signature of the key fits.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut bytes = b"holdfast ledger entry 1\0".to_vec();
        bytes.extend_from_slice(&self.hash.0);
        bytes
    }

    /// Path of the entry with this number, relative to the archive.
    #[must_use]
    pub fn path(seq: u64) -> String {
        format!("{FOLDER}/{seq:020}.json")
    }

    /// Path of this entry's parameters. The digest is in it, since two writers may try for one number.
    #[must_use]
    pub fn params_path(&self) -> String {
        params_path(self.seq, &self.params_digest)
    }
}

/// Path of parameters with this digest that stand for entry `seq`.
#[must_use]
pub fn params_path(seq: u64, digest: &Digest) -> String {
    format!(
        "{PARAMS_FOLDER}/{seq:020}-{}.json",
        hex::encode(&digest.0[..8])
    )
}

fn content_hash(bytes: &[u8]) -> Result<Digest, RecordError> {
    let mut content: Map<String, Value> = parse(bytes, NAME)?;
    content.remove("hash");
    content.remove("signature");
    Ok(Digest::of(&canonical(&content, NAME)?))
}

fn write_time<S: Serializer>(us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time::format_us(*us))
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    time::parse_rfc3339(&text)
        .map(|t| t.us)
        .map_err(serde::de::Error::custom)
}
