//! What became of the message version that an event holds.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use holdfast_schemas::columns::name;
use holdfast_schemas::{Event, event_type};
use serde::{Deserialize, Serialize};

/// Standing of an event among the versions of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The newest version, or an event that is no version of a message.
    Current,
    /// An edit or replacement came after it.
    Superseded,
    /// Its message was deleted.
    Deleted,
}

/// The last change of every message that was ever changed.
///
/// About 120 bytes a changed message; unchanged ones, nearly all, cost nothing.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// By room, then by message: looked up with what a row borrows.
    last: HashMap<Box<str>, HashMap<Box<str>, Change>>,
}

#[derive(Debug)]
struct Change {
    order: (i64, i64),
    event_id: Box<str>,
    deleted: bool,
}

/// Types that change a message.
pub(crate) const CHANGING: [&str; 3] = [
    event_type::MESSAGE_EDITED,
    event_type::MESSAGE_DELETED,
    event_type::MESSAGE_REPLACED,
];

/// Order of a message's changes: the room's sequence; without one, after those that have one, by time.
fn order(event: &Event<'_>) -> (i64, i64) {
    (event.room_seq.unwrap_or(i64::MAX), event.time_us)
}

impl Changes {
    /// What [`Changes::note`] looks at.
    pub(crate) const COLUMNS: &'static [&'static str] = &[
        name::EVENT_ID,
        name::EVENT_TYPE,
        name::EVENT_TIME,
        name::ROOM_ID,
        name::ROOM_SEQ,
        name::MESSAGE_ID,
    ];

    /// Takes note of an event; in any order of events. Others than [`CHANGING`] are passed over.
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        let Some(message) = event
            .message
            .id
            .as_deref()
            .filter(|_| CHANGING.contains(&event.event_type.as_ref()))
        else {
            return;
        };
        let room = event.room.id.as_deref().unwrap_or_default();
        let change = Change {
            order: order(event),
            event_id: event.id.as_ref().into(),
            deleted: event.event_type == event_type::MESSAGE_DELETED,
        };
        if !self.last.contains_key(room) {
            self.last.insert(room.into(), HashMap::new());
        }
        if let Some(messages) = self.last.get_mut(room) {
            keep_later(messages, message.into(), change);
        }
    }

    /// The standing of an event. Versions of a message are its posting, edits and replacements; the posting is the
    /// first of them whatever its sequence says.
    pub(crate) fn status(&self, event: &Event<'_>) -> Status {
        let version = event.event_type == event_type::MESSAGE_POSTED
            || event.event_type == event_type::MESSAGE_EDITED
            || event.event_type == event_type::MESSAGE_REPLACED;
        let Some(message) = event
            .message
            .id
            .as_deref()
            .filter(|_| version && !self.last.is_empty())
        else {
            return Status::Current;
        };
        let room = event.room.id.as_deref().unwrap_or_default();
        match self
            .last
            .get(room)
            .and_then(|messages| messages.get(message))
        {
            None => Status::Current,
            Some(last) if last.deleted => Status::Deleted,
            Some(last) if *last.event_id == *event.id => Status::Current,
            Some(_) => Status::Superseded,
        }
    }
}

fn keep_later(messages: &mut HashMap<Box<str>, Change>, message: Box<str>, change: Change) {
    match messages.entry(message) {
        Entry::Vacant(none) => {
            none.insert(change);
        }
        Entry::Occupied(mut last) => {
            if (change.order, &change.event_id) > (last.get().order, &last.get().event_id) {
                last.insert(change);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_schemas::{Message, Room};

    fn event(
        id: &'static str,
        event_type: &'static str,
        room_seq: Option<i64>,
        time_us: i64,
    ) -> Event<'static> {
        Event {
            id: id.into(),
            event_type: event_type.into(),
            time_us,
            room: Room {
                id: Some("r".into()),
                ..Room::default()
            },
            message: Message {
                id: Some("m".into()),
                ..Message::default()
            },
            room_seq,
            ..Event::default()
        }
    }

    #[test]
    fn the_last_change_by_room_sequence_decides() {
        let posted = event("a", event_type::MESSAGE_POSTED, Some(9), 0);
        let first = event("b", event_type::MESSAGE_EDITED, Some(2), 90);
        let second = event("c", event_type::MESSAGE_REPLACED, Some(3), 10);
        for order in [[&first, &second], [&second, &first]] {
            let mut changes = Changes::default();
            order.into_iter().for_each(|event| changes.note(event));
            assert_eq!(changes.status(&posted), Status::Superseded);
            assert_eq!(changes.status(&first), Status::Superseded);
            assert_eq!(changes.status(&second), Status::Current);
        }
    }

    #[test]
    fn a_deletion_marks_every_version_until_something_replaces_it() {
        let posted = event("a", event_type::MESSAGE_POSTED, Some(1), 0);
        let deleted = event("b", event_type::MESSAGE_DELETED, Some(2), 1);
        let replaced = event("c", event_type::MESSAGE_REPLACED, None, 2);
        let mut changes = Changes::default();
        changes.note(&deleted);
        assert_eq!(changes.status(&posted), Status::Deleted);
        assert_eq!(changes.status(&deleted), Status::Current);
        changes.note(&replaced);
        assert_eq!(changes.status(&posted), Status::Superseded);
        assert_eq!(changes.status(&replaced), Status::Current);
    }
}
