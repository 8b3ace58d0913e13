//! Sequences: what was ever archived from an origin, against what is there, and without gaps.

use std::borrow::Cow;
use std::collections::BTreeMap;

use roaring::RoaringTreemap;

use super::report::Problem;
use super::rows::{Origins, RowMark};

/// The name of the check.
pub const CHECK: &str = "origins";
/// Ranges of missing sequences that a message names.
const RANGES_MAX: usize = 5;

/// Whether an origin's sequences are dense. Those of quarantined records are derived from their bytes.
#[must_use]
pub fn is_dense(origin: &str) -> bool {
    !origin.starts_with("quarantine/")
}

/// Sequences by origin, as the rows have them, and those that more than one row has.
#[derive(Debug, Default)]
pub struct Present {
    /// By origin.
    pub sets: BTreeMap<String, RoaringTreemap>,
    /// Rows whose (origin, sequence) another row has as well.
    pub doubled: Vec<(String, u64)>,
}

/// Collects the rows' sequences.
#[must_use]
pub fn present(marks: &[RowMark], origins: &Origins) -> Present {
    let mut sets: Vec<RoaringTreemap> = vec![RoaringTreemap::new(); origins.names().len()];
    let mut doubled = Vec::new();
    for mark in marks {
        if !sets[mark.origin as usize].insert(mark.sequence) {
            doubled.push((origins.name(mark.origin).to_owned(), mark.sequence));
        }
    }
    Present {
        sets: origins.names().iter().cloned().zip(sets).collect(),
        doubled,
    }
}

impl Present {
    /// Takes over the sequences of other rows.
    pub fn merge(&mut self, other: Self) {
        self.doubled.extend(other.doubled);
        for (origin, new) in other.sets {
            let known = self.sets.entry(origin.clone()).or_default();
            let both = &*known & &new;
            self.doubled
                .extend(both.iter().map(|sequence| (origin.clone(), sequence)));
            *known |= new;
        }
    }
}

/// Compares what the rows have with what the table says was ever archived. `removed`: sequences that certificates account
/// for: a row of them is as wrong as none of any other.
#[must_use]
pub fn compare(
    archived: &BTreeMap<String, RoaringTreemap>,
    present: &Present,
    removed: &BTreeMap<String, RoaringTreemap>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |place: &str, message: String| {
        problems.push(Problem {
            check: CHECK,
            place: place.to_owned(),
            message,
        });
    };
    for (origin, sequence) in &present.doubled {
        problem(
            origin,
            format!("sequence {sequence} is archived more than once"),
        );
    }
    let nothing = RoaringTreemap::new();
    for (origin, rows) in &present.sets {
        let ever = archived.get(origin).unwrap_or(&nothing);
        let unknown = rows - ever;
        if !unknown.is_empty() {
            problem(
                origin,
                format!(
                    "{} events are not in the origin's set of archived sequences: {}",
                    unknown.len(),
                    ranges(&unknown)
                ),
            );
        }
    }
    for (origin, ever) in archived {
        let there = present.sets.get(origin).unwrap_or(&nothing);
        let gone = removed.get(origin).unwrap_or(&nothing);
        let back = there & gone;
        if !back.is_empty() {
            problem(
                origin,
                format!(
                    "{} events are there although they were disposed of: {}",
                    back.len(),
                    ranges(&back)
                ),
            );
        }
        let lost = ever - there - gone;
        if !lost.is_empty() {
            problem(
                origin,
                format!(
                    "{} events were archived and are gone without a disposition: {}",
                    lost.len(),
                    ranges(&lost)
                ),
            );
        }
        if is_dense(origin) {
            let gaps = gaps(&arrived(ever, archived.get(&quarantine_of(origin))));
            if !gaps.is_empty() {
                let missing: u64 = gaps.iter().map(|(from, to)| to - from + 1).sum();
                problem(
                    origin,
                    format!("{missing} sequences never arrived: {}", list(&gaps)),
                );
            }
        }
    }
    problems
}

