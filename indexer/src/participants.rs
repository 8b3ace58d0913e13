//! Who could see what when: `participants:x` told from the membership and join events of a snapshot.
//!
//! Where the archive leaves something open, it is read as membership: a custodian's hold must not miss a room because an
//! event was never emitted. So somebody whose first record is leaving was there since ever; somebody in a room's
//! snapshot was there since the last moment at which the archive says they were not; and who never left still is.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_query::analyzer::{Analyzer, fold_keyword};
use holdfast_query::ast::{Expr, ParticipantsExpansion, Test, Text};
use holdfast_query::property::Property;
use holdfast_schemas::json::Json;
use holdfast_schemas::{Event, event_type};

/// A span of time, UTC microseconds, both ends included; `i64::MIN` and `i64::MAX` are open ends.
pub type SpanUs = (i64, i64);

/// What one `participants` test means in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Participation {
    /// What was asked.
    pub test: Test,
    /// By folded room id: when one of the persons meant could see the room. Spans ascend and do not touch.
    pub rooms: BTreeMap<String, Vec<SpanUs>>,
}

/// The expansion of every `participants` test of a query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Participations {
    /// One for each test.
    pub of: Vec<Participation>,
}

impl ParticipantsExpansion for Participations {
    /// `from:x`, or an event of a room while one of the persons was in it.
    fn expand(&self, test: &Test) -> Expr {
        let from = Expr::Property { property: Property::From, test: test.clone(), span: Default::default() };
        let mut any = vec![from];
        let rooms = self.of.iter().filter(|one| one.test == *test).flat_map(|one| &one.rooms);
        for (room, spans) in rooms {
            let open = |end: i64, none: i64| Some(end).filter(|end| *end != none);
            let times = spans
                .iter()
                .map(|(from, to)| Expr::between_us(Property::Date, open(*from, i64::MIN), open(*to, i64::MAX)))
                .collect();
            any.push(Expr::and(vec![Expr::equals(Property::Room, room.clone()), Expr::or(times)]));
        }
        Expr::or(any)
    }
}

/// A person as an event names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Person<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) uri: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
}

impl<'a> Person<'a> {
    /// The actor of an event.
    pub(crate) fn actor(event: &'a Event<'_>) -> Self {
        let actor = &event.actor;
        Self {
            id: actor.id.as_deref(),
            uri: actor.uri.as_deref(),
            name: actor.name.as_deref(),
            email: actor.email.as_deref(),
        }
    }

    /// `{"id": …, "uri": …}`, or the id itself.
    fn of_json(json: &'a Json<'_>) -> Self {
        let text = |name| json.get(name).and_then(Json::as_str);
        match json.as_str() {
            Some(id) => Self { id: Some(id), ..Self::default() },
            None => Self { id: text("id"), uri: text("uri"), name: text("name"), email: text("email") },
        }
    }

    fn addresses(&self) -> impl Iterator<Item = &'a str> {
        [self.id, self.uri, self.email].into_iter().flatten()
    }
}

/// Who is meant by a test, and under which ids, URIs and addresses the events know them.
#[derive(Debug)]
pub(crate) struct Meant {
    test: Test,
    /// Folded.
    known: BTreeSet<String>,
}

impl Meant {
    pub(crate) fn new(test: Test) -> Self {
        Self { test, known: BTreeSet::new() }
    }

    pub(crate) fn test(&self) -> &Test {
        &self.test
    }

    /// Folded ids, URIs and addresses met so far.
    pub(crate) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// Learns every id of a person that the test means.
    pub(crate) fn learn(&mut self, person: Person<'_>) {
        if self.means(person) {
            self.known.extend(person.addresses().map(|text| fold_keyword(text).into_owned()));
        }
    }

    /// Learns from the persons that a user or membership event speaks of.
    pub(crate) fn learn_from(&mut self, event: &Event<'_>) {
        let Some(extra) = event.extra.as_deref().and_then(|extra| Json::parse(extra).ok()) else { return };
        let Some(data) = extra.get("data") else { return };
        for name in ["member", "user"] {
            if let Some(person) = data.get(name) {
                self.learn(Person::of_json(person));
            }
        }
    }

    fn means(&self, person: Person<'_>) -> bool {
        let whole = person.addresses().chain(person.name).any(|text| self.whole(text));
        whole || person.addresses().any(|text| self.known.contains(fold_keyword(text).as_ref())) || self.by_name(person)
    }

