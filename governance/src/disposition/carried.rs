//! What a saved plan carries beside its numbers, so that its run need not plan anew: the rows by segment, the state
//! records among them, and by what it was judged.

use std::collections::BTreeMap;

use roaring::RoaringBitmap;
use serde::{Deserialize, Serialize};

use crate::family::{Interval, message_key};
use crate::ledger::State;
use crate::plan::{Basis, Plan};

use super::{objects, plan_file};

/// The decision as it was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Carried {
    /// Tells whether keys of families and domains mean the same to this program as to the one that wrote them.
    pub keys: String,
    /// What was ingested from here on stayed, UTC microseconds.
    pub ingested_before_us: i64,
    /// The version (entry) of each policy judged by.
    pub policies: BTreeMap<String, u64>,
    /// The holds judged by: the entry that placed each, and how many expansions of it were known.
    pub holds: BTreeMap<String, (u64, usize)>,
    /// Segments of the table then.
    pub segments_total: u64,
    /// The rows that go.
    pub segments: Vec<Rows>,
    /// Of every state record that goes: what it explains, and when.
    #[serde(with = "objects::records")]
    pub records: Vec<(Vec<u64>, Interval)>,
}

/// Rows of one segment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// The segment, relative to `events/`.
    pub path: String,
    /// Row numbers that go.
    #[serde(with = "objects::bits")]
    pub rows: RoaringBitmap,
    /// The same rows by the policy that deletes them.
    pub by: Vec<PolicyRows>,
}

/// Rows of one segment that one policy deletes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyRows {
    /// The policy.
    pub policy: String,
    /// Row numbers that go.
    #[serde(with = "objects::bits")]
    pub rows: RoaringBitmap,
}

impl Carried {
    /// What is to be carried of a plan.
    pub(super) fn new(plan: &Plan, basis: &Basis, state: &State, segments_total: u64) -> Self {
        let segments = plan.segments.iter().map(|one| Rows {
            path: one.segment.path.clone(),
            rows: one.rows.clone(),
            by: one
                .by
                .iter()
                .map(|(policy, rows)| PolicyRows {
                    policy: policy.clone(),
                    rows: rows.clone(),
                })
                .collect(),
        });
        Self {
            keys: keys(),
            ingested_before_us: basis.ingested_before_us,
            policies: plan_file::versions(basis),
            holds: holds(state, basis.now_us),
            segments_total,
            segments: segments.collect(),
            records: plan.records.clone(),
        }
    }
}

/// The hash of something fixed: another one, and no key that was written down can be compared.
pub(super) fn keys() -> String {
    format!(
        "{:016x}",
        message_key(Some("holdfast"), "which keys are these?")
    )
}

/// Holds in force: the entry that placed each, and how many expansions of it are known.
pub(super) fn holds(state: &State, now_us: i64) -> BTreeMap<String, (u64, usize)> {
    let in_force = state.holds.iter().filter(|(_, hold)| hold.holds_at(now_us));
    in_force
        .map(|(name, hold)| (name.clone(), (hold.placed.seq, hold.expansions.len())))
        .collect()
}
