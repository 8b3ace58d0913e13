//! Frames from clients, and the answers that are not shared.

use axum::extract::ws::Utf8Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::error::ChatError;
use crate::http::Problem;
use crate::ops::messages::NewPost;

/// A frame from a client.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ClientFrame {
    Subscribe(Subscribe),
    Unsubscribe(RoomName),
    Post(Box<WsPost>),
    Ack(Ack),
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    pub(super) room: String,
    #[serde(default)]
    pub(super) after_seq: Option<i64>,
    #[serde(default)]
    pub(super) history: Option<i64>,
    #[serde(default)]
    pub(super) endpoint: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomName {
    pub(super) room: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    #[serde(rename = "room")]
    pub(super) _room: String,
    #[serde(rename = "room_seq")]
    pub(super) _room_seq: i64,
}

/// A post with its room. (A flattened struct would not refuse unknown members.)
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WsPost {
    pub(super) room: String,
    #[serde(default)]
    kind: crate::model::MessageKind,
    #[serde(default)]
    title: Option<String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    reply_to: Option<String>,
    #[serde(default)]
    attachments: Vec<String>,
    #[serde(default)]
    mentions: Vec<String>,
    #[serde(default)]
    pub(super) client_id: Option<String>,
}

impl WsPost {
    pub(super) fn into_parts(self) -> (String, NewPost) {
        let Self {
            room,
            kind,
            title,
            body,
            reply_to,
            attachments,
            mentions,
            client_id,
        } = self;
        (
            room,
            NewPost {
                kind,
                title,
                body,
                reply_to,
                attachments,
                mentions,
                client_id,
            },
        )
    }
}

/// The answer to what was refused.
pub(super) fn error_frame(
    of: &str,
    room: Option<&str>,
    client_id: Option<&str>,
    error: ChatError,
) -> Utf8Bytes {
    let problem = Problem::from(error);
    let frame = json!({"error": {"of": of, "room": room, "client_id": client_id, "status": problem.status, "detail": problem.detail}});
    frame.to_string().into()
}
