//! How long state records live: at least as long as any event of the interval they govern.
//!
//! A record holds from its own moment until the next of its chain. It also tells how the one before it ended, and where
//! the archive leaves something open that is read as membership; so its interval reaches from the record before it to
//! the record after it. What stays in a domain is known by days, rounded outwards: a record may live hours longer than
//! it must, never shorter.

use std::collections::BTreeMap;

use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;

const DAY_US: i64 = 86_400_000_000;
/// Days are counted from here, so that times before 1970 have numbers too.
const DAY_ZERO: i64 = 1 << 40;

/// What a state record reaches, besides its own moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// From the record before it in its chain to the record after it.
    Neighbours,
    /// Everything before it: a look at the history.
    Backward,
    /// Everything: which records of its chain come before and after it is not told.
    Everything,
}

/// A state record, by its chain and time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its chain.
    pub chain: u64,
    /// When it happened, UTC microseconds.
    pub time_us: i64,
    /// What it explains.
    pub reach: Reach,
}

/// Both ends included, UTC microseconds.
pub type Interval = (i64, i64);

/// The interval that each record governs, in the records' order.
#[must_use]
pub fn intervals(records: &[Record]) -> Vec<Interval> {
    let mut chains: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (place, record) in records.iter().enumerate() {
        chains.entry(record.chain).or_default().push(place);
    }
    let mut found = vec![(i64::MIN, i64::MAX); records.len()];
    for places in chains.values_mut() {
        places.sort_by_key(|place| records[*place].time_us);
        for (n, place) in places.iter().enumerate() {
            let time = |n: usize| places.get(n).map(|place| records[*place].time_us);
            let before = n.checked_sub(1).and_then(time);
            found[*place] = match records[*place].reach {
                Reach::Everything => (i64::MIN, i64::MAX),
                Reach::Backward => (i64::MIN, records[*place].time_us),
                Reach::Neighbours => (before.unwrap_or(i64::MIN), time(n + 1).unwrap_or(i64::MAX)),
            };
        }
    }
    found
}

/// Pairs that [`KeptDays`] remembers having marked, a power of two.
const LATELY: usize = 1 << 10;

/// On which days a domain has events that stay.
#[derive(Debug, Clone, Default)]
pub struct KeptDays {
    days: FxHashMap<u64, RoaringTreemap>,
    /// Domains and days marked lately, each pair in its domain's place: events come by time, most of a day's domains again
    /// and again. Empty until the first one.
    lately: Vec<(u64, u64)>,
}

impl KeptDays {
    /// An event of a domain stays.
    pub fn mark(&mut self, domain: u64, time_us: i64) {
        let pair = (domain, day(time_us));
        // Domains are hashes: any of their bits tell them apart. No day is 0.
        self.lately.resize(LATELY, (0, 0));
        let place = &mut self.lately[domain as usize % LATELY];
        if *place != pair {
            *place = pair;
            self.days.entry(pair.0).or_default().insert(pair.1);
        }
    }

    /// An event of a domain stays on a day, counted from 1970.
    pub fn mark_day(&mut self, domain: u64, day: i64) {
        self.mark(domain, day.saturating_mul(DAY_US));
    }

    /// With no room left for marking: many are kept until all are there.
    #[must_use]
    pub fn settled(self) -> Self {
        Self {
            lately: Vec::new(),
            ..self
        }
    }

    /// Takes over what another one knows.
    pub fn merge(&mut self, other: Self) {
        for (domain, days) in other.days {
            *self.days.entry(domain).or_default() |= days;
        }
    }

    /// Domains, ascending, and their days since 1970, ascending.
    #[must_use]
    pub fn into_days(self) -> Vec<(u64, Vec<i64>)> {
        let since_1970 = |day: u64| day.cast_signed() - DAY_ZERO;
        let days = self.days.into_iter();
        let mut days: Vec<_> = days
            .map(|(domain, days)| (domain, days.iter().map(since_1970).collect()))
            .collect();
        days.sort_unstable_by_key(|(domain, _)| *domain);
        days
    }

    /// Whether any event of a domain stays in an interval.
    #[must_use]
    pub fn any(&self, domain: u64, (from_us, to_us): Interval) -> bool {
        let Some(days) = self.days.get(&domain) else {
            return false;
        };
        let (from, to) = (day(from_us), day(to_us));
        // Days below `from` are counted away.
        let before = from.checked_sub(1).map_or(0, |last| days.rank(last));
        days.rank(to) > before
    }
}

fn day(time_us: i64) -> u64 {
    time_us
        .div_euclid(DAY_US)
        .saturating_add(DAY_ZERO)
        .unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    fn record(chain: u64, days: i64) -> Record {
        Record {
            chain,
            time_us: days * DAY_US,
            reach: Reach::Neighbours,
        }
    }

    #[test]
    fn a_record_governs_from_the_one_before_to_the_one_after() {
        let records = [record(1, 5), record(2, 6), record(1, 9), record(1, 7)];
        let day = |n: i64| n * DAY_US;
        assert_eq!(
            intervals(&records),
            [
                (i64::MIN, day(7)),
                (i64::MIN, i64::MAX),
                (day(7), i64::MAX),
                (day(5), day(9))
            ]
        );
        let reaching = |reach| Record {
            reach,
            ..record(3, 4)
        };
        assert_eq!(
            intervals(&[reaching(Reach::Backward), reaching(Reach::Everything)]),
            [(i64::MIN, day(4)), (i64::MIN, i64::MAX)]
        );
    }

    proptest! {
        #[test]
        fn what_stays_is_found_in_every_interval_that_holds_it(
            kept in proptest::collection::vec((0u64..3, -400i64..400, 0i64..DAY_US), 0..40), domain in 0u64..3, from in -450i64..450, days in 0i64..300, open: bool,
        ) {
            let (mut one, mut two) = (KeptDays::default(), KeptDays::default());
            for (n, (domain, day, within)) in kept.iter().enumerate() {
                if n % 2 == 0 { &mut one } else { &mut two }.mark(*domain, day * DAY_US + within);
            }
            one.merge(two);
            let interval = if open { (i64::MIN, i64::MAX) } else { (from * DAY_US, (from + days) * DAY_US) };
            let inside = kept.iter().any(|(d, day, _)| *d == domain && (open || (from..=from + days).contains(day)));
            prop_assert_eq!(one.any(domain, interval), inside);
            let mut expected: BTreeMap<u64, BTreeSet<i64>> = BTreeMap::new();
            for (domain, day, _) in &kept {
                expected.entry(*domain).or_default().insert(*day);
            }
            let expected: Vec<(u64, Vec<i64>)> = expected.into_iter().map(|(domain, days)| (domain, days.into_iter().collect())).collect();
            prop_assert_eq!(one.into_days(), expected);
        }
    }
}
