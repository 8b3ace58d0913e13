//! Memberships and sessions told from their events.

use std::collections::BTreeMap;

use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::json::Json;
use holdfast_schemas::{Event, event_type};

use super::SpanUs;
use super::person::{Meant, Person};
use super::roster::Stays;

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

/// What an event says of somebody in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Became a member.
    Added,
    /// Stopped being one.
    Removed,
    /// Was one.
    Present,
    /// Was none.
    Absent,
}

/// When (time and the room's sequence), and what.
pub(super) type Changed = (i64, i64, Change);

/// What the events say about the persons of one test, room by room. A test may mean several: who is removed ends no
/// membership but their own.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By folded room id.
    rooms: BTreeMap<String, Stays>,
}

impl History {
    /// Takes note of an event of [`PEOPLE`] or [`SESSIONS`], in any order.
    pub(crate) fn note(&mut self, event: &Event<'_>, meant: &mut Meant) {
        let Some(room) = event.room.id.as_deref() else {
            return;
        };
        let at = (event.time_us, event.room_seq.unwrap_or(i64::MAX));
        let extra = event
            .extra
            .as_deref()
            .and_then(|extra| Json::parse(extra).ok());
        let data = extra.as_ref().and_then(|extra| extra.get("data"));
        let member = |name| data.and_then(|data| data.get(name));
        let stays = self
            .rooms
            .entry(fold_keyword(room).into_owned())
            .or_default();
        let change = match event.event_type.as_ref() {
            event_type::ROOM_MEMBER_ADDED | event_type::ROOM_JOINED => Change::Added,
            event_type::ROOM_MEMBER_REMOVED | event_type::ROOM_LEFT => Change::Removed,
            event_type::ROOM_SNAPSHOT => {
                // A snapshot without a list says nothing about anybody.
                if let Some(Json::Array(members)) = member("members") {
                    let listed = members
                        .iter()
                        .filter_map(|person| meant.number(Person::of_json(person)));
                    stays.snapshots.push((at, listed.collect()));
                }
                return;
            }
            _ => return,
        };
        let (who, changes) = match event.event_type.as_ref() {
            event_type::ROOM_MEMBER_ADDED | event_type::ROOM_MEMBER_REMOVED => {
                (member("member").map(Person::of_json), &mut stays.changes)
            }
            _ => {
                let session = member("session").and_then(Json::as_str).unwrap_or_default();
                (
                    Some(Person::actor(event)),
                    stays.sessions.entry(session.to_owned()).or_default(),
                )
            }
        };
        let number = who.and_then(|who| meant.number(who));
        changes.extend(number.map(|number| (number, (at.0, at.1, change))));
    }

    /// When one of those meant could see which room.
    pub(crate) fn rooms(self, meant: &mut Meant) -> BTreeMap<String, Vec<SpanUs>> {
        let rooms = self.rooms.into_iter().map(|(room, stays)| {
            let of_each = stays.spans(meant.persons());
            (room, merged(of_each.into_values().flatten().collect()))
        });
        rooms.filter(|(_, spans)| !spans.is_empty()).collect()
    }
}

/// Of sessions whose events do not say which one they speak of, the changes of being there at all: the first to join, and
/// the last to leave. Who leaves more often than they joined was there before the first record.
pub(super) fn of_any(mut changes: Vec<Changed>) -> Vec<Changed> {
    changes.sort_unstable();
    let mut depth: u64 = 0;
    changes.retain(|(_, _, change)| match change {
        Change::Added => {
            depth += 1;
            depth == 1
        }
        Change::Removed => {
            depth = depth.saturating_sub(1);
            depth == 0
        }
        Change::Present | Change::Absent => true,
    });
    changes
}

