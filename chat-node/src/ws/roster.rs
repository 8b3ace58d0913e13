//! Who comes and goes, told to a room's subscribers while it is small.

use crate::model::{Author, RoomEvent, ServerFrame};
use crate::node::Node;

/// Tells subscribers of this node, except one, that somebody joined or left, unless the room is too large for that.
pub fn tell_roster(node: &Node, room: &str, except: Option<u64>, user: &Author, joined: bool) {
    let participants = node.hub.participants(room) + node.peers.participants(room);
    if !node.hub.roster_told(room, participants) {
        return;
    }
    let event = if joined {
        RoomEvent::Joined {
            room,
            user,
            participants,
        }
    } else {
        RoomEvent::Left {
            room,
            user,
            participants,
        }
    };
    node.hub
        .tell(room, except, &ServerFrame::Event(event).encode());
}
