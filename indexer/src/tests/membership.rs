//! Random membership events: persons under several spellings, lists of members, sessions with an id and without.

use holdfast_schemas::event_type;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::corpus::ACTORS;

/// Sessions; the first is one without an id.
pub(super) const SESSIONS: [&str; 3] = ["", "s-1", "s-2"];

/// A person as an event names them: which of the actors, and in which of the ways.
type Named = (usize, usize);

/// What an event says of persons, if its type is one that does.
#[derive(Debug, Clone)]
pub(super) struct Told {
    person: Named,
    others: Vec<Named>,
    session: usize,
    with_list: bool,
}

fn named() -> impl Strategy<Value = Named> {
    (0..ACTORS.len(), 0..8_usize)
}

pub(super) fn told() -> impl Strategy<Value = Told> {
    (
        named(),
        prop::collection::vec(named(), 0..4),
        0..SESSIONS.len(),
        prop::bool::weighted(0.9),
    )
        .prop_map(|(person, others, session, with_list)| Told {
            person,
            others,
            session,
            with_list,
        })
}

fn person((who, way): Named) -> Value {
    let (id, name, email) = ACTORS[who];
    match way {
        0 => json!(id),
        1 => json!({"id": id.to_uppercase(), "role": "member"}),
        2 => json!({"id": id, "email": email}),
        3 => json!({"uri": format!("SIP:{id}")}),
        4 => json!({"id": id, "name": name}),
        5 => json!({"email": email, "uri": ""}),
        6 => json!({"name": name}),
        _ => json!({"id": id}),
    }
}

impl Told {
    /// An event that says nothing.
    pub(super) fn nothing() -> Self {
        Self {
            person: (0, 0),
            others: Vec::new(),
            session: 0,
            with_list: false,
        }
    }

    /// `data` of an event of that type, beside room and actor.
    pub(super) fn data(&self, event_type: &str) -> Option<Value> {
        let others = self.others.iter().copied().map(person);
        match event_type {
            event_type::ROOM_MEMBER_ADDED | event_type::ROOM_MEMBER_REMOVED => {
                Some(json!({"member": person(self.person), "role": "member"}))
            }
            event_type::ROOM_SNAPSHOT if self.with_list => {
                Some(json!({"members": others.collect::<Vec<_>>()}))
            }
            event_type::ROOM_SNAPSHOT => Some(json!({"privacy": "open"})),
            event_type::ROOM_JOINED | event_type::ROOM_LEFT if self.session > 0 => {
                Some(json!({"session": SESSIONS[self.session], "endpoint": "web"}))
            }
            event_type::USER_UPDATED => {
                let states = ["before", "after"].map(str::to_owned);
                let mut data: serde_json::Map<_, _> = states.into_iter().zip(others).collect();
                data.insert("user".to_owned(), person(self.person));
                Some(Value::Object(data))
            }
            _ => None,
        }
    }
}
