//! Who comes and goes, told to a room's subscribers while it is small.

use crate::hub::Departure;
use crate::model::{Author, Caller, RoomEvent, ServerFrame};
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

/// Tells subscribers of this node, and the other nodes, what a subscriber leaves behind. `peers_hear_who`: by name, or only how many are left.
pub(super) fn tell_left(
    node: &Node,
    room: &str,
    caller: &Caller,
    departure: Departure,
    peers_hear_who: bool,
) {
    if departure.last_here {
        node.peers.interest(&node.hub, room);
    }
    if departure.participant_gone {
        let who = caller.author();
        tell_roster(node, room, None, &who, false);
        if peers_hear_who {
            node.peers.roster(&node.hub, room, Some(who), false);
        }
    }
}
