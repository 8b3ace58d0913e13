//! Tokens of files: whoever has one downloads that file, from every node, for 30 minutes.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::error::{ChatError, Result};
use crate::limits::FILE_TOKEN_LIFE;

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct FileClaims {
    /// The user it was made for: the downloads are theirs.
    sub: String,
    /// The file's id.
    file: String,
    exp: u64,
}

/// Makes and checks them.
pub struct FileTokens {
    sign: EncodingKey,
    check: DecodingKey,
}

impl std::fmt::Debug for FileTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FileTokens(…)")
    }
}

impl FileTokens {
    /// From the pool's secret; a bearer token is no file's token, and the other way round.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let key = secret.key("holdfast-chat file token");
        Self {
            sign: EncodingKey::from_secret(&key),
            check: DecodingKey::from_secret(&key),
        }
    }

    /// A token for `user` and `file`, and when it ends (microseconds).
    ///
    /// # Errors
    /// Signing failed, which it does not.
    pub fn make(&self, user: &str, file: &str, now_us: i64) -> Result<(String, i64)> {
        let ends_us = now_us + i64::try_from(FILE_TOKEN_LIFE.as_micros()).unwrap_or(i64::MAX);
        let exp = u64::try_from(ends_us / 1_000_000).unwrap_or(0);
        let claims = FileClaims {
            sub: user.to_owned(),
            file: file.to_owned(),
            exp,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.sign)
            .map_err(|error| ChatError::Internal(format!("a token was not signed: {error}")))?;
        Ok((token, ends_us))
    }

    /// The user that `token` was made for, if it is for `file` and has not ended at `now_us`.
    ///
    /// # Errors
    /// [`ChatError::Unauthorized`].
    pub fn check(&self, token: &str, file: &str, now_us: i64) -> Result<String> {
        let mut validation = Validation::new(Algorithm::HS256);
        // Compared below, with the node's own clock.
        validation.validate_exp = false;
        let claims = jsonwebtoken::decode::<FileClaims>(token, &self.check, &validation)
            .map_err(|error| ChatError::Unauthorized {
                problem: error.to_string(),
            })?
            .claims;
        if claims.file != file {
            return Err(ChatError::Unauthorized {
                problem: "the token is for another file".into(),
            });
        }
        if i64::try_from(claims.exp)
            .unwrap_or(0)
            .saturating_mul(1_000_000)
            <= now_us
        {
            return Err(ChatError::Unauthorized {
                problem: "the token has expired".into(),
            });
        }
        Ok(claims.sub)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_for_one_file_and_thirty_minutes() {
        let tokens = FileTokens::new(&Secret::from_text(
            "0123456789012345678901234567890123456789",
        ));
        let (token, ends_us) = tokens.make("u-7", "f-1", 1_000_000_000_000_000).unwrap();
        assert_eq!(ends_us, 1_000_000_000_000_000 + 1_800_000_000);
        assert_eq!(tokens.check(&token, "f-1", ends_us - 1).unwrap(), "u-7");
        assert!(tokens.check(&token, "f-1", ends_us).is_err());
        assert!(tokens.check(&token, "f-2", 1_000_000_000_000_000).is_err());
        let other = FileTokens::new(&Secret::from_text(
            "another secret of more than 32 characters",
        ));
        assert!(other.check(&token, "f-1", 1_000_000_000_000_000).is_err());
    }
}
