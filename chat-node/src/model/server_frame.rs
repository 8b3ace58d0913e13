//! What a node tells its WebSocket clients. The types are in the OpenAPI document.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Author, Entry};
use crate::pool::NodeInfo;
use crate::rules::Role;
use crate::wire::SharedFrame;

/// A frame from the node: an object with one member.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// The pool's nodes: first, and whenever they change.
    Nodes(&'a [NodeInfo]),
    /// Answers `subscribe`; entries follow.
    Joined(Joined<'a>),
    /// An entry, in the room's order.
    Message(&'a Entry),
    /// Answers `post`, after the commit.
    Ack(Acknowledged<'a>),
    /// What has no place in a room's order.
    Event(RoomEvent<'a>),
    /// Answers what was refused.
    Error(Refusal<'a>),
}

impl ServerFrame<'_> {
    /// Encodes it: once, whoever gets it.
    #[must_use]
    pub fn encode(&self) -> SharedFrame {
        // Text, integers and lists of them: nothing that could fail to be JSON.
        let text = serde_json::to_string(self).unwrap_or_default();
        SharedFrame::from(text.as_str())
    }
}

/// A room was joined.
#[derive(Debug, Serialize, ToSchema)]
pub struct Joined<'a> {
    /// The room's id.
    pub room: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its last place.
    pub last_seq: i64,
    /// The user's role, when they are a member.
    pub role: Option<Role>,
    /// Users who are in the room, on all nodes.
    pub participants: usize,
    /// Whether the category shows what was said before.
    pub history: bool,
}

/// A post was committed.
#[derive(Debug, Serialize, ToSchema)]
pub struct Acknowledged<'a> {
    /// The client's own id of it.
    pub client_id: Option<&'a str>,
    /// The room's id.
    pub room: &'a str,
    /// The message's id.
    pub id: &'a str,
    /// Its place.
    pub room_seq: i64,
    /// When it was posted, RFC 3339.
    pub time: &'a str,
    /// It was there already, under the same `client_id`.
    pub repeated: bool,
}

/// Something was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct Refusal<'a> {
    /// The frame's member: `subscribe`, `unsubscribe`, `post`, or `frame` for one that is none.
    pub of: &'a str,
    /// The room it was about.
    pub room: Option<&'a str>,
    /// The post it was about.
    pub client_id: Option<&'a str>,
    /// The HTTP status that says the same.
    pub status: u16,
    /// What is the matter.
    pub detail: &'a str,
}

/// What has no place in a room's order.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RoomEvent<'a> {
    /// Somebody came into the room.
    Joined {
        /// The room's id.
        room: &'a str,
        /// Who.
        user: &'a Author,
        /// Users who are in the room now.
        participants: usize,
    },
    /// Somebody went.
    Left {
        /// The room's id.
        room: &'a str,
        /// Who.
        user: &'a Author,
        /// Users who are in the room now.
        participants: usize,
    },
    /// This user was made a member of a room.
    Invited {
        /// The room's id.
        room: &'a str,
        /// Its name.
        name: &'a str,
        /// Who did it.
        by: Author,
    },
    /// This connection is no longer in the room.
    Removed {
        /// The room's id.
        room: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// Somebody reacted to a message.
    ReactionAdded {
        /// The room's id.
        room: &'a str,
        /// The message's id.
        message: &'a str,
        /// With what.
        value: &'a str,
        /// Who.
        user: Author,
    },
    /// Somebody took a reaction back.
    ReactionRemoved {
        /// The room's id.
        room: &'a str,
        /// The message's id.
        message: &'a str,
        /// Which.
        value: &'a str,
        /// Who.
        user: Author,
    },
    /// An administrator deleted the room's beginning.
    Purged {
        /// The room's id.
        room: &'a str,
        /// The first place that is still there.
        first_seq: i64,
    },
}
