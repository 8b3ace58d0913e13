//! Memberships and sessions told from their events.

use std::collections::BTreeMap;

use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::Event;
use holdfast_schemas::json::Json;

use super::SpanUs;
use super::person::Meant;
use super::stays::{Stays, merged};

/// What the events say about the persons of one test, room by room. A test may mean several: who is removed ends no
/// membership but their own.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// By folded room id.
    rooms: BTreeMap<String, Stays>,
}

impl History {
    /// Takes note of an event of [`super::PEOPLE`] or [`super::SESSIONS`], in any order. `meant` is one and the same for all of them.
    pub(crate) fn note(&mut self, event: &Event<'_>, meant: &mut Meant) {
        let Some(room) = event.room.id.as_deref() else {
            return;
        };
        let extra = event
            .extra
            .as_deref()
            .and_then(|extra| Json::parse(extra).ok());
        let data = extra.as_ref().and_then(|extra| extra.get("data"));
        let stays = self
            .rooms
            .entry(fold_keyword(room).into_owned())
            .or_default();
        stays.note(event, data, |person| meant.named(person));
    }

    /// When one of those meant could see which room.
    pub(crate) fn rooms(self, meant: &mut Meant) -> BTreeMap<String, Vec<SpanUs>> {
        let roots = meant.roots();
        let rooms = self.rooms.into_iter().map(|(room, stays)| {
            let of_each = stays.spans(&roots).into_values();
            (room, merged(of_each.flatten().collect()))
        });
        rooms.filter(|(_, spans)| !spans.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_query::ast::Test;
    use holdfast_query::matcher::{MatchOptions, Matcher};
    use holdfast_schemas::event_type;

    use crate::participants::{Person, from};

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
        let mut meant = Meant::new(&from(&Test::Value {
            value: "ANA@example.com".to_owned(),
            prefix: false,
        }))
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
        let means = |test| Meant::new(&from(&test)).unwrap().means(Person::actor(&ana));
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
            let mut matcher = Matcher::new(&from(&test), MatchOptions::default()).unwrap();
            let added = format!(r#"{{"data":{{"member":{{"id":"x","name":"{name}"}}}}}}"#);
            let mut added_to = event(event_type::ROOM_MEMBER_ADDED, 5, "{}");
            added_to.extra = Some(added.into());
            let mut meant = Meant::new(&from(&test)).unwrap();
            meant.learn_from(&added_to);
            assert_eq!(
                !meant.known().is_empty(),
                matcher.matches(&row),
                "{value} {prefix} in {name}"
            );
            found += meant.known().len();
        }
        assert!(found > 100, "{found}");
    }

    #[test]
    fn ids_are_learned_from_snapshots_and_from_what_changed() {
        let mut meant = Meant::new(&from(&Test::Value {
            value: "山田".to_owned(),
            prefix: false,
        }))
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
