//! The statements of a batch, by the number of rows they carry: bench/ runs the same ones without a node, to know what the database itself takes.
//!
//! Lists come in few lengths, so that each statement is found prepared: what is read is padded ([`crate::db::padded`]), what is written is cut
//! ([`crate::db::chunk_sizes`]).

use crate::db::placeholders;
use crate::model::{SELECT_ENTRY, SELECT_ROOM};

/// Locks rooms (id), in the order of their ids: two nodes with the same rooms in their batches cannot wait for each other. For PostgreSQL; SQLite's
/// writer is alone.
#[must_use]
pub fn lock_rooms(count: usize) -> String {
    let values = placeholders(1, count, &["text"]);
    format!("select 1 from rooms where id in (values {values}) order by id for update")
}

/// Reads rooms (id). They are locked before: a statement that waits for a lock sees the category, its wall too, as it was before it waited.
#[must_use]
pub fn rooms(count: usize) -> String {
    let values = placeholders(1, count, &["text"]);
    format!("{SELECT_ROOM}where r.id in (values {values})")
}

/// Reads by (room, user) the user's role, null for who is no member, and state, null for who was never seen.
#[must_use]
pub fn people(count: usize) -> String {
    let values = placeholders(1, count, &["text", "text"]);
    format!(
        "select v.column1, v.column2, m.role, u.state from (values {values}) as v \
         left join room_members m on m.room_id = v.column1 and m.user_id = v.column2 left join users u on u.id = v.column2"
    )
}

/// Reads posts that are there already, by (room, author, client_id).
#[must_use]
pub fn posted(count: usize) -> String {
    let values = placeholders(1, count, &["text", "text", "text"]);
    format!("{SELECT_ENTRY}where (m.room_id, m.author_id, m.client_id) in (values {values})")
}

/// Gives rooms (id, last_seq) their new last place.
#[must_use]
pub fn advance_rooms(count: usize) -> String {
    let values = placeholders(1, count, &["text", "bigint"]);
    format!(
        "update rooms set last_seq = v.column2 from (values {values}) as v where rooms.id = v.column1"
    )
}

/// Columns of [`insert_messages`], in the order of their parameters, with their types.
pub const MESSAGE: [(&str, &str); 14] = [
    ("room_id", "text"),
    ("room_seq", "bigint"),
    ("id", "text"),
    ("action", "text"),
    ("author_id", "text"),
    ("kind", "text"),
    ("title", "text"),
    ("body", "text"),
    ("reply_to", "text"),
    ("attachments", "text"),
    ("mentions", "text"),
    ("client_id", "text"),
    ("time_us", "bigint"),
    ("deleted", "boolean"),
];

/// Inserts messages.
#[must_use]
pub fn insert_messages(count: usize) -> String {
    let values = placeholders(1, count, &MESSAGE.map(|(_name, kind)| kind));
    let names = MESSAGE.map(|(name, _kind)| name).join(", ");
    format!("insert into messages ({names}) values {values}")
}
