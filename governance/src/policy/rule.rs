//! A policy as the ledger has it, ready to be judged by.

use holdfast_query::Expr;
use holdfast_query::analyzer::fold_keyword;
use holdfast_query::matcher::{MatchOptions, Matcher};
use holdfast_query::parse::{ParseOptions, parse};
use holdfast_schemas::ledger::policy::{PolicyAction, PolicySet};
use holdfast_schemas::{Event, Row};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustc_hash::FxHashSet;

use crate::period::{Period, PeriodError};

/// The policy of this name covers what no other one does.
pub const DEFAULT: &str = "default";
/// Policies of an archive, at most: which ones apply to an event is one machine word.
pub const POLICIES_MAX: usize = 64;

/// Policies that apply, by their place in the list: bit n for policy n.
pub type Mask = u64;

/// How closely a policy's scope was drawn: of policies that delete, only the most closely drawn ones count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// The whole archive.
    Archive,
    /// Some rooms, categories or types, or what a query finds.
    Scoped,
    /// Set to count as explicit: a label.
    Explicit,
}

/// One policy.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// Its version: the ledger entry that set or locked it.
    pub version: u64,
    /// What it does.
    pub action: PolicyAction,
    /// For how long.
    pub period: Period,
    /// Where its days begin.
    pub zone: TimeZone,
    /// How closely its scope was drawn.
    pub weight: Weight,
    /// What it covers.
    pub scope: Scope,
    /// It can be lengthened only.
    pub locked: bool,
}

/// What a policy covers: each list that is not empty narrows.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Folded room ids.
    pub rooms: FxHashSet<String>,
    /// Folded categories.
    pub categories: FxHashSet<String>,
    /// Event types.
    pub types: FxHashSet<String>,
    /// A query.
    pub query: Option<Expr>,
}

/// A policy that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// Its period.
    #[error("policy {policy}: {source}")]
    Period {
        /// Which policy.
        policy: String,
        /// Why.
        #[source]
        source: PeriodError,
    },
    /// Its time zone.
    #[error(
        "policy {policy}: there is no time zone `{zone}`\nhint: give a name of the IANA database, as in Europe/Madrid"
    )]
    Zone {
        /// Which policy.
        policy: String,
        /// The name given.
        zone: String,
    },
    /// Its query.
    #[error("policy {policy}: {problem}")]
    Query {
        /// Which policy.
        policy: String,
        /// Why.
        problem: String,
    },
    /// A deletion that never comes.
    #[error("policy {policy} deletes after `forever`\nhint: say what it retains instead")]
    NeverDeletes {
        /// Which policy.
        policy: String,
    },
    /// Too many of them.
    #[error(
        "{count} policies are set, {POLICIES_MAX} can be\nhint: remove what is not needed, or widen the scope of one instead of setting several"
    )]
    TooMany {
        /// How many there are.
        count: usize,
    },
}

impl Rule {
    /// Reads what the ledger says. `set_at`: when it said so, which is what `today` in a query means.
    ///
    /// # Errors
    /// The period, the zone or the query cannot be read.
    pub fn new(set: &PolicySet, version: u64, set_at: Timestamp) -> Result<Self, RuleError> {
        let policy = || set.name.clone();
        let period: Period = set.period.parse().map_err(|source| RuleError::Period {
            policy: policy(),
            source,
        })?;
        if period == Period::Forever && set.action != PolicyAction::Retain {
            return Err(RuleError::NeverDeletes { policy: policy() });
        }
        let zone = zone(set.time_zone.as_deref(), &set.name)?;
        let scope = Scope {
            rooms: set
                .scope
                .rooms
                .iter()
                .map(|room| folded(&room.id))
                .collect(),
            categories: set
                .scope
                .categories
                .iter()
                .map(|name| folded(name))
                .collect(),
            types: set.scope.types.iter().cloned().collect(),
            query: query(set, set_at)?,
        };
        let weight = match (set.explicit, scope.is_everything()) {
            (true, _) => Weight::Explicit,
            (false, false) => Weight::Scoped,
            (false, true) => Weight::Archive,
        };
        Ok(Self {
            name: policy(),
            version,
            action: set.action,
            period,
            zone,
            weight,
            scope,
            locked: false,
        })
    }

    /// Whether it covers only what no other policy does. Not once it is locked: another policy would end its period early.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.name == DEFAULT && !self.locked
    }

    /// Whether its scope without its query covers an event.
    #[must_use]
    pub fn narrows_to(&self, event: &Event<'_>) -> bool {
        let scope = &self.scope;
        let names = |set: &FxHashSet<String>, text: Option<&str>| {
            set.is_empty() || text.is_some_and(|text| set.contains(&*fold_keyword(text)))
        };
        (scope.types.is_empty() || scope.types.contains(event.event_type.as_ref()))
            && names(&scope.rooms, event.room.id.as_deref())
            && names(&scope.categories, event.room.category.as_deref())
    }

    /// Whether it keeps what it covers, for its period.
    #[must_use]
    pub fn retains(&self) -> bool {
        matches!(
            self.action,
            PolicyAction::Retain | PolicyAction::RetainThenDelete
        )
    }

    /// Whether it deletes what it covers, after its period.
    #[must_use]
    pub fn deletes(&self) -> bool {
        matches!(
            self.action,
            PolicyAction::Delete | PolicyAction::RetainThenDelete
        )
    }
}

impl Scope {
    /// Whether nothing narrows it.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.rooms.is_empty()
            && self.categories.is_empty()
            && self.types.is_empty()
            && self.query.is_none()
    }
}

/// Whether a policy covers a row, of which every column must be there.
///
/// # Errors
/// Its query cannot be judged by.
pub fn rule_covers(rule: &Rule, row: &Row<'_>) -> Result<bool, RuleError> {
    if !rule.narrows_to(&row.event) {
        return Ok(false);
    }
    let Some(query) = &rule.scope.query else {
        return Ok(true);
    };
    let matcher = Matcher::new(query, MatchOptions::default());
    let mut matcher = matcher.map_err(|error| RuleError::Query {
        policy: rule.name.clone(),
        problem: error.to_string(),
    })?;
    Ok(matcher.matches(row))
}

pub(crate) fn folded(text: &str) -> String {
    fold_keyword(text).into_owned()
}

fn zone(name: Option<&str>, policy: &str) -> Result<TimeZone, RuleError> {
    let Some(name) = name else {
        return Ok(TimeZone::UTC);
    };
    TimeZone::get(name).map_err(|_| RuleError::Zone {
        policy: policy.to_owned(),
        zone: name.to_owned(),
    })
}

fn query(set: &PolicySet, set_at: Timestamp) -> Result<Option<Expr>, RuleError> {
    let Some(text) = &set.scope.query else {
        return Ok(None);
    };
    let error = |problem: String| RuleError::Query {
        policy: set.name.clone(),
        problem,
    };
    let zone = zone(set.scope.time_zone.as_deref(), &set.name)?;
    let query = parse(
        text,
        &ParseOptions {
            tz: zone,
            now: set_at,
        },
    )
    .map_err(|e| error(e.to_string()))?;
    if !query.expr.participants().is_empty() {
        return Err(error(
            "participants cannot be asked in a policy: who could see a room changes after the fact\nhint: name rooms or categories"
                .to_owned(),
        ));
    }
    Ok(Some(query.expr))
}
