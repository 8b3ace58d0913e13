//! What handlers take from a request: the caller, JSON bodies, versions.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::header::GetAll;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::auth::Claims;
use crate::error::{ChatError, Result};
use crate::limits::REQUEST_BYTES_MAX;
use crate::model::Caller;
use crate::node::Node;
use crate::ops::{Expected, users};

/// The caller, by the bearer token.
#[derive(Debug, Clone)]
pub struct Auth(pub Arc<Caller>);

/// The text after `Bearer `.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// What a token says, when it is genuine.
async fn claims(node: &Node, token: Option<&str>) -> Result<Claims> {
    let token = token.ok_or_else(|| ChatError::Unauthorized {
        problem: "no bearer token".into(),
    })?;
    node.tokens.check(token).await
}

/// The caller of a token; this counts as one of their requests.
pub(crate) async fn caller(node: &Node, token: Option<&str>) -> Result<Arc<Caller>> {
    let claims = claims(node, token).await?;
    node.rates.take(&claims.sub, node.clock.now_us())?;
    users::seen(node, claims).await
}

/// Lets administrators' requests through: they are counted where they are answered, and those of others here.
pub(super) async fn check_administrator(node: &Node, token: Option<&str>) -> Result<()> {
    let claims = claims(node, token).await?;
    if claims.administrator() {
        return users::seen(node, claims).await.map(drop);
    }
    node.rates.take(&claims.sub, node.clock.now_us())?;
    Err(ChatError::Forbidden {
        reason: "this port is for administrators",
    })
}

impl FromRequestParts<Arc<Node>> for Auth {
    type Rejection = ChatError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self> {
        Ok(Self(caller(node, bearer(&parts.headers)).await?))
    }
}

/// The caller if there is a token, for what has another way in.
#[derive(Debug, Clone)]
pub(super) struct MaybeAuth(pub(super) Option<Arc<Caller>>);

impl FromRequestParts<Arc<Node>> for MaybeAuth {
    type Rejection = ChatError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self> {
        match bearer(&parts.headers) {
            Some(token) => Ok(Self(Some(caller(node, Some(token)).await?))),
            None => Ok(Self(None)),
        }
    }
}

/// A JSON body. Unknown members are refused by the types themselves: a misspelled one must not be silently without effect.
#[derive(Debug, Clone)]
pub(super) struct Json<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<Node>> for Json<T> {
    type Rejection = ChatError;

    async fn from_request(request: Request, _node: &Arc<Node>) -> Result<Self> {
        let media_type = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or("");
        if !media_type
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        {
            return Err(ChatError::invalid(
                "content-type",
                "must be application/json",
            ));
        }
        let bytes = read(request.into_body(), REQUEST_BYTES_MAX).await?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| ChatError::invalid("body", error.to_string()))?;
        Ok(Self(value))
    }
}

/// A body of at most `bytes_max`.
pub(super) async fn read(body: Body, bytes_max: usize) -> Result<axum::body::Bytes> {
    to_bytes(body, bytes_max).await.map_err(|error| {
        let too_large = std::error::Error::source(&error)
            .is_some_and(|cause| cause.to_string().contains("length limit"));
        if too_large || error.to_string().contains("length limit") {
            ChatError::TooLarge {
                what: "the request's body",
                bytes_max: bytes_max as u64,
            }
        } else {
            ChatError::invalid("body", error.to_string())
        }
    })
}

/// Query parameters, with problem details when they are wrong.
#[derive(Debug, Clone)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Arc<Node>> for Params<T> {
    type Rejection = ChatError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self> {
        match Query::<T>::from_request_parts(parts, node).await {
            Ok(Query(params)) => Ok(Self(params)),
            Err(rejection) => Err(ChatError::invalid("query", rejection.body_text())),
        }
    }
}

/// Parts of the path. Ids are looked up, never made into paths; those that no id can be are not found.
#[derive(Debug, Clone)]
pub(super) struct Ids<T>(pub(super) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Arc<Node>> for Ids<T> {
    type Rejection = ChatError;

    async fn from_request_parts(parts: &mut Parts, node: &Arc<Node>) -> Result<Self> {
        // PostgreSQL has no text with NUL.
        if parts.uri.path().contains("%00")
            || parts.uri.path().len() > 8 * holdfast_schemas::limits::NAME_BYTES_MAX
        {
            return Err(ChatError::NotFound { what: "path" });
        }
        match Path::<T>::from_request_parts(parts, node).await {
            Ok(Path(ids)) => Ok(Self(ids)),
            Err(_rejection) => Err(ChatError::NotFound { what: "path" }),
        }
    }
}

/// The ETag of a thing whose version stands for all of it.
pub(super) fn etag(version: i64) -> String {
    format!("\"{version}\"")
}

/// The ETag of a thing of which `seen` changes without a new version: the version, which is what `If-Match` is about, and a
/// digest of what is seen.
pub(super) fn etag_of<T: Serialize>(version: i64, seen: &T) -> Result<String> {
    let seen = serde_json::to_vec(seen).map_err(|error| ChatError::Internal(error.to_string()))?;
    let digest = hex::encode(Sha256::digest(seen));
    Ok(format!("\"{version}-{}\"", &digest[..16]))
}

/// The versions that `If-Match` names.
#[derive(Debug, Clone)]
pub(super) struct IfMatch(pub(super) Expected);

impl FromRequestParts<Arc<Node>> for IfMatch {
    type Rejection = ChatError;

    async fn from_request_parts(parts: &mut Parts, _node: &Arc<Node>) -> Result<Self> {
        let values = parts.headers.get_all(header::IF_MATCH);
        let any = values.iter().all(|value| value == "*");
        Ok(Self(if any {
            Expected::AnyVersion
        } else {
            // A tag that was never given out matches nothing; nor does a weak one (RFC 9110, 13.1.1).
            Expected::OneOf(tags(&values).filter_map(version_of).collect())
        }))
    }
}

/// The version in a tag of [`etag`] or [`etag_of`].
fn version_of(tag: &str) -> Option<i64> {
    let tag = tag.strip_prefix('"')?.strip_suffix('"')?;
    let version = tag.split_once('-').map_or(tag, |(version, _seen)| version);
    let digits = version.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| version.parse().ok())?
}

/// The tags of a list, which may be in several headers. Tags of ours have no commas; what is left of others' is no tag.
fn tags<'a>(values: &GetAll<'a, HeaderValue>) -> impl Iterator<Item = &'a str> {
    let texts = values.iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(str::trim)
}

/// Whether `If-None-Match` names this tag: the client has it already.
pub(super) fn not_modified(headers: &HeaderMap, own: &str) -> bool {
    tags(&headers.get_all(header::IF_NONE_MATCH))
        .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == own)
}
