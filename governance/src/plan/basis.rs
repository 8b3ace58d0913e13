//! What a plan is judged by.

use roaring::RoaringTreemap;

use crate::erasure::Marked;
use crate::hold::Hold;
use crate::policy::{Cutoffs, Rule};

/// Policies, holds and the moment: what a decision is a function of besides the family.
#[derive(Debug)]
pub struct Basis {
    /// The policies in force.
    pub rules: Vec<Rule>,
    /// The holds in force, their custodians' whereabouts expanded.
    pub holds: Vec<Hold>,
    /// The policies' cutoffs at `now_us`.
    pub cutoffs: Cutoffs,
    /// The moment judged for, UTC microseconds.
    pub now_us: i64,
    /// What was ingested from here on stays, UTC microseconds.
    pub ingested_before_us: i64,
    /// Row ids that may go at all; everything when nothing is said. A run removes a subset of its plan.
    pub only: Option<RoaringTreemap>,
    /// Events that an erasure asks for, and the rule that deletes them.
    pub marked: Option<Marked>,
}

impl Basis {
    /// `ingest_grace_us`: how long after its ingestion nothing goes, microseconds.
    #[must_use]
    pub fn new(rules: Vec<Rule>, holds: Vec<Hold>, now_us: i64, ingest_grace_us: i64) -> Self {
        Self {
            cutoffs: Cutoffs::new(&rules, now_us),
            rules,
            holds,
            now_us,
            ingested_before_us: now_us.saturating_sub(ingest_grace_us),
            only: None,
            marked: None,
        }
    }

    /// Whether text decides anything.
    #[must_use]
    pub fn asks_text(&self) -> bool {
        self.rules.iter().any(|rule| rule.scope.query.is_some())
            || self.holds.iter().any(Hold::has_query)
    }
}
