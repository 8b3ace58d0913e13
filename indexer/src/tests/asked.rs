//! Random queries as trees: how somebody writes them, and what they mean.

use std::fmt;

use holdfast_query::{Matcher, lower};
use holdfast_schemas::{Actor, Event, Row};
use proptest::prelude::*;

use super::language::{leaf, participants};
use super::search::parsed;
use super::times::{When, Zone, when, zone};
use super::witness::Witness;

/// A query, written with no more parentheses than the language needs where none were drawn.
#[derive(Debug, Clone)]
pub(super) enum Asked {
    /// What the matcher is asked as it is.
    Leaf(String),
    /// `participants` under one of its names, and what is asked of it.
    Participants(String, String),
    Date(When),
    /// `-` instead of `NOT`.
    Not {
        dash: bool,
        of: Box<Asked>,
    },
    /// Each with whether `AND` is written before it.
    All(Vec<(bool, Asked)>),
    Any(Vec<Asked>),
    /// In parentheses, needed or not.
    Group(Box<Asked>),
}

/// A query and the zone of its dates.
#[derive(Debug, Clone)]
pub(super) struct Query {
    pub(super) asked: Asked,
    pub(super) zone: Zone,
}

pub(super) fn query() -> impl Strategy<Value = Query> {
    zone().prop_flat_map(|zone| asked(zone).prop_map(move |asked| Query { asked, zone }))
}

fn asked(zone: Zone) -> impl Strategy<Value = Asked> {
    let leaf = prop_oneof![
        10 => leaf().prop_map(Asked::Leaf),
        1 => participants().prop_map(|(name, test)| Asked::Participants(name, test)),
        1 => when(zone).prop_map(Asked::Date),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 2..4);
        let written = prop::collection::vec((any::<bool>(), inner.clone()), 2..4);
        let not = (any::<bool>(), inner.clone().prop_map(Box::new));
        prop_oneof![
            4 => written.prop_map(Asked::All),
            3 => several().prop_map(Asked::Any),
            2 => not.prop_map(|(dash, of)| Asked::Not { dash, of }),
            1 => inner.clone().prop_map(|of| Asked::Group(Box::new(of))),
        ]
    })
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Asked::Leaf(text) => f.write_str(text),
            Asked::Participants(name, test) => write!(f, "{name}{test}"),
            Asked::Date(when) => f.write_str(&when.text),
            Asked::Not { dash: true, of } => write!(f, "-{}", Operand(of)),
            Asked::Not { dash: false, of } => write!(f, "NOT {}", Operand(of)),
            Asked::All(of) => {
                for (at, (and, one)) in of.iter().enumerate() {
                    let before = match (at, and) {
                        (0, _) => "",
                        (_, true) => " AND ",
                        (_, false) => " ",
                    };
                    write!(f, "{before}{}", Operand(one))?;
                }
                Ok(())
            }
            Asked::Any(of) => {
                for (at, one) in of.iter().enumerate() {
                    f.write_str(if at == 0 { "" } else { " OR " })?;
                    // AND binds tighter.
                    match one {
                        Asked::All(_) => write!(f, "{one}")?,
                        _ => write!(f, "{}", Operand(one))?,
                    }
                }
                Ok(())
            }
            Asked::Group(of) => write!(f, "({of})"),
        }
    }
}

/// What stands beside an operator that binds tighter than AND does: in parentheses if it joins several.
struct Operand<'a>(&'a Asked);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Asked::All(_) | Asked::Any(_) => write!(f, "({})", self.0),
            other => write!(f, "{other}"),
        }
    }
}

/// A query that can be asked of events: leaf by leaf, each by the matcher of that leaf alone.
pub(super) enum Judge {
    Leaf(Matcher),
    /// What they said, and what they could see.
    Participants(Matcher, Witness),
    Date(When),
    Not(Box<Judge>),
    All(Vec<Judge>),
    Any(Vec<Judge>),
}

fn matcher(text: &str, exact_diacritics: bool) -> Matcher {
    Matcher::from_plan(&lower(&parsed(text).expr, exact_diacritics).unwrap())
}

/// An event of which nothing is known but who caused it.
fn said_by(actor: &Actor<'_>) -> Row<'static> {
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| {
        text.as_ref().map(|text| text.clone().into_owned().into())
    };
    let actor = Actor {
        id: owned(&actor.id),
        uri: owned(&actor.uri),
        name: owned(&actor.name),
        email: owned(&actor.email),
        ..Actor::default()
    };
    Row {
        event: Event {
            actor,
            ..Event::default()
        },
        ..Row::default()
    }
}

impl Judge {
    /// `events`: those that tell who was where.
    pub(super) fn new(asked: &Asked, exact_diacritics: bool, events: &[Event<'_>]) -> Self {
        let new = |of: &Asked| Self::new(of, exact_diacritics, events);
        match asked {
            Asked::Leaf(text) => Judge::Leaf(matcher(text, exact_diacritics)),
            Asked::Participants(_, test) => {
                let from = format!("from{test}");
                // Who is meant does not depend on how the spelling of words is compared.
                let mut called = matcher(&from, false);
                let witness = Witness::of(events, |actor| called.matches(&said_by(actor)));
                Judge::Participants(matcher(&from, exact_diacritics), witness)
            }
            Asked::Date(when) => Judge::Date(when.clone()),
            Asked::Not { of, .. } => Judge::Not(Box::new(new(of))),
            Asked::All(of) => Judge::All(of.iter().map(|(_, one)| new(one)).collect()),
            Asked::Any(of) => Judge::Any(of.iter().map(new).collect()),
            Asked::Group(of) => new(of),
        }
    }

    pub(super) fn accepts(&mut self, row: &Row<'_>) -> bool {
        match self {
            Judge::Leaf(matcher) => matcher.matches(row),
            Judge::Participants(from, witness) => from.matches(row) || witness.saw(&row.event),
            Judge::Date(when) => when.holds(row.event.time_us, row.intake.ingest_time_us),
            Judge::Not(of) => !of.accepts(row),
            Judge::All(of) => of.iter_mut().all(|one| one.accepts(row)),
            Judge::Any(of) => of.iter_mut().any(|one| one.accepts(row)),
        }
    }
}
