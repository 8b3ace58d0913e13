//! Leaving rooms.

use std::sync::Arc;

use holdfast_schemas::event_type;

use super::connection::{End, Session};
use super::frame::error_frame;
use super::participation::{Presence, participation};
use super::roster::tell_left;
use crate::error::{ChatError, Result};
use crate::limits::SUBSCRIBED_AT_ONCE;
use crate::model::load_rooms;

/// Leaves a room.
pub(super) async fn unsubscribe(session: &mut Session, room: &str) -> std::result::Result<(), End> {
    if session.rooms.contains_key(room) {
        leave(session, vec![room.to_owned()]).await;
        return Ok(());
    }
    let error = ChatError::invalid("unsubscribe", "this connection is not in the room");
    session
        .send(error_frame("unsubscribe", Some(room), None, error))
        .await
}

/// The connection is over: leaves every room.
pub(super) async fn leave_all(session: &mut Session) {
    let rooms: Vec<String> = session.rooms.keys().cloned().collect();
    for rooms in rooms.chunks(SUBSCRIBED_AT_ONCE) {
        leave(session, rooms.to_vec()).await;
    }
}

/// Leaves rooms, with one write for all. Those that somebody puts it out of at the same time are left to them. How many it left.
pub(super) async fn leave(session: &mut Session, rooms: Vec<String>) -> usize {
    let node = Arc::clone(&session.node);
    let mut left = Vec::with_capacity(rooms.len());
    for room in rooms {
        let endpoint = session.rooms.remove(&room).flatten();
        if let Some(departure) = node.hub.leave(&room, session.number) {
            tell_left(&node, &room, &session.caller, departure, true);
            left.push((room, endpoint));
        }
    }
    if let Err(error) = write_down(session, &left).await {
        let rooms: Vec<&str> = left.iter().map(|(room, _endpoint)| room.as_str()).collect();
        tracing::warn!(rooms = rooms.join(", "), error = %error, "that somebody left could not be written down");
    }
    left.len()
}

async fn write_down(session: &mut Session, left: &[(String, Option<Arc<str>>)]) -> Result<()> {
    let node = &session.node;
    let ids: Vec<&str> = left.iter().map(|(room, _endpoint)| room.as_str()).collect();
    let rooms = load_rooms(&node.db, &session.caller, &ids).await?;
    let mut rows = Vec::with_capacity(left.len());
    for (id, endpoint) in left {
        // A room may be gone by now; whoever was in it left with its deletion.
        if let Some((room, _standing)) = rooms.get(id) {
            let presence = Presence {
                caller: &session.caller,
                session: &session.id,
                endpoint: endpoint.as_deref(),
            };
            rows.push(participation(node, event_type::ROOM_LEFT, room, presence)?);
        }
    }
    match ids.first() {
        Some(key) if !rows.is_empty() => node.writes.events(key, rows).await,
        _ => Ok(()),
    }
}
