//! Which segments to merge: a pure function of the live ones.
//!
//! Segments of a year are grouped in tiers by their rows, each tier up to [`TIER_FACTOR`] times the one below. As soon as a tier holds
//! enough segments the neighbours in time among them are merged. So a row is rewritten at most once a tier, and a year of any size has only a
//! few small segments.
//!
//! | segment | is |
//! |---|---|
//! | rows >= [`cut::CUT_ROWS_MIN`], or bytes or uncompressed bytes >= half the most | full: merged no further |
//! | otherwise | in tier floor(log8 rows) |
//!
//! What a merge holds in memory is what its inputs hold uncompressed, and text that repeats compresses fifty times and more: bytes of Parquet
//! alone bound nothing. The log does not know uncompressed sizes, a segment's own metadata does; [`plan_sized`] takes those that were read.
//!
//! A merge is cut at days where both sides keep [`cut::CUT_ROWS_MIN`] rows. Its outputs are therefore either one segment or full ones, and fewer
//! than its inputs, each of which has less than that: merging ends.

use std::collections::{BTreeMap, HashMap};
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
    /// Bytes of one merge's inputs before compression, at most: what bounds its memory.
    pub uncompressed_bytes_max: u64,
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
            uncompressed_bytes_max: 1 << 30,
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
    pub fn is_full(&self, segment: &Segment, uncompressed: &Uncompressed) -> bool {
        segment.rows >= (cut::CUT_ROWS_MIN as u64).min(self.rows_max)
            || segment.bytes >= self.bytes_max / 2
            || size(segment, uncompressed) >= self.uncompressed_bytes_max / 2
    }
}

/// Bytes of segments before compression, by path.
pub type Uncompressed = HashMap<String, u64>;

/// What is known of a segment's size before compression: at least that of its file.
fn size(segment: &Segment, uncompressed: &Uncompressed) -> u64 {
    let known = uncompressed.get(&segment.path).copied();
    known.unwrap_or(segment.bytes)
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
    plan_sized(segments, policy, &Uncompressed::new())
}

/// As [`plan`], where the sizes before compression of some segments are known. A merge all of whose inputs are known holds at most
/// [`Policy::uncompressed_bytes_max`]; for others the size is read, and planned again.
#[must_use]
pub fn plan_sized(
    segments: &[Arc<Segment>],
    policy: &Policy,
    uncompressed: &Uncompressed,
) -> Vec<Merge> {
    let mut tiers: BTreeMap<(i32, u32), Vec<&Arc<Segment>>> = BTreeMap::new();
    let mergeable = segments
        .iter()
        .filter(|segment| !policy.is_full(segment, uncompressed));
    for segment in mergeable {
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
        let (mut rows, mut bytes, mut held) = (0, 0, 0_u64);
        let mut close = |open: &mut Vec<Arc<Segment>>| {
            let inputs = std::mem::take(open);
            if inputs.len() >= policy.inputs_min.max(2) {
                merges.push(Merge { event_year, inputs });
            }
        };
        for segment in tier {
            let size = size(segment, uncompressed);
            let over = rows + segment.rows > policy.rows_max
                || bytes + segment.bytes > policy.bytes_max
                || held.saturating_add(size) > policy.uncompressed_bytes_max;
            if over || open.len() == policy.inputs_max {
                close(&mut open);
                (rows, bytes, held) = (0, 0, 0);
            }
            rows += segment.rows;
            bytes += segment.bytes;
            held = held.saturating_add(size);
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
    fn check(
        merges: &[Merge],
        segments: &[Arc<Segment>],
        policy: &Policy,
        uncompressed: &Uncompressed,
    ) {
        let mut seen = std::collections::HashSet::new();
        for merge in merges {
            assert!((policy.inputs_min..=policy.inputs_max).contains(&merge.inputs.len()));
            assert!(merge.rows() <= policy.rows_max);
            assert!(merge.inputs.iter().map(|input| input.bytes).sum::<u64>() <= policy.bytes_max);
            let held: u64 = merge
                .inputs
                .iter()
                .map(|input| size(input, uncompressed))
                .sum();
            assert!(held <= policy.uncompressed_bytes_max);
            for input in &merge.inputs {
                assert!(segments.contains(input), "{} is not live", input.path);
                assert!(
                    seen.insert(input.path.clone()),
                    "{} is merged twice",
                    input.path
                );
                assert_eq!(input.event_year, merge.event_year);
                assert!(!policy.is_full(input, uncompressed));
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
            ratios in proptest::collection::vec(proptest::option::of(1u64..100), 120),
            everything: bool,
        ) {
            let policy = if everything { Policy::everything() } else { Policy::default() };
            let mut live: Vec<_> = shapes.iter().enumerate()
                .map(|(n, (year, rows, width, day))| segment(n, *year, *rows, rows * width, *day)).collect();
            let uncompressed: Uncompressed = live.iter().zip(&ratios)
                .filter_map(|(segment, ratio)| Some((segment.path.clone(), segment.bytes * (*ratio)?))).collect();
            let mut next = live.len();
            loop {
                let merges = plan_sized(&live, &policy, &uncompressed);
                check(&merges, &live, &policy, &uncompressed);
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

    #[test]
    fn what_a_merge_holds_uncompressed_is_bounded() {
        const MIB: u64 = 1 << 20;
        let segments: Vec<_> = (0..16)
            .map(|n| segment(n, 2026, 1000, MIB, n as i64))
            .collect();
        let sized = |mib: u64| -> Uncompressed {
            let sizes = segments.iter().map(|s| (s.path.clone(), mib * MIB));
            sizes.collect()
        };
        let inputs = |mib: u64| -> Vec<usize> {
            let merges = plan_sized(&segments, &Policy::everything(), &sized(mib));
            merges.iter().map(|merge| merge.inputs.len()).collect()
        };
        assert_eq!(inputs(1), [16]);
        assert_eq!(inputs(128), [8, 8], "1 GiB each");
        assert_eq!(inputs(300), [3, 3, 3, 3, 3], "and one is left over");
        assert!(inputs(512).is_empty(), "each is full by itself");
    }
}
