//! Where sorted rows are cut into segments: never across years, and at a day's end where both sides stay large.
//! Dense days expire as whole files; sparse history does not shatter into small ones.

use std::collections::BTreeMap;
use std::ops::Range;

/// Rows that both sides of a cut inside a year keep at least.
pub const CUT_ROWS_MIN: usize = 200_000;

const DAY_US: i64 = 86_400_000_000;

/// Ranges of rows that become one segment each.
///
/// `event_time_us` is ascending (UTC microseconds); rows of one year only. Every range but the last ends at a UTC
/// day's end, and every range keeps at least `rows_min` rows unless the whole input is smaller.
#[must_use]
pub fn by_day(event_time_us: &[i64], rows_min: usize) -> Vec<Range<usize>> {
    debug_assert!(event_time_us.is_sorted(), "rows are sorted by time");
    let rows = event_time_us.len();
    let rows_min = rows_min.max(1);
    let mut ranges = Vec::new();
    let mut start = 0;
    // The first day's end after enough rows; a day's end is found by binary search, not by walking.
    while start < rows && rows - start >= rows_min.saturating_mul(2) {
        let day = event_time_us[start + rows_min - 1].div_euclid(DAY_US);
        let end =
            start + event_time_us[start..].partition_point(|time| time.div_euclid(DAY_US) <= day);
        if rows - end < rows_min {
            break;
        }
        ranges.push(start..end);
        start = end;
    }
    if start < rows {
        ranges.push(start..rows);
    }
    ranges
}

/// Rows by partition value, each list ascending. Equal years need not be adjacent: a quarantined row belongs to the
/// year of its ingestion, wherever its time sorts it.
#[must_use]
pub fn by_year(years: &[i32]) -> Vec<(i32, Vec<u32>)> {
    let mut rows: BTreeMap<i32, Vec<u32>> = BTreeMap::new();
    for (row, year) in (0u32..).zip(years) {
        rows.entry(*year).or_default().push(row);
    }
    rows.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn cuts_cover_everything_end_with_days_and_stay_large(
            mut times in proptest::collection::vec(-50i64..50, 0..400),
            within in 0i64..DAY_US,
            rows_min in 1usize..60,
        ) {
            times.sort_unstable();
            let times: Vec<i64> = times.into_iter().map(|day| day * DAY_US + within).collect();
            let ranges = by_day(&times, rows_min);
            let joined: Vec<usize> = ranges.iter().cloned().flatten().collect();
            prop_assert_eq!(joined, (0..times.len()).collect::<Vec<_>>());
            for range in &ranges {
                prop_assert!(range.len() >= rows_min || ranges.len() == 1);
            }
            for pair in ranges.windows(2) {
                let (last, first) = (times[pair[0].end - 1], times[pair[1].start]);
                prop_assert!(last.div_euclid(DAY_US) < first.div_euclid(DAY_US));
            }
            // Wherever both sides can keep enough rows, there is a cut.
            if let [only] = ranges.as_slice() {
                let cut = (rows_min..only.len().saturating_sub(rows_min - 1))
                    .find(|at| times[at - 1].div_euclid(DAY_US) != times[*at].div_euclid(DAY_US));
                prop_assert_eq!(cut, None);
            }
        }

        #[test]
        fn years_keep_every_row_in_order(years in proptest::collection::vec(1970i32..1975, 0..100)) {
            let groups = by_year(&years);
            prop_assert!(groups.is_sorted_by_key(|(year, _)| *year));
            let mut seen = 0;
            for (year, rows) in &groups {
                prop_assert!(rows.is_sorted());
                prop_assert!(rows.iter().all(|row| years[*row as usize] == *year));
                seen += rows.len();
            }
            prop_assert_eq!(seen, years.len());
        }
    }
}
