//! Frames from clients, and the answers that are not shared.

use serde::Deserialize;
use utoipa::ToSchema;

use crate::error::ChatError;
use crate::http::Problem;
use crate::model::{Refusal, ServerFrame};
use crate::ops::messages::NewPost;
use crate::wire::SharedFrame;

/// A frame from a client: an object with one member.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum ClientFrame {
    /// Joins a room: entries that are there, then live.
    Subscribe(Subscribe),
    /// Leaves a room.
    Unsubscribe(RoomName),
    /// Posts.
    Post(Box<WsPost>),
    /// Has seen through this.
    Ack(Ack),
}

/// A room to join.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Subscribe {
    /// Its id.
    pub(super) room: String,
    /// Entries after this place are told.
    #[serde(default)]
    pub(super) after_seq: Option<i64>,
    /// Without `after_seq`: so many of the last entries, 30 when left out.
    #[serde(default)]
    pub(super) history: Option<i64>,
    /// The client's device, for the compliance events.
    #[serde(default)]
    pub(super) endpoint: Option<String>,
}

/// A room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RoomName {
    /// Its id.
    pub(super) room: String,
}

/// A place in a room.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Ack {
    /// The room's id.
    #[serde(rename = "room")]
    pub(super) _room: String,
    /// The place.
    #[serde(rename = "room_seq")]
    pub(super) _room_seq: i64,
}

/// A post with its room. (A flattened struct would not refuse unknown members.)
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WsPost {
    /// The room's id.
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
) -> SharedFrame {
    let problem = Problem::from(error);
    ServerFrame::Error(Refusal {
        of,
        room,
        client_id,
        status: problem.status,
        detail: &problem.detail,
    })
    .encode()
}
