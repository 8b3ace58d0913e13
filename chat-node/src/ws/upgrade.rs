//! From a request to a WebSocket.

use std::sync::Arc;

use axum::extract::{State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::connection;
use crate::error::{ChatError, Result};
use crate::http::bearer;
use crate::limits::FRAME_BYTES_MAX;
use crate::node::Node;
use crate::ops::users;

/// 20,000 idle connections take their buffers 20,000 times.
const BUFFER_BYTES: usize = 4096;
/// Frames that wait for the socket itself; more wait in the connection's bounded queue.
const WRITE_BYTES_MAX: usize = 1024 * 1024 + FRAME_BYTES_MAX;
/// Browsers cannot set headers on WebSockets: they offer this subprotocol, and the token as a second one.
const PROTOCOL: &str = "holdfast.chat.v1";

/// The token of the second subprotocol.
fn token_of(upgrade: &WebSocketUpgrade) -> Option<String> {
    let offered: Vec<&HeaderValue> = upgrade.requested_protocols().collect();
    let position = offered
        .iter()
        .position(|offer| offer.as_bytes() == PROTOCOL.as_bytes())?;
    offered.get(position + 1)?.to_str().ok().map(str::to_owned)
}

/// `GET /v1/ws`.
pub async fn upgrade(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response> {
    let by_protocol = token_of(&upgrade);
    let token =
        bearer(&headers)
            .or(by_protocol.as_deref())
            .ok_or_else(|| ChatError::Unauthorized {
                problem: "no bearer token".into(),
            })?;
    let caller = users::seen(&node, node.tokens.check(token).await?).await?;
    if !node.takes_users() {
        let others: Vec<String> = {
            let nodes = node.nodes.borrow();
            nodes
                .iter()
                .filter(|other| other.state == "active" && other.node != node.name)
                .map(|other| other.url.clone())
                .collect()
        };
        let problem = format!(
            "this node takes no users; these do: {}",
            if others.is_empty() {
                "none".into()
            } else {
                others.join(", ")
            }
        );
        return Err(ChatError::Unavailable { problem });
    }
    let upgrade = if by_protocol.is_some() {
        upgrade.protocols([PROTOCOL])
    } else {
        upgrade
    };
    let response = upgrade
        .read_buffer_size(BUFFER_BYTES)
        // Frames are flushed by hand, several at once.
        .write_buffer_size(BUFFER_BYTES)
        .max_write_buffer_size(WRITE_BYTES_MAX)
        .max_message_size(FRAME_BYTES_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .on_upgrade(move |socket| connection::run(node, caller, socket));
    Ok(response.into_response())
}
