//! Bearer tokens: JWT (RFC 7519) signed with the shared secret (HS256), or with a key of a JWKS.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::{Jwks, Secret};
use crate::error::{ChatError, Result};
use crate::rules::valid_user_id;

/// A token longer than this is refused unread.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Clocks may differ by this.
const LEEWAY_S: u64 = 30;

/// The claims that count; others are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// The user's id.
    pub sub: String,
    /// Display name; the id when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// E-mail address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// SIP or other URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
    /// `admin` makes an administrator.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Groups, for the categories' lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Whether the user belongs to the organisation; yes when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub internal: Option<bool>,
    /// `user` or `bot`; `user` when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// When it ends: seconds since 1970-01-01T00:00:00Z.
    pub exp: u64,
}

impl Claims {
    /// Whether they are an administrator's.
    #[must_use]
    pub fn administrator(&self) -> bool {
        self.roles.iter().any(|role| role == "admin")
    }
}

#[derive(Debug)]
enum Keys {
    Shared(Box<DecodingKey>),
    Jwks(Jwks),
}

/// Checks bearer tokens.
#[derive(Debug)]
pub struct Tokens {
    keys: Keys,
    issuer: Option<String>,
    audience: Option<String>,
}

impl Tokens {
    /// Tokens signed with the shared secret.
    #[must_use]
    pub fn shared(secret: &Secret) -> Self {
        Self {
            keys: Keys::Shared(Box::new(DecodingKey::from_secret(secret.token_key()))),
            issuer: None,
            audience: None,
        }
    }

    /// Tokens signed with a key of a JWKS; issuer and audience are compared when given.
    #[must_use]
    pub fn jwks(jwks: Jwks, issuer: Option<String>, audience: Option<String>) -> Self {
        Self {
            keys: Keys::Jwks(jwks),
            issuer,
            audience,
        }
    }

    /// The claims of a token that is genuine and has not ended.
    ///
    /// # Errors
    /// [`ChatError::Unauthorized`] with what is wrong; [`ChatError::Unavailable`] when the JWKS cannot be had.
    pub async fn check(&self, token: &str) -> Result<Claims> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ChatError::Unauthorized {
                problem: format!("the token has more than {TOKEN_BYTES_MAX} bytes"),
            });
        }
        let wrong = |error: jsonwebtoken::errors::Error| ChatError::Unauthorized {
            problem: error.to_string(),
        };
        let header = jsonwebtoken::decode_header(token).map_err(wrong)?;
        let claims = match &self.keys {
            Keys::Shared(key) => {
                let validation = self.validation(Algorithm::HS256);
                jsonwebtoken::decode::<Claims>(token, key, &validation)
                    .map_err(wrong)?
                    .claims
            }
            Keys::Jwks(jwks) => {
                // A public key must never serve as an HMAC secret.
                if matches!(
                    header.alg,
                    Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512
                ) {
                    return Err(ChatError::Unauthorized {
                        problem: "tokens are signed with a public key here".into(),
                    });
                }
                let key = jwks.key(header.kid.as_deref()).await?;
                jsonwebtoken::decode::<Claims>(token, &key, &self.validation(header.alg))
                    .map_err(wrong)?
                    .claims
            }
        };
        claims.validate()?;
        Ok(claims)
    }

    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.leeway = LEEWAY_S;
        validation.validate_nbf = true;
        if let Some(issuer) = &self.issuer {
            validation.set_issuer(&[issuer]);
        }
        match &self.audience {
            Some(audience) => validation.set_audience(&[audience]),
            None => validation.validate_aud = false,
        }
        validation
    }
}

impl Claims {
    fn validate(&self) -> Result<()> {
        let wrong = |problem: &str| ChatError::Unauthorized {
            problem: problem.to_owned(),
        };
        let max = holdfast_schemas::limits::NAME_BYTES_MAX;
        let texts = [
            Some(&self.sub),
            self.name.as_ref(),
            self.email.as_ref(),
            self.uri.as_ref(),
        ];
        let texts = texts
            .into_iter()
            .flatten()
            .chain(&self.groups)
            .chain(&self.roles);
        for text in texts {
            if text.len() > max || text.chars().any(char::is_control) {
                return Err(wrong("a claim is too long or holds control characters"));
            }
        }
        valid_user_id("sub", &self.sub)
            .map_err(|_not_repeated| wrong("the claim sub names no user"))?;
        if self.groups.len() > 1000 {
            return Err(wrong("more than 1000 groups"));
        }
        match self.kind.as_deref() {
            None | Some("user" | "bot") => Ok(()),
            Some(_) => Err(wrong("the claim kind is neither user nor bot")),
        }
    }

    /// A token with these claims, signed with the shared secret.
    ///
    /// # Errors
    /// Signing failed, which it does not.
    pub fn sign(&self, secret: &Secret) -> Result<String> {
        jsonwebtoken::encode(
            &Header::new(Algorithm::HS256),
            self,
            &EncodingKey::from_secret(secret.token_key()),
        )
        .map_err(|error| ChatError::Internal(format!("a token was not signed: {error}")))
    }
}
