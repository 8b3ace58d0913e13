//! What explains an event: its room, its category, who caused it, its node and its origin, as domains. The same texts come
//! again and again: each is folded and hashed once.

use std::collections::BTreeSet;

use holdfast_schemas::Event;
use rustc_hash::FxHashMap;

use crate::family::{Subject, domain};

/// Kinds of domains.
const KINDS: usize = 5;
/// Texts of a kind that are known at a time.
const KNOWN_MAX: usize = 10_000;
/// Makes a domain out of a text, by kind.
const MAKE: [fn(&str) -> u64; KINDS] = [
    domain::room,
    domain::category,
    domain::actor,
    domain::source,
    domain::origin,
];
/// State records that are about a domain of a kind.
const TOLD_BY: [&[Subject]; KINDS] = [
    &[
        Subject::Room,
        Subject::Member,
        Subject::Session,
        Subject::Snapshot,
        Subject::Viewed,
    ],
    &[Subject::Category],
    &[Subject::User],
    &[Subject::Node],
    &[Subject::Origin],
];

/// Makes the domains of events.
#[derive(Debug)]
pub(super) struct Domains {
    wanted: [bool; KINDS],
    known: [FxHashMap<String, u64>; KINDS],
}

impl Domains {
    /// Of every kind.
    pub(super) fn all() -> Self {
        Self {
            wanted: [true; KINDS],
            known: Default::default(),
        }
    }

    /// Of those kinds of which there are state records.
    pub(super) fn told_by(subjects: &BTreeSet<Subject>) -> Self {
        let any = |told: &[Subject]| told.iter().any(|subject| subjects.contains(subject));
        Self {
            wanted: TOLD_BY.map(any),
            known: Default::default(),
        }
    }

    /// An event's.
    pub(super) fn of(&mut self, event: &Event<'_>) -> impl Iterator<Item = u64> + use<> {
        let texts = [
            event.room.id.as_deref(),
            event.room.category.as_deref(),
            event.actor.id.as_deref(),
            Some(&*event.source),
            Some(&*event.origin),
        ];
        let mut found = [None; KINDS];
        for (kind, text) in texts.into_iter().enumerate() {
            if self.wanted[kind] {
                found[kind] = text.map(|text| self.domain(kind, text));
            }
        }
        found.into_iter().flatten()
    }

    fn domain(&mut self, kind: usize, text: &str) -> u64 {
        let known = &mut self.known[kind];
        if let Some(domain) = known.get(text) {
            return *domain;
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        let domain = MAKE[kind](text);
        known.insert(text.to_owned(), domain);
        domain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_schemas::Room;

    #[test]
    fn domains_are_those_of_the_kinds_that_are_told_of_however_often_they_are_asked_for() {
        let mut all = Domains::all();
        let told: BTreeSet<Subject> = [Subject::Session, Subject::Node].into();
        let mut some = Domains::told_by(&told);
        for n in (0..KNOWN_MAX + 2).chain(0..2) {
            let event = Event {
                room: Room {
                    id: Some(format!("R-{n}").into()),
                    ..Room::default()
                },
                source: "/node".into(),
                origin: "main.1".into(),
                ..Event::default()
            };
            let room = domain::room(&format!("r-{n}"));
            let (source, origin) = (domain::source("/node"), domain::origin("main.1"));
            assert!(all.of(&event).eq([room, source, origin]));
            assert!(some.of(&event).eq([room, source]));
        }
    }
}
