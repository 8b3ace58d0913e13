//! Compliance events as they go into the outbox: whole, but for `origin` and `sequence`, which the sequencer gives.

use holdfast_schemas::limits::{EVENT_BYTES_MAX, NAME_BYTES_MAX};
use holdfast_schemas::time::format_us;
use serde_json::{Map, Value, json};

use crate::error::{ChatError, Result};
use crate::model::{Person, Room};

/// What `origin` and `sequence` will add at most.
const PLACE_BYTES_MAX: usize = NAME_BYTES_MAX + 64;

/// A row of the outbox before it is inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRow {
    /// The room it is about: the key of its Kafka record.
    pub room_id: Option<String>,
    /// The event's JSON without `origin` and `sequence`.
    pub event: String,
    /// When it happened.
    pub created_us: i64,
}

/// The room of an event.
#[derive(Debug, Clone, Copy)]
pub struct EventRoom<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its category's name.
    pub category: &'a str,
}

impl<'a> From<&'a Room> for EventRoom<'a> {
    fn from(room: &'a Room) -> Self {
        Self {
            id: &room.id,
            name: &room.name,
            category: &room.category,
        }
    }
}

/// One event to be written.
#[derive(Debug)]
pub struct Draft<'a> {
    /// CloudEvents `type`: a constant of the contract.
    pub event_type: &'static str,
    /// When it happened.
    pub time_us: i64,
    /// Its room.
    pub room: Option<EventRoom<'a>>,
    /// Who did it.
    pub actor: Option<&'a Person>,
    /// The other members of `data`.
    pub data: Value,
}

impl Draft<'_> {
    /// The row for the outbox; `source` names pool and node.
    ///
    /// # Errors
    /// [`ChatError::TooLarge`] when the event would have more than 2 MiB: then nothing of its transaction may happen.
    pub fn encode(self, source: &str) -> Result<OutboxRow> {
        let mut data = match self.data {
            Value::Object(members) => members,
            Value::Null => Map::new(),
            other => return Err(ChatError::Internal(format!("an event's data is {other}"))),
        };
        if let Some(room) = self.room {
            data.insert(
                "room".into(),
                json!({"id": room.id, "name": room.name, "category": room.category}),
            );
        }
        if let Some(actor) = self.actor {
            data.insert("actor".into(), actor.as_actor());
        }
        let room_id = self.room.map(|room| room.id.to_owned());
        let mut event = json!({
            "specversion": "1.0",
            "id": uuid::Uuid::now_v7().to_string(),
            "source": source,
            "type": self.event_type,
            "time": format_us(self.time_us),
            "datacontenttype": "application/json",
            "dataschema": "urn:holdfast:compliance-event:1",
            "data": data,
        });
        if let (Some(id), Some(members)) = (&room_id, event.as_object_mut()) {
            members.insert("subject".into(), json!(id));
            members.insert("partitionkey".into(), json!(id));
        }
        let event = event.to_string();
        if event.len() + PLACE_BYTES_MAX > EVENT_BYTES_MAX {
            return Err(ChatError::TooLarge {
                what: "the compliance event of this",
                bytes_max: EVENT_BYTES_MAX as u64,
            });
        }
        Ok(OutboxRow {
            room_id,
            event,
            created_us: self.time_us,
        })
    }
}
