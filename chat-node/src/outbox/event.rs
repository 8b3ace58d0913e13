//! Compliance events as they go into the outbox: whole, but for `origin` and `sequence`, which the sequencer gives.

use holdfast_schemas::limits::{EVENT_BYTES_MAX, NAME_BYTES_MAX};
use holdfast_schemas::time::format_us;
use serde::Serialize;
use serde_json::Value;

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
#[derive(Debug, Clone, Copy, Serialize)]
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
pub struct Draft<'a, D = Value> {
    /// CloudEvents `type`: a constant of the contract.
    pub event_type: &'static str,
    /// When it happened.
    pub time_us: i64,
    /// Its room.
    pub room: Option<EventRoom<'a>>,
    /// Who did it.
    pub actor: Option<&'a Person>,
    /// The other members of `data`.
    pub data: D,
}

/// The event's JSON, member by member: written as it is, for every post has one.
#[derive(Serialize)]
struct Envelope<'a, D> {
    specversion: &'static str,
    id: String,
    source: &'a str,
    #[serde(rename = "type")]
    event_type: &'static str,
    time: String,
    datacontenttype: &'static str,
    dataschema: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    partitionkey: Option<&'a str>,
    data: Data<'a, D>,
}

#[derive(Serialize)]
struct Data<'a, D> {
    #[serde(skip_serializing_if = "Option::is_none")]
    room: Option<EventRoom<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actor: Option<&'a Person>,
    #[serde(flatten)]
    own: D,
}

impl<D: Serialize> Draft<'_, D> {
    /// The row for the outbox; `source` names pool and node.
    ///
    /// # Errors
    /// [`ChatError::TooLarge`] when the event would have more than 2 MiB: then nothing of its transaction may happen.
    pub fn encode(self, source: &str) -> Result<OutboxRow> {
        let room_id = self.room.map(|room| room.id);
        let event = serde_json::to_string(&Envelope {
            specversion: "1.0",
            id: uuid::Uuid::now_v7().to_string(),
            source,
            event_type: self.event_type,
            time: format_us(self.time_us),
            datacontenttype: "application/json",
            dataschema: "urn:holdfast:compliance-event:1",
            subject: room_id,
            partitionkey: room_id,
            data: Data {
                room: self.room,
                actor: self.actor,
                own: self.data,
            },
        })
        .map_err(|error| ChatError::Internal(format!("an event's data: {error}")))?;
        if event.len() + PLACE_BYTES_MAX > EVENT_BYTES_MAX {
            return Err(ChatError::TooLarge {
                what: "the compliance event of this",
                bytes_max: EVENT_BYTES_MAX as u64,
            });
        }
        Ok(OutboxRow {
            room_id: room_id.map(str::to_owned),
            event,
            created_us: self.time_us,
        })
    }
}
