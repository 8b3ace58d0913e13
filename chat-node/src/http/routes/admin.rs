//! `/v1/admin`: for administrators.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::error::{ChatError, Result};
use crate::http::extract::{Auth, Ids, Json, Params, read};
use crate::http::problem::Problem;
use crate::model::Caller;
use crate::node::Node;
use crate::ops::admin::{
    self, Configuration, Configured, ExportedRoom, Imported, NodeState, Purge, Purged, Replace,
    Synthetic,
};
use crate::ops::users::{self, UserState};
use crate::pool::NodeInfo;

/// An exported page may have this many bytes.
const IMPORT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// How many messages were touched.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Replaced {
    /// At most 1,000 a call: call again while it says so.
    messages: usize,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ExportParams {
    /// Messages after this place.
    #[serde(default)]
    after_seq: i64,
}

/// Where a further page goes.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ImportParams {
    /// The room that the first page made.
    into: Option<String>,
}

/// Which page.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ConfigurationParams {
    /// Rooms whose names come after this one.
    after: Option<String>,
}

/// A room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct SyntheticRoom {
    /// Its id.
    room: String,
}

/// A state for a node.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct NodeChange {
    /// `active`, `standby` or `draining`.
    state: NodeState,
}

/// A state for a user.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct UserChange {
    /// `active` or `disabled`.
    state: UserState,
}

/// Deletes what was said in a room before a date.
#[utoipa::path(post, path = "/v1/admin/purge", tag = "admin", security(("bearer" = [])), request_body = Purge,
    responses((status = 200, body = Purged), (status = "default", body = Problem)))]
pub(in crate::http) async fn purge(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Json(purge): Json<Purge>,
) -> Result<Response> {
    Ok(axum::Json(admin::purge(&node, &caller, &purge).await?).into_response())
}

/// Deletes or replaces messages by user, date or words.
#[utoipa::path(post, path = "/v1/admin/replace", tag = "admin", security(("bearer" = [])), request_body = Replace,
    responses((status = 200, body = Replaced), (status = "default", body = Problem)))]
pub(in crate::http) async fn replace(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Json(replace): Json<Replace>,
) -> Result<Response> {
    let messages = admin::replace(&node, &caller, &replace).await?;
    Ok(axum::Json(Replaced { messages }).into_response())
}

/// A page of a room, written down.
#[utoipa::path(get, path = "/v1/admin/export/{room}", tag = "admin", security(("bearer" = [])), params(("room" = String, Path), ExportParams),
    responses((status = 200, body = ExportedRoom), (status = "default", body = Problem)))]
pub(in crate::http) async fn export(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(room): Ids<String>,
    Params(params): Params<ExportParams>,
) -> Result<Response> {
    Ok(axum::Json(admin::export(&node, &caller, &room, params.after_seq).await?).into_response())
}

/// Takes an exported room in.
#[utoipa::path(post, path = "/v1/admin/import", tag = "admin", security(("bearer" = [])), request_body = ExportedRoom, params(ImportParams),
    responses((status = 201, body = Imported), (status = "default", body = Problem)))]
pub(in crate::http) async fn import(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Params(params): Params<ImportParams>,
    request: Request,
) -> Result<Response> {
    let exported: ExportedRoom = large(&caller, request).await?;
    let imported = admin::import(&node, &caller, exported, params.into.as_deref()).await?;
    Ok((StatusCode::CREATED, axum::Json(imported)).into_response())
}

/// A page of categories and rooms, written down without what was said.
#[utoipa::path(get, path = "/v1/admin/configuration", tag = "admin", security(("bearer" = [])), params(ConfigurationParams),
    responses((status = 200, body = Configuration), (status = "default", body = Problem)))]
pub(in crate::http) async fn configuration(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Params(params): Params<ConfigurationParams>,
) -> Result<Response> {
    let page = admin::configuration(&node, &caller, params.after.as_deref()).await?;
    Ok(axum::Json(page).into_response())
}

/// Makes categories and rooms as they are written down; what is here besides stays.
#[utoipa::path(put, path = "/v1/admin/configuration", tag = "admin", security(("bearer" = [])), request_body = Configuration,
    responses((status = 200, body = Configured), (status = "default", body = Problem)))]
pub(in crate::http) async fn configure(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    request: Request,
) -> Result<Response> {
    let configuration: Configuration = large(&caller, request).await?;
    Ok(axum::Json(admin::configure(&node, &caller, configuration).await?).into_response())
}

/// An administrator's body of up to [`IMPORT_BYTES_MAX`]; nobody else's is read.
async fn large<T: DeserializeOwned>(caller: &Caller, request: Request) -> Result<T> {
    if !caller.administrator {
        return Err(ChatError::Forbidden {
            reason: "only administrators do this",
        });
    }
    let bytes = read(request.into_body(), IMPORT_BYTES_MAX).await?;
    serde_json::from_slice(&bytes).map_err(|error| ChatError::invalid("body", error.to_string()))
}

/// The pool's nodes.
#[utoipa::path(get, path = "/v1/admin/nodes", tag = "admin", security(("bearer" = [])),
    responses((status = 200, body = [NodeInfo]), (status = "default", body = Problem)))]
pub(in crate::http) async fn nodes(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
) -> Result<Response> {
    Ok(axum::Json(admin::nodes(&node, &caller)?).into_response())
}

/// Makes a node active, standby, or empties it.
#[utoipa::path(patch, path = "/v1/admin/nodes/{node}", tag = "admin", security(("bearer" = [])), params(("node" = String, Path)),
    request_body = NodeChange, responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn set_node_state(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(name): Ids<String>,
    Json(change): Json<NodeChange>,
) -> Result<StatusCode> {
    admin::set_node_state(&node, &caller, &name, change.state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Posts a test message through the whole path.
#[utoipa::path(post, path = "/v1/admin/synthetic", tag = "admin", security(("bearer" = [])), request_body = SyntheticRoom,
    responses((status = 201, body = Synthetic), (status = "default", body = Problem)))]
pub(in crate::http) async fn synthetic(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Json(room): Json<SyntheticRoom>,
) -> Result<Response> {
    let outcome = admin::synthetic(&node, &caller, &room.room).await?;
    Ok((StatusCode::CREATED, axum::Json(outcome)).into_response())
}

/// Disables or enables a user.
#[utoipa::path(patch, path = "/v1/admin/users/{user}", tag = "admin", security(("bearer" = [])), params(("user" = String, Path)),
    request_body = UserChange, responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn set_user_state(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(user): Ids<String>,
    Json(change): Json<UserChange>,
) -> Result<StatusCode> {
    users::set_state(&node, &caller, &user, change.state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Deletes a user. What they said stays.
#[utoipa::path(delete, path = "/v1/admin/users/{user}", tag = "admin", security(("bearer" = [])), params(("user" = String, Path)),
    responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn delete_user(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(user): Ids<String>,
) -> Result<StatusCode> {
    users::delete(&node, &caller, &user).await?;
    Ok(StatusCode::NO_CONTENT)
}
