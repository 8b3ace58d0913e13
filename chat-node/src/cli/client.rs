//! One node's API, as an administrator's command line uses it.

use std::io::Write;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, StatusCode};
use serde_json::Value;

/// Times that a call is repeated that came too soon after others.
const REPEATS_MAX: u32 = 10;
/// The longest wait before one.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// Why a command did not happen.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The node said no.
    #[error("the node refused ({status}): {detail}\nhint: {hint}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What it said.
        detail: String,
        /// What to do.
        hint: &'static str,
    },
    /// The node could not be asked.
    #[error("{url}: {problem}\nhint: does the node run? --url names the address that clients use")]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        problem: String,
    },
    /// Something is wrong with what was asked.
    #[error("{problem}\nhint: {hint}")]
    Usage {
        /// What.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// Standard output or a file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// What the node answered is no JSON.
    #[error("the answer is no JSON: {0}\nhint: is --url the address of a Holdfast chat node?")]
    Answer(#[from] serde_json::Error),
}

/// A node and a token.
#[derive(Debug)]
pub struct AdminClient {
    http: reqwest::Client,
    url: String,
    token: String,
}

fn hint(status: u16) -> &'static str {
    match status {
        401 | 403 => "the token must be an administrator's: --data DIR, or HOLDFAST_CHAT_TOKEN",
        404 => "ids, not names: `holdfast-chat admin rooms` and `categories` list them",
        429 => "wait a little: others ask in the name of the same administrator",
        409 | 412 => "look at what is there, and try again",
        503 => "try again; `holdfast-chat admin nodes` lists the nodes that take users",
        _other => "holdfast-chat admin --help",
    }
}

impl AdminClient {
    /// For the node at `url`.
    ///
    /// # Errors
    /// No HTTP client can be made.
    pub fn new(url: &str, token: String) -> Result<Self, AdminError> {
        let url = url.trim_end_matches('/').to_owned();
        match reqwest::Client::builder().build() {
            Ok(http) => Ok(Self { http, url, token }),
            Err(error) => Err(AdminError::Unreachable {
                url,
                problem: error.to_string(),
            }),
        }
    }

    /// One call; the answer's JSON, `null` when it has none.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&Value>,
    ) -> Result<Value, AdminError> {
        let unreachable = |problem: String| AdminError::Unreachable {
            url: self.url.clone(),
            problem,
        };
        let mut url = url::Url::parse(&format!("{}{path}", self.url))
            .map_err(|error| unreachable(error.to_string()))?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url).bearer_auth(&self.token);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let request = request
            .build()
            .map_err(|error| unreachable(error.without_url().to_string()))?;
        let answer = self
            .send(request)
            .await
            .map_err(|error| unreachable(error.without_url().to_string()))?;
        let status = answer.status();
        let bytes = answer
            .bytes()
            .await
            .map_err(|error| unreachable(error.without_url().to_string()))?;
        if !status.is_success() {
            let problem: Value = serde_json::from_slice(&bytes).unwrap_or_default();
            let detail = problem["detail"].as_str().unwrap_or("").to_owned();
            return Err(AdminError::Refused {
                status: status.as_u16(),
                detail,
                hint: hint(status.as_u16()),
            });
        }
        if bytes.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&bytes)?)
    }
}

impl AdminClient {
    /// Sends it, again and again while the node says that it comes too soon: nothing was done then.
    async fn send(&self, request: reqwest::Request) -> reqwest::Result<reqwest::Response> {
        for _repeat in 0..REPEATS_MAX {
            let Some(copy) = request.try_clone() else {
                break;
            };
            let answer = self.http.execute(copy).await?;
            if answer.status() != StatusCode::TOO_MANY_REQUESTS {
                return Ok(answer);
            }
            tokio::time::sleep(wait(answer.headers())).await;
        }
        self.http.execute(request).await
    }
}

/// How long the node wants to be left alone.
fn wait(headers: &HeaderMap) -> Duration {
    let seconds = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok()?.parse().ok());
    seconds
        .map_or(Duration::from_secs(1), Duration::from_secs)
        .min(WAIT_MAX)
}

/// Prints an answer: a list as a line an element.
///
/// # Errors
/// Standard output is closed.
pub(super) fn print(answer: &Value) -> Result<(), AdminError> {
    let mut out = std::io::stdout().lock();
    match answer {
        Value::Null => {}
        Value::Array(elements) => {
            for element in elements {
                writeln!(out, "{element}")?;
            }
        }
        other => writeln!(out, "{other}")?,
    }
    Ok(())
}
