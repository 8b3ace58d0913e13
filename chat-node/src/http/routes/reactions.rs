//! `/v1/messages/{id}/reactions`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::error::Result;
use crate::http::extract::{Auth, Ids};
use crate::http::problem::Problem;
use crate::node::Node;
use crate::ops::messages::{self, Reaction};

/// Reactions to a message.
#[utoipa::path(get, path = "/v1/messages/{id}/reactions", tag = "reactions", security(("bearer" = [])), params(("id" = String, Path)),
    responses((status = 200, body = [Reaction]), (status = "default", body = Problem)))]
pub(in crate::http) async fn list(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
) -> Result<Response> {
    Ok(axum::Json(messages::reactions(&node, &caller, &id).await?).into_response())
}

/// Adds the caller's reaction.
#[utoipa::path(put, path = "/v1/messages/{id}/reactions/{value}", tag = "reactions", security(("bearer" = [])),
    params(("id" = String, Path), ("value" = String, Path)), responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn add(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids((id, value)): Ids<(String, String)>,
) -> Result<StatusCode> {
    messages::react(&node, &caller, &id, &value, true).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes the caller's reaction back.
#[utoipa::path(delete, path = "/v1/messages/{id}/reactions/{value}", tag = "reactions", security(("bearer" = [])),
    params(("id" = String, Path), ("value" = String, Path)), responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn remove(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids((id, value)): Ids<(String, String)>,
) -> Result<StatusCode> {
    messages::react(&node, &caller, &id, &value, false).await?;
    Ok(StatusCode::NO_CONTENT)
}
