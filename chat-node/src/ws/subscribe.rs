//! Joining and leaving rooms: CH-2. Entries that exist are read from SQL, then the subscription becomes live under the channel's lock, at exactly
//! the place where the reading ended.

use std::sync::Arc;

use holdfast_schemas::event_type;
use holdfast_schemas::limits::NAME_BYTES_MAX;
use serde_json::json;

use super::connection::{End, Session};
use super::frame::{Subscribe, error_frame};
use super::roster::tell_roster;
use crate::args;
use crate::error::{ChatError, Result};
use crate::hub::{Departure, Listener};
use crate::limits::{HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX, SUBSCRIPTIONS_MAX};
use crate::model::{Author, Caller, Room, Source, authorize, load_entries};
use crate::node::{Node, message_frame};
use crate::ops::messages::viewed;
use crate::outbox::{Draft, EventRoom, OutboxRow};
use crate::rules::{Operation, valid_text};

/// Entries read at a time.
const PAGE: i64 = 100;

fn author(session: &Session) -> Author {
    Author {
        id: session.caller.id().to_owned(),
        name: session.caller.person.name.clone(),
    }
}

fn participation(
    node: &Node,
    (caller, session): (&Caller, &str),
    event_type: &'static str,
    room: EventRoom<'_>,
    endpoint: Option<&str>,
) -> Result<OutboxRow> {
    node.event(Draft {
        event_type,
        time_us: node.clock.now_us(),
        room: Some(room),
        actor: Some(&caller.person),
        data: json!({"session": session, "endpoint": endpoint, "node": node.name}),
    })
}

/// Joins a room.
pub(super) async fn subscribe(
    session: &mut Session,
    frame: Subscribe,
) -> std::result::Result<(), End> {
    let room = frame.room.clone();
    match begin(session, &frame).await {
        Ok((found, cursor, joined)) => {
            session.send(joined.into()).await?;
            match follow(session, &found, cursor).await {
                Ok(()) => Ok(()),
                Err(Halt::End(end)) => Err(end),
                Err(Halt::Failed(error)) => {
                    leave(session, &room).await;
                    session
                        .send(error_frame("subscribe", Some(&room), None, error))
                        .await
                }
            }
        }
        Err(error) => {
            session
                .send(error_frame("subscribe", Some(&room), None, error))
                .await
        }
    }
}

enum Halt {
    End(End),
    Failed(ChatError),
}

impl From<ChatError> for Halt {
    fn from(error: ChatError) -> Self {
        Self::Failed(error)
    }
}

/// Judges, enters the channel (not live), and writes the event. Where to read from, and the answer.
async fn begin(session: &mut Session, frame: &Subscribe) -> Result<(Room, i64, String)> {
    let node = Arc::clone(&session.node);
    valid_text(
        "endpoint",
        frame.endpoint.as_deref().unwrap_or(""),
        NAME_BYTES_MAX,
    )?;
    let history = frame.history.unwrap_or(HISTORY_PAGE_DEFAULT);
    if !(0..=HISTORY_PAGE_MAX).contains(&history) {
        return Err(ChatError::invalid(
            "history",
            format!("must be from 0 to {HISTORY_PAGE_MAX}"),
        ));
    }
    if session.rooms.len() >= SUBSCRIPTIONS_MAX {
        return Err(ChatError::invalid(
            "subscribe",
            format!("more than {SUBSCRIPTIONS_MAX} rooms on one connection"),
        ));
    }
    // Taken away by the room itself meanwhile (removed, disabled): then it may be joined anew.
    if session.rooms.contains_key(&frame.room) {
        if node.hub.listens(&frame.room, session.number) {
            return Err(ChatError::Conflict {
                problem: "this connection is in the room already".into(),
            });
        }
        session.rooms.remove(&frame.room);
    }
    let (room, standing) = authorize(
        &mut Source::Db(&node.db),
        &session.caller,
        &frame.room,
        Operation::Join,
    )
    .await?;
    if let Some(after) = frame.after_seq
        && !(0..=room.last_seq).contains(&after)
    {
        return Err(ChatError::invalid(
            "after_seq",
            format!("must be from 0 to {}, the room's last", room.last_seq),
        ));
    }
    let cursor = match frame.after_seq {
        Some(after) => after,
        None if room.history && history > 0 => {
            let sql = "select coalesce(min(room_seq), 1) from \
                       (select room_seq from messages where room_id = $1 order by room_seq desc limit $2) as newest";
            node.db.one(sql, args![&room.id, history]).await?.int(0)? - 1
        }
        None => room.last_seq,
    };
    let listener = Listener {
        connection: session.number,
        outlet: Arc::clone(&session.outlet),
        caller: Arc::clone(&session.caller),
    };
    let arrival = node.hub.join(&room.id, room.last_seq, room.epoch, listener);
    session
        .rooms
        .insert(room.id.clone(), frame.endpoint.clone());
    if arrival.first_here {
        node.peers.interest(&room.id, true);
    }
    let row = participation(
        &node,
        (&session.caller, &session.id),
        event_type::ROOM_JOINED,
        (&room).into(),
        frame.endpoint.as_deref(),
    )?;
    node.writes.events(&room.id, vec![row]).await?;
    if arrival.new_participant {
        let who = author(session);
        tell_roster(&node, &room.id, Some(session.number), &who, true);
        node.peers
            .roster(&room.id, arrival.participants, Some(who), true);
    }
    let participants = arrival.participants + node.peers.participants(&room.id);
    let joined = json!({"joined": {
        "room": room.id, "name": room.name, "last_seq": room.last_seq, "role": standing.role, "participants": participants,
        "history": room.history,
    }});
    Ok((room, cursor, joined.to_string()))
}

