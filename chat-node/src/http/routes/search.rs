//! `/v1/search`.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::error::{ChatError, Result};
use crate::http::extract::{Auth, Params};
use crate::http::problem::Problem;
use crate::model::Entry;
use crate::node::Node;
use crate::ops::search::{self as operation, Query};

/// What to look for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::http) struct SearchParams {
    /// Words and "phrases", all of which must be in the message; empty is as left out.
    q: Option<String>,
    /// Only this room.
    room: Option<String>,
    /// Only messages of this user.
    from: Option<String>,
    /// Only from this time on, RFC 3339.
    since: Option<String>,
    /// Only before this time, RFC 3339.
    until: Option<String>,
    /// How many: 1 to 100, 50 when left out.
    limit: Option<i64>,
}

fn time(place: &'static str, text: Option<&String>) -> Result<Option<i64>> {
    let parsed = text
        .map(|text| holdfast_schemas::time::parse_rfc3339(text).map(|time| time.us))
        .transpose();
    parsed.map_err(|error| ChatError::invalid(place, error.to_string()))
}

/// Messages in the caller's rooms, newest first. At least one of `q`, `from`, `since` and `until` must be given.
#[utoipa::path(get, path = "/v1/search", tag = "messages", security(("bearer" = [])), params(SearchParams),
    responses((status = 200, body = [Entry]), (status = "default", body = Problem)))]
pub(in crate::http) async fn search(
    State(node): State<Arc<Node>>,
    Auth(caller): Auth,
    Params(params): Params<SearchParams>,
) -> Result<Response> {
    let query = Query {
        since_us: time("since", params.since.as_ref())?,
        until_us: time("until", params.until.as_ref())?,
        // What a form sends that nobody filled in.
        q: params.q.filter(|q| !q.is_empty()),
        room: params.room,
        from: params.from,
        limit: params.limit,
    };
    Ok(axum::Json(operation::search(&node, &caller, query).await?).into_response())
}
