//! Joining rooms: CH-2. Entries that exist are read from SQL, then the subscription becomes live under the channel's lock, at exactly the place
//! where the reading ended.
//!
//! A client that connects asks for all of its rooms at once, and after the loss of a node thousands of clients do: frames that came together share
//! one question about rooms and roles, one write of the events, and one look at where the rooms stand.

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_schemas::event_type;
use holdfast_schemas::limits::NAME_BYTES_MAX;
use sqlx::AssertSqlSafe;

use super::connection::{End, Session};
use super::frame::{Subscribe, error_frame};
use super::leave::leave;
use super::participation::{Presence, participation};
use super::put_out::{NO_LONGER, removed};
use super::roster::tell_roster;
use crate::args;
use crate::db::{Row, padded, placeholders};
use crate::error::{ChatError, Result};
use crate::hub::{Arrival, Listener};
use crate::limits::{HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX, SUBSCRIPTIONS_MAX};
use crate::model::{
    Caller, Joined, Room, ServerFrame, Source, authorize, load_entries, load_rooms,
};
use crate::node::Node;
use crate::ops::messages::viewed;
use crate::ops::users::load_principal;
use crate::rules::{Operation, Standing, valid_text};
use crate::wire::SharedFrame;

/// Entries read at a time.
const PAGE: i64 = 100;

/// A subscription that may be.
struct Admitted {
    room: Room,
    standing: Standing,
    endpoint: Option<Arc<str>>,
    /// Entries after this are shown.
    cursor: i64,
}

/// Joins the rooms of frames that came together, at most [`crate::limits::SUBSCRIBED_AT_ONCE`]. Each gets its own answer.
pub(super) async fn subscribe(
    session: &mut Session,
    frames: Vec<Subscribe>,
) -> std::result::Result<(), End> {
    let mut refused = Vec::new();
    let mut admitted = admit(session, frames, &mut refused).await;
    let mut answers = Vec::with_capacity(admitted.len() + refused.len());
    if !admitted.is_empty() {
        match enter(session, &admitted).await {
            Ok(joined) => answers.extend(joined),
            Err(error) => {
                let rooms = admitted.drain(..).map(|admitted| admitted.room.id);
                refuse_all(rooms, &error, &mut refused);
            }
        }
    }
    let refusals = refused.into_iter();
    answers
        .extend(refusals.map(|(room, error)| error_frame("subscribe", Some(&room), None, error)));
    session.send_all(answers).await?;
    follow_all(session, &admitted).await
}

type Refused = Vec<(String, ChatError)>;

/// One failure behind several refusals.
fn refuse_all(rooms: impl Iterator<Item = String>, error: &ChatError, refused: &mut Refused) {
    let problem = error.to_string();
    refused.extend(rooms.map(|room| {
        let problem = problem.clone();
        (room, ChatError::Unavailable { problem })
    }));
}

/// Judges.
async fn admit(
    session: &mut Session,
    frames: Vec<Subscribe>,
    refused: &mut Refused,
) -> Vec<Admitted> {
    let mut asked: Vec<Subscribe> = Vec::with_capacity(frames.len());
    for frame in frames {
        match check(session, &frame, &asked) {
            Ok(()) => asked.push(frame),
            Err(error) => refused.push((frame.room, error)),
        }
    }
    let node = Arc::clone(&session.node);
    let ids: Vec<&str> = asked.iter().map(|frame| frame.room.as_str()).collect();
    let mut found = match load_rooms(&node.db, &session.caller, &ids).await {
        Ok(found) => found,
        Err(error) => {
            refuse_all(asked.into_iter().map(|frame| frame.room), &error, refused);
            return Vec::new();
        }
    };
    let mut admitted = Vec::with_capacity(asked.len());
    for frame in asked {
        let room = found.remove(&frame.room);
        match judge(&node, &frame, room).await {
            Ok(one) => admitted.push(one),
            Err(error) => refused.push((frame.room, error)),
        }
    }
    admitted
}

/// What can be said without asking SQL. `before` are frames of the same time that passed.
fn check(session: &mut Session, frame: &Subscribe, before: &[Subscribe]) -> Result<()> {
    let endpoint = frame.endpoint.as_deref().unwrap_or("");
    valid_text("endpoint", endpoint, NAME_BYTES_MAX)?;
    if !(0..=HISTORY_PAGE_MAX).contains(&frame.history.unwrap_or(HISTORY_PAGE_DEFAULT)) {
        return Err(ChatError::invalid(
            "history",
            format!("must be from 0 to {HISTORY_PAGE_MAX}"),
        ));
    }
    if session.rooms.len() + before.len() >= SUBSCRIPTIONS_MAX {
        return Err(ChatError::invalid(
            "subscribe",
            format!("more than {SUBSCRIPTIONS_MAX} rooms on one connection"),
        ));
    }
    let hub = &session.node.hub;
    let held = hub.holds(&frame.room, session.number);
    if held && !hub.listens(&frame.room, session.number) {
        return Err(ChatError::Conflict {
            problem: "this connection is being put out of the room: join when it is told so".into(),
        });
    }
    // Taken away by the room itself meanwhile (removed, disabled): then it may be joined anew.
    if !held {
        session.rooms.remove(&frame.room);
    }
    if held || before.iter().any(|other| other.room == frame.room) {
        return Err(ChatError::Conflict {
            problem: "this connection is in the room already".into(),
        });
    }
    Ok(())
}

