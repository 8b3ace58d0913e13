//! A hold ready to be judged by: custodians, rooms and categories widen (OR), types, dates and query narrow (AND).
//!
//! Judged on the event alone, by the matcher of the query language, never through an index. What cannot be judged, a
//! record that could not be read, is covered by every hold.

use std::sync::Arc;

use holdfast_indexer::participants::merged;
use holdfast_query::analyzer::fold_keyword;
use holdfast_query::matcher::{MatchOptions, Matcher};
use holdfast_query::parse::{ParseOptions, parse};
use holdfast_schemas::ledger::hold::{HoldExpand, HoldScope};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::{Event, Row, event_type};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::policy::folded;

/// A span of time, UTC microseconds, both ends included.
type Span = (i64, i64);

/// A hold that cannot be judged by: nothing may be disposed of until it can.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "hold {hold}: {problem}\nhint: nothing is disposed of while a hold cannot be judged; place it anew with a scope that can be read, then release this one"
)]
pub struct HoldError {
    /// Which.
    pub hold: String,
    /// Why.
    pub problem: String,
}

/// Which holds cover something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Held {
    /// None.
    #[default]
    No,
    /// This one alone, by its place in the list.
    By(u16),
    /// Several.
    BySeveral,
}

impl Held {
    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, held) | (held, Self::No) => held,
            (Self::By(one), Self::By(two)) if one == two => self,
            (Self::By(_) | Self::BySeveral, Self::By(_) | Self::BySeveral) => Self::BySeveral,
        }
    }
}

/// What a custodian wrote and could see.
#[derive(Debug, Clone, Default)]
pub struct Watched {
    /// Folded ids, URIs and addresses, and when they were theirs.
    addresses: FxHashMap<String, Vec<Span>>,
    /// Folded display names: only of a custodian of whom nothing better is known.
    names: FxHashMap<String, Vec<Span>>,
}

/// One hold.
#[derive(Debug, Clone)]
pub struct Hold {
    /// Its name.
    pub name: String,
    types: FxHashSet<String>,
    span: Span,
    rooms: FxHashSet<String>,
    categories: FxHashSet<String>,
    custodians: Vec<Watched>,
    /// By folded room id: when some custodian could see it.
    seen: Arc<FxHashMap<String, Vec<Span>>>,
    query: Option<Matcher>,
    everything: bool,
}

impl Hold {
    /// Reads what the ledger says: the scope as placed, and everything its expansions ever found. `placed_at` is what
    /// `today` means in its query.
    ///
    /// # Errors
    /// Its query or time zone cannot be read.
    pub fn new(
        name: &str,
        scope: &HoldScope,
        expansions: &[HoldExpand],
        placed_at: Timestamp,
    ) -> Result<Self, HoldError> {
        let mut hold = Self {
            name: name.to_owned(),
            types: scope.types.iter().cloned().collect(),
            span: (
                scope.since_us.unwrap_or(i64::MIN),
                scope.until_us.unwrap_or(i64::MAX),
            ),
            rooms: FxHashSet::default(),
            categories: scope.categories.iter().map(|name| folded(name)).collect(),
            custodians: Vec::new(),
            seen: Arc::default(),
            query: query(name, scope, placed_at)?,
            everything: scope.custodians.is_empty()
                && scope.rooms.is_empty()
                && scope.categories.is_empty(),
        };
        for scope in std::iter::once(scope).chain(expansions.iter().map(|expand| &expand.scope)) {
            hold.rooms
                .extend(scope.rooms.iter().map(|room| folded(&room.id)));
            hold.categories
                .extend(scope.categories.iter().map(|name| folded(name)));
            hold.custodians.extend(
                scope
                    .custodians
                    .iter()
                    .map(|one| Watched::new(&one.identities)),
            );
        }
        for expand in expansions {
            for seen in &expand.seen {
                let spans = seen.spans_us.iter();
                let spans =
                    spans.map(|(from, to)| (from.unwrap_or(i64::MIN), to.unwrap_or(i64::MAX)));
                hold.add_seen(&seen.room, spans);
            }
        }
        Ok(hold)
    }

    /// A custodian could see a room at these times.
    pub fn add_seen(&mut self, room: &str, spans: impl IntoIterator<Item = Span>) {
        let known = Arc::make_mut(&mut self.seen)
            .entry(folded(room))
            .or_default();
        known.extend(spans);
        *known = merged(std::mem::take(known));
    }

    /// Whether its custodians' whereabouts matter.
    #[must_use]
    pub fn has_custodians(&self) -> bool {
        !self.custodians.is_empty()
    }

