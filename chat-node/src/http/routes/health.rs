//! Health and metrics: without a token, and without content.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::error::{ChatError, Result};
use crate::node::Node;

/// The process lives.
pub(in crate::http) async fn healthz() -> &'static str {
    "ok\n"
}

/// The node takes users: it is active, not going away, and its database answers. Kafka is no part of it: CH-1.
pub(in crate::http) async fn readyz(State(node): State<Arc<Node>>) -> Response {
    let database = node.db.first("select 1", Vec::new()).await.is_ok();
    let takes_users = node.takes_users();
    let status = if database && takes_users {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let body = json!({
        "node": node.name, "database": database, "takes_users": takes_users,
        "outbox": {"leading": node.backlog.leading.load(Ordering::Relaxed), "blocked": node.backlog.blocked.load(Ordering::Relaxed),
                   "backlog": node.backlog.rows.load(Ordering::Relaxed)},
    });
    (status, axum::Json(body)).into_response()
}

/// Counters in Prometheus' text format.
pub(in crate::http) async fn metrics(State(node): State<Arc<Node>>) -> Result<Response> {
    let text = node
        .metrics
        .render(&node)
        .map_err(|error| ChatError::Internal(error.to_string()))?;
    Ok((
        [(
            header::CONTENT_TYPE,
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
        )],
        text,
    )
        .into_response())
}