    fn whole(&self, text: &str) -> bool {
        let folded = fold_keyword(text);
        match &self.test {
            Test::Value { value, prefix: true } => folded.starts_with(fold_keyword(value).as_ref()),
            Test::Value { value, prefix: false } | Test::Equals(value) => folded == fold_keyword(value),
            Test::Text(Text::Word(value) | Text::Phrase { text: value, .. }) => folded == fold_keyword(value),
            Test::Time { .. } | Test::TimeBetween { .. } | Test::Size { .. } | Test::SizeBetween { .. } | Test::Flag(_) => false,
        }
    }

    /// As `from` finds a name: by its terms, one after another.
    fn by_name(&self, person: Person<'_>) -> bool {
        let (Some(name), Test::Value { value, prefix }) = (person.name, &self.test) else { return false };
        let (name, value) = (terms(name), terms(value));
        !value.is_empty()
            && name.windows(value.len()).any(|window| {
                let last = value.len() - 1;
                window[..last] == value[..last]
                    && if *prefix { window[last].starts_with(&value[last]) } else { window[last] == value[last] }
            })
    }
}

fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    Analyzer::new().terms(text, |term| terms.push(term.text.to_owned()));
    terms
}

/// Types that say who belongs to a room, or who a person is.
pub(crate) const PEOPLE: [&str; 7] = [
    event_type::ROOM_MEMBER_ADDED,
    event_type::ROOM_MEMBER_REMOVED,
    event_type::ROOM_SNAPSHOT,
    event_type::USER_CREATED,
    event_type::USER_UPDATED,
    event_type::USER_DISABLED,
    event_type::USER_DELETED,
];

/// Types that say who is in a room at the moment.
pub(crate) const SESSIONS: [&str; 2] = [event_type::ROOM_JOINED, event_type::ROOM_LEFT];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// Became a member.
    Added,
    /// Stopped being one.
    Removed,
    /// Was one.
    Present,
    /// Was none.
    Absent,
}

/// What the events say about the persons of one test, room by room.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By folded room id: (time, the room's sequence, what).
    members: BTreeMap<String, Vec<(i64, i64, Change)>>,
    /// By folded room id and session.
    sessions: BTreeMap<(String, String), Vec<(i64, i64, Change)>>,
}

impl History {
    /// Takes note of an event of [`PEOPLE`] or [`SESSIONS`], in any order.
    pub(crate) fn note(&mut self, event: &Event<'_>, meant: &Meant) {
        let Some(room) = event.room.id.as_deref() else { return };
        let room = fold_keyword(room).into_owned();
        let at = (event.time_us, event.room_seq.unwrap_or(i64::MAX));
        let extra = event.extra.as_deref().and_then(|extra| Json::parse(extra).ok());
        let data = extra.as_ref().and_then(|extra| extra.get("data"));
        let member = |name| data.and_then(|data| data.get(name));
        match event.event_type.as_ref() {
            event_type::ROOM_MEMBER_ADDED | event_type::ROOM_MEMBER_REMOVED => {
                if member("member").is_some_and(|person| meant.means(Person::of_json(person))) {
                    let added = event.event_type == event_type::ROOM_MEMBER_ADDED;
                    let change = if added { Change::Added } else { Change::Removed };
                    self.members.entry(room).or_default().push((at.0, at.1, change));
                }
            }
            event_type::ROOM_SNAPSHOT => {
                let present = match member("members") {
                    Some(Json::Array(members)) => members.iter().any(|person| meant.means(Person::of_json(person))),
                    // A snapshot without a list says nothing about anybody.
                    _ => return,
                };
                let change = if present { Change::Present } else { Change::Absent };
                self.members.entry(room).or_default().push((at.0, at.1, change));
            }
            event_type::ROOM_JOINED | event_type::ROOM_LEFT if meant.means(Person::actor(event)) => {
                let session = member("session").and_then(Json::as_str).unwrap_or_default().to_owned();
                let joined = event.event_type == event_type::ROOM_JOINED;
                let change = if joined { Change::Added } else { Change::Removed };
                self.sessions.entry((room, session)).or_default().push((at.0, at.1, change));
            }
            _ => {}
        }
    }

    /// When they could see which room.
    pub(crate) fn rooms(self) -> BTreeMap<String, Vec<SpanUs>> {
        let mut rooms: BTreeMap<String, Vec<SpanUs>> = BTreeMap::new();
        let members = self.members.into_iter();
        let sessions = self.sessions.into_iter().map(|((room, _), changes)| (room, changes));
        for (room, changes) in members.chain(sessions) {
            rooms.entry(room).or_default().extend(spans(changes));
        }
        rooms.retain(|_, spans| {
            *spans = merged(std::mem::take(spans));
            !spans.is_empty()
        });
        rooms
    }
}

