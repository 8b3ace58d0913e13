//! One row against policies and holds.

use std::sync::Arc;

use holdfast_query::matcher::{MatchOptions, Matcher};
use holdfast_schemas::{Event, Row};
use rustc_hash::FxHashMap;

use super::{Basis, PlanError};
use crate::family::Class;
use crate::hold::{Held, Hold};
use crate::policy::{Mask, NEVER, Rule, RuleError};

/// What policies and holds say of one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Judged {
    pub(super) time_us: i64,
    pub(super) ingest_us: i64,
    /// Policies that cover it.
    pub(super) applies: Mask,
    /// What they come to.
    pub(super) means: Means,
    pub(super) held: Held,
    /// Whether the plan that is carried out holds it.
    pub(super) planned: bool,
}

/// What a set of policies comes to at the plan's moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Means {
    /// What happened before goes, as far as they are concerned.
    pub(super) cutoff_us: i64,
    /// What happened before is due by the deletion that counts, whatever retains it.
    pub(super) due_us: i64,
    /// That deletion.
    pub(super) deleting: Option<usize>,
}

/// What is still open when only the cheap columns are known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Asks {
    /// Policies that cover it if their query finds it.
    pub(super) policies: Mask,
    /// Whether a hold covers it if its query finds it.
    pub(super) holds: bool,
}

impl Asks {
    pub(super) fn any(self) -> bool {
        self.policies != 0 || self.holds
    }
}

/// Judges rows; one a task, since matchers keep scratch space.
pub(super) struct Judge {
    pub(super) basis: Arc<Basis>,
    holds: Vec<Hold>,
    queries: Vec<Option<Matcher>>,
    means: FxHashMap<Mask, Means>,
}

impl Judge {
    pub(super) fn new(basis: &Arc<Basis>) -> Result<Self, PlanError> {
        let query = |rule: &Rule| {
            let matcher = rule
                .scope
                .query
                .as_ref()
                .map(|query| Matcher::new(query, MatchOptions::default()));
            matcher.transpose().map_err(|error| RuleError::Query {
                policy: rule.name.clone(),
                problem: error.to_string(),
            })
        };
        Ok(Self {
            basis: Arc::clone(basis),
            holds: basis.holds.clone(),
            queries: basis.rules.iter().map(query).collect::<Result<_, _>>()?,
            means: FxHashMap::default(),
        })
    }

    /// Everything that ids, times and types decide.
    pub(super) fn cheap(
        &mut self,
        event: &Event<'_>,
        ingest_us: i64,
        planned: bool,
    ) -> (Judged, Asks) {
        let (mut applies, mut asks) = (0, Asks::default());
        for (place, rule) in self
            .basis
            .rules
            .iter()
            .enumerate()
            .filter(|(_, rule)| rule.narrows_to(event))
        {
            match rule.scope.query {
                None => applies |= 1 << place,
                Some(_) => asks.policies |= 1 << place,
            }
        }
        // The rule of an erasure covers what was asked for, and nothing else.
        if let Some(marked) = &self.basis.marked {
            applies &= !(1 << marked.rule);
            applies |= marked.applies(event);
        }
        let mut held = Held::No;
        for (place, hold) in self
            .holds
            .iter()
            .enumerate()
            .filter(|(_, hold)| hold.narrows_to(event))
        {
            match hold.has_query() {
                false => held = held.and(by(place)),
                true => asks.holds = true,
            }
        }
        let judged = Judged {
            time_us: event.time_us,
            ingest_us,
            applies,
            means: self.means(applies),
            held,
            planned,
        };
        (judged, asks)
    }

    /// The rest, by the text.
    pub(super) fn text(&mut self, judged: &mut Judged, asks: Asks, row: &Row<'_>) {
        for (place, query) in self.queries.iter_mut().enumerate() {
            if asks.policies >> place & 1 == 1
                && query.as_mut().is_some_and(|query| query.matches(row))
            {
                judged.applies |= 1 << place;
            }
        }
        judged.means = self.means(judged.applies);
        if asks.holds {
            for (place, hold) in self.holds.iter_mut().enumerate() {
                if hold.has_query() && hold.covers(row) {
                    judged.held = judged.held.and(by(place));
                }
            }
        }
    }

    fn means(&mut self, applies: Mask) -> Means {
        let cutoffs = &self.basis.cutoffs;
        *self.means.entry(applies).or_insert_with(|| {
            let deleting = cutoffs.deleting(applies);
            Means {
                cutoff_us: cutoffs.of(applies),
                due_us: deleting.map_or(NEVER, |place| cutoffs.each(place)),
                deleting,
            }
        })
    }
}

fn by(place: usize) -> Held {
    u16::try_from(place).map_or(Held::BySeveral, Held::By)
}

/// Whether an event of this class carries a family's content, from which its life counts.
pub(super) fn is_content(class: Class) -> bool {
    match class {
        Class::Message { content } => content,
        Class::File | Class::State(_) | Class::Alone | Class::Quarantined => false,
    }
}
