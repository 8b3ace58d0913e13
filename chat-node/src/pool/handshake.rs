//! Both ends of a link prove that they know the pool's secret, without saying it: each signs the other's random challenge.
//!
//! ```text
//! dialer   ▶ {}                                 (it speaks first: the port serves administration too, and the first byte tells which)
//! acceptor ▶ {"challenge": c1}
//! dialer   ▶ {"challenge": c2, "proof": sign(dialer's name and run, "dial", c1)}
//! acceptor ▶ {"proof": sign(acceptor's name, "accept", c2)}
//! ```
//!
//! The proof is a JWT, which is an HMAC-SHA-256 over JSON. The roles keep a proof from being handed back to whoever made it. What follows is not
//! encrypted: the nodes' network is the operator's own.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use rand::TryRng;
use serde::{Deserialize, Serialize};

use crate::auth::Secret;
use crate::error::{ChatError, Result};

/// Longest line of a handshake: whoever has proved nothing gets no more memory than this.
pub(super) const LINE_BYTES_MAX: u64 = 4096;

/// The keys of one node's links.
pub(super) struct Keys {
    sign: EncodingKey,
    check: DecodingKey,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys(…)")
    }
}

/// Which end a proof is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum End {
    Dial,
    Accept,
}

/// What is proved: the name and run of the other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Proof {
    pub(super) pool: String,
    pub(super) node: String,
    pub(super) run_id: String,
    end: End,
    challenge: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) challenge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<String>,
}

/// 32 random bytes in hexadecimal.
pub(super) fn challenge() -> Result<String> {
    let mut bytes = [0_u8; 32];
    rand::rngs::SysRng
        .try_fill_bytes(&mut bytes)
        .map_err(|error| ChatError::Internal(format!("no randomness: {error}")))?;
    Ok(hex::encode(bytes))
}

impl Keys {
    pub(super) fn new(secret: &Secret) -> Self {
        let key = secret.key("holdfast-chat link");
        Self {
            sign: EncodingKey::from_secret(&key),
            check: DecodingKey::from_secret(&key),
        }
    }

    pub(super) fn prove(
        &self,
        pool: &str,
        node: &str,
        run_id: &str,
        end: End,
        challenge: &str,
    ) -> Result<String> {
        let proof = Proof {
            pool: pool.into(),
            node: node.into(),
            run_id: run_id.into(),
            end,
            challenge: challenge.into(),
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &proof, &self.sign)
            .map_err(|error| ChatError::Internal(format!("a link's proof: {error}")))
    }

    /// The other end, if it signed our challenge as that end of a link in our pool.
    pub(super) fn check(
        &self,
        proof: &str,
        pool: &str,
        end: End,
        challenge: &str,
    ) -> Result<Proof> {
        let wrong = |problem: String| ChatError::Unauthorized { problem };
        let mut validation = Validation::new(Algorithm::HS256);
        validation.required_spec_claims.clear();
        // Fresh by the challenge, not by a clock.
        validation.validate_exp = false;
        let proof = jsonwebtoken::decode::<Proof>(proof, &self.check, &validation)
            .map_err(|error| wrong(error.to_string()))?
            .claims;
        if proof.end != end || proof.challenge != challenge {
            return Err(wrong("the proof answers another challenge".into()));
        }
        if proof.pool != pool {
            return Err(wrong(format!(
                "the other end belongs to pool {:?}",
                proof.pool
            )));
        }
        Ok(proof)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_challenged_end_with_the_secret_is_believed() {
        let ours = Keys::new(&Secret::from_text(
            "0123456789012345678901234567890123456789",
        ));
        let theirs = Keys::new(&Secret::from_text(
            "another secret of more than 32 characters",
        ));
        let asked = challenge().unwrap();
        let proof = ours
            .prove("main", "chat-1", "run", End::Dial, &asked)
            .unwrap();
        assert_eq!(
            ours.check(&proof, "main", End::Dial, &asked).unwrap().node,
            "chat-1"
        );
        assert!(
            ours.check(&proof, "main", End::Accept, &asked).is_err(),
            "reflected"
        );
        assert!(
            ours.check(&proof, "main", End::Dial, &challenge().unwrap())
                .is_err(),
            "replayed"
        );
        assert!(
            ours.check(&proof, "other", End::Dial, &asked).is_err(),
            "another pool"
        );
        assert!(
            theirs.check(&proof, "main", End::Dial, &asked).is_err(),
            "another secret"
        );
    }
}
