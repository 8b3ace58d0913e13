//! Who comes and goes, told to a room's subscribers while it is small.

use axum::extract::ws::Utf8Bytes;
use serde_json::json;

use crate::model::Author;
use crate::node::Node;

/// Tells subscribers of this node, except one, that somebody joined or left, unless the room is too large for that.
pub fn tell_roster(node: &Node, room: &str, except: Option<u64>, user: &Author, joined: bool) {
    let participants = node.hub.participants(room) + node.peers.participants(room);
    if !node.hub.roster_told(room, participants) {
        return;
    }
    let kind = if joined { "joined" } else { "left" };
    let frame =
        json!({"event": {"kind": kind, "room": room, "user": user, "participants": participants}});
    node.hub
        .tell(room, except, &Utf8Bytes::from(frame.to_string()));
}
