//! Rows by time.

use std::ops::Range;

use crate::docs::Set;
use crate::error::SplitError;
use crate::split::Split;

/// Rows whose event time is in a span, both ends included: neighbours, since rows are sorted by it.
pub(crate) fn event_span(
    split: &Split,
    from_us: i64,
    to_us: i64,
) -> Result<Range<u32>, SplitError> {
    if split.rows() == 0 || from_us > to_us {
        return Ok(0..0);
    }
    let times = split.event_times()?;
    if times.num_vals() != split.rows() {
        return Err(SplitError::Damaged(
            "it has another number of event times than rows".to_owned(),
        ));
    }
    // The index of the first row for which `before` no longer holds.
    let first = |before: &dyn Fn(i64) -> bool| {
        let (mut low, mut high) = (0, split.rows());
        while low < high {
            let middle = low + (high - low) / 2;
            if before(times.get_val(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    };
    Ok(first(&|time| time < from_us)..first(&|time| time <= to_us))
}

/// Event time of a row.
pub(crate) fn event_time(split: &Split, row: u32) -> Result<i64, SplitError> {
    let times = split.event_times()?;
    if row >= times.num_vals() {
        return Err(SplitError::Damaged(
            "it has fewer event times than rows".to_owned(),
        ));
    }
    Ok(times.get_val(row))
}

/// Rows whose ingest time is in a span, both ends included.
pub(crate) fn ingest_span(split: &Split, from_us: i64, to_us: i64) -> Result<Set, SplitError> {
    if split.rows() == 0 || from_us > to_us {
        return Ok(Set::Empty);
    }
    let times = split.ingest_times()?;
    if times.num_vals() != split.rows() {
        return Err(SplitError::Damaged(
            "it has another number of ingest times than rows".to_owned(),
        ));
    }
    if from_us <= times.min_value() && times.max_value() <= to_us {
        return Ok(Set::All);
    }
    if times.max_value() < from_us || to_us < times.min_value() {
        return Ok(Set::Empty);
    }
    let mut rows = Vec::new();
    times.get_row_ids_for_value_range(from_us..=to_us, 0..split.rows(), &mut rows);
    Ok(Set::List(rows))
}
