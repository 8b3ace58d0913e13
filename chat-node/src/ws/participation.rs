//! The events of who is in a room, and when.

use serde_json::json;

use crate::error::Result;
use crate::model::{Caller, Room};
use crate::node::Node;
use crate::outbox::{Draft, OutboxRow};

/// Somebody on one connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Presence<'a> {
    /// Who.
    pub(super) caller: &'a Caller,
    /// The connection's name in events.
    pub(super) session: &'a str,
    /// The device that the client named.
    pub(super) endpoint: Option<&'a str>,
}

/// The event of a join or a leave, of now.
///
/// # Errors
/// It would be over 2 MiB.
pub(super) fn participation(
    node: &Node,
    event_type: &'static str,
    room: &Room,
    presence: Presence<'_>,
) -> Result<OutboxRow> {
    let Presence {
        caller,
        session,
        endpoint,
    } = presence;
    node.event(Draft {
        event_type,
        time_us: node.clock.now_us(),
        room: Some(room.into()),
        actor: Some(&caller.person),
        data: json!({"session": session, "endpoint": endpoint, "node": node.name}),
    })
}
