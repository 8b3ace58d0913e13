//! Who was in which room when: everybody who has an address, told from the same events, and read in the same way, as `participants` of one.

use std::collections::{BTreeMap, HashMap};

use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::Event;
use holdfast_schemas::json::Json;

use super::SpanUs;
use super::person::Person;
use super::persons::Persons;
use super::stays::Stays;

/// Somebody, for one [`Rosters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonNumber(u32);

/// Somebody who was in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub person: PersonNumber,
    /// The person's id, or URI, or address, as first written.
    pub id: String,
    /// The newest name; empty when none was given.
    pub name: String,
    /// When they could see the room. Ascending, not touching, never empty.
    pub spans: Vec<SpanUs>,
}

/// Who was in a room when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Roster {
    /// The room's id, as first written.
    pub id: String,
    /// Its newest name; empty when none was given.
    pub name: String,
    /// Its newest category; empty when none was given.
    pub category: String,
    /// Everybody who ever was in it.
    pub members: Vec<Member>,
}

/// Who was in which room when.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rosters {
    /// By folded room id.
    pub rooms: BTreeMap<String, Roster>,
    persons: HashMap<String, PersonNumber>,
}

impl Rosters {
    /// Whom an id, URI or address belongs to, ignoring case.
    #[must_use]
    pub fn person(&self, address: &str) -> Option<PersonNumber> {
        self.persons.get(fold_keyword(address).as_ref()).copied()
    }
}

/// What the events say about a room and everybody in it.
#[derive(Debug, Default)]
struct RoomEvents {
    roster: Roster,
    named_us: Option<i64>,
    stays: Stays,
}

impl RoomEvents {
    /// Takes the names an event gives, if none are newer.
    fn learn(&mut self, id: &str, event: &Event<'_>) {
        if self.roster.id.is_empty() {
            id.clone_into(&mut self.roster.id);
        }
        if self.named_us.is_some_and(|named| named > event.time_us) {
            return;
        }
        let given = [
            (&mut self.roster.name, &event.room.name),
            (&mut self.roster.category, &event.room.category),
        ];
        for (known, given) in given {
            if let Some(given) = given.as_deref().filter(|given| !given.is_empty()) {
                given.clone_into(known);
                self.named_us = Some(event.time_us);
            }
        }
    }
}

/// Gathers membership events.
#[derive(Debug, Default)]
pub(crate) struct Gathered {
    persons: Persons,
    /// By folded room id.
    rooms: BTreeMap<String, RoomEvents>,
}

impl Gathered {
    /// Learns that addresses belong to one person.
    pub(crate) fn learn(&mut self, person: Person<'_>, time_us: i64) {
        self.learn_all(&[person], time_us);
    }

    /// The same of one person who is named in several ways, the last one the newest.
    fn learn_all(&mut self, named: &[Person<'_>], time_us: i64) {
        let name = named.iter().rev().find_map(|person| person.name);
        if let (Some(number), Some(name)) = (self.persons.unite(named), name) {
            self.persons.call(number, name, time_us);
        }
    }

    /// Takes note of an event of `PEOPLE` or `SESSIONS`, in any order.
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        let extra = event
            .extra
            .as_deref()
            .and_then(|extra| Json::parse(extra).ok());
        let data = extra.as_ref().and_then(|extra| extra.get("data"));
        let of = |name| data.and_then(|data| data.get(name)).map(Person::of_json);
        let user: Vec<_> = ["user", "before", "after"]
            .into_iter()
            .filter_map(of)
            .collect();
        self.learn_all(&user, event.time_us);
        let Some(room_id) = event.room.id.as_deref() else {
            return;
        };
        let room = self
            .rooms
            .entry(fold_keyword(room_id).into_owned())
            .or_default();
        room.learn(room_id, event);
        let persons = &mut self.persons;
        room.stays.note(event, data, |person| {
            let named = persons.named(person)?;
            persons.call(named.number, person.name.unwrap_or_default(), event.time_us);
            Some(named)
        });
    }

