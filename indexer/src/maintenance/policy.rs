//! Which segments to merge: a pure function of the live ones.
//!
//! Segments of a year are grouped in tiers by their rows, each tier up to [`TIER_FACTOR`] times the one below. As soon as a tier holds
//! enough segments the neighbours in time among them are merged. So a row is rewritten at most once a tier, and a year of any size has only a
//! few small segments.
//!
//! | segment | is |
//! |---|---|
//! | rows >= [`cut::CUT_ROWS_MIN`], or bytes >= half the most | full: merged no further |
//! | otherwise | in tier floor(log8 rows) |
//!
//! A merge is cut at days where both sides keep [`cut::CUT_ROWS_MIN`] rows. Its outputs are therefore either one segment or full ones, and fewer
//! than its inputs, each of which has less than that: merging ends.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_archive::{Segment, cut};

/// A tier's segments have up to this many times the rows of the tier below.
pub const TIER_FACTOR: u64 = 8;

/// How eagerly to merge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Segments of a tier that are worth a merge, at least 2.
    pub inputs_min: usize,
    /// Segments of one merge, at most.
    pub inputs_max: usize,
    /// Rows of one merge, at most.
    pub rows_max: u64,
    /// Bytes of Parquet of one merge, at most.
    pub bytes_max: u64,
    /// Whether tiers are kept apart. Without, everything small of a year is merged: what a person asks for by hand.
    pub tiered: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            inputs_min: 8,
            inputs_max: 64,
            rows_max: 1_000_000,
            bytes_max: 256 << 20,
            tiered: true,
        }
    }
}

impl Policy {
    /// Merges whatever can be merged.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            inputs_min: 2,
            tiered: false,
            ..Self::default()
        }
    }

    /// Whether a segment is merged no further.
    #[must_use]
    pub fn is_full(&self, segment: &Segment) -> bool {
        segment.rows >= (cut::CUT_ROWS_MIN as u64).min(self.rows_max)
            || segment.bytes >= self.bytes_max / 2
    }
}

/// Segments to merge into one, or into days.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// Their year.
    pub event_year: i32,
    /// The segments, by their first event's time.
    pub inputs: Vec<Arc<Segment>>,
}

impl Merge {
    /// Rows of all inputs.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.inputs.iter().map(|segment| segment.rows).sum()
    }
}

