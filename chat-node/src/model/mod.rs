//! What is stored, as the program sees it; one file a thing.

mod category;
mod entry;
mod file;
mod person;
mod room;
mod server_frame;

pub use category::Category;
pub(crate) use entry::SELECT_ENTRY;
pub use entry::{Action, Author, Entry, MessageKind, load_entries};
pub use file::{FileInfo, load_files};
pub use person::{Caller, Person};
pub use room::{Invitations, Room, RoomView, authorize, load_room, load_rooms, standing};
pub(crate) use room::{SELECT_ROOM, known_role, lock_rooms};
pub use server_frame::{Acknowledged, Joined, Refusal, RoomEvent, ServerFrame};

use crate::db::{Db, Row, Tx, Value};
use crate::error::Result;
use sqlx::SqlSafeStr;

/// Where a question goes: to the readers, or into a transaction that also writes.
#[derive(Debug)]
pub enum Source<'a> {
    /// Reading only.
    Db(&'a Db),
    /// Inside a transaction: rows that will be changed are locked.
    Tx(&'a mut Tx),
}

impl Source<'_> {
    /// All rows.
    pub(crate) async fn all(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Vec<Row>> {
        match self {
            Self::Db(db) => db.all(sql, args).await,
            Self::Tx(tx) => tx.all(sql, args).await,
        }
    }

    /// The first row.
    pub(crate) async fn first(
        &mut self,
        sql: impl SqlSafeStr,
        args: Vec<Value>,
    ) -> Result<Option<Row>> {
        match self {
            Self::Db(db) => db.first(sql, args).await,
            Self::Tx(tx) => tx.first(sql, args).await,
        }
    }

    /// What a `select` of one table appends to lock its rows; nothing when only reading.
    pub(crate) fn for_update(&self) -> &'static str {
        match self {
            Self::Db(_) => "",
            Self::Tx(tx) => tx.dialect().for_update(),
        }
    }
}

/// A stored list of texts.
pub(crate) fn list_from_json(text: &str) -> Result<Vec<String>> {
    serde_json::from_str(text).map_err(|error| {
        crate::error::ChatError::Internal(format!(
            "a stored list is no JSON array of text: {error}"
        ))
    })
}

/// A list of texts, to be stored.
pub(crate) fn list_to_json(list: &[String]) -> String {
    serde_json::Value::from(list).to_string()
}

/// A time as people and programs read it: RFC 3339 in UTC with microseconds.
pub(crate) fn time_text(us: i64) -> String {
    holdfast_schemas::time::format_us(us)
}
