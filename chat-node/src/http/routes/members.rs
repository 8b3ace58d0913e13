//! `/v1/rooms/{id}/members`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::Result;
use crate::http::extract::{Auth, Ids, Json, Params};
use crate::http::problem::Problem;
use crate::node::Node;
use crate::ops::members::{self, Member};
use crate::rules::Role;

/// Which role.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct MemberRole {
    /// `member`, `presenter` or `manager`.
    role: Role,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListParams {
    /// Only ids after this one.
    after: Option<String>,
}

/// A room's members by id, at most 500.
#[utoipa::path(get, path = "/v1/rooms/{id}/members", tag = "members", security(("bearer" = [])), params(("id" = String, Path), ListParams),
    responses((status = 200, body = [Member]), (status = "default", body = Problem)))]
pub(in crate::http) async fn list(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    Params(params): Params<ListParams>,
) -> Result<Response> {
    Ok(
        axum::Json(members::list(&node, &caller, &id, params.after.as_deref()).await?)
            .into_response(),
    )
}

/// Adds a member (201), or gives one another role (204).
#[utoipa::path(put, path = "/v1/rooms/{id}/members/{user}", tag = "members", security(("bearer" = [])),
    params(("id" = String, Path), ("user" = String, Path)), request_body = MemberRole,
    responses((status = 201), (status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn put(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids((id, user)): Ids<(String, String)>,
    Json(member): Json<MemberRole>,
) -> Result<StatusCode> {
    let added = members::put(&node, &caller, &id, &user, member.role).await?;
    Ok(if added {
        StatusCode::CREATED
    } else {
        StatusCode::NO_CONTENT
    })
}

/// Removes a member; everybody may remove themselves.
#[utoipa::path(delete, path = "/v1/rooms/{id}/members/{user}", tag = "members", security(("bearer" = [])),
    params(("id" = String, Path), ("user" = String, Path)), responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn remove(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids((id, user)): Ids<(String, String)>,
) -> Result<StatusCode> {
    members::remove(&node, &caller, &id, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}
