//! Who was in which room when: everybody, told from the same events, and read in the same way, as `participants` of one.

use std::collections::{BTreeMap, HashMap};

use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::json::Json;
use holdfast_schemas::{Event, event_type};

use super::SpanUs;
use super::history::{Change, Changed, merged, of_any, spans};
use super::person::Person;

/// Somebody, for one [`Rosters`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonNumber(usize);

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

/// When: time and the room's sequence.
pub(super) type At = (i64, i64);

/// What is known of somebody.
#[derive(Debug, Default)]
struct Known {
    id: String,
    name: String,
    named_us: Option<i64>,
}

/// Persons by their addresses; those who share an id, URI or address are one.
#[derive(Debug, Default)]
pub(super) struct Persons {
    by_address: HashMap<String, usize>,
    /// A person found to be another one points at it.
    parents: Vec<usize>,
    known: Vec<Known>,
}

impl Persons {
    /// The number of somebody who is named in several ways; none when there is no address among them.
    pub(super) fn number(&mut self, named: &[Person<'_>], time_us: i64) -> Option<usize> {
        let mut number = None;
        for person in named {
            for address in person.addresses() {
                let new = self.parents.len();
                let folded = fold_keyword(address).into_owned();
                let found = *self.by_address.entry(folded).or_insert(new);
                if found == new {
                    self.parents.push(new);
                    self.known.push(Known {
                        id: address.to_owned(),
                        ..Known::default()
                    });
                }
                number = Some(match number {
                    Some(number) => self.unite(number, found),
                    None => self.root(found),
                });
            }
        }
        let name = named.iter().rev().find_map(|person| person.name);
        if let (Some(number), Some(name)) = (number, name.filter(|name| !name.is_empty())) {
            let known = &mut self.known[number];
            if known.named_us.is_none_or(|before| before <= time_us) {
                name.clone_into(&mut known.name);
                known.named_us = Some(time_us);
            }
        }
        number
    }

    fn root(&mut self, mut number: usize) -> usize {
        while self.parents[number] != number {
            self.parents[number] = self.parents[self.parents[number]];
            number = self.parents[number];
        }
        number
    }

    /// The one that was known first stays.
    fn unite(&mut self, one: usize, other: usize) -> usize {
        let (one, other) = (self.root(one), self.root(other));
        let (stays, goes) = (one.min(other), one.max(other));
        if stays != goes {
            self.parents[goes] = stays;
            let gone = std::mem::take(&mut self.known[goes]);
            if gone.named_us > self.known[stays].named_us {
                self.known[stays].name = gone.name;
                self.known[stays].named_us = gone.named_us;
            }
        }
        stays
    }
}

/// A snapshot of a room: when, and who was listed.
pub(super) type Listed = (At, Vec<usize>);

/// What the events say about who was in a room, person by person.
#[derive(Debug, Default)]
pub(super) struct Stays {
    /// Memberships that began or ended.
    pub(super) changes: Vec<(usize, Changed)>,
    pub(super) snapshots: Vec<Listed>,
    /// By session; without an id, by nothing.
    pub(super) sessions: BTreeMap<String, Vec<(usize, Changed)>>,
}

impl Stays {
    /// When each of them could see the room; nobody with none.
    pub(super) fn spans(self, persons: &mut Persons) -> BTreeMap<usize, Vec<SpanUs>> {
        let mut members: BTreeMap<usize, Vec<Changed>> = BTreeMap::new();
        let mut snapshots = self.snapshots;
        snapshots.sort_by_key(|(at, _)| *at);
        for (at, listed) in &mut snapshots {
            for number in listed.iter_mut() {
                *number = persons.root(*number);
                let present = (at.0, at.1, Change::Present);
                members.entry(*number).or_default().push(present);
            }
            listed.sort_unstable();
        }
        for (number, change) in self.changes {
            members
                .entry(persons.root(number))
                .or_default()
                .push(change);
        }
        let mut found: BTreeMap<usize, Vec<SpanUs>> = BTreeMap::new();
        for (number, mut changes) in members {
            changes.sort_unstable();
            let absences = absences(number, &changes, &snapshots);
            changes.extend(absences);
            found.entry(number).or_default().extend(spans(changes));
        }
        for (session, changes) in self.sessions {
            let mut of_each: BTreeMap<usize, Vec<Changed>> = BTreeMap::new();
            for (number, change) in changes {
                of_each
                    .entry(persons.root(number))
                    .or_default()
                    .push(change);
            }
            for (number, changes) in of_each {
                let changes = if session.is_empty() {
                    of_any(changes)
                } else {
                    changes
                };
                found.entry(number).or_default().extend(spans(changes));
            }
        }
        found.retain(|_, spans| {
            *spans = merged(std::mem::take(spans));
            !spans.is_empty()
        });
        found
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
        self.persons.number(&[person], time_us);
    }

