//! What goes over a link: JSON, a line each.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::model::Author;

/// Longest line; an event's 2 MiB and some.
pub(super) const LINE_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Frame<'a> {
    /// From the acceptor: rooms that have (no longer) subscribers there.
    Interest {
        /// The rooms.
        rooms: Vec<String>,
        /// Whether they have.
        on: bool,
    },
    /// From the dialer: a committed entry.
    Publish {
        room: String,
        room_seq: i64,
        epoch: i64,
        /// The WebSocket frame as it is sent to clients.
        #[serde(borrow)]
        frame: &'a RawValue,
    },
    /// From the dialer: a room's listeners must be judged anew.
    Recheck { room: String, epoch: i64 },
    /// From the dialer: how many participants a room has there, and who came or went.
    Roster {
        room: String,
        participants: usize,
        user: Option<Author>,
        joined: bool,
    },
    /// From the dialer: something about a room that has no place in its order (a reaction, a purge).
    Tell {
        room: String,
        /// The WebSocket frame as it is sent to clients.
        #[serde(borrow)]
        frame: &'a RawValue,
    },
    /// From the dialer: something for one user, wherever they are connected (an invitation).
    TellUser {
        user: String,
        /// The WebSocket frame as it is sent to clients.
        #[serde(borrow)]
        frame: &'a RawValue,
    },
    /// From the dialer: a user was disabled or deleted.
    EndUser { user: String },
    /// From the dialer, when nothing else is said.
    Ping {},
}

/// A node, as clients and administrators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeInfo {
    /// Its name.
    pub node: String,
    /// Where clients connect.
    pub url: String,
    /// `active`, `standby`, `draining` or `down`.
    pub state: String,
}
