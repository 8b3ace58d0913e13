//! `/v1/rooms`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::{IfMatchParams, IfNoneMatchParams, tagged};
use crate::error::Result;
use crate::http::extract::{Auth, Ids, IfMatch, Json, Params, etag_of};
use crate::http::problem::Problem;
use crate::model::RoomView;
use crate::node::Node;
use crate::ops::rooms::{self, Filter, NewRoom, RoomChange};

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct ListParams {
    /// Text in name or description.
    q: Option<String>,
    /// Only this category.
    category: Option<String>,
    /// Only rooms that the caller is a member of.
    #[serde(default)]
    mine: bool,
    /// Only rooms whose names come after this one.
    after: Option<String>,
    /// How many: 1 to 500, 100 when left out.
    limit: Option<i64>,
}

/// A room with how many take part in it now.
#[derive(Debug, Serialize, ToSchema)]
struct RoomWithParticipants {
    #[serde(flatten)]
    room: RoomView,
    /// Participants now, in the whole pool.
    participants: usize,
}

/// Rooms that the caller may see, by name.
#[utoipa::path(get, path = "/v1/rooms", tag = "rooms", security(("bearer" = [])), params(ListParams),
    responses((status = 200, body = [RoomView]), (status = "default", body = Problem)))]
pub(in crate::http) async fn list(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Params(params): Params<ListParams>,
) -> Result<Response> {
    let ListParams {
        q,
        category,
        mine,
        after,
        limit,
    } = params;
    let found = rooms::list(
        &node,
        &caller,
        Filter {
            q,
            category,
            mine,
            after,
            limit,
        },
    )
    .await?;
    Ok(axum::Json(found).into_response())
}

/// A room as its caller sees it now.
fn seen(node: &Node, room: RoomView) -> RoomWithParticipants {
    let participants = rooms::participants(node, &room.id);
    RoomWithParticipants { room, participants }
}

/// Creates a room.
#[utoipa::path(post, path = "/v1/rooms", tag = "rooms", security(("bearer" = [])), request_body = NewRoom,
    responses((status = 201, body = RoomView, headers(("ETag" = String, description = "The room's version, for `If-Match`."))),
        (status = "default", body = Problem)))]
pub(in crate::http) async fn create(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Json(new): Json<NewRoom>,
) -> Result<Response> {
    let room = rooms::create(&node, &caller, new).await?;
    let location = format!("/v1/rooms/{}", room.id);
    let seen = seen(&node, room);
    let headers = [
        (header::ETAG, etag_of(1, &seen)?),
        (header::LOCATION, location),
    ];
    Ok((StatusCode::CREATED, headers, axum::Json(seen.room)).into_response())
}

/// A room.
#[utoipa::path(get, path = "/v1/rooms/{id}", tag = "rooms", security(("bearer" = [])), params(("id" = String, Path), IfNoneMatchParams),
    responses((status = 200, body = RoomWithParticipants, headers(("ETag" = String, description = "The room's version, for `If-None-Match`."))),
        (status = 304), (status = "default", body = Problem)))]
pub(in crate::http) async fn get(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    headers: HeaderMap,
) -> Result<Response> {
    let (room, version) = rooms::get(&node, &caller, &id).await?;
    let seen = seen(&node, room);
    Ok(tagged(&headers, etag_of(version, &seen)?, &seen))
}

/// Changes a room: settings, disabling and enabling, moving.
#[utoipa::path(patch, path = "/v1/rooms/{id}", tag = "rooms", security(("bearer" = [])), params(("id" = String, Path), IfMatchParams),
    request_body = RoomChange,
    responses((status = 200, body = RoomView, headers(("ETag" = String, description = "The room's version, for `If-Match`."))),
        (status = "default", body = Problem)))]
pub(in crate::http) async fn update(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    IfMatch(expected): IfMatch,
    Json(change): Json<RoomChange>,
) -> Result<Response> {
    let (room, version) = rooms::update(&node, &caller, &id, change, &expected).await?;
    let seen = seen(&node, room);
    let tag = etag_of(version, &seen)?;
    Ok(([(header::ETAG, tag)], axum::Json(seen.room)).into_response())
}

/// Deletes a room with its content.
#[utoipa::path(delete, path = "/v1/rooms/{id}", tag = "rooms", security(("bearer" = [])), params(("id" = String, Path), IfMatchParams),
    responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn delete(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    IfMatch(expected): IfMatch,
) -> Result<StatusCode> {
    rooms::delete(&node, &caller, &id, &expected).await?;
    Ok(StatusCode::NO_CONTENT)
}
