//! Rows into segments, for ingest and compaction alike: sorted by (event_time, event_id), cut at years and, where both sides stay large, at days.

use arrow::array::{
    Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::compute::{concat, interleave};
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use holdfast_archive::cut;
use holdfast_schemas::columns::{event_year, name, segment_schema};

/// A row of a batch: which of its record batches, and which row of that.
pub type Place = (usize, usize);

/// One segment to be: its year and its rows in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// UTC year of its rows.
    pub event_year: i32,
    /// Its rows.
    pub rows: Vec<Place>,
}

struct Keys<'a> {
    times: &'a TimestampMicrosecondArray,
    ids: &'a StringArray,
}

/// Segments for these rows, which stay where they are.
///
/// # Errors
/// A batch lacks the columns of a segment.
pub fn plan(batches: &[&RecordBatch]) -> Result<Vec<Plan>, ArrowError> {
    let keys = batches
        .iter()
        .map(|batch| keys(batch))
        .collect::<Result<Vec<_>, _>>()?;
    let mut rows: Vec<(i64, Place)> =
        Vec::with_capacity(batches.iter().map(|batch| batch.num_rows()).sum());
    for (chunk, keys) in keys.iter().enumerate() {
        rows.extend(
            keys.times
                .values()
                .iter()
                .enumerate()
                .map(|(row, time)| (*time, (chunk, row))),
        );
    }
    // Events mostly come in the order of their times; the sort finds and merges such runs. Ids decide between equal times only.
    let id = |place: Place| keys[place.0].ids.value(place.1);
    rows.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| id(a.1).cmp(id(b.1))));
    let mut plans = Vec::new();
    let mut rest = rows.as_slice();
    while let Some(first) = rest.first() {
        // Rows are in the order of time: the rows of a year stand together.
        let year = event_year(first.0);
        let end = rest.partition_point(|row| event_year(row.0) <= year);
        let (of_year, later) = rest.split_at(end);
        rest = later;
        let times: Vec<i64> = of_year.iter().map(|row| row.0).collect();
        for range in cut::by_day(&times, cut::CUT_ROWS_MIN) {
            plans.push(Plan {
                event_year: year,
                rows: of_year[range].iter().map(|row| row.1).collect(),
            });
        }
    }
    Ok(plans)
}

fn keys(batch: &RecordBatch) -> Result<Keys<'_>, ArrowError> {
    let missing =
        |column: &str| ArrowError::SchemaError(format!("{column} is not as the contract says"));
    let column = |column: &'static str| batch.column_by_name(column).ok_or_else(|| missing(column));
    Ok(Keys {
        times: column(name::EVENT_TIME)?
            .as_any()
            .downcast_ref()
            .ok_or_else(|| missing(name::EVENT_TIME))?,
        ids: column(name::EVENT_ID)?
            .as_any()
            .downcast_ref()
            .ok_or_else(|| missing(name::EVENT_ID))?,
    })
}

/// Runs of neighbours must be this long on average for copying them as slices to be cheaper than gathering row by row.
const RUN_ROWS_MIN: usize = 64;

/// The rows of a plan as one batch.
///
/// # Errors
/// Text of a column exceeds what Arrow's offsets address.
pub fn assemble(batches: &[&RecordBatch], rows: &[Place]) -> Result<RecordBatch, ArrowError> {
    let gather = Gather::new(rows);
    let schema = segment_schema();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        let sources: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(index)).collect();
        columns.push(gather.column(&sources, field.data_type())?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(schema, columns, &options)
}

/// Gathers columns in the order of a plan.
#[derive(Debug)]
pub struct Gather<'a> {
    rows: &'a [Place],
    /// Rows that are neighbours, where copying them as slices pays.
    runs: Option<Vec<(Place, usize)>>,
}

