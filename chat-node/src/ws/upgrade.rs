//! From a request to a WebSocket.

use std::sync::Arc;

use axum::Extension;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{State, WebSocketUpgrade};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};

use super::connection;
use crate::error::{ChatError, Result};
use crate::http::{Problem, bearer, caller};
use crate::limits::FRAME_BYTES_MAX;
use crate::node::Node;
use crate::wire::Wire;

/// 20,000 idle connections take their buffers 20,000 times.
const BUFFER_BYTES: usize = 4096;
/// Frames that wait for the socket itself (as many may be half written); more wait in the connection's bounded queue.
const WRITE_BYTES_MAX: usize = 1024 * 1024 + FRAME_BYTES_MAX;
/// Browsers cannot set headers on WebSockets: they offer this subprotocol, and the token as a second one.
const PROTOCOL: &str = "holdfast.chat.v1";

/// The token that is offered behind the subprotocol. In the header's own order: axum's list of what is offered is sorted.
fn token_of(headers: &HeaderMap) -> Option<&str> {
    let mut offered = headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim);
    offered.find(|offer| *offer == PROTOCOL)?;
    offered.next()
}

/// Talks live: JSON frames both ways, `ClientFrame` to the node and `ServerFrame` from it.
///
/// The token is sent as a bearer token, or, by browsers, as the second of the offered subprotocols. The first frame is the node's, with the pool's
/// nodes: clients that lose this one go on at another, from the last place they have seen.
#[utoipa::path(get, path = "/v1/ws", tag = "live", security(("bearer" = [])),
    params(("Sec-WebSocket-Protocol" = Option<String>, Header,
            description = "`holdfast.chat.v1, TOKEN`: for clients that cannot send an Authorization header; not at the port of the pool")),
    responses(
        (status = 101, description = "The connection is a WebSocket; every text frame is one JSON object of the schemas named by `x-websocket`. Closed with 1001 (the node drains), 1002, 1007 and 1009 (no frame, no UTF-8, too long a frame), 1008 (more than 100 frames a second), 4001 (the token has ended), 4003 (the user is disabled), 4008 (frames were not taken in time) or 4029 (the user has as many connections to this node as one may have)."),
        (status = "default", body = Problem)),
    extensions(("x-websocket" = json!({
        "subprotocol": "holdfast.chat.v1",
        "send": {"$ref": "#/components/schemas/ClientFrame"},
        "receive": {"$ref": "#/components/schemas/ServerFrame"}}))))]
pub(crate) async fn upgrade(
    State(node): State<Arc<Node>>,
    headers: HeaderMap,
    wire: Option<Extension<Arc<Wire>>>,
    upgrade: std::result::Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response> {
    let by_protocol = token_of(&headers);
    let token = bearer(&headers).or(by_protocol);
    let caller = caller(&node, token).await?;
    // After the token: strangers hear nothing about how this is used.
    let upgrade =
        upgrade.map_err(|rejection| ChatError::invalid("upgrade", rejection.body_text()))?;
    if !node.takes_users() {
        let others: Vec<String> = {
            let nodes = node.nodes();
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
        .on_upgrade(move |socket| {
            let wire = wire.map(|Extension(wire)| wire);
            connection::run(node, caller, socket, wire)
        });
    Ok(response.into_response())
}
