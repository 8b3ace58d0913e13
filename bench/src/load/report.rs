//! What load processes count, and how the counts of several become one.

use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Microseconds, to three digits, up to an hour.
#[derive(Debug, Clone)]
pub(crate) struct Times(Histogram<u64>);

const HIGHEST_US: u64 = 3_600_000_000;

impl Default for Times {
    #[expect(clippy::expect_used, reason = "constant bounds that are in order")]
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, HIGHEST_US, 3).expect("bounds in order"))
    }
}

impl Times {
    pub(crate) fn record_us(&mut self, us: u64) {
        self.0.saturating_record(us);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    /// The time that `share` of them do not exceed, in milliseconds.
    pub(crate) fn quantile_ms(&self, share: f64) -> f64 {
        self.0.value_at_quantile(share) as f64 / 1000.0
    }

    pub(crate) fn max_ms(&self) -> f64 {
        self.0.max() as f64 / 1000.0
    }

    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        self.0.add(&other.0).context("histograms of other bounds")
    }
}

/// As pairs of value and count.
impl Serialize for Times {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let recorded = self.0.iter_recorded();
        serializer.collect_seq(recorded.map(|bar| (bar.value_iterated_to(), bar.count_at_value())))
    }
}

impl<'de> Deserialize<'de> for Times {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut times = Self::default();
        for (value, count) in Vec::<(u64, u64)>::deserialize(deserializer)? {
            times.0.saturating_record_n(value, count);
        }
        Ok(times)
    }
}

/// What happened since the last report.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Posts that became due.
    pub(crate) posted: u64,
    /// Posts that were acknowledged.
    pub(crate) acked: u64,
    /// Posts and subscriptions that were refused.
    pub(crate) refused: u64,
    /// The first refusal or failure, in words.
    pub(crate) trouble: Option<String>,
    /// Entries that came, live or as history.
    pub(crate) delivered: u64,
    /// Entries that came twice, and those that one was missing before.
    pub(crate) repeated: u64,
    pub(crate) gaps: u64,
    /// Connections that ended without being asked to.
    pub(crate) lost: u64,
    /// Clients whose rooms are not where SQL is (after `Settle`).
    pub(crate) behind: u64,
    /// From when a post was due to when a subscriber had it, live.
    pub(crate) delivery: Times,
    /// From when a post was due to its acknowledgement.
    pub(crate) ack: Times,
    /// From a subscription to its answer.
    pub(crate) join: Times,
    /// From the first packet to the last of a user's rooms.
    pub(crate) login: Times,
    /// From a lost connection to the last of a user's rooms caught up, elsewhere.
    pub(crate) back: Times,
}

impl Report {
    pub(crate) fn add(&mut self, other: &Self) -> Result<()> {
        self.posted += other.posted;
        self.acked += other.acked;
        self.refused += other.refused;
        self.trouble = self.trouble.take().or_else(|| other.trouble.clone());
        self.delivered += other.delivered;
        self.repeated += other.repeated;
        self.gaps += other.gaps;
        self.lost += other.lost;
        self.behind += other.behind;
        self.delivery.add(&other.delivery)?;
        self.ack.add(&other.ack)?;
        self.join.add(&other.join)?;
        self.login.add(&other.login)?;
        self.back.add(&other.back)
    }

    pub(crate) fn trouble(&mut self, text: impl FnOnce() -> String) {
        self.trouble.get_or_insert_with(text);
    }
}

/// A report in the making, shared by a process's clients.
#[derive(Debug, Default)]
pub(crate) struct Stats(Mutex<Report>);

impl Stats {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Report> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was counted since this was last called.
    pub(crate) fn take(&self) -> Report {
        std::mem::take(&mut *self.lock())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn histograms_survive_the_pipe_and_add_up() {
        let mut one = Report::default();
        (1..=1000).for_each(|ms| one.delivery.record_us(ms * 1000));
        let text = serde_json::to_string(&one).unwrap();
        let mut both: Report = serde_json::from_str(&text).unwrap();
        both.add(&one).unwrap();
        assert_eq!(both.delivery.count(), 2000);
        let p99 = both.delivery.quantile_ms(0.99);
        assert!((985.0..=995.0).contains(&p99), "{p99}");
    }
}