/// Spans of membership from its changes.
pub(super) fn spans(mut changes: Vec<Changed>) -> Vec<SpanUs> {
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
pub(super) fn merged(mut spans: Vec<SpanUs>) -> Vec<SpanUs> {
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

    use holdfast_query::ast::Test;
    use holdfast_query::matcher::{MatchOptions, Matcher};

    use Change::{Absent, Added, Present, Removed};

    fn at(changes: &[(i64, Change)]) -> Vec<SpanUs> {
        merged(spans(
            changes
                .iter()
                .map(|(time, change)| (*time, 0, *change))
                .collect(),
        ))
    }

    #[test]
    fn spans_follow_the_records() {
        assert_eq!(at(&[(5, Added), (9, Removed)]), [(5, 9)]);
        assert_eq!(at(&[(5, Added)]), [(5, i64::MAX)]);
        assert_eq!(
            at(&[(9, Removed), (12, Added)]),
            [(i64::MIN, 9), (12, i64::MAX)]
        );
        assert_eq!(at(&[(3, Present)]), [(i64::MIN, i64::MAX)]);
        assert_eq!(at(&[(3, Absent), (7, Present), (9, Absent)]), [(3, 9)]);
        assert_eq!(at(&[(3, Absent)]), []);
        assert_eq!(
            at(&[(3, Added), (4, Present), (6, Absent), (8, Removed)]),
            [(3, 8)]
        );
    }

    #[test]
    fn sessions_without_an_id_end_with_the_last_of_them() {
        let of = |changes: &[(i64, Change)]| {
            let changes = changes.iter().map(|(time, change)| (*time, 0, *change));
            merged(spans(of_any(changes.collect())))
        };
        assert_eq!(
            of(&[(1, Added), (2, Added), (3, Removed), (9, Removed)]),
            [(1, 9)]
        );
        assert_eq!(
            of(&[(1, Added), (3, Removed), (5, Added), (9, Removed)]),
            [(1, 3), (5, 9)]
        );
        assert_eq!(of(&[(1, Added), (2, Added), (3, Removed)]), [(1, i64::MAX)]);
        assert_eq!(
            of(&[(3, Removed), (5, Added)]),
            [(i64::MIN, 3), (5, i64::MAX)]
        );
    }

    fn event(event_type: &'static str, time_us: i64, extra: &'static str) -> Event<'static> {
        Event {
            event_type: event_type.into(),
            time_us,
            room: holdfast_schemas::Room {
                id: Some("R-1".into()),
                ..Default::default()
            },
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
        let mut meant = Meant::new(Test::Value {
            value: "ANA@example.com".to_owned(),
            prefix: false,
        })
        .unwrap();
        meant.learn(Person::actor(&event(event_type::MESSAGE_POSTED, 0, "{}")));
        let mut history = History::default();
        history.note(
            &event(
                event_type::ROOM_SNAPSHOT,
                10,
                r#"{"data":{"members":[{"id":"u-8"}]}}"#,
            ),
            &mut meant,
        );
        history.note(
            &event(
                event_type::ROOM_SNAPSHOT,
                20,
                r#"{"data":{"members":[{"id":"u-7","role":"member"}]}}"#,
            ),
            &mut meant,
        );
        history.note(
            &event(
                event_type::ROOM_MEMBER_REMOVED,
                30,
                r#"{"data":{"member":"u-7"}}"#,
            ),
            &mut meant,
        );
        history.note(
            &event(event_type::ROOM_JOINED, 40, r#"{"data":{"session":"s-1"}}"#),
            &mut meant,
        );
        history.note(
            &event(event_type::ROOM_LEFT, 50, r#"{"data":{"session":"s-1"}}"#),
            &mut meant,
        );
        assert_eq!(
            history.rooms(&mut meant),
            BTreeMap::from([("r-1".to_owned(), vec![(10, 30), (40, 50)])])
        );
    }

    #[test]
    fn a_name_is_found_by_its_terms_as_from_does() {
        let ana = event(event_type::MESSAGE_POSTED, 0, "{}");
        let value = |value: &str, prefix| Test::Value {
            value: value.to_owned(),
            prefix,
        };
        let means = |test| Meant::new(test).unwrap().means(Person::actor(&ana));
        assert!(means(value("perez", false)));
        assert!(means(value("per", true)));
        assert!(!means(value("per", false)));
        assert!(!means(Test::Equals("perez".to_owned())));
        assert!(means(Test::Equals("ana pérez".to_owned())));
    }

    #[test]
    fn a_person_named_in_an_event_is_found_as_from_finds_its_author() {
        let parts = [
            "山田",
            "太郎",
            "山",
            "郎",
            "สมชาย",
            "ชาย",
            "Ana",
            "Пётр",
            "петр",
            "한국",
            "국",
        ];
        let mut cases = Vec::new();
        for (first, second) in parts.iter().flat_map(|a| parts.iter().map(move |b| (a, b))) {
            for value in parts {
                for (between, prefix) in [("", false), ("", true), (" ", false), (" ", true)] {
                    cases.push((format!("{first}{between}{second}"), value, prefix));
                }
            }
        }
        let mut found = 0;
        for (name, value, prefix) in cases {
            let test = Test::Value {
                value: value.to_owned(),
                prefix,
            };
            let mut posted = event(event_type::MESSAGE_POSTED, 0, "{}");
            posted.actor = holdfast_schemas::Actor {
                name: Some(name.clone().into()),
                ..Default::default()
            };
            let row = holdfast_schemas::Row {
                event: posted,
                intake: Default::default(),
            };
            let mut from =
                Matcher::new(&super::super::from(&test), MatchOptions::default()).unwrap();
            let added = format!(r#"{{"data":{{"member":{{"id":"x","name":"{name}"}}}}}}"#);
            let mut added_to = event(event_type::ROOM_MEMBER_ADDED, 5, "{}");
            added_to.extra = Some(added.into());
            let mut meant = Meant::new(test).unwrap();
            meant.learn_from(&added_to);
            assert_eq!(
                !meant.known().is_empty(),
                from.matches(&row),
                "{value} {prefix} in {name}"
            );
            found += meant.known().len();
        }
        assert!(found > 100, "{found}");
    }

    #[test]
    fn ids_are_learned_from_snapshots_and_from_what_changed() {
        let mut meant = Meant::new(Test::Value {
            value: "山田".to_owned(),
            prefix: false,
        })
        .unwrap();
        let renamed = event(
            event_type::USER_UPDATED,
            1,
            r#"{"data":{"user":{"id":"u-9"},"before":{"name":"石川花子","email":"h@example.com"},"after":{"name":"山田花子","email":""}}}"#,
        );
        let snapshot = event(
            event_type::ROOM_SNAPSHOT,
            2,
            r#"{"data":{"members":[{"id":"u-1","name":"Ben"},{"id":"u-2","uri":"sip:t","name":"山田太郎"}]}}"#,
        );
        let by_uri = event(
            event_type::USER_CREATED,
            0,
            r#"{"data":{"user":{"id":"u-3","uri":"SIP:T"}}}"#,
        );
        for event in [&by_uri, &renamed, &snapshot] {
            meant.learn_from(event);
        }
        let known = |meant: &Meant| meant.known().iter().cloned().collect::<Vec<_>>();
        assert_eq!(known(&meant), ["h@example.com", "sip:t", "u-2", "u-9"]);
        meant.learn_from(&by_uri);
        assert_eq!(
            known(&meant),
            ["h@example.com", "sip:t", "u-2", "u-3", "u-9"]
        );
    }
}