/// The origin of those rows of an origin's outbox that were quarantined. They are known there by the same sequences.
#[must_use]
pub fn quarantine_of(origin: &str) -> String {
    format!("quarantine/outbox/{origin}")
}

/// What arrived of an origin: its events, and what was quarantined of its outbox.
#[must_use]
pub fn arrived<'a>(
    ever: &'a RoaringTreemap,
    quarantined: Option<&RoaringTreemap>,
) -> Cow<'a, RoaringTreemap> {
    let (Some(quarantined), Some(last)) = (quarantined, ever.max()) else {
        return Cow::Borrowed(ever);
    };
    let mut arrived = quarantined.clone();
    // Beyond the last event nothing is asked for; identities that are derived from bytes are mostly there.
    arrived.remove_range(last..);
    Cow::Owned(arrived | ever)
}

/// Ranges from 1 to the last sequence that the set does not hold, both ends inclusive.
#[must_use]
pub fn gaps(set: &RoaringTreemap) -> Vec<(u64, u64)> {
    // Rank finds a gap without walking a million present ones: between two absent ends everything is dense when
    // the number of members equals the distance.
    let Some(last) = set.max() else {
        return Vec::new();
    };
    let mut gaps = Vec::new();
    let mut next = 1;
    while next <= last {
        let dense_end = dense_until(set, next, last);
        if dense_end >= last {
            break;
        }
        let from = dense_end + 1;
        let rank = set.rank(from);
        let to = set.select(rank).map_or(last, |after| after - 1);
        gaps.push((from, to));
        next = to + 1;
    }
    gaps
}

