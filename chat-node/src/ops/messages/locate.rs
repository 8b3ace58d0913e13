//! Finds a message that is to be changed, and appends the fact of the change to its room.

use std::sync::Arc;

use crate::args;
use crate::db::Tx;
use crate::error::{ChatError, Result};
use crate::model::{
    Action, Author, Caller, Entry, Room, Source, load_entries, load_room, standing, time_text,
};
use crate::node::Node;
use crate::outbox::OutboxRow;
use crate::rules::{Operation, Standing};

/// A message with its room and the caller's standing there.
#[derive(Debug)]
pub struct Located {
    /// The post, with its current text.
    pub entry: Entry,
    /// Its room.
    pub room: Room,
    /// What decides about the caller.
    pub standing: Standing,
    /// The caller wrote it.
    pub own: bool,
}

impl Located {
    /// Whether the caller may do `operation`. A message of a room that is hidden from the caller is no message: an answer that named the room would
    /// say that the id is one.
    ///
    /// # Errors
    /// [`ChatError::NotFound`] or [`ChatError::Forbidden`].
    pub fn permit(&self, operation: Operation) -> Result<()> {
        self.room
            .permit(operation, self.standing)
            .map_err(|error| match error {
                ChatError::NotFound { .. } => ChatError::NotFound { what: "message" },
                other => other,
            })
    }
}

/// The message of this id. What the caller may not even know of is not found.
///
/// # Errors
/// There is no such message.
pub async fn locate(source: &mut Source<'_>, caller: &Caller, message_id: &str) -> Result<Located> {
    let not_found = || ChatError::NotFound { what: "message" };
    let sql = "select room_id from messages where id = $1 and action = 'posted'";
    let room_id = source
        .first(sql, args![message_id])
        .await?
        .ok_or_else(not_found)?
        .text(0)?;
    // The room first, and locked inside of a transaction: every change of its entries waits for the same lock.
    let room = load_room(source, &room_id)
        .await
        .map_err(|error| match error {
            ChatError::NotFound { .. } => not_found(),
            other => other,
        })?;
    let standing = standing(source, &room, caller).await?;
    let entries = load_entries(
        source,
        "where m.id = $1 and m.action = 'posted'",
        args![message_id],
    )
    .await?;
    let entry = entries.into_iter().next().ok_or_else(not_found)?;
    let own = entry.author.id == caller.id();
    Ok(Located {
        entry,
        room,
        standing,
        own,
    })
}

/// [`locate`], with the room locked until the transaction ends.
///
/// # Errors
/// As [`locate`]; a disabled user changes nothing.
pub async fn locate_locked(tx: &mut Tx, caller: &Caller, message_id: &str) -> Result<Located> {
    let mut source = Source::Tx(tx);
    if source
        .first(
            "select 1 from users where id = $1 and state <> 'active'",
            args![caller.id()],
        )
        .await?
        .is_some()
    {
        return Err(ChatError::Forbidden {
            reason: "this user is disabled",
        });
    }
    locate(&mut source, caller, message_id).await
}

/// Gives a change its place in the room, commits it with its event, and tells everybody.
///
/// # Errors
/// What the database says.
pub async fn append_entry(
    node: &Arc<Node>,
    mut tx: Tx,
    caller: &Caller,
    located: &Located,
    change: Entry,
    event: impl FnOnce(&Entry) -> Result<OutboxRow>,
    now_us: i64,
) -> Result<Entry> {
    let room = &located.room;
    let row = tx
        .one(
            "update rooms set last_seq = last_seq + 1 where id = $1 returning last_seq",
            args![&room.id],
        )
        .await?;
    let entry = Entry {
        room_seq: row.int(0)?,
        room: room.id.clone(),
        id: located.entry.id.clone(),
        time: time_text(now_us),
        author: Author {
            id: caller.id().to_owned(),
            name: caller.person.name.clone(),
        },
        kind: located.entry.kind,
        ..change
    };
    let event = event(&entry)?;
    tx.execute(
        "insert into messages (room_id, room_seq, id, action, author_id, kind, title, body, attachments, mentions, time_us, deleted, reason) \
         values ($1, $2, $3, $4, $5, $6, $7, $8, '[]', '[]', $9, $10, $11)",
        args![
            &entry.room,
            entry.room_seq,
            &entry.id,
            entry.action.as_str(),
            &entry.author.id,
            entry.kind.as_str(),
            entry.title.clone(),
            entry.body.clone(),
            now_us,
            entry.deleted,
            entry.reason.clone(),
        ],
    )
    .await?;
    let deleted = entry.action == Action::Deleted;
    tx.execute(
        "update messages set title = $2, body = $3, edited_seq = $4, deleted = $5, attachments = case when $5 then '[]' else attachments end \
         where id = $1 and action = 'posted'",
        args![&entry.id, entry.title.clone(), entry.body.clone(), entry.room_seq, deleted],
    )
    .await?;
    node.commit(tx, vec![event]).await?;
    node.publish(&entry, room.epoch);
    Ok(entry)
}
