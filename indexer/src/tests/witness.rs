//! What `participants` means, by the words of the query language: told for one event at a time, by trying everything, with
//! nothing of what the search does.
//!
//! An event is meant if `from` finds it, or if somebody whom `from` would find was in its room at its time. Persons are told
//! apart by their ids, URIs and addresses; an event that names somebody by several of these says that they belong together.
//! Who has several ids is in a room by any of them: a record that gives one says nothing of the others.
//! Between two records of somebody in a room, both moments included, they were in it if the earlier one puts them there, or
//! if the later one says that they were there until then: what is left open is read as membership.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_schemas::{Actor, Event};
use serde_json::Value;

use super::membership::SESSIONS;

/// What a record says of somebody in a room. Of one moment, and one place in the room, the first of these is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Says {
    Comes,
    Goes,
    Listed,
    Unlisted,
}

/// Time, the room's sequence, and what.
type Record = (i64, i64, Says);

/// The ids, URIs and addresses of one person, in lower case; the name of somebody who has none.
type Known = BTreeSet<String>;

/// Everybody who is meant, and where they were.
pub(super) struct Witness {
    /// By room: the records of a membership or session, and whether ends of it are counted since it has no id.
    stays: BTreeMap<String, Vec<(Vec<Record>, bool)>>,
}

/// Somebody named in an event's data.
fn somebody(value: &Value) -> Actor<'_> {
    let text = |name: &str| value.get(name).and_then(Value::as_str).map(Into::into);
    Actor {
        id: value.as_str().map(Into::into).or_else(|| text("id")),
        uri: text("uri"),
        name: text("name"),
        email: text("email"),
        ..Actor::default()
    }
}

fn addresses(person: &Actor<'_>) -> Known {
    let all = [&person.id, &person.uri, &person.email];
    let given = all.into_iter().flatten().filter(|text| !text.is_empty());
    given.map(|text| text.to_lowercase()).collect()
}

/// What somebody is known by.
fn known(person: &Actor<'_>) -> Known {
    let known = addresses(person);
    match &person.name {
        Some(name) if known.is_empty() => [format!("named {}", name.to_lowercase())].into(),
        _ => known,
    }
}

fn data(event: &Event<'_>) -> Value {
    let extra = event.extra.as_deref().unwrap_or("{}");
    serde_json::from_str::<Value>(extra).unwrap()["data"].take()
}

fn is_of_members(event: &Event<'_>) -> bool {
    [
        "chat.room.member_added",
        "chat.room.member_removed",
        "chat.room.snapshot",
    ]
    .contains(&event.event_type.as_ref())
}

fn is_session(event: &Event<'_>) -> bool {
    ["chat.room.joined", "chat.room.left"].contains(&event.event_type.as_ref())
}

/// The persons an event speaks of when it tells who is where, or who is who: each with everything that it calls them.
fn named<'v>(event: &'v Event<'_>, data: &'v Value) -> Vec<Vec<Actor<'v>>> {
    let one = |names: &[&str]| {
        let values = names.iter().filter_map(|name| data.get(name));
        vec![values.map(somebody).collect::<Vec<_>>()]
    };
    match event.event_type.as_ref() {
        "chat.room.member_added" | "chat.room.member_removed" => one(&["member"]),
        "chat.room.snapshot" => {
            let members = data["members"].as_array().into_iter().flatten();
            members.map(|member| vec![somebody(member)]).collect()
        }
        "chat.user.updated" => one(&["user", "before", "after"]),
        "chat.room.joined" | "chat.room.left" => vec![vec![event.actor.clone()]],
        _ => Vec::new(),
    }
}

/// Sets that share something are one.
fn united(sets: Vec<Known>) -> Vec<Known> {
    let mut apart: Vec<Known> = Vec::new();
    for mut set in sets.into_iter().filter(|set| !set.is_empty()) {
        let (same, others) = apart
            .into_iter()
            .partition(|other: &Known| !other.is_disjoint(&set));
        apart = others;
        same.into_iter().for_each(|other| set.extend(other));
        apart.push(set);
    }
    apart
}

/// Everybody who is meant: whom `called` finds, and whoever shares an address with them in some event.
fn persons(events: &[Event<'_>], called: &mut dyn FnMut(&Actor<'_>) -> bool) -> Vec<Known> {
    let all: Vec<Value> = events.iter().map(data).collect();
    let actors = || events.iter().map(|event| &event.actor);
    let mut found: Vec<Known> = actors().filter(|a| called(a)).map(addresses).collect();
    let mut meant: Known = found.iter().flatten().cloned().collect();
    loop {
        let before = meant.len();
        for group in events.iter().zip(&all).flat_map(|(e, data)| named(e, data)) {
            let is_meant = |one: &Actor<'_>| called(one) || !addresses(one).is_disjoint(&meant);
            if group.iter().map(is_meant).fold(false, |any, is| any | is) {
                meant.extend(group.iter().flat_map(addresses));
                match group.iter().flat_map(addresses).collect::<Known>() {
                    // A name alone makes nobody somebody else.
                    none if none.is_empty() => {
                        found.extend(group.iter().filter(|one| called(one)).map(known));
                    }
                    all => found.push(all),
                }
            }
        }
        if meant.len() == before {
            break;
        }
    }
    united(found)
}

