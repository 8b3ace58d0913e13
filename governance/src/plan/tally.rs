//! What a plan comes to, in numbers: what goes by room, month and policy, and what stays only because of what.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use serde::{Deserialize, Serialize};

/// Why an event stays whose deletion is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "because", content = "of")]
pub enum Reason {
    /// This hold alone covers its family.
    Hold(String),
    /// Several holds do.
    Holds,
    /// This policy retains its family.
    Retained(String),
    /// Another part of its family is not due.
    Family,
    /// Part of its family was ingested within the ingest grace.
    Grace,
    /// It explains events that stay.
    Explains,
    /// Its family is not wholly in the plan that is carried out.
    NotPlanned,
}

/// Events that go, of one room, month and policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// The room's id; nothing for events without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// `2019-03`, UTC.
    pub month: String,
    /// The policy that deletes them.
    pub policy: String,
    /// How many.
    pub events: u64,
}

/// The numbers of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Events that go.
    pub events: u64,
    /// Families that go.
    pub families: u64,
    /// Bytes that go, about: their share of their segments.
    pub bytes: u64,
    /// What goes, by room, month and policy.
    pub goes: Vec<Line>,
    /// Events whose deletion is due and that stay, by why.
    pub stays: Vec<(Reason, u64)>,
}

impl Tally {
    /// Events whose deletion is due and that stay.
    #[must_use]
    pub fn stayed(&self) -> u64 {
        self.stays.iter().map(|(_, events)| events).sum()
    }
}

type Key = (Option<Box<str>>, i64, Option<usize>);

/// Counts while a plan is being made.
#[derive(Debug, Default)]
pub(super) struct Counting {
    goes: FxHashMap<Key, u64>,
    /// The key counted last: neighbours mostly share it.
    open: Option<(Key, u64)>,
    pub(super) stays: BTreeMap<Reason, u64>,
    pub(super) events: u64,
    pub(super) families: u64,
}

impl Counting {
    pub(super) fn goes(&mut self, room: Option<&str>, time_us: i64, policy: Option<usize>) {
        self.events += 1;
        let month = month(time_us);
        match &mut self.open {
            Some((key, count)) if key.0.as_deref() == room && (key.1, key.2) == (month, policy) => {
                *count += 1;
            }
            _ => {
                self.close();
                self.open = Some(((room.map(Into::into), month, policy), 1));
            }
        }
    }

    pub(super) fn stays(&mut self, reason: Reason) {
        *self.stays.entry(reason).or_default() += 1;
    }

    fn close(&mut self) {
        if let Some((key, count)) = self.open.take() {
            *self.goes.entry(key).or_default() += count;
        }
    }

    pub(super) fn merge(&mut self, mut other: Self) {
        other.close();
        for (key, count) in other.goes {
            *self.goes.entry(key).or_default() += count;
        }
        for (reason, count) in other.stays {
            *self.stays.entry(reason).or_default() += count;
        }
        self.events += other.events;
        self.families += other.families;
    }

    pub(super) fn finish(mut self, bytes: u64, policies: &[String]) -> Tally {
        self.close();
        let mut goes: Vec<Line> = self
            .goes
            .into_iter()
            .map(|((room, month, policy), events)| Line {
                room: room.map(Into::into),
                month: format!(
                    "{:04}-{:02}",
                    month.div_euclid(12),
                    month.rem_euclid(12) + 1
                ),
                policy: policy
                    .and_then(|place| policies.get(place).cloned())
                    .unwrap_or_default(),
                events,
            })
            .collect();
        goes.sort_by(|a, b| (&a.room, &a.month, &a.policy).cmp(&(&b.room, &b.month, &b.policy)));
        Tally {
            events: self.events,
            families: self.families,
            bytes,
            goes,
            stays: self.stays.into_iter().collect(),
        }
    }
}

/// Months since year 0, UTC (days to civil date: H. Hinnant, "chrono-compatible low-level date algorithms").
fn month(time_us: i64) -> i64 {
    let days = time_us.div_euclid(86_400_000_000) + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 2
    } else {
        shifted - 10
    };
    (era * 400 + year_of_era + i64::from(month < 2)) * 12 + month
}

#[cfg(test)]
mod tests {
    use super::*;

    use jiff::Timestamp;
    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn months_are_the_calendars(seconds in -60_000_000_000i64..60_000_000_000) {
            let at = Timestamp::from_second(seconds).unwrap().to_zoned(TimeZone::UTC);
            let month = month(seconds * 1_000_000);
            prop_assert_eq!((month.div_euclid(12), month.rem_euclid(12) + 1), (i64::from(at.year()), i64::from(at.month())));
        }
    }
}
