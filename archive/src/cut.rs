//! Where sorted rows are cut into segments: never across years, and at a day's end where both sides stay large.

use std::ops::Range;

/// Rows that both sides of a cut inside a year keep at least.
pub const CUT_ROWS_MIN: usize = 200_000;

/// Ranges of rows that become one segment each.
///
/// `event_time_us` is ascending (UTC microseconds); rows of one year only.
/// Every range ends at a day's end and keeps at least `rows_min` rows, unless the whole input is smaller.
#[must_use]
pub fn by_day(_event_time_us: &[i64], _rows_min: usize) -> Vec<Range<usize>> {
    todo!()
}

/// Ranges of rows with the same year, with that year. `years[i]` is row `i`'s partition value; equal years need not be
/// adjacent: rows are returned as index lists.
#[must_use]
pub fn by_year(_years: &[i32]) -> Vec<(i32, Vec<u32>)> {
    todo!()
}
