//! Rows by time.

use std::ops::Range;
use std::sync::Arc;

use tantivy::columnar::ColumnValues;

use crate::docs::Set;
use crate::error::SplitError;
use crate::split::Split;

/// The event times of a segment's rows, which ascend.
pub(crate) enum EventTimes {
    /// The split's column.
    Split(Arc<dyn ColumnValues<i64>>),
    /// Read from the rows, where there is no usable split.
    Rows(Vec<i64>),
}

impl EventTimes {
    /// Of a split.
    ///
    /// # Errors
    /// The split is damaged.
    pub(crate) fn of(split: &Split) -> Result<Self, SplitError> {
        let times = split.event_times()?;
        if times.num_vals() != split.rows() {
            return Err(SplitError::Damaged(
                "it has another number of event times than rows".to_owned(),
            ));
        }
        Ok(Self::Split(times))
    }

    fn len(&self) -> u32 {
        match self {
            Self::Split(times) => times.num_vals(),
            Self::Rows(times) => times.len() as u32,
        }
    }

    /// Time of a row, which must be one of the segment's.
    pub(crate) fn get(&self, row: u32) -> i64 {
        match self {
            Self::Split(times) => times.get_val(row),
            Self::Rows(times) => times[row as usize],
        }
    }

    /// Rows in a span, both ends included: neighbours.
    pub(crate) fn span(&self, from_us: i64, to_us: i64) -> Range<u32> {
        let begin = self.first(|time| time >= from_us);
        begin..self.first(|time| time > to_us).max(begin)
    }

    /// The first row from which on `is` holds.
    fn first(&self, is: impl Fn(i64) -> bool) -> u32 {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            if is(self.get(middle)) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }
}

/// Rows whose event time is in a span, both ends included: neighbours, since rows are sorted by it.
pub(crate) fn event_span(
    split: &Split,
    from_us: i64,
    to_us: i64,
) -> Result<Range<u32>, SplitError> {
    if split.rows() == 0 || from_us > to_us {
        return Ok(0..0);
    }
    Ok(EventTimes::of(split)?.span(from_us, to_us))
}

/// Event time of a row.
pub(crate) fn event_time(split: &Split, row: u32) -> Result<i64, SplitError> {
    let times = EventTimes::of(split)?;
    if row >= times.len() {
        return Err(SplitError::Damaged(
            "it has fewer event times than rows".to_owned(),
        ));
    }
    Ok(times.get(row))
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
