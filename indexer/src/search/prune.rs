//! Which segments cannot hold a wanted row. Pure: a decision from a segment's year and statistics alone.

use holdfast_archive::Segment;
use holdfast_query::plan::{Plan, TimeColumn};
use holdfast_schemas::time::utc_year;

/// Spans outside of which no wanted event lies, UTC microseconds, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Least and greatest `event_time`.
    pub(crate) event_time_us: (i64, i64),
    /// Least and greatest `ingest_time`.
    pub(crate) ingest_time_us: (i64, i64),
}

const EVERYTHING: (i64, i64) = (i64::MIN, i64::MAX);
/// Least above greatest: no number is inside.
const NOTHING: (i64, i64) = (i64::MAX, i64::MIN);

impl Bounds {
    /// No bounds.
    pub(crate) const UNBOUNDED: Self = Self {
        event_time_us: EVERYTHING,
        ingest_time_us: EVERYTHING,
    };
    /// Nothing is wanted.
    pub(crate) const EMPTY: Self = Self {
        event_time_us: NOTHING,
        ingest_time_us: NOTHING,
    };

    /// Bounds of what is within both.
    pub(crate) fn and(self, other: Self) -> Self {
        let both = |a: (i64, i64), b: (i64, i64)| (a.0.max(b.0), a.1.min(b.1));
        Self {
            event_time_us: both(self.event_time_us, other.event_time_us),
            ingest_time_us: both(self.ingest_time_us, other.ingest_time_us),
        }
    }

    /// Bounds of what is within one of them.
    pub(crate) fn or(self, other: Self) -> Self {
        if self.is_empty() {
            return other;
        }
        if other.is_empty() {
            return self;
        }
        let hull = |a: (i64, i64), b: (i64, i64)| (a.0.min(b.0), a.1.max(b.1));
        Self {
            event_time_us: hull(self.event_time_us, other.event_time_us),
            ingest_time_us: hull(self.ingest_time_us, other.ingest_time_us),
        }
    }

    fn is_empty(&self) -> bool {
        self.event_time_us.0 > self.event_time_us.1 || self.ingest_time_us.0 > self.ingest_time_us.1
    }

    /// Bounds of what a plan finds.
    pub(crate) fn of(plan: &Plan) -> Self {
        match plan {
            Plan::All(plans) => plans
                .iter()
                .fold(Self::UNBOUNDED, |bounds, plan| bounds.and(Self::of(plan))),
            Plan::Any(plans) => plans
                .iter()
                .fold(Self::EMPTY, |bounds, plan| bounds.or(Self::of(plan))),
            Plan::Time {
                column,
                from_us,
                to_us,
            } => {
                // A plan says the first microsecond after.
                let to = to_us.map_or(Some(i64::MAX), |to| to.checked_sub(1));
                let Some(to) = to else { return Self::EMPTY };
                let span = (from_us.unwrap_or(i64::MIN), to);
                match column {
                    TimeColumn::Event => Self {
                        event_time_us: span,
                        ..Self::UNBOUNDED
                    },
                    TimeColumn::Ingest => Self {
                        ingest_time_us: span,
                        ..Self::UNBOUNDED
                    },
                }
            }
            // What a row must not be says nothing about where it is.
            Plan::Not(_)
            | Plan::Text { .. }
            | Plan::Near(_)
            | Plan::Keyword { .. }
            | Plan::Whole { .. }
            | Plan::Size { .. }
            | Plan::HasAttachment(_) => Self::UNBOUNDED,
        }
    }

    /// Whether a segment may hold a row within the bounds.
    pub(crate) fn may_hold(&self, segment: &Segment) -> bool {
        if self.is_empty() {
            return false;
        }
        let meets =
            |bounds: (i64, i64), stats: (i64, i64)| bounds.0 <= stats.1 && stats.0 <= bounds.1;
        // i64::MIN and MAX lie outside of every calendar: only a bound that was set has a year.
        let year_from = if self.event_time_us.0 == i64::MIN {
            i32::MIN
        } else {
            utc_year(self.event_time_us.0)
        };
        let year_to = if self.event_time_us.1 == i64::MAX {
            i32::MAX
        } else {
            utc_year(self.event_time_us.1)
        };
        (year_from..=year_to).contains(&segment.event_year)
            && meets(self.event_time_us, segment.stats.event_time_us)
            && meets(self.ingest_time_us, segment.stats.ingest_time_us)
    }
}