/// Spans of membership from its changes.
fn spans(mut changes: Vec<(i64, i64, Change)>) -> Vec<SpanUs> {
    changes.sort_unstable();
    let mut spans = Vec::new();
    // When it was last known that they were none; for ever before the first record.
    let mut out_us = i64::MIN;
    let mut since: Option<i64> = None;
    let mut unknown = true;
    for (time_us, _, change) in changes {
        match (change, since) {
            (Change::Added, None) => since = Some(time_us),
            (Change::Present, None) => since = Some(out_us),
            (Change::Added | Change::Present, Some(_)) => {}
            (Change::Removed | Change::Absent, Some(from)) => {
                spans.push((from, time_us));
                since = None;
            }
            (Change::Removed, None) if unknown => spans.push((i64::MIN, time_us)),
            // Removed, though last seen outside: they came in between, unrecorded.
            (Change::Removed, None) => spans.push((out_us, time_us)),
            (Change::Absent, None) => {}
        }
        unknown = false;
        if since.is_none() {
            out_us = time_us;
        }
    }
    spans.extend(since.map(|from| (from, i64::MAX)));
    spans
}

/// Spans that ascend and do not touch.
fn merged(mut spans: Vec<SpanUs>) -> Vec<SpanUs> {
    spans.sort_unstable();
    let mut merged: Vec<SpanUs> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    use Change::{Absent, Added, Present, Removed};

    fn at(changes: &[(i64, Change)]) -> Vec<SpanUs> {
        merged(spans(changes.iter().map(|(time, change)| (*time, 0, *change)).collect()))
    }

    #[test]
    fn spans_follow_the_records() {
        assert_eq!(at(&[(5, Added), (9, Removed)]), [(5, 9)]);
        assert_eq!(at(&[(5, Added)]), [(5, i64::MAX)]);
        assert_eq!(at(&[(9, Removed), (12, Added)]), [(i64::MIN, 9), (12, i64::MAX)]);
        assert_eq!(at(&[(3, Present)]), [(i64::MIN, i64::MAX)]);
        assert_eq!(at(&[(3, Absent), (7, Present), (9, Absent)]), [(3, 9)]);
        assert_eq!(at(&[(3, Absent)]), []);
        assert_eq!(at(&[(3, Added), (4, Present), (6, Absent), (8, Removed)]), [(3, 8)]);
    }

    fn event(event_type: &'static str, time_us: i64, extra: &'static str) -> Event<'static> {
        Event {
            event_type: event_type.into(),
            time_us,
            room: holdfast_schemas::Room { id: Some("R-1".into()), ..Default::default() },
            actor: holdfast_schemas::Actor {
                id: Some("u-7".into()),
                name: Some("Ana Pérez".into()),
                email: Some("ana@example.com".into()),
                ..Default::default()
            },
            extra: Some(extra.into()),
            ..Event::default()
        }
    }

    #[test]
    fn a_person_is_found_under_every_name_the_archive_knows() {
        let mut meant = Meant::new(Test::Value { value: "ANA@example.com".to_owned(), prefix: false });
        meant.learn(Person::actor(&event(event_type::MESSAGE_POSTED, 0, "{}")));
        let mut history = History::default();
        history.note(&event(event_type::ROOM_SNAPSHOT, 10, r#"{"data":{"members":[{"id":"u-8"}]}}"#), &meant);
        history.note(&event(event_type::ROOM_SNAPSHOT, 20, r#"{"data":{"members":[{"id":"u-7","role":"member"}]}}"#), &meant);
        history.note(&event(event_type::ROOM_MEMBER_REMOVED, 30, r#"{"data":{"member":"u-7"}}"#), &meant);
        history.note(&event(event_type::ROOM_JOINED, 40, r#"{"data":{"session":"s-1"}}"#), &meant);
        history.note(&event(event_type::ROOM_LEFT, 50, r#"{"data":{"session":"s-1"}}"#), &meant);
        assert_eq!(history.rooms(), BTreeMap::from([("r-1".to_owned(), vec![(10, 30), (40, 50)])]));
    }

    #[test]
    fn a_name_is_found_by_its_terms_as_from_does() {
        let ana = event(event_type::MESSAGE_POSTED, 0, "{}");
        let value = |value: &str, prefix| Meant::new(Test::Value { value: value.to_owned(), prefix });
        assert!(value("perez", false).means(Person::actor(&ana)));
        assert!(value("per", true).means(Person::actor(&ana)));
        assert!(!value("per", false).means(Person::actor(&ana)));
        assert!(!Meant::new(Test::Equals("perez".to_owned())).means(Person::actor(&ana)));
        assert!(Meant::new(Test::Equals("ana pérez".to_owned())).means(Person::actor(&ana)));
    }
}
