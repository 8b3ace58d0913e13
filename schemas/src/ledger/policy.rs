//! `policy.set`, `policy.remove`, `policy.lock`, and the schedule they run on.

use serde::{Deserialize, Serialize};

/// What a policy does with a family whose period is over, or is not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyAction {
    /// Kept for the period; deleted by nobody on its account afterwards.
    Retain,
    /// Kept for the period, then deleted.
    RetainThenDelete,
    /// Not kept on its account; deleted after the period.
    Delete,
}

/// Which events a policy covers. Empty: all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyScope {
    /// Room ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rooms: Vec<super::hold::RoomRef>,
    /// Categories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<String>,
    /// Event types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// A query.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The time zone of the query's dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// A retention policy, or its next version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicySet {
    /// Unique name.
    pub name: String,
    /// What it covers.
    pub scope: PolicyScope,
    /// The period as given: `7y`, `90d`.
    pub period: String,
    /// The time zone the period is counted in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// What it does.
    pub action: PolicyAction,
    /// Whether its scope counts as explicit (a label), which wins over an implicit one for deletions.
    #[serde(default)]
    pub explicit: bool,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A retention policy ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyRemove {
    /// Which.
    pub name: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A retention policy can only get longer from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyLock {
    /// Which.
    pub name: String,
}

/// When retention runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleSet {
    /// The cron expression.
    pub cron: String,
    /// Its time zone.
    pub time_zone: String,
    /// Parts of a million of all events that one run may remove without approval.
    pub max_share_ppm: u32,
}

/// Retention no longer runs by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRemove {}

/// A scheduled run failed; the next call tries again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleFailed {
    /// For which moment, UTC microseconds.
    pub due_us: i64,
    /// Why.
    pub problem: String,
}

/// A scheduled run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRan {
    /// For which moment, UTC microseconds.
    pub due_us: i64,
    /// Its plan, when there was anything to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What came of it.
    pub result: String,
}
