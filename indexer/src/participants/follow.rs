//! Following one person through events, without a query and without an index: what a hold is expanded by.

use std::collections::{BTreeMap, BTreeSet};

use holdfast_query::ast::{Expr, Test};
use holdfast_query::plan::LowerError;
use holdfast_schemas::Event;

use super::{History, Meant, PEOPLE, Person, SESSIONS, SpanUs, from};

/// One person, known by ids, URIs and addresses, and the rooms they could see.
#[derive(Debug)]
pub struct Follower {
    meant: Meant,
    history: History,
}

impl Follower {
    /// Event types that tell who belonged where, or who somebody is.
    #[must_use]
    pub fn types() -> Vec<&'static str> {
        PEOPLE.iter().chain(&SESSIONS).copied().collect()
    }

    /// Somebody known by these: others are learned from the events. Each is a person of their own until an event says that two are one.
    ///
    /// # Errors
    /// One of them cannot be asked for.
    pub fn new(known_as: &[String]) -> Result<Self, LowerError> {
        let any = known_as.iter().map(|one| from(&Test::Equals(one.clone())));
        let mut meant = Meant::new(&Expr::or(any.collect()))?;
        for address in known_as {
            meant.learn(Person {
                id: Some(address),
                ..Person::default()
            });
        }
        Ok(Self {
            meant,
            history: History::default(),
        })
    }

    /// Learns other ids of theirs from an event of [`Follower::types`], in any order. What it teaches may be in events
    /// that were read before: until [`Follower::known`] stops growing, all have to be read again.
    pub fn learn(&mut self, event: &Event<'_>) {
        self.meant.learn_from(event);
    }

    /// Folded ids, URIs and addresses, those learned included.
    #[must_use]
    pub fn known(&self) -> &BTreeSet<String> {
        self.meant.known()
    }

    /// Takes note of where they were, from an event of [`Follower::types`], in any order.
    pub fn note(&mut self, event: &Event<'_>) {
        self.history.note(event, &mut self.meant);
    }

    /// Whether an event is theirs.
    #[must_use]
    pub fn is_author(&mut self, event: &Event<'_>) -> bool {
        self.meant.means(Person::actor(event))
    }

    /// By folded room id: when they could see it. Spans ascend and do not touch.
    #[must_use]
    pub fn rooms(mut self) -> BTreeMap<String, Vec<SpanUs>> {
        self.history.rooms(&mut self.meant)
    }
}