/// The last sequence of the run that begins at `from`; `from - 1` when `from` is absent.
fn dense_until(set: &RoaringTreemap, from: u64, last: u64) -> u64 {
    let before = if from == 0 { 0 } else { set.rank(from - 1) };
    let (mut low, mut high) = (from - 1, last);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if set.rank(middle) - before == middle - from + 1 {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

fn ranges(set: &RoaringTreemap) -> String {
    let mut out: Vec<(u64, u64)> = Vec::new();
    for sequence in set {
        let known = out.len();
        match out.last_mut() {
            Some((_, to)) if *to + 1 == sequence => *to = sequence,
            Some(_) if known > RANGES_MAX => break,
            Some(_) | None => out.push((sequence, sequence)),
        }
    }
    list(&out)
}

/// `3, 7 to 9, …`
#[must_use]
pub fn list(ranges: &[(u64, u64)]) -> String {
    let mut parts: Vec<String> = ranges
        .iter()
        .take(RANGES_MAX)
        .map(|(from, to)| {
            if from == to {
                from.to_string()
            } else {
                format!("{from} to {to}")
            }
        })
        .collect();
    if ranges.len() > RANGES_MAX {
        parts.push("…".to_owned());
    }
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(members: &[u64]) -> RoaringTreemap {
        members.iter().copied().collect()
    }

    #[test]
    fn gaps_are_what_is_missing_below_the_last() {
        assert_eq!(gaps(&set(&[])), []);
        assert_eq!(gaps(&set(&[1, 2, 3])), []);
        assert_eq!(gaps(&set(&[2, 3])), [(1, 1)]);
        assert_eq!(gaps(&set(&[1, 2, 5, 6, 9])), [(3, 4), (7, 8)]);
        let mut large: RoaringTreemap = (1..=1_000_000).collect();
        large.remove(500_000);
        assert_eq!(gaps(&large), [(500_000, 500_000)]);
    }

    #[test]
    fn gaps_agree_with_a_plain_walk() {
        for seed in 0..200_u64 {
            let members: Vec<u64> = (1..=40)
                .filter(|n| (n * 7919 + seed * 104_729) % 5 > 1)
                .collect();
            let set = set(&members);
            let mut expected: Vec<(u64, u64)> = Vec::new();
            for n in 1..=set.max().unwrap_or(0) {
                if !set.contains(n) {
                    match expected.last_mut() {
                        Some((_, to)) if *to + 1 == n => *to = n,
                        _ => expected.push((n, n)),
                    }
                }
            }
            assert_eq!(gaps(&set), expected, "seed {seed}");
        }
    }

    #[test]
    fn ar1_rows_of_several_segments_are_put_together_as_if_they_were_of_one() {
        let mut origins = Origins::default();
        let numbers = ["main.1", "main.2"].map(|name| origins.number(name));
        let mark = |(origin, sequence): (usize, u64)| RowMark {
            version: 1,
            origin: numbers[origin],
            sequence,
            hash: [0; 32],
        };
        // Twice in one, once in each, twice in one and once in another, and once.
        let parts = [
            vec![(0, 1), (0, 1), (0, 2), (1, 9), (1, 9)],
            vec![(0, 2), (1, 9), (1, 7)],
            vec![(0, 3)],
        ];
        let parts = parts.map(|part| part.into_iter().map(mark).collect::<Vec<_>>());
        let whole = present(&parts.concat(), &origins);
        let mut merged = Present::default();
        for part in &parts {
            merged.merge(present(part, &origins));
        }
        merged.doubled.sort_unstable();
        let main = |n: u8, sequence: u64| (format!("main.{n}"), sequence);
        assert_eq!(
            merged.doubled,
            [main(1, 1), main(1, 2), main(2, 9), main(2, 9)]
        );
        assert_eq!((merged.sets, whole.doubled.len()), (whole.sets, 4));
    }

    #[test]
    fn ar1_a_quarantined_row_of_an_outbox_is_no_gap() {
        let mut archived = BTreeMap::from([
            ("main.1".to_owned(), set(&[1, 2, 4, 6])),
            ("quarantine/outbox/main.1".to_owned(), set(&[3, 9_000])),
        ]);
        let messages = |archived: &BTreeMap<String, RoaringTreemap>| {
            let present = Present {
                sets: archived.clone(),
                doubled: Vec::new(),
            };
            let problems = compare(archived, &present, &BTreeMap::new()).into_iter();
            problems.map(|problem| problem.message).collect::<Vec<_>>()
        };
        assert_eq!(messages(&archived), ["1 sequences never arrived: 5"]);
        archived.insert("quarantine/outbox/main.1".to_owned(), set(&[3, 5]));
        assert!(messages(&archived).is_empty());
    }

    #[test]
    fn ar1_each_kind_of_disagreement_is_told() {
        let archived = BTreeMap::from([
            ("main.1".to_owned(), set(&[1, 2, 4])),
            ("quarantine/jsonl".to_owned(), set(&[77])),
        ]);
        let mut found = Present::default();
        found.sets.insert("main.1".to_owned(), set(&[1, 2, 9]));
        found.sets.insert("quarantine/jsonl".to_owned(), set(&[77]));
        found.doubled.push(("main.1".to_owned(), 2));
        let nothing = BTreeMap::new();
        let problems = compare(&archived, &found, &nothing).into_iter();
        assert_eq!(
            problems.map(|p| p.message).collect::<Vec<_>>(),
            [
                "sequence 2 is archived more than once",
                "1 events are not in the origin's set of archived sequences: 9",
                "1 events were archived and are gone without a disposition: 4",
                "1 sequences never arrived: 3",
            ]
        );
        // A certificate accounts for what is gone, and for nothing that is there.
        let removed = BTreeMap::from([("main.1".to_owned(), set(&[4]))]);
        assert_eq!(compare(&archived, &found, &removed).len(), 3);
        let removed = BTreeMap::from([("main.1".to_owned(), set(&[1, 4]))]);
        let problems = compare(&archived, &found, &removed);
        let wrong = "1 events are there although they were disposed of: 1";
        assert!(problems.iter().any(|p| p.message == wrong), "{problems:?}");
    }
}