impl<'a> Gather<'a> {
    /// For rows in this order.
    #[must_use]
    pub fn new(rows: &'a [Place]) -> Self {
        let runs = runs(rows);
        let pays = runs.len() * RUN_ROWS_MIN <= rows.len().max(RUN_ROWS_MIN);
        Self {
            rows,
            runs: pays.then_some(runs),
        }
    }

    /// One column: the places' first number is an index into `sources`.
    ///
    /// # Errors
    /// Text exceeds what Arrow's offsets address.
    pub fn column(
        &self,
        sources: &[&ArrayRef],
        data_type: &DataType,
    ) -> Result<ArrayRef, ArrowError> {
        // Most columns of a chat are empty in most batches: nothing is to be gathered from them.
        if sources
            .iter()
            .all(|source| source.null_count() == source.len())
        {
            return Ok(new_null_array(data_type, self.rows.len()));
        }
        match &self.runs {
            Some(runs) => {
                let slices: Vec<ArrayRef> = runs
                    .iter()
                    .map(|((chunk, first), count)| sources[*chunk].slice(*first, *count))
                    .collect();
                concat(&slices.iter().map(AsRef::as_ref).collect::<Vec<_>>())
            }
            None => interleave(
                &sources
                    .iter()
                    .map(|source| source.as_ref())
                    .collect::<Vec<_>>(),
                self.rows,
            ),
        }
    }
}

/// Rows that are neighbours, as (first, count).
fn runs(rows: &[Place]) -> Vec<(Place, usize)> {
    let mut runs: Vec<(Place, usize)> = Vec::new();
    for (chunk, row) in rows {
        match runs.last_mut() {
            Some(((last, first), count)) if last == chunk && *first + *count == *row => *count += 1,
            _ => runs.push(((*chunk, *row), 1)),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_schemas::columns::{RowBuilder, Rows};
    use holdfast_schemas::{Event, Intake, Row};
    use proptest::prelude::*;

    const DAY_US: i64 = 86_400_000_000;

    fn batch(rows: &[(i64, u32)]) -> RecordBatch {
        let mut builder = RowBuilder::with_capacity(rows.len());
        for (time_us, id) in rows {
            let event = Event {
                id: format!("00000000-0000-7000-8000-{id:012}").into(),
                time_us: *time_us,
                origin: "o".into(),
                sequence: 1 + u64::from(*id),
                ..Event::default()
            };
            builder.append(&Row {
                event,
                intake: Intake::default(),
            });
        }
        builder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn rows_are_sorted_cut_at_years_and_all_there(
            chunks in proptest::collection::vec(proptest::collection::vec((-3i64..40, 0u32..1000), 1..80), 1..6), sorted: bool
        ) {
            // Steps of 50 days from 1969 on, so that several years and equal times come up.
            let mut rows: Vec<Vec<(i64, u32)>> =
                chunks.iter().map(|chunk| chunk.iter().map(|(time, id)| (time * 50 * DAY_US, *id)).collect()).collect();
            if sorted {
                let mut all: Vec<_> = rows.concat();
                all.sort_unstable();
                rows = vec![all];
            }
            let batches: Vec<_> = rows.iter().map(|rows| batch(rows)).collect();
            let batches: Vec<_> = batches.iter().collect();
            let mut found = Vec::new();
            let plans = plan(&batches).unwrap();
            let years: Vec<_> = plans.iter().map(|plan| plan.event_year).collect();
            prop_assert!(years.is_sorted_by(|a, b| a < b));
            for plan in &plans {
                let batch = assemble(&batches, &plan.rows).unwrap();
                let view = Rows::new(&batch).unwrap();
                for row in 0..batch.num_rows() {
                    let event = view.event(row);
                    prop_assert_eq!(event_year(event.time_us), plan.event_year);
                    found.push((event.time_us, u32::try_from(event.sequence - 1).unwrap()));
                }
            }
            let mut expected = rows.concat();
            expected.sort_unstable();
            prop_assert_eq!(found, expected);
        }
    }
}