    /// Takes note of an event of `PEOPLE` or `SESSIONS`, in any order.
    pub(crate) fn note(&mut self, event: &Event<'_>) {
        let time_us = event.time_us;
        let extra = event
            .extra
            .as_deref()
            .and_then(|extra| Json::parse(extra).ok());
        let data = extra.as_ref().and_then(|extra| extra.get("data"));
        let of = |name| data.and_then(|data| data.get(name)).map(Person::of_json);
        self.persons.number(
            &["user", "before", "after"]
                .into_iter()
                .filter_map(of)
                .collect::<Vec<_>>(),
            time_us,
        );
        let Some(room_id) = event.room.id.as_deref() else {
            return;
        };
        let at = (time_us, event.room_seq.unwrap_or(i64::MAX));
        let room = self
            .rooms
            .entry(fold_keyword(room_id).into_owned())
            .or_default();
        room.learn(room_id, event);
        let change = match event.event_type.as_ref() {
            event_type::ROOM_MEMBER_ADDED | event_type::ROOM_JOINED => Change::Added,
            event_type::ROOM_MEMBER_REMOVED | event_type::ROOM_LEFT => Change::Removed,
            event_type::ROOM_SNAPSHOT => {
                // A snapshot without a list says nothing about anybody.
                if let Some(Json::Array(members)) = data.and_then(|data| data.get("members")) {
                    let listed = members.iter().filter_map(|member| {
                        self.persons.number(&[Person::of_json(member)], time_us)
                    });
                    room.stays.snapshots.push((at, listed.collect()));
                }
                return;
            }
            _ => return,
        };
        let session = data
            .and_then(|data| data.get("session"))
            .and_then(Json::as_str);
        let (who, changes) = match event.event_type.as_ref() {
            event_type::ROOM_MEMBER_ADDED | event_type::ROOM_MEMBER_REMOVED => {
                (of("member"), &mut room.stays.changes)
            }
            _ => {
                let session = session.unwrap_or_default().to_owned();
                (
                    Some(Person::actor(event)),
                    room.stays.sessions.entry(session).or_default(),
                )
            }
        };
        let number = who.and_then(|who| self.persons.number(&[who], time_us));
        changes.extend(number.map(|number| (number, (at.0, at.1, change))));
    }

    /// Who was in which room when.
    pub(crate) fn rosters(mut self) -> Rosters {
        let mut rooms = BTreeMap::new();
        for (room, mut events) in std::mem::take(&mut self.rooms) {
            let roster = std::mem::take(&mut events.roster);
            let members: Vec<Member> = events
                .stays
                .spans(&mut self.persons)
                .into_iter()
                .map(|(number, spans)| Member {
                    person: PersonNumber(number),
                    id: self.persons.known[number].id.clone(),
                    name: self.persons.known[number].name.clone(),
                    spans,
                })
                .collect();
            if !members.is_empty() {
                rooms.insert(room, Roster { members, ..roster });
            }
        }
        let addresses = std::mem::take(&mut self.persons.by_address);
        let persons = addresses
            .into_iter()
            .map(|(address, number)| (address, PersonNumber(self.persons.root(number))))
            .collect();
        Rosters { rooms, persons }
    }
}

/// The snapshots that do not list somebody, as far as they tell anything: of those between two changes the first, which
/// ends a membership, and the last, since which they may have come back.
fn absences(number: usize, changes: &[Changed], snapshots: &[Listed]) -> Vec<Changed> {
    let mut absences = Vec::new();
    let first_at = |at: At| snapshots.partition_point(|(other, _)| *other < at);
    let mut from = 0;
    let ends = changes.iter().map(|(time, seq, _)| first_at((*time, *seq)));
    for to in ends.chain([snapshots.len()]) {
        let between = &snapshots[from.min(to)..to];
        let mut missing = between
            .iter()
            .filter(|(_, listed)| listed.binary_search(&number).is_err())
            .map(|(at, _)| (at.0, at.1, Change::Absent));
        let first = missing.next();
        absences.extend(first);
        absences.extend(missing.next_back());
        from = to;
    }
    absences
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_query::ast::Test;
    use proptest::prelude::*;

    use crate::participants::{History, Meant};

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
        /// A roster says of each person what `participants` says of them, since holds are placed by the one and judged by
        /// the other.
        #[test]
        fn rosters_and_participants_agree(drafts in prop::collection::vec((0..12_i64, 0..7_usize, 0..8_usize), 0..24)) {
            let events: Vec<_> = drafts.into_iter().map(drawn).collect();
            let found = rosters(&events);
            for person in PERSONS {
                let test = Test::Equals(person.to_owned());
                let mut meant = Meant::new(test).unwrap();
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
                prop_assert_eq!(alone, history.rooms(&mut meant), "{}", person);
            }
        }
    }
}
