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

use super::extract::{etag, not_modified};

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