impl Witness {
    /// Listens to all events of an archive; `called` tells whether `from` would find what somebody said.
    pub(super) fn of(events: &[Event<'_>], mut called: impl FnMut(&Actor<'_>) -> bool) -> Self {
        let mut stays: BTreeMap<String, Vec<(Vec<Record>, bool)>> = BTreeMap::new();
        for person in persons(events, &mut called) {
            let rooms: BTreeSet<String> = events.iter().filter_map(room_id).collect();
            for room in rooms {
                let inside = events.iter().filter(|e| room_id(e).as_ref() == Some(&room));
                let inside: Vec<&Event<'_>> = inside.collect();
                let theirs = stays.entry(room).or_default();
                let of_members = inside.iter().copied().filter(|e| is_of_members(e));
                let of_members: Vec<&Event<'_>> = of_members.collect();
                for one in accounts(&of_members, &person) {
                    theirs.push((memberships(&of_members, &one), false));
                }
                for session in SESSIONS {
                    let of_session = inside.iter().copied().filter(|e| is_of(e, session));
                    let of_session: Vec<&Event<'_>> = of_session.collect();
                    let mut ones = accounts(&of_session, &person);
                    // Without a session's id it is not known whose of them is left.
                    ones.extend(session.is_empty().then_some(Account::any(&person)));
                    for one in ones {
                        theirs.push((sessions(&of_session, &one), session.is_empty()));
                    }
                }
            }
        }
        Self { stays }
    }

    /// Whether one of them was in the event's room at its time. A room goes by its id and by its name, as in `room:x`.
    pub(super) fn saw(&self, event: &Event<'_>) -> bool {
        let of_name = event.room.name.as_ref().map(|name| name.to_lowercase());
        let rooms = room_id(event).into_iter().chain(of_name);
        let mut stays = rooms.filter_map(|room| self.stays.get(&room)).flatten();
        stays.any(|(records, counted)| was_in(records, *counted, event.time_us))
    }
}

fn room_id(event: &Event<'_>) -> Option<String> {
    event.room.id.as_ref().map(|id| id.to_lowercase())
}

fn record(event: &Event<'_>, says: Says) -> Record {
    (event.time_us, event.room_seq.unwrap_or(i64::MAX), says)
}

fn sorted(records: impl Iterator<Item = Record>) -> Vec<Record> {
    let mut records: Vec<Record> = records.collect();
    records.sort_unstable();
    records
}

/// Somebody under one of their ids, or under any.
struct Account<'p> {
    person: &'p Known,
    id: Option<String>,
}

impl<'p> Account<'p> {
    fn any(person: &'p Known) -> Self {
        Self { person, id: None }
    }

    fn is(&self, somebody: &Actor<'_>) -> bool {
        let same = |id: String| self.id.as_ref().is_none_or(|own| *own == id);
        !known(somebody).is_disjoint(self.person) && id(somebody).is_none_or(same)
    }
}

fn id(somebody: &Actor<'_>) -> Option<String> {
    let given = somebody.id.as_ref().filter(|id| !id.is_empty());
    given.map(|id| id.to_lowercase())
}

/// Everybody that one person is in these events.
fn accounts<'p>(events: &[&Event<'_>], person: &'p Known) -> Vec<Account<'p>> {
    let mut ids = BTreeSet::new();
    for event in events {
        let data = data(event);
        let theirs = named(event, &data).into_iter().flatten();
        let theirs = theirs.filter(|one| !known(one).is_disjoint(person));
        ids.extend(theirs.filter_map(|one| id(&one)));
    }
    if ids.is_empty() {
        return vec![Account::any(person)];
    }
    let of = |id| Account {
        person,
        id: Some(id),
    };
    ids.into_iter().map(of).collect()
}

/// What a room's events say of somebody's membership.
fn memberships(events: &[&Event<'_>], one: &Account<'_>) -> Vec<Record> {
    let said = events.iter().filter_map(|event| {
        let data = data(event);
        let is_one = |value: &Value| one.is(&somebody(value));
        let says = match event.event_type.as_ref() {
            "chat.room.member_added" if is_one(&data["member"]) => Says::Comes,
            "chat.room.member_removed" if is_one(&data["member"]) => Says::Goes,
            "chat.room.snapshot" => match data["members"].as_array()?.iter().any(is_one) {
                true => Says::Listed,
                false => Says::Unlisted,
            },
            _ => return None,
        };
        Some(record(event, says))
    });
    sorted(said)
}

/// What the events of a session say of somebody.
fn sessions(events: &[&Event<'_>], one: &Account<'_>) -> Vec<Record> {
    let said = events.iter().filter(|event| one.is(&event.actor));
    sorted(said.map(|event| {
        let comes = event.event_type == "chat.room.joined";
        record(event, if comes { Says::Comes } else { Says::Goes })
    }))
}

/// Whether an event tells of a session.
fn is_of(event: &Event<'_>, session: &str) -> bool {
    is_session(event) && data(event)["session"].as_str().unwrap_or_default() == session
}

/// Whether somebody was there at a time. Who comes twice without saying where goes twice.
fn was_in(records: &[Record], counted: bool, time_us: i64) -> bool {
    let mut times_in = 0_u32;
    for at in 0..=records.len() {
        let (left, right) = (at.checked_sub(1).map(|at| records[at]), records.get(at));
        times_in = match left.map(|(_, _, says)| says) {
            Some(Says::Comes | Says::Listed) if counted => times_in + 1,
            Some(Says::Comes | Says::Listed) => 1,
            Some(Says::Goes) if counted => times_in.saturating_sub(1),
            Some(Says::Goes | Says::Unlisted) | None => 0,
        };
        let begun = left.is_none_or(|(from_us, ..)| from_us <= time_us);
        let lasts = right.is_none_or(|(to_us, ..)| time_us <= *to_us);
        let until = right.is_some_and(|(_, _, says)| matches!(says, Says::Goes | Says::Listed));
        if begun && lasts && (times_in > 0 || until) {
            return true;
        }
    }
    false
}
