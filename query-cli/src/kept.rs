//! Why a message is kept, for whoever looks at one of its events: `holdfast show` tells it in a line.
//!
//! Judged as `holdfast explain` and a retention plan do, by the same policies, holds and decision, but on the events of the message alone, which the
//! index finds at once, and with the custodians' whereabouts as the ledger last knew them. The whole family, which files join across messages,
//! and what an event explains take reading the archive: that is `explain`.

use holdfast_governance::config::{self, Key};
use holdfast_governance::family::{Class, class_of};
use holdfast_governance::hold::Hold;
use holdfast_governance::ledger::State;
use holdfast_governance::plan::{self, Basis, PlanError};
use holdfast_governance::policy::{Facts, Mask, Part, Verdict, decide, rule_covers};
use holdfast_schemas::Row;
use holdfast_schemas::time::format_us;
use jiff::Timestamp;

use crate::failure::Failure;

/// What events are judged by.
pub struct Judge {
    basis: Basis,
    grace_us: i64,
}

impl Judge {
    /// The policies and holds in force at `now_us`.
    ///
    /// # Errors
    /// A policy or hold cannot be judged by.
    pub fn new(state: &State, now_us: i64) -> Result<Self, Failure> {
        let grace_us = i64::try_from(config::span_s(state, Key::IngestGrace))
            .unwrap_or(i64::MAX)
            .saturating_mul(1_000_000);
        let rules = plan::rules(state).map_err(PlanError::from)?;
        Ok(Self {
            basis: Basis::new(rules, holds(state, now_us)?, now_us, grace_us),
            grace_us,
        })
    }

    /// The decision on some events of a family, at least one, as if there were no others.
    ///
    /// # Errors
    /// A policy cannot be judged by.
    pub fn verdict(&mut self, rows: &[&Row<'_>]) -> Result<Verdict, Failure> {
        let newest = |content: bool| {
            let counts = rows.iter().filter(|row| !content || is_content(row));
            counts.map(|row| row.event.time_us).max()
        };
        let parts = rows.iter().map(|row| self.part(row));
        let facts = Facts {
            parts: parts.collect::<Result<_, _>>()?,
            life_from_us: newest(true).or_else(|| newest(false)).unwrap_or(i64::MAX),
            explains_what_stays: false,
        };
        let basis = &self.basis;
        let ingested_before_us = basis.ingested_before_us;
        let decision = decide(
            &facts,
            &basis.rules,
            &basis.cutoffs,
            ingested_before_us,
            self.grace_us,
        );
        Ok(decision.verdict)
    }

    fn part(&mut self, row: &Row<'_>) -> Result<Part, PlanError> {
        let mut applies: Mask = 0;
        for (place, rule) in self.basis.rules.iter().enumerate() {
            if rule_covers(rule, row)? {
                applies |= 1 << place;
            }
        }
        let holds = self.basis.holds.iter_mut();
        let covering = holds.filter_map(|hold| hold.covers(row).then(|| hold.name.clone()));
        Ok(Part {
            event_id: row.event.id.to_string(),
            ingest_time_us: row.intake.ingest_time_us,
            applies,
            holds: covering.collect(),
        })
    }
}

/// The holds in force with everything that their expansions found so far: to look for more takes reading the archive.
fn holds(state: &State, now_us: i64) -> Result<Vec<Hold>, Failure> {
    let in_force = state.holds.iter().filter(|(_, hold)| hold.holds_at(now_us));
    let read = in_force.map(|(name, hold)| {
        let placed = Timestamp::from_microsecond(hold.placed.time_us).unwrap_or(Timestamp::MIN);
        Hold::new(name, &hold.place.scope, &hold.expansions, placed)
    });
    let read: Result<Vec<_>, _> = read.collect();
    Ok(read.map_err(PlanError::from)?)
}

fn is_content(row: &Row<'_>) -> bool {
    let class = class_of(&row.event.event_type);
    matches!(class, Class::Message { content: true })
}

/// A verdict for people.
#[must_use]
pub fn words(verdict: &Verdict) -> String {
    let until = |us: &Option<i64>| {
        us.map_or("without end".to_owned(), |us| {
            format!("until {}", format_us(us))
        })
    };
    match verdict {
        Verdict::Held { holds } => format!("kept: held by {}", holds.join(", ")),
        Verdict::Retained { policy, until_us } => {
            format!("kept {} by policy {policy}", until(until_us))
        }
        Verdict::Waiting { policy, until_us } => {
            format!("there {}, when policy {policy} deletes it", until(until_us))
        }
        Verdict::Unlimited => "kept: no policy deletes it".to_owned(),
        Verdict::Grace { until_us } => format!(
            "kept until {}: it was ingested lately",
            format_us(*until_us)
        ),
        Verdict::Explains => "kept as long as the events that it explains".to_owned(),
        Verdict::Goes { policy, version } => {
            format!("goes with the next run, by policy {policy} (version {version})")
        }
    }
}
