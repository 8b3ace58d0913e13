//! `/v1/rooms/{id}/messages` and `/v1/messages/{id}`.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::IfMatchParams;
use crate::error::{ChatError, Result};
use crate::http::extract::{Auth, Ids, IfMatch, Json, Params, etag};
use crate::http::problem::Problem;
use crate::model::Entry;
use crate::node::Node;
use crate::ops::messages::{self, MessageChange, NewPost, Page};

/// Where a message stands.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::http) struct Accepted {
    /// Its id.
    id: String,
    /// Its place in the room.
    room_seq: i64,
    /// When it was posted.
    time: String,
}

/// Which entries.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct PageParams {
    /// The first ones after this place.
    after_seq: Option<i64>,
    /// The last ones before this place.
    before_seq: Option<i64>,
    /// How many: 1 to 500, 30 when left out. A page ends early where texts are large: go on until one is empty.
    limit: Option<i64>,
}

/// Why a message is deleted.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct DeleteParams {
    /// For the record.
    reason: Option<String>,
}

/// Posts a message. The same `client_id` (or `Idempotency-Key`) again answers 200 with the same message.
#[utoipa::path(post, path = "/v1/rooms/{id}/messages", tag = "messages", security(("bearer" = [])), params(("id" = String, Path), 
    ("Idempotency-Key" = Option<String>, Header, description = "The same as `client_id`")),
    request_body = NewPost, responses((status = 201, body = Accepted), (status = 200, body = Accepted), (status = "default", body = Problem)))]
pub(in crate::http) async fn post(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    headers: HeaderMap,
    Json(mut new): Json<NewPost>,
) -> Result<Response> {
    if let Some(key) = headers.get("idempotency-key") {
        let key = key
            .to_str()
            .map_err(|_not_text| ChatError::invalid("idempotency-key", "is no text"))?;
        match &new.client_id {
            Some(own) if own != key => {
                return Err(ChatError::invalid(
                    "idempotency-key",
                    "differs from client_id",
                ));
            }
            Some(_) | None => new.client_id = Some(key.to_owned()),
        }
    }
    let posted = messages::post(&node, &caller, &id, new).await?;
    let status = if posted.repeated {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let Entry {
        id, room_seq, time, ..
    } = posted.entry;
    Ok((
        status,
        [(header::ETAG, etag(room_seq))],
        axum::Json(Accepted { id, room_seq, time }),
    )
        .into_response())
}

/// Entries of a room in their order; the last 30 when nothing is asked for.
#[utoipa::path(get, path = "/v1/rooms/{id}/messages", tag = "messages", security(("bearer" = [])), params(("id" = String, Path), PageParams),
    responses((status = 200, body = [Entry]), (status = "default", body = Problem)))]
pub(in crate::http) async fn history(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    Params(params): Params<PageParams>,
) -> Result<Response> {
    let PageParams {
        after_seq,
        before_seq,
        limit,
    } = params;
    let entries = messages::history(
        &node,
        &caller,
        &id,
        Page {
            after_seq,
            before_seq,
            limit,
        },
    )
    .await?;
    Ok(axum::Json(entries).into_response())
}

/// Changes one's own message.
#[utoipa::path(patch, path = "/v1/messages/{id}", tag = "messages", security(("bearer" = [])), params(("id" = String, Path), IfMatchParams),
    request_body = MessageChange, responses((status = 200, body = Entry), (status = "default", body = Problem)))]
pub(in crate::http) async fn edit(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    IfMatch(expected): IfMatch,
    Json(change): Json<MessageChange>,
) -> Result<Response> {
    let entry = messages::edit(&node, &caller, &id, change, &expected).await?;
    Ok(([(header::ETAG, etag(entry.room_seq))], axum::Json(entry)).into_response())
}

/// Deletes a message.
#[utoipa::path(delete, path = "/v1/messages/{id}", tag = "messages", security(("bearer" = [])), params(("id" = String, Path), DeleteParams),
    responses((status = 204), (status = "default", body = Problem)))]
pub(in crate::http) async fn delete(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Ids(id): Ids<String>,
    Params(params): Params<DeleteParams>,
) -> Result<StatusCode> {
    messages::delete(&node, &caller, &id, params.reason).await?;
    Ok(StatusCode::NO_CONTENT)
}
