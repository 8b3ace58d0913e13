//! What was seen of whom in which room: posted, joined, was added, read its history.

use std::collections::{BTreeMap, BTreeSet};

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use holdfast_indexer::participants::{Person, SpanUs};
use holdfast_schemas::columns::name;
use holdfast_schemas::event_type;

use crate::failure::Failure;

/// Columns that [`Tally::add`] looks at.
pub const COLUMNS: [&str; 10] = [
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::ROOM_NAME,
    name::CATEGORY,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
    name::TARGET_ID,
];

/// Events counted by room.
#[derive(Debug, Default)]
pub struct Tally {
    /// By the room's id.
    pub rooms: BTreeMap<String, Counted>,
}

/// A room's events.
#[derive(Debug)]
pub struct Counted {
    /// The newest name.
    pub name: String,
    /// The newest category.
    pub category: String,
    /// All events.
    pub events: u64,
    /// Posted messages.
    pub messages: u64,
    /// First and last event, UTC microseconds.
    pub seen: SpanUs,
    /// By the first of id, URI and e-mail address that is given.
    pub people: BTreeMap<String, Sighted>,
}

/// What was seen of somebody in a room.
#[derive(Debug)]
pub struct Sighted {
    /// The newest name.
    pub name: String,
    /// Their other URIs and addresses.
    pub aliases: BTreeSet<String>,
    /// Events by them, or about their membership.
    pub events: u64,
    /// First and last of those, UTC microseconds.
    pub seen: SpanUs,
}

impl Tally {
    /// Counts the rows of a span of time, both ends included.
    ///
    /// # Errors
    /// A column is not what the contract says.
    pub fn add(&mut self, batch: &RecordBatch, (from_us, to_us): SpanUs) -> Result<(), Failure> {
        let damaged = |column: &str| Failure::Damaged {
            place: "segment".to_owned(),
            message: format!("column `{column}` has another type"),
        };
        let text = |column: &'static str| -> Result<&StringArray, Failure> {
            batch
                .column_by_name(column)
                .and_then(|c| c.as_string_opt::<i32>())
                .ok_or_else(|| damaged(column))
        };
        let times: &TimestampMicrosecondArray = batch
            .column_by_name(name::EVENT_TIME)
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| damaged(name::EVENT_TIME))?;
        let (kinds, rooms) = (text(name::EVENT_TYPE)?, text(name::ROOM_ID)?);
        let (room_names, categories) = (text(name::ROOM_NAME)?, text(name::CATEGORY)?);
        let actors = [
            text(name::ACTOR_ID)?,
            text(name::ACTOR_URI)?,
            text(name::ACTOR_EMAIL)?,
        ];
        let (actor_names, targets) = (text(name::ACTOR_NAME)?, text(name::TARGET_ID)?);
        for row in 0..batch.num_rows() {
            let us = times.value(row);
            let Some(id) = some(rooms, row).filter(|_| (from_us..=to_us).contains(&us)) else {
                continue;
            };
            let room = self.room(id, us);
            keep_name(&mut room.name, some(room_names, row));
            keep_name(&mut room.category, some(categories, row));
            room.events += 1;
            room.messages += u64::from(kinds.value(row) == event_type::MESSAGE_POSTED);
            room.seen = (room.seen.0.min(us), room.seen.1.max(us));
            let mut called = actors.iter().filter_map(|column| some(column, row));
            if let Some(address) = called.next() {
                let person = sighted(&mut room.people, address, us);
                keep_name(&mut person.name, some(actor_names, row));
                for alias in called {
                    if !person.aliases.contains(alias) {
                        person.aliases.insert(alias.to_owned());
                    }
                }
            }
            let about_member = matches!(
                kinds.value(row),
                event_type::ROOM_MEMBER_ADDED | event_type::ROOM_MEMBER_REMOVED
            );
            if let Some(address) = some(targets, row).filter(|_| about_member) {
                sighted(&mut room.people, address, us);
            }
        }
        Ok(())
    }

    /// Everybody seen, under every address, with the time they were last seen at.
    pub fn persons(&self) -> impl Iterator<Item = (Person<'_>, i64)> {
        let people = self.rooms.values().flat_map(|room| &room.people);
        people.flat_map(|(address, sighted)| {
            let person = move |alias| Person {
                id: Some(address.as_str()),
                uri: alias,
                name: Some(sighted.name.as_str()),
                email: None,
            };
            let aliases = sighted.aliases.iter().map(|alias| Some(alias.as_str()));
            aliases
                .chain([None])
                .map(move |alias| (person(alias), sighted.seen.1))
        })
    }

    fn room(&mut self, id: &str, us: i64) -> &mut Counted {
        self.rooms.entry(id.to_owned()).or_insert_with(|| Counted {
            name: String::new(),
            category: String::new(),
            events: 0,
            messages: 0,
            seen: (us, us),
            people: BTreeMap::new(),
        })
    }
}

fn some(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The last name read wins; segments come by year, so it is about the newest.
fn keep_name(name: &mut String, new: Option<&str>) {
    if let Some(new) = new.filter(|new| *new != name.as_str()) {
        new.clone_into(name);
    }
}

fn sighted<'a>(
    people: &'a mut BTreeMap<String, Sighted>,
    address: &str,
    us: i64,
) -> &'a mut Sighted {
    let person = people.entry(address.to_owned()).or_insert_with(|| Sighted {
        name: String::new(),
        aliases: BTreeSet::new(),
        events: 0,
        seen: (us, us),
    });
    person.seen = (person.seen.0.min(us), person.seen.1.max(us));
    person.events += 1;
    person
}
