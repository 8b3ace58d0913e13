//! Public keys of the identity provider (RFC 7517), fetched when needed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::JwkSet;
use tokio::sync::Mutex;

use crate::error::{ChatError, Result};

/// Keys are fetched again after this, so that withdrawn ones end.
const FRESH: Duration = Duration::from_secs(600);
/// An unknown key makes them be fetched at once, but not more often than this: forged tokens must not turn into a flood of requests.
const RETRY: Duration = Duration::from_secs(30);
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
const JWKS_BYTES_MAX: usize = 1024 * 1024;

#[derive(Debug, Default)]
struct Fetched {
    keys: Option<Arc<JwkSet>>,
    at: Option<Instant>,
}

/// The keys behind one URL.
#[derive(Debug)]
pub struct Jwks {
    url: url::Url,
    client: reqwest::Client,
    fetched: Mutex<Fetched>,
}

impl Jwks {
    /// Keys of `url`, fetched with the first token.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(url: url::Url) -> std::result::Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder().timeout(FETCH_TIMEOUT).build()?;
        Ok(Self {
            url,
            client,
            fetched: Mutex::default(),
        })
    }

    /// The key of this id; without an id, the only one.
    ///
    /// # Errors
    /// [`ChatError::Unauthorized`] when there is none; [`ChatError::Unavailable`] when keys cannot be had.
    pub async fn key(&self, kid: Option<&str>) -> Result<DecodingKey> {
        let mut fetched = self.fetched.lock().await;
        let age = fetched.at.map(|at| at.elapsed());
        let stale = age.is_none_or(|age| age > FRESH);
        let unknown = find(&fetched, kid).is_none() && age.is_some_and(|age| age > RETRY);
        if stale || unknown {
            self.refresh(&mut fetched).await?;
        }
        find(&fetched, kid).ok_or_else(|| ChatError::Unauthorized {
            problem: "the token is signed with an unknown key".into(),
        })
    }

    /// Old keys stay good while the provider cannot be reached.
    async fn refresh(&self, fetched: &mut Fetched) -> Result<()> {
        match self.fetch().await {
            Ok(keys) => {
                fetched.keys = Some(Arc::new(keys));
                fetched.at = Some(Instant::now());
                Ok(())
            }
            Err(problem) if fetched.keys.is_some() => {
                tracing::warn!(
                    problem,
                    "the keys of tokens could not be fetched again; the old ones stay in use"
                );
                fetched.at = Some(Instant::now());
                Ok(())
            }
            Err(problem) => Err(ChatError::Unavailable {
                problem: format!("the keys of tokens cannot be fetched: {problem}"),
            }),
        }
    }

    async fn fetch(&self) -> std::result::Result<JwkSet, String> {
        let answer = self
            .client
            .get(self.url.clone())
            .send()
            .await
            .and_then(reqwest::Response::error_for_status);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| error.to_string())? {
            if body.len() + chunk.len() > JWKS_BYTES_MAX {
                return Err(format!("more than {JWKS_BYTES_MAX} bytes"));
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|error| error.to_string())
    }
}

fn find(fetched: &Fetched, kid: Option<&str>) -> Option<DecodingKey> {
    let keys = fetched.keys.as_ref()?;
    let key = match kid {
        Some(kid) => keys.find(kid)?,
        None if keys.keys.len() == 1 => keys.keys.first()?,
        None => return None,
    };
    DecodingKey::from_jwk(key).ok()
}