    /// Who was in which room when.
    pub(crate) fn rosters(mut self) -> Rosters {
        let roots = self.persons.roots();
        let mut rooms = BTreeMap::new();
        for (room, events) in self.rooms {
            let members: Vec<Member> = events
                .stays
                .spans(&roots)
                .into_iter()
                .map(|(number, spans)| {
                    let known = self.persons.known(number);
                    Member {
                        person: PersonNumber(number),
                        id: known.id.clone(),
                        name: known.name.clone(),
                        spans,
                    }
                })
                .collect();
            if !members.is_empty() {
                let roster = events.roster;
                rooms.insert(room, Roster { members, ..roster });
            }
        }
        let persons = self
            .persons
            .into_addresses()
            .into_iter()
            .map(|(address, number)| (address, PersonNumber(roots[number as usize])))
            .collect();
        Rosters { rooms, persons }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_query::ast::Test;
    use holdfast_schemas::event_type;
    use proptest::prelude::*;

    use crate::participants::stays::merged;
    use crate::participants::{Follower, History, Meant, from};

    const NEVER: i64 = i64::MIN;
    const STILL: i64 = i64::MAX;

    fn event(kind: &'static str, time_us: i64, actor: &str, extra: String) -> Event<'static> {
        Event {
            event_type: kind.into(),
            time_us,
            room: holdfast_schemas::Room {
                id: Some("R-1".into()),
                ..Default::default()
            },
            actor: holdfast_schemas::Actor {
                id: Some(actor.to_owned().into()),
                ..Default::default()
            },
            extra: Some(extra.into()),
            ..Event::default()
        }
    }

    fn rosters(events: &[Event<'_>]) -> Rosters {
        let mut gathered = Gathered::default();
        events.iter().for_each(|event| gathered.note(event));
        gathered.rosters()
    }

    #[test]
    fn everybody_has_their_spans_and_their_names() {
        let listed = |time, members: &str| {
            let extra = format!(r#"{{"data":{{"members":{members}}}}}"#);
            event(event_type::ROOM_SNAPSHOT, time, "system", extra)
        };
        let found = rosters(&[
            listed(10, r#"[{"id":"u-1","name":"Ana"}]"#),
            listed(20, r#"[{"id":"U-1"},{"id":"u-2","name":"Bo"}]"#),
            listed(30, r#"[{"id":"u-2"}]"#),
            listed(40, r#"[{"id":"u-2"}]"#),
            event(
                event_type::ROOM_MEMBER_ADDED,
                50,
                "u-2",
                r#"{"data":{"member":{"id":"u-1","name":"Ana P","email":"ana@example.com"}}}"#
                    .to_owned(),
            ),
            event(
                event_type::ROOM_JOINED,
                5,
                "u-3",
                r#"{"data":{"session":"s"}}"#.to_owned(),
            ),
            event(
                event_type::ROOM_LEFT,
                6,
                "u-3",
                r#"{"data":{"session":"s"}}"#.to_owned(),
            ),
        ]);
        let room: Vec<_> = found.rooms["r-1"]
            .members
            .iter()
            .map(|member| {
                (
                    member.id.as_str(),
                    member.name.as_str(),
                    member.spans.clone(),
                )
            })
            .collect();
        assert_eq!(
            room,
            [
                ("u-1", "Ana P", vec![(NEVER, 30), (50, STILL)]),
                ("u-2", "Bo", vec![(10, STILL)]),
                ("u-3", "", vec![(5, 6)]),
            ]
        );
        assert_eq!(found.person("ANA@example.com"), found.person("u-1"));
        assert_ne!(found.person("u-2"), found.person("u-1"));
        assert_eq!(found.person("u-9"), None);
    }

    #[test]
    fn two_persons_found_to_be_one_are_one() {
        let named = |extra: &str| event(event_type::USER_UPDATED, 9, "admin", extra.to_owned());
        let found = rosters(&[
            event(event_type::ROOM_JOINED, 1, "u-1", "{}".to_owned()),
            event(event_type::ROOM_LEFT, 2, "u-1", "{}".to_owned()),
            event(event_type::ROOM_JOINED, 5, "old-1", "{}".to_owned()),
            named(
                r#"{"data":{"user":{"id":"u-1"},"before":{"id":"OLD-1"},"after":{"name":"Ana"}}}"#,
            ),
        ]);
        let room = &found.rooms["r-1"].members;
        assert_eq!(room.len(), 1);
        assert_eq!(room[0].name, "Ana");
        assert_eq!(room[0].spans, [(1, 2), (5, STILL)]);
    }

    const PERSONS: [&str; 3] = ["u-1", "u-2", "u-3"];

    /// An event of a kind about persons, who are bits.
    fn drawn((time, kind, who): (i64, usize, usize)) -> Event<'static> {
        let person = PERSONS[who % PERSONS.len()];
        let of_member = format!(r#"{{"data":{{"member":"{person}"}}}}"#);
        let session = ["", "s-1", "s-2"][who % 3];
        let of_session = format!(r#"{{"data":{{"session":"{session}"}}}}"#);
        let listed: Vec<String> = (0..PERSONS.len())
            .filter(|bit| who & (1 << bit) != 0)
            .map(|bit| format!(r#"{{"id":"{}"}}"#, PERSONS[bit]))
            .collect();
        let list = format!(r#"{{"data":{{"members":[{}]}}}}"#, listed.join(","));
        match kind {
            0 => event(event_type::ROOM_MEMBER_ADDED, time, "x", of_member),
            1 => event(event_type::ROOM_MEMBER_REMOVED, time, "x", of_member),
            2 => event(event_type::ROOM_JOINED, time, person, of_session),
            3 => event(event_type::ROOM_LEFT, time, person, of_session),
            _ => event(event_type::ROOM_SNAPSHOT, time, "x", list),
        }
    }

    proptest! {
        /// A roster says of each person what searches and holds say of them: who reads the one places the others.
        #[test]
        fn rosters_and_participants_agree(drafts in prop::collection::vec((0..12_i64, 0..7_usize, 0..8_usize), 0..24)) {
            let events: Vec<_> = drafts.into_iter().map(drawn).collect();
            let found = rosters(&events);
            for person in PERSONS {
                let test = Test::Equals(person.to_owned());
                let mut meant = Meant::new(&from(&test)).unwrap();
                meant.learn(Person { id: Some(person), ..Person::default() });
                let mut history = History::default();
                events.iter().for_each(|event| history.note(event, &mut meant));
                let alone: BTreeMap<_, _> = found
                    .rooms
                    .iter()
                    .flat_map(|(room, roster)| roster.members.iter().map(move |member| (room, member)))
                    .filter(|(_, member)| Some(member.person) == found.person(person))
                    .map(|(room, member)| (room.clone(), member.spans.clone()))
                    .collect();
                prop_assert_eq!(&alone, &history.rooms(&mut meant), "{}", person);
                let mut follower = Follower::new(&[person.to_owned()]).unwrap();
                events.iter().for_each(|event| follower.note(event));
                prop_assert_eq!(alone, follower.rooms(), "{}", person);
            }
            let two = PERSONS[..2].iter().map(|person| (*person).to_owned());
            let mut follower = Follower::new(&two.collect::<Vec<_>>()).unwrap();
            events.iter().for_each(|event| follower.note(event));
            let mut spans: Vec<SpanUs> = Vec::new();
            for roster in found.rooms.values() {
                let theirs = roster.members.iter().filter(|member| {
                    PERSONS[..2].iter().any(|person| found.person(person) == Some(member.person))
                });
                spans.extend(theirs.flat_map(|member| &member.spans));
            }
            let of_two = follower.rooms().into_values().next().unwrap_or_default();
            prop_assert_eq!(merged(spans), of_two);
        }
    }
}