/// Whether the room may be joined, and from where on it is shown.
async fn judge(
    node: &Node,
    frame: &Subscribe,
    found: Option<(Room, Standing)>,
) -> Result<Admitted> {
    let (room, standing) = found.ok_or(ChatError::NotFound { what: "room" })?;
    room.permit(Operation::Join, standing)?;
    if let Some(after) = frame.after_seq
        && !(0..=room.last_seq).contains(&after)
    {
        return Err(ChatError::invalid(
            "after_seq",
            format!("must be from 0 to {}, the room's last", room.last_seq),
        ));
    }
    let history = frame.history.unwrap_or(HISTORY_PAGE_DEFAULT);
    let cursor = match frame.after_seq {
        Some(after) => after,
        None if room.history && history > 0 && room.last_seq > 0 => {
            let sql = "select coalesce(min(room_seq), 1) from \
                       (select room_seq from messages where room_id = $1 order by room_seq desc limit $2) as newest";
            node.db.one(sql, args![&room.id, history]).await?.int(0)? - 1
        }
        None => room.last_seq,
    };
    Ok(Admitted {
        room,
        standing,
        endpoint: frame.endpoint.as_deref().map(Arc::from),
        cursor,
    })
}

/// Enters the channels (not live), and writes the events. The answers.
async fn enter(session: &mut Session, admitted: &[Admitted]) -> Result<Vec<SharedFrame>> {
    let node = Arc::clone(&session.node);
    let events = admitted.iter().map(|one| {
        let presence = Presence {
            caller: &session.caller,
            session: &session.id,
            endpoint: one.endpoint.as_deref(),
        };
        participation(&node, event_type::ROOM_JOINED, &one.room, presence)
    });
    let events = events.collect::<Result<Vec<_>>>()?;
    let mut arrivals = Vec::with_capacity(admitted.len());
    for Admitted { room, endpoint, .. } in admitted {
        let listener = Listener {
            connection: session.number,
            outlet: Arc::clone(&session.outlet),
            caller: Arc::clone(&session.caller),
            session: Arc::clone(&session.id),
            endpoint: endpoint.clone(),
        };
        let arrival = node.hub.join(&room.id, room.last_seq, room.epoch, listener);
        session.rooms.insert(room.id.clone(), endpoint.clone());
        if arrival.first_here {
            node.peers.interest(&node.hub, &room.id);
        }
        arrivals.push(arrival);
    }
    // Rooms of one connection go into one shard together: a join is written before it is answered, and so before its leave.
    if let Err(error) = node.writes.events(&admitted[0].room.id, events).await {
        for Admitted { room, .. } in admitted {
            session.rooms.remove(&room.id);
            if let Some(departure) = node.hub.leave(&room.id, session.number)
                && departure.last_here
            {
                node.peers.interest(&node.hub, &room.id);
            }
        }
        return Err(error);
    }
    let answers = admitted.iter().zip(arrivals);
    let mut answers: Vec<SharedFrame> = answers
        .map(|(one, arrival)| joined(session, one, arrival))
        .collect();
    answers.extend(leave_again(session, admitted).await);
    Ok(answers)
}

/// Leaves what the connection was put out of while its join was written; what it is told.
async fn leave_again(session: &mut Session, admitted: &[Admitted]) -> Vec<SharedFrame> {
    let (hub, number) = (&session.node.hub, session.number);
    let rooms = admitted.iter().map(|one| &one.room.id);
    let out: Vec<String> = rooms
        .filter(|room| !hub.arrived(room, number))
        .cloned()
        .collect();
    let told = out.iter().map(|room| removed(room, NO_LONGER)).collect();
    if !out.is_empty() {
        leave(session, out).await;
    }
    told
}

/// Tells others, and the answer.
fn joined(
    session: &Session,
    Admitted { room, standing, .. }: &Admitted,
    arrival: Arrival,
) -> SharedFrame {
    let node = &session.node;
    if arrival.new_participant {
        let who = session.caller.author();
        tell_roster(node, &room.id, Some(session.number), &who, true);
        node.peers.roster(&node.hub, &room.id, Some(who), true);
    }
    let participants = arrival.participants + node.peers.participants(&room.id);
    ServerFrame::Joined(Joined {
        room: &room.id,
        name: &room.name,
        last_seq: room.last_seq,
        role: standing.role,
        participants,
        history: room.history,
    })
    .encode()
}

enum Halt {
    End(End),
    /// The right to be in the room is gone; it was told that it joined.
    PutOut,
    Failed(ChatError),
}

