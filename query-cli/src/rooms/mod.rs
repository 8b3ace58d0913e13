//! Rooms, and who was in them when: what the archived events show of a person in a room, and what membership events say.

pub mod print;
pub mod tally;

use std::collections::{BTreeMap, HashSet};

use holdfast_indexer::participants::{PersonNumber, Rosters, SpanUs};
use holdfast_query::analyzer::fold_keyword;
use serde::Serialize;
use serde::ser::SerializeSeq;

use tally::{Counted, Sighted, Tally};

/// A room.
#[derive(Debug, Default, Serialize)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// Its newest name.
    pub name: String,
    /// Its newest category.
    pub category: String,
    /// Events in it.
    pub events: u64,
    /// Messages posted in it.
    pub messages: u64,
    /// Times of its first and last event, UTC microseconds; none when nothing happened.
    #[serde(flatten, serialize_with = "first_and_last")]
    pub seen: Option<SpanUs>,
    /// Who was in it.
    pub people: Vec<Person>,
}

/// Somebody who was in a room.
#[derive(Debug, Default, Serialize)]
pub struct Person {
    /// The person's id.
    pub id: String,
    /// The newest name.
    pub name: String,
    /// When they could see the room, by membership and join events; `i64::MIN` and `i64::MAX` are open ends.
    #[serde(serialize_with = "spans")]
    pub in_room: Vec<SpanUs>,
    /// Events by or about them.
    pub events: u64,
    /// Times of the first and last of those.
    #[serde(flatten, serialize_with = "first_and_last")]
    pub seen: Option<SpanUs>,
}

fn text(us: i64) -> Option<String> {
    (us != i64::MIN && us != i64::MAX).then(|| holdfast_schemas::time::format_us(us))
}

#[derive(Serialize)]
struct Seen {
    first: Option<String>,
    last: Option<String>,
}

#[derive(Serialize)]
struct Stay {
    from: Option<String>,
    to: Option<String>,
}

#[allow(clippy::ref_option)]
fn first_and_last<S: serde::Serializer>(
    seen: &Option<SpanUs>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (first, last) = seen.map_or((None, None), |(first, last)| (text(first), text(last)));
    Seen { first, last }.serialize(serializer)
}

fn spans<S: serde::Serializer>(spans: &[SpanUs], serializer: S) -> Result<S::Ok, S::Error> {
    let mut list = serializer.serialize_seq(Some(spans.len()))?;
    for (from, to) in spans {
        let (from, to) = (text(*from), text(*to));
        list.serialize_element(&Stay { from, to })?;
    }
    list.end()
}

fn wider(seen: Option<SpanUs>, more: SpanUs) -> Option<SpanUs> {
    Some(seen.map_or(more, |(first, last)| (first.min(more.0), last.max(more.1))))
}

fn keep_name(name: &mut String, new: &str) {
    if !new.is_empty() {
        new.clone_into(name);
    }
}

/// Who, as the rosters number people; those they do not know by their address.
type Who = Result<PersonNumber, String>;

/// A room while its people are gathered.
#[derive(Default)]
struct Gathered {
    room: Room,
    people: BTreeMap<Who, Person>,
}

impl Gathered {
    fn count(&mut self, id: &str, counted: &Counted) {
        let room = &mut self.room;
        id.clone_into(&mut room.id);
        keep_name(&mut room.name, &counted.name);
        keep_name(&mut room.category, &counted.category);
        room.events += counted.events;
        room.messages += counted.messages;
        room.seen = wider(room.seen, counted.seen);
    }

    fn sight(&mut self, who: Who, address: &str, sighted: &Sighted) {
        let person = self.people.entry(who).or_default();
        if person.id.is_empty() {
            address.clone_into(&mut person.id);
        }
        keep_name(&mut person.name, &sighted.name);
        person.events += sighted.events;
        person.seen = wider(person.seen, sighted.seen);
    }
}

/// The rooms by name, of a span of time (both ends included): those with events in it, and those that somebody was in. With
/// custodians, those they were in or seen in, with nobody else.
#[must_use]
pub fn rooms(
    tally: &Tally,
    rosters: &Rosters,
    custodians: Option<&HashSet<PersonNumber>>,
    (from_us, to_us): SpanUs,
) -> Vec<Room> {
    let is_meant = |person| custodians.is_none_or(|custodians| custodians.contains(&person));
    let mut gathered: BTreeMap<String, Gathered> = BTreeMap::new();
    for (id, counted) in &tally.rooms {
        let room = gathered.entry(fold_keyword(id).into_owned()).or_default();
        room.count(id, counted);
        for (address, sighted) in &counted.people {
            let who = rosters.person(address).ok_or_else(|| address.clone());
            if custodians.is_none() || who.as_ref().is_ok_and(|who| is_meant(*who)) {
                room.sight(who, address, sighted);
            }
        }
    }
    for (folded, roster) in &rosters.rooms {
        for member in roster
            .members
            .iter()
            .filter(|member| is_meant(member.person))
        {
            let stays = member
                .spans
                .iter()
                .filter(|(from, to)| *from <= to_us && *to >= from_us);
            let stays: Vec<SpanUs> = stays.copied().collect();
            if stays.is_empty() {
                continue;
            }
            let room = gathered.entry(folded.clone()).or_default();
            for (known, given) in [
                (&mut room.room.id, &roster.id),
                (&mut room.room.name, &roster.name),
                (&mut room.room.category, &roster.category),
            ] {
                if known.is_empty() {
                    given.clone_into(known);
                }
            }
            let person = room.people.entry(Ok(member.person)).or_default();
            keep_name(&mut person.id, &member.id);
            if person.name.is_empty() {
                member.name.clone_into(&mut person.name);
            }
            person.in_room = stays;
        }
    }
    let mut rooms: Vec<Room> = gathered
        .into_values()
        .filter(|room| custodians.is_none() || !room.people.is_empty())
        .map(|gathered| {
            let mut people: Vec<Person> = gathered.people.into_values().collect();
            people.sort_by(|a, b| a.id.cmp(&b.id));
            Room {
                people,
                ..gathered.room
            }
        })
        .collect();
    rooms.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
    rooms
}