/// Whether a segment's statistics leave room for a place in an origin.
pub(crate) fn may_hold_sequence(segment: &Segment, origin: &str, sequence: u64) -> bool {
    let stats = &segment.stats;
    // Statistics of text may be cut short: the greatest value is compared as a prefix then.
    let greatest = stats.origin.1.as_str();
    stats.origin.0.as_str() <= origin
        && (origin <= greatest || origin.starts_with(greatest))
        && (stats.origin_seq.0..=stats.origin_seq.1).contains(&sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    use holdfast_archive::SegmentStats;
    use proptest::prelude::*;

    fn segment(times: &[(i64, i64)]) -> Segment {
        let span = |of: fn(&(i64, i64)) -> i64| {
            (
                times.iter().map(of).min().unwrap(),
                times.iter().map(of).max().unwrap(),
            )
        };
        Segment {
            path: "event_year=2020/01.parquet".to_owned(),
            event_year: utc_year(times[0].0),
            rows: times.len() as u64,
            bytes: 1,
            base_row_id: 0,
            commit_version: 1,
            sha256: None,
            stats: SegmentStats {
                event_time_us: span(|time| time.0),
                ingest_time_us: span(|time| time.1),
                ..SegmentStats::default()
            },
        }
    }

    fn within(bounds: &Bounds, time: &(i64, i64)) -> bool {
        (bounds.event_time_us.0..=bounds.event_time_us.1).contains(&time.0)
            && (bounds.ingest_time_us.0..=bounds.ingest_time_us.1).contains(&time.1)
    }

    const YEAR_US: i64 = 1_577_836_800_000_000;

    prop_compose! {
        fn spans()(from in prop_oneof![Just(i64::MIN), YEAR_US - 50..YEAR_US + 50], to in prop_oneof![Just(i64::MAX), YEAR_US - 50..YEAR_US + 50]) -> (i64, i64) { (from, to) }
    }

    prop_compose! {
        fn bounds()(event_time_us in spans(), ingest_time_us in spans()) -> Bounds { Bounds { event_time_us, ingest_time_us } }
    }

    proptest! {
        #[test]
        fn se1_pruning_never_loses_a_row(a in bounds(), b in bounds(), times in prop::collection::vec((YEAR_US - 50..YEAR_US + 50, YEAR_US - 50..YEAR_US + 50), 1..5)) {
            // A segment never spans years.
            let year = utc_year(times[0].0);
            let times: Vec<_> = times.into_iter().filter(|time| utc_year(time.0) == year).collect();
            let segment = segment(&times);
            for time in &times {
                if within(&a, time) {
                    prop_assert!(a.may_hold(&segment));
                    prop_assert!(a.or(b).may_hold(&segment) && b.or(a).may_hold(&segment));
                    prop_assert!(Bounds::UNBOUNDED.and(a).may_hold(&segment));
                    prop_assert!(Bounds::EMPTY.or(a).may_hold(&segment));
                    if within(&b, time) {
                        prop_assert!(a.and(b).may_hold(&segment));
                    }
                }
            }
            prop_assert!(!Bounds::EMPTY.may_hold(&segment));
        }
    }

    #[test]
    fn a_span_elsewhere_prunes() {
        let segment = segment(&[(YEAR_US + 10, 5)]);
        let at = |from, to| Bounds {
            event_time_us: (from, to),
            ..Bounds::UNBOUNDED
        };
        assert!(!at(YEAR_US + 11, i64::MAX).may_hold(&segment));
        assert!(!at(i64::MIN, YEAR_US + 9).may_hold(&segment));
        assert!(at(YEAR_US + 10, YEAR_US + 10).may_hold(&segment));
    }

    #[test]
    fn sequences_prune_by_origin_and_number() {
        let mut segment = segment(&[(YEAR_US, 0)]);
        segment.stats.origin = ("main.1".to_owned(), "main.2".to_owned());
        segment.stats.origin_seq = (5, 9);
        assert!(
            may_hold_sequence(&segment, "main.1", 5)
                && may_hold_sequence(&segment, "main.2-cut", 9)
        );
        assert!(
            !may_hold_sequence(&segment, "main.1", 4) && !may_hold_sequence(&segment, "zed", 6)
        );
        assert!(!may_hold_sequence(&segment, "a", 6));
    }
}