impl From<ChatError> for Halt {
    fn from(error: ChatError) -> Self {
        Self::Failed(error)
    }
}

/// Shows what there is, and makes all of them live.
async fn follow_all(session: &mut Session, admitted: &[Admitted]) -> std::result::Result<(), End> {
    let ids: Vec<&str> = admitted.iter().map(|one| one.room.id.as_str()).collect();
    let standing = places(&session.node, &ids).await;
    for Admitted { room, cursor, .. } in admitted {
        let followed = match &standing {
            Ok(places) => follow(session, room, *cursor, places.get(&room.id).copied()).await,
            Err(error) => Err(Halt::Failed(ChatError::Unavailable {
                problem: error.to_string(),
            })),
        };
        match followed {
            Ok(()) => {}
            Err(Halt::End(end)) => return Err(end),
            // Whoever is put out by somebody else at the same time is told by them.
            Err(Halt::PutOut) => {
                if leave(session, vec![room.id.clone()]).await > 0 {
                    session.send(removed(&room.id, NO_LONGER)).await?;
                }
            }
            Err(Halt::Failed(error)) => {
                leave(session, vec![room.id.clone()]).await;
                session
                    .send(error_frame("subscribe", Some(&room.id), None, error))
                    .await?;
            }
        }
    }
    Ok(())
}

/// Where a room stands.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// What it counts is committed: a page of entries that does not reach so far lacks only what was purged.
    last_seq: i64,
    /// Grows whenever somebody may have lost the right to read.
    epoch: i64,
}

async fn places(node: &Node, ids: &[&str]) -> Result<HashMap<String, Place>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (count, args) = padded(ids.iter().map(std::slice::from_ref));
    let values = placeholders(1, count, &["text"]);
    let sql = format!("select id, last_seq, epoch from rooms where id in (values {values})");
    let rows = node.db.all(AssertSqlSafe(sql), args).await?;
    let place = |row: &Row| -> Result<Place> {
        Ok(Place {
            last_seq: row.int(1)?,
            epoch: row.int(2)?,
        })
    };
    rows.iter()
        .map(|row| Ok((row.text(0)?, place(row)?)))
        .collect()
}

/// Sends entries after `from`, and becomes live. `place` was read after the channel was entered: what came before is in SQL, what comes after
/// reaches the channel.
async fn follow(
    session: &mut Session,
    room: &Room,
    from: i64,
    mut place: Option<Place>,
) -> std::result::Result<(), Halt> {
    let node = Arc::clone(&session.node);
    let mut cursor = from;
    // Whoever lost the right between being admitted and entering the channel was not there to be put out.
    if place.is_some_and(|place| place.epoch > room.epoch)
        && node.hub.listens(&room.id, session.number)
    {
        let mut source = Source::Db(&node.db);
        // Groups as of now, as for those who are in.
        let current = Caller {
            principal: load_principal(&mut source, session.caller.id()).await?,
            ..Caller::clone(&session.caller)
        };
        match authorize(&mut source, &current, &room.id, Operation::Join).await {
            Ok(_) => {}
            Err(ChatError::Forbidden { .. } | ChatError::NotFound { .. }) => {
                return Err(Halt::PutOut);
            }
            Err(error) => return Err(error.into()),
        }
    }
    // Who is taken out of the room meanwhile reads no further.
    while node.hub.listens(&room.id, session.number) {
        let last = place.ok_or(ChatError::NotFound { what: "room" })?.last_seq;
        let full = cursor < last && show_page(session, room, &mut cursor).await?;
        // Other rooms go on meanwhile.
        session.send_queued().await.map_err(Halt::End)?;
        if full {
            continue;
        }
        cursor = cursor.max(last);
        if node.hub.go_live(&room.id, session.number, cursor) {
            break;
        }
        // The channel has delivered more meanwhile.
        place = places(&node, &[&room.id]).await?.remove(&room.id);
    }
    Ok(())
}

/// Sends a page of entries after `cursor`, and moves it; whether the page was full.
async fn show_page(
    session: &mut Session,
    room: &Room,
    cursor: &mut i64,
) -> std::result::Result<bool, Halt> {
    let node = Arc::clone(&session.node);
    let conditions = "where m.room_id = $1 and m.room_seq > $2 order by m.room_seq limit $3";
    let args = args![&room.id, *cursor, PAGE];
    let entries = load_entries(&mut Source::Db(&node.db), conditions, args).await?;
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        // Before it is shown: reading is an event.
        let row = viewed(&node, &session.caller, room, first.room_seq, last.room_seq)?;
        node.writes.events(&room.id, vec![row]).await?;
        *cursor = last.room_seq;
    }
    let frames: Vec<SharedFrame> = entries
        .iter()
        .map(|entry| ServerFrame::Message(entry).encode())
        .collect();
    session.send_all(frames).await.map_err(Halt::End)?;
    Ok(i64::try_from(entries.len()).is_ok_and(|count| count == PAGE))
}