/// Sends entries after `cursor`, and becomes live.
async fn follow(session: &mut Session, room: &Room, from: i64) -> std::result::Result<(), Halt> {
    let node = Arc::clone(&session.node);
    let mut cursor = from;
    loop {
        // Read before the entries: what it counts is committed, so that a page that does not reach it lacks only what was purged.
        let last_seq = match node
            .db
            .first("select last_seq from rooms where id = $1", args![&room.id])
            .await?
        {
            Some(row) => row.int(0)?,
            None => return Err(ChatError::NotFound { what: "room" }.into()),
        };
        let conditions = "where m.room_id = $1 and m.room_seq > $2 order by m.room_seq limit $3";
        let entries = load_entries(
            &mut Source::Db(&node.db),
            conditions,
            args![&room.id, cursor, PAGE],
        )
        .await?;
        let full = i64::try_from(entries.len()).is_ok_and(|count| count == PAGE);
        if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
            // Before it is shown: reading is an event.
            let row = viewed(&node, &session.caller, room, first.room_seq, last.room_seq)?;
            node.writes.events(&room.id, vec![row]).await?;
            cursor = last.room_seq;
        }
        for entry in &entries {
            session
                .send(message_frame(entry))
                .await
                .map_err(Halt::End)?;
        }
        // Other rooms go on meanwhile.
        session.send_queued().await.map_err(Halt::End)?;
        if full {
            continue;
        }
        cursor = cursor.max(last_seq);
        if node.hub.go_live(&room.id, session.number, cursor)
            || !node.hub.listens(&room.id, session.number)
        {
            return Ok(());
        }
    }
}

/// Leaves a room.
pub(super) async fn unsubscribe(session: &mut Session, room: &str) -> std::result::Result<(), End> {
    if session.rooms.contains_key(room) {
        leave(session, room).await;
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
    for room in rooms {
        leave(session, &room).await;
    }
}

async fn leave(session: &mut Session, room: &str) {
    let node = Arc::clone(&session.node);
    let endpoint = session.rooms.remove(room).flatten();
    if let Some(departure) = node.hub.leave(room, session.number) {
        told(&node, session, room, departure);
    }
    let (caller, id) = (Arc::clone(&session.caller), session.id.clone());
    match left(&node, &caller, &id, room, endpoint.as_deref()).await {
        Ok(()) => {}
        // The room may be gone by now; whoever was in it left with its deletion.
        Err(ChatError::NotFound { .. }) => {}
        Err(error) => {
            tracing::warn!(room, error = %error, "that somebody left a room could not be written down");
        }
    }
}

fn told(node: &Node, session: &Session, room: &str, departure: Departure) {
    if departure.last_here {
        node.peers.interest(room, false);
    }
    if departure.participant_gone {
        let who = author(session);
        tell_roster(node, room, Some(session.number), &who, false);
        node.peers
            .roster(room, departure.participants, Some(who), false);
    }
}

async fn left(
    node: &Node,
    caller: &Caller,
    session: &str,
    room_id: &str,
    endpoint: Option<&str>,
) -> Result<()> {
    let room = crate::model::load_room(&mut Source::Db(&node.db), room_id).await?;
    let row = participation(
        node,
        (caller, session),
        event_type::ROOM_LEFT,
        (&room).into(),
        endpoint,
    )?;
    node.writes.events(room_id, vec![row]).await
}