    /// Whether text decides.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.query.is_some()
    }

    /// Whether any event of such a span of time can be covered.
    #[must_use]
    pub fn may_cover(&self, event_time_us: Span) -> bool {
        self.span.0 <= event_time_us.1 && event_time_us.0 <= self.span.1
    }

    /// Everything but the query: types, dates, and one of custodians, rooms and categories.
    #[must_use]
    pub fn narrows_to(&self, event: &Event<'_>) -> bool {
        if event.event_type == event_type::QUARANTINED {
            return true;
        }
        if !self.types.is_empty() && !self.types.contains(event.event_type.as_ref()) {
            return false;
        }
        if event.time_us < self.span.0 || event.time_us > self.span.1 {
            return false;
        }
        self.everything
            || self.names_room(event)
            || event.room.category.as_deref().is_some_and(|name| {
                !self.categories.is_empty() && self.categories.contains(&*fold_keyword(name))
            })
            || self.wrote(event)
    }

    /// Whether one of its custodians is the event's author.
    #[must_use]
    pub fn wrote(&self, event: &Event<'_>) -> bool {
        self.custodians.iter().any(|one| one.is_author(event))
    }

    /// Whether the query finds a row, of which every column must be there.
    pub fn finds(&mut self, row: &Row<'_>) -> bool {
        if row.event.event_type == event_type::QUARANTINED {
            return true;
        }
        self.query.as_mut().is_none_or(|query| query.matches(row))
    }

    /// Whether it covers a row, of which every column must be there.
    pub fn covers(&mut self, row: &Row<'_>) -> bool {
        self.narrows_to(&row.event) && self.finds(row)
    }

    fn names_room(&self, event: &Event<'_>) -> bool {
        if self.rooms.is_empty() && self.seen.is_empty() {
            return false;
        }
        let Some(room) = event.room.id.as_deref().map(fold_keyword) else {
            return false;
        };
        let inside = |spans: &Vec<Span>| spans.iter().any(|span| within(*span, event.time_us));
        self.rooms.contains(&*room) || self.seen.get(&*room).is_some_and(inside)
    }
}

impl Watched {
    fn new(identities: &[Identity]) -> Self {
        let mut watched = Self::default();
        let better = identities.iter().any(|one| one.kind != IdentityKind::Name);
        for one in identities {
            let into = match one.kind {
                IdentityKind::Id | IdentityKind::Uri | IdentityKind::Email => {
                    &mut watched.addresses
                }
                // People share names: a name means somebody only where it is all there is.
                IdentityKind::Name if better => continue,
                IdentityKind::Name => &mut watched.names,
            };
            let span = (
                one.from_us.unwrap_or(i64::MIN),
                one.until_us.unwrap_or(i64::MAX),
            );
            into.entry(folded(&one.value)).or_default().push(span);
        }
        watched
    }

    /// Whether an event is theirs, or about them.
    fn is_author(&self, event: &Event<'_>) -> bool {
        let theirs = |known: &FxHashMap<String, Vec<Span>>, text: &str| {
            let spans = known.get(&*fold_keyword(text));
            spans.is_some_and(|spans| spans.iter().any(|span| within(*span, event.time_us)))
        };
        let actor = &event.actor;
        let mut addresses = [&actor.id, &actor.uri, &actor.email].into_iter().flatten();
        addresses.any(|text| theirs(&self.addresses, text))
            || (!self.names.is_empty()
                && actor
                    .name
                    .as_deref()
                    .is_some_and(|name| theirs(&self.names, name)))
            || holdfast_schemas::columns::target_id(event)
                .is_some_and(|id| theirs(&self.addresses, &id))
    }
}

fn within((from, to): Span, time_us: i64) -> bool {
    from <= time_us && time_us <= to
}

fn query(
    hold: &str,
    scope: &HoldScope,
    placed_at: Timestamp,
) -> Result<Option<Matcher>, HoldError> {
    let error = |problem: String| HoldError {
        hold: hold.to_owned(),
        problem,
    };
    let Some(text) = &scope.query else {
        return Ok(None);
    };
    let tz = match &scope.time_zone {
        Some(name) => {
            TimeZone::get(name).map_err(|_| error(format!("there is no time zone `{name}`")))?
        }
        None => TimeZone::UTC,
    };
    let query =
        parse(text, &ParseOptions { tz, now: placed_at }).map_err(|e| error(e.to_string()))?;
    if !query.expr.participants().is_empty() {
        return Err(error(
            "participants are named by --custodian, not in the query".to_owned(),
        ));
    }
    Matcher::new(&query.expr, MatchOptions::default())
        .map(Some)
        .map_err(|e| error(e.to_string()))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
