//! One file a resource; each handler is one operation.

pub(super) mod admin;
pub(super) mod categories;
pub(super) mod files;
pub(super) mod health;
pub(super) mod members;
pub(super) mod messages;
pub(super) mod reactions;
pub(super) mod rooms;
pub(super) mod search;
pub(super) mod users;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::IntoParams;

use super::extract::{etag, not_modified};

/// What a change or deletion may be bound to, for the document; [`super::extract::IfMatch`] reads it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the document reads its names and texts")]
struct IfMatchParams {
    /// The ETag that was seen, or several: what has another one now is left as it is (412).
    #[param(rename = "If-Match")]
    if_match: Option<String>,
}

/// What the client has already, for the document; [`not_modified`] compares it.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "the document reads its names and texts")]
struct IfNoneMatchParams {
    /// ETags that the client has: what is one of these is not sent again (304).
    #[param(rename = "If-None-Match")]
    if_none_match: Option<String>,
}

/// A thing with its ETag; `304` when the client has this version.
fn versioned<T: Serialize>(headers: &HeaderMap, version: i64, thing: &T) -> Response {
    tagged(headers, etag(version), thing)
}

/// A thing with this ETag; `304` when the client has it.
fn tagged<T: Serialize>(headers: &HeaderMap, tag: String, thing: &T) -> Response {
    if not_modified(headers, &tag) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    ([(header::ETAG, tag)], axum::Json(thing)).into_response()
}
