//! What SQL says: the truth that archives and clients are held against.

use std::collections::BTreeMap;

use holdfast_chat_node::db::Db;
use holdfast_schemas::event_type;
use serde_json::Value;

use crate::archived::{Archived, Place};

/// One row of the outbox.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: String,
    /// Its type.
    pub event_type: String,
    /// Whether Kafka has acknowledged it.
    pub delivered: bool,
    /// Its `data`.
    pub data: Value,
}

/// One place of a room's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The place.
    pub room_seq: i64,
    /// `posted`, `edited`, `deleted` or `replaced`.
    pub action: String,
    /// The message's id.
    pub id: String,
    /// The client's own id of a post.
    pub client_id: Option<String>,
}

/// Content and outbox at one moment.
#[derive(Debug)]
pub struct Truth {
    /// Sequenced events.
    pub events: BTreeMap<Place, Event>,
    /// Events that have no sequence yet.
    pub unsequenced: usize,
    /// Each room's entries in their order.
    pub rooms: BTreeMap<String, Vec<Entry>>,
}

impl Truth {
    /// Reads it.
    ///
    /// # Panics
    /// The database cannot be read.
    pub async fn read(db: &Db) -> Self {
        let (mut events, mut unsequenced) = (BTreeMap::new(), 0);
        let sql = "select origin, sequence, event, delivered_us from outbox order by id";
        for row in db.all(sql, Vec::new()).await.expect("the outbox") {
            let Some(origin) = row.text_opt(0).expect("an origin") else {
                unsequenced += 1;
                continue;
            };
            let sequence = u64::try_from(row.int(1).expect("a sequence")).expect("from 1");
            let event: Value =
                serde_json::from_str(&row.text(2).expect("an event")).expect("events are JSON");
            let text = |member: &str| event[member].as_str().expect("text").to_owned();
            let read = Event {
                id: text("id"),
                event_type: text("type"),
                delivered: row.int_opt(3).expect("a time").is_some(),
                data: event["data"].clone(),
            };
            let before = events.insert((origin, sequence), read);
            assert!(before.is_none(), "a place was given twice");
        }
        Self {
            events,
            unsequenced,
            rooms: read_rooms(db).await,
        }
    }

    /// How many events have this type.
    #[must_use]
    pub fn count(&self, event_type: &str) -> usize {
        self.events
            .values()
            .filter(|event| event.event_type == event_type)
            .count()
    }

    /// Checks that SQL itself is whole: sequences are dense from 1 in each origin, places are dense from 1 in each room, every entry has its event with the
    /// same id, and a room's events are sequenced in the room's order.
    ///
    /// # Panics
    /// With what is not so.
    pub fn assert_whole(&self, context: &str) {
        let mut last: BTreeMap<&str, u64> = BTreeMap::new();
        let mut told: BTreeMap<&str, Vec<(i64, &str)>> = BTreeMap::new();
        for ((origin, sequence), event) in &self.events {
            let expected = last.entry(origin).or_default();
            *expected += 1;
            assert_eq!(
                *sequence, *expected,
                "{context}: {origin} has a hole before {sequence}"
            );
            if let (Some(seq), Some(room)) = (
                event.data["room_seq"].as_i64(),
                event.data["room"]["id"].as_str(),
            ) {
                let id = event.data["message"]["id"].as_str().unwrap_or_default();
                told.entry(room).or_default().push((seq, id));
            }
        }
        for (room, entries) in &self.rooms {
            let places: Vec<i64> = entries.iter().map(|entry| entry.room_seq).collect();
            let dense: Vec<i64> = (1..).take(places.len()).collect();
            assert_eq!(places, dense, "{context}: places of {room}");
            let stored: Vec<(i64, &str)> = entries
                .iter()
                .map(|entry| (entry.room_seq, entry.id.as_str()))
                .collect();
            let events = told.get(room.as_str()).map_or(&[][..], Vec::as_slice);
            assert_eq!(
                events, stored,
                "{context}: events of {room} against its entries"
            );
        }
    }

    /// AR-1 end to end: every delivered event is archived once, under its id; nothing is archived that SQL does not have; each entry of a room is there; and
    /// nothing was quarantined.
    ///
    /// # Panics
    /// With what is missing, doubled or unexpected.
    pub fn assert_archived(&self, archived: &Archived, context: &str) {
        self.assert_whole(context);
        let quarantined: Vec<_> = archived.quarantined().take(3).collect();
        assert!(
            quarantined.is_empty(),
            "{context}: quarantined {quarantined:?}"
        );
        let found: BTreeMap<&Place, &str> = archived
            .rows
            .iter()
            .map(|row| (&row.place, row.id.as_str()))
            .collect();
        // What the relay had sent when it was killed may be archived without being marked; what is marked must be. Without Kafka nothing is marked, and
        // everything with a sequence must be.
        let relayed = self.events.values().any(|event| event.delivered);
        let expected: BTreeMap<Place, String> = self
            .events
            .iter()
            .filter(|(place, event)| event.delivered || !relayed || found.contains_key(place))
            .map(|(place, event)| (place.clone(), event.id.clone()))
            .collect();
        archived.assert_exactly_once(&expected, context);
        let posted = archived
            .rows
            .iter()
            .filter(|row| row.event_type == event_type::MESSAGE_POSTED);
        let mut in_archive: Vec<&str> = posted.filter_map(|row| row.message.as_deref()).collect();
        let entries = self.rooms.values().flatten();
        let mut in_sql: Vec<&str> = entries
            .filter(|entry| entry.action == "posted")
            .map(|entry| entry.id.as_str())
            .collect();
        in_archive.sort_unstable();
        in_sql.sort_unstable();
        assert_eq!(in_archive, in_sql, "{context}: ids of messages");
    }
}

async fn read_rooms(db: &Db) -> BTreeMap<String, Vec<Entry>> {
    let mut rooms: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let sql =
        "select room_id, room_seq, action, id, client_id from messages order by room_id, room_seq";
    for row in db.all(sql, Vec::new()).await.expect("messages") {
        let entry = Entry {
            room_seq: row.int(1).expect("a place"),
            action: row.text(2).expect("an action"),
            id: row.text(3).expect("an id"),
            client_id: row.text_opt(4).expect("a client's id"),
        };
        rooms
            .entry(row.text(0).expect("a room"))
            .or_default()
            .push(entry);
    }
    rooms
}
