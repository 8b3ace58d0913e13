//! An entry's parameters: the words of an act, apart from the chain so that they can be removed.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Act, Digest, RecordError, canonical, parse};

const NAME: &str = "parameters of a ledger entry";

/// The parameters of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// The entry's number.
    pub seq: u64,
    /// 32 random bytes: a short word cannot be guessed from the digest.
    pub salt: Digest,
    /// The command's idempotency key: whoever repeats it finds this entry.
    pub command: Option<String>,
    /// What was done.
    pub act: Act,
}

#[derive(Serialize, Deserialize)]
struct Shape {
    seq: u64,
    salt: Digest,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    action: String,
    act: Value,
}

impl Params {
    /// What is put, and its digest.
    ///
    /// # Errors
    /// Never for what Rust can hold.
    pub fn encode(&self) -> Result<(Vec<u8>, Digest), RecordError> {
        let shape = Shape {
            seq: self.seq,
            salt: self.salt,
            command: self.command.clone(),
            action: self.act.action().to_owned(),
            act: self.act.params()?,
        };
        let bytes = canonical(&shape, NAME)?;
        let digest = Digest::of(&bytes);
        Ok((bytes, digest))
    }

    /// Reads parameters. An act of a newer version becomes [`Act::Unknown`].
    ///
    /// # Errors
    /// Their bytes have another digest than the entry says, or are not of this shape.
    pub fn decode(bytes: &[u8], digest: &Digest) -> Result<Self, RecordError> {
        let computed = Digest::of(bytes);
        if computed != *digest {
            return Err(RecordError::Hash {
                stated: *digest,
                computed,
            });
        }
        let shape: Shape = parse(bytes, NAME)?;
        Ok(Self {
            seq: shape.seq,
            salt: shape.salt,
            command: shape.command,
            act: Act::from_parts(&shape.action, shape.act)?,
        })
    }
}