/// Merges worth doing now, the smallest first: they cost least and help most. No segment is in two of them.
#[must_use]
pub fn plan(segments: &[Arc<Segment>], policy: &Policy) -> Vec<Merge> {
    let mut tiers: BTreeMap<(i32, u32), Vec<&Arc<Segment>>> = BTreeMap::new();
    for segment in segments.iter().filter(|segment| !policy.is_full(segment)) {
        let tier = if policy.tiered {
            segment.rows.max(1).ilog(TIER_FACTOR)
        } else {
            0
        };
        tiers
            .entry((segment.event_year, tier))
            .or_default()
            .push(segment);
    }
    let mut merges = Vec::new();
    for ((event_year, _), mut tier) in tiers {
        // Neighbours in time: a merge then covers few days, and days expire as whole files.
        tier.sort_by_key(|segment| (segment.stats.event_time_us, segment.path.as_str()));
        let mut open: Vec<Arc<Segment>> = Vec::new();
        let (mut rows, mut bytes) = (0, 0);
        let mut close = |open: &mut Vec<Arc<Segment>>| {
            let inputs = std::mem::take(open);
            if inputs.len() >= policy.inputs_min.max(2) {
                merges.push(Merge { event_year, inputs });
            }
        };
        for segment in tier {
            let over =
                rows + segment.rows > policy.rows_max || bytes + segment.bytes > policy.bytes_max;
            if over || open.len() == policy.inputs_max {
                close(&mut open);
                (rows, bytes) = (0, 0);
            }
            rows += segment.rows;
            bytes += segment.bytes;
            open.push(Arc::clone(segment));
        }
        close(&mut open);
    }
    merges.sort_by_key(|merge| (merge.rows(), merge.event_year));
    merges
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_archive::SegmentStats;
    use proptest::prelude::*;

    fn segment(n: usize, event_year: i32, rows: u64, bytes: u64, day: i64) -> Arc<Segment> {
        Arc::new(Segment {
            path: format!("event_year={event_year}/{n:026}.parquet"),
            event_year,
            rows,
            bytes,
            base_row_id: 0,
            commit_version: 0,
            sha256: None,
            stats: SegmentStats {
                event_time_us: (day * 86_400_000_000, day * 86_400_000_000),
                ..SegmentStats::default()
            },
        })
    }

    /// What every plan must be.
    fn check(merges: &[Merge], segments: &[Arc<Segment>], policy: &Policy) {
        let mut seen = std::collections::HashSet::new();
        for merge in merges {
            assert!((policy.inputs_min..=policy.inputs_max).contains(&merge.inputs.len()));
            assert!(merge.rows() <= policy.rows_max);
            assert!(merge.inputs.iter().map(|input| input.bytes).sum::<u64>() <= policy.bytes_max);
            for input in &merge.inputs {
                assert!(segments.contains(input), "{} is not live", input.path);
                assert!(
                    seen.insert(input.path.clone()),
                    "{} is merged twice",
                    input.path
                );
                assert_eq!(input.event_year, merge.event_year);
                assert!(!policy.is_full(input));
            }
        }
        assert!(merges.is_sorted_by_key(Merge::rows));
    }

    /// The segments that a merge leaves: cut into as many large ones as its rows allow, which is the worst case.
    fn outputs(merge: &Merge, n: usize) -> Vec<Arc<Segment>> {
        let (rows, first) = (merge.rows(), &merge.inputs[0]);
        let bytes: u64 = merge.inputs.iter().map(|input| input.bytes).sum();
        let count = (rows / cut::CUT_ROWS_MIN as u64).max(1);
        let day = first.stats.event_time_us.0 / 86_400_000_000;
        (0..count)
            .map(|i| {
                let rows = if i == 0 {
                    rows - rows / count * (count - 1)
                } else {
                    rows / count
                };
                segment(
                    n + usize::try_from(i).unwrap(),
                    merge.event_year,
                    rows,
                    bytes / count,
                    day,
                )
            })
            .collect()
    }

    proptest! {
        #[test]
        fn merging_is_sound_and_ends(
            shapes in proptest::collection::vec((2020i32..2023, prop_oneof![1u64..50, 1u64..300_000], 1u64..200, 0i64..300), 0..120),
            everything: bool,
        ) {
            let policy = if everything { Policy::everything() } else { Policy::default() };
            let mut live: Vec<_> = shapes.iter().enumerate()
                .map(|(n, (year, rows, width, day))| segment(n, *year, *rows, rows * width, *day)).collect();
            let mut next = live.len();
            loop {
                let merges = plan(&live, &policy);
                check(&merges, &live, &policy);
                let Some(merge) = merges.first() else { break };
                let (before, rows): (usize, u64) = (live.len(), live.iter().map(|s| s.rows).sum());
                live.retain(|segment| !merge.inputs.contains(segment));
                live.extend(outputs(merge, next));
                next += 1000;
                prop_assert!(live.len() < before, "a merge must leave fewer segments");
                prop_assert_eq!(live.iter().map(|s| s.rows).sum::<u64>(), rows);
            }
        }
    }

    #[test]
    fn a_tier_waits_until_it_holds_enough() {
        let of = |count: usize| {
            (0..count)
                .map(|n| segment(n, 2026, 100, 1000, n as i64))
                .collect::<Vec<_>>()
        };
        assert!(plan(&of(7), &Policy::default()).is_empty());
        assert_eq!(plan(&of(8), &Policy::default()).len(), 1);
        assert_eq!(plan(&of(2), &Policy::everything()).len(), 1);
    }

    #[test]
    fn full_segments_and_other_years_are_left_alone() {
        let mut segments: Vec<_> = (0..9).map(|n| segment(n, 2026, 400_000, 1000, 0)).collect();
        segments.extend((10..14).map(|n| segment(n, 2025, 10, 10, 0)));
        segments.extend((14..18).map(|n| segment(n, 2024, 10, 10, 0)));
        assert!(plan(&segments, &Policy::default()).is_empty());
    }
}
