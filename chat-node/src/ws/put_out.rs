//! Putting subscribers out of a room. They leave as if they had unsubscribed; the hub's table of dismissals says who writes it, so that it is
//! written once, whatever their connections do at the same time.

use holdfast_schemas::event_type;

use super::participation::{Presence, participation};
use super::roster::tell_left;
use crate::error::Result;
use crate::hub::{Listener, deliver};
use crate::limits::ROSTER_STOP;
use crate::model::{Room, RoomEvent, ServerFrame};
use crate::node::Node;
use crate::wire::SharedFrame;

/// What those are told who lost the right to be there.
pub const NO_LONGER: &str = "you are no longer in this room";
/// Those whose leaving is written together.
const WRITTEN_AT_ONCE: usize = 256;

/// Takes connections out of a room, writes that they left, and tells them and the others. `room`: `None` when it was deleted, for whoever was in it
/// left with its deletion, which is an event.
///
/// What cannot be written is logged; they are out all the same.
pub async fn put_out(
    node: &Node,
    room_id: &str,
    room: Option<&Room>,
    connections: impl Iterator<Item = u64>,
    why: &str,
) {
    // All of them before any is told of: nobody who goes hears of others who go.
    let dismissed: Vec<Listener> = connections
        .filter_map(|connection| node.hub.dismiss(room_id, connection))
        .collect();
    for some in dismissed.chunks(WRITTEN_AT_ONCE) {
        // Before they are taken out: whoever joins again joins after this.
        if let Some(room) = room
            && let Err(error) = write_down(node, room, some).await
        {
            tracing::warn!(room = room_id, count = some.len(), error = %error, "that some were put out could not be written down");
        }
        take_out(node, room_id, some);
        tell_removed(room_id, some, why);
    }
}

async fn write_down(node: &Node, room: &Room, dismissed: &[Listener]) -> Result<()> {
    let rows = dismissed.iter().map(|listener| {
        let presence = Presence {
            caller: &listener.caller,
            session: &listener.session,
            endpoint: listener.endpoint.as_deref(),
        };
        participation(node, event_type::ROOM_LEFT, room, presence)
    });
    let rows = rows.collect::<Result<Vec<_>>>()?;
    node.writes.events(&room.id, rows).await
}

fn take_out(node: &Node, room: &str, dismissed: &[Listener]) {
    // A line for each of very many would overflow the links' queues, and the last one, which counts, would be lost.
    let by_name = dismissed.len() <= ROSTER_STOP;
    for listener in dismissed {
        if let Some(departure) = node.hub.leave_dismissed(room, listener.connection) {
            tell_left(node, room, &listener.caller, departure, by_name);
        }
    }
    if !by_name {
        node.peers.roster(&node.hub, room, None, false);
    }
}

fn tell_removed(room: &str, dismissed: &[Listener], why: &str) {
    let frame = removed(room, why);
    deliver(|delivery| {
        for listener in dismissed {
            delivery.queue(&listener.outlet, &frame);
        }
    });
}

/// What somebody is told who is put out.
pub(super) fn removed(room: &str, why: &str) -> SharedFrame {
    ServerFrame::Event(RoomEvent::Removed { room, reason: why }).encode()
}
