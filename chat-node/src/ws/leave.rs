//! Leaving rooms.

use std::sync::Arc;

use holdfast_schemas::event_type;

use super::connection::{End, Session};
use super::frame::error_frame;
use super::roster::tell_roster;
use super::subscribe::participation;
use crate::error::{ChatError, Result};
use crate::hub::Departure;
use crate::limits::SUBSCRIBED_AT_ONCE;
use crate::model::load_rooms;
use crate::node::Node;

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

/// Leaves rooms, with one write for all.
pub(super) async fn leave(session: &mut Session, rooms: Vec<String>) {
    let node = Arc::clone(&session.node);
    let mut left = Vec::with_capacity(rooms.len());
    for room in rooms {
        let endpoint = session.rooms.remove(&room).flatten();
        if let Some(departure) = node.hub.leave(&room, session.number) {
            told(&node, session, &room, departure);
        }
        left.push((room, endpoint));
    }
    if let Err(error) = write_down(session, &left).await {
        let rooms: Vec<&str> = left.iter().map(|(room, _endpoint)| room.as_str()).collect();
        tracing::warn!(rooms = rooms.join(", "), error = %error, "that somebody left could not be written down");
    }
}

fn told(node: &Node, session: &Session, room: &str, departure: Departure) {
    if departure.last_here {
        node.peers.interest(room, false);
    }
    if departure.participant_gone {
        let who = session.caller.author();
        tell_roster(node, room, Some(session.number), &who, false);
        node.peers
            .roster(room, departure.participants, Some(who), false);
    }
}

async fn write_down(session: &mut Session, left: &[(String, Option<String>)]) -> Result<()> {
    let node = &session.node;
    let ids: Vec<&str> = left.iter().map(|(room, _endpoint)| room.as_str()).collect();
    let rooms = load_rooms(&node.db, &session.caller, &ids).await?;
    let mut rows = Vec::with_capacity(left.len());
    for (id, endpoint) in left {
        // A room may be gone by now; whoever was in it left with its deletion.
        if let Some((room, _standing)) = rooms.get(id) {
            rows.push(participation(
                session,
                event_type::ROOM_LEFT,
                room,
                endpoint.as_deref(),
            )?);
        }
    }
    match ids.first() {
        Some(key) if !rows.is_empty() => node.writes.events(key, rows).await,
        _ => Ok(()),
    }
}
