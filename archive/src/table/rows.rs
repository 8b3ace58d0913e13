//! Rows of add and remove actions, as the kernel wants them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, MapBuilder, MapFieldNames, RecordBatch, StringArray, StringBuilder,
    StructArray, TimestampMicrosecondArray, new_null_array,
};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use arrow::error::ArrowError;
use delta_kernel::KernelResult;
use delta_kernel::engine::arrow_conversion::TryIntoArrow;
use delta_kernel::scan::scan_row_schema;
use holdfast_schemas::columns::{self, name};

use crate::log::stats::{ceil_to_ms, floor_to_ms};
use crate::segment::{NewSegment, Segment, SegmentStats};

/// Add actions, with statistics of the columns without content.
pub(crate) fn adds(segments: &[NewSegment]) -> Result<RecordBatch, ArrowError> {
    let paths: StringArray = segments.iter().map(|s| Some(s.path.as_str())).collect();
    let sizes: Int64Array = segments.iter().map(|s| Some(long(s.bytes))).collect();
    // When the file was made, from its name: needs no clock, and no second of the store's.
    let modified: Int64Array = segments
        .iter()
        .map(|s| Some(s.created_ms().unwrap_or(0)))
        .collect();
    let years = partitions(segments.iter().map(|s| s.event_year))?;
    let stats = stats(segments)?;
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("path", Arc::new(paths), false),
        ("partitionValues", years, false),
        ("size", Arc::new(sizes), false),
        ("modificationTime", Arc::new(modified), false),
        ("stats", stats, true),
    ];
    batch(columns)
}

/// Rows of a scan, from which the kernel makes remove actions.
pub(crate) fn removes(segments: &[Arc<Segment>]) -> KernelResult<RecordBatch> {
    let schema: Schema = scan_row_schema().as_ref().try_into_arrow()?;
    let rows = segments.len();
    let paths: StringArray = segments.iter().map(|s| Some(s.path.as_str())).collect();
    let sizes: Int64Array = segments.iter().map(|s| Some(long(s.bytes))).collect();
    let row_ids: Int64Array = segments.iter().map(|s| Some(s.base_row_id)).collect();
    let versions: Int64Array = segments
        .iter()
        .map(|s| Some(long(s.commit_version)))
        .collect();
    let years = partitions(segments.iter().map(|s| s.event_year))?;
    let columns = schema
        .fields()
        .iter()
        .map(|field| match (field.name().as_str(), field.data_type()) {
            ("path", _) => Arc::new(paths.clone()) as ArrayRef,
            ("size", _) => Arc::new(sizes.clone()),
            ("fileConstantValues", DataType::Struct(fields)) => {
                let children = fields.iter().map(|child| match child.name().as_str() {
                    "partitionValues" => Arc::clone(&years),
                    "baseRowId" => Arc::new(row_ids.clone()),
                    "defaultRowCommitVersion" => Arc::new(versions.clone()),
                    _ => new_null_array(child.data_type(), rows),
                });
                Arc::new(StructArray::new(
                    retyped(fields, &years),
                    children.collect(),
                    None,
                ))
            }
            _ => new_null_array(field.data_type(), rows),
        })
        .collect::<Vec<_>>();
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, column)| {
            Field::new(
                field.name(),
                column.data_type().clone(),
                field.is_nullable(),
            )
        })
        .collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// The fields with the map's own type (the names inside a map vary between writers and mean nothing).
fn retyped(fields: &Fields, map: &ArrayRef) -> Fields {
    fields
        .iter()
        .map(|field| match field.name().as_str() {
            "partitionValues" => Arc::new(Field::new(
                field.name(),
                map.data_type().clone(),
                field.is_nullable(),
            )),
            _ => Arc::clone(field),
        })
        .collect()
}

fn partitions(years: impl Iterator<Item = i32>) -> Result<ArrayRef, ArrowError> {
    let names = MapFieldNames {
        entry: "key_value".to_owned(),
        key: "key".to_owned(),
        value: "value".to_owned(),
    };
    let mut builder = MapBuilder::new(Some(names), StringBuilder::new(), StringBuilder::new());
    for year in years {
        builder.keys().append_value(name::EVENT_YEAR);
        builder.values().append_value(year.to_string());
        builder.append(true)?;
    }
    Ok(Arc::new(builder.finish()))
}

fn stats(segments: &[NewSegment]) -> Result<ArrayRef, ArrowError> {
    let rows: Int64Array = segments.iter().map(|s| Some(long(s.rows))).collect();
    let no_nulls: ArrayRef = Arc::new(Int64Array::from(vec![0; segments.len()]));
    let names = [
        name::EVENT_TIME,
        name::INGEST_TIME,
        name::ORIGIN,
        name::ORIGIN_SEQ,
    ];
    let nulls = object(
        names
            .iter()
            .map(|name| (*name, Arc::clone(&no_nulls)))
            .collect(),
    );
    let minima = bounds(segments, |s| {
        (
            floor_to_ms(s.event_time_us.0),
            floor_to_ms(s.ingest_time_us.0),
            &s.origin.0,
            s.origin_seq.0,
        )
    });
    let maxima = bounds(segments, |s| {
        (
            ceil_to_ms(s.event_time_us.1),
            ceil_to_ms(s.ingest_time_us.1),
            &s.origin.1,
            s.origin_seq.1,
        )
    });
    Ok(object(vec![
        ("numRecords", Arc::new(rows)),
        ("nullCount", nulls),
        ("minValues", minima),
        ("maxValues", maxima),
    ]))
}

fn bounds<'a>(
    segments: &'a [NewSegment],
    of: impl Fn(&'a SegmentStats) -> (i64, i64, &'a String, u64),
) -> ArrayRef {
    let values: Vec<_> = segments.iter().map(|s| of(&s.stats)).collect();
    let times = |times: Vec<i64>| {
        Arc::new(TimestampMicrosecondArray::from(times).with_data_type(columns::timestamp()))
            as ArrayRef
    };
    let origins: StringArray = values.iter().map(|v| Some(v.2.as_str())).collect();
    let sequences: Int64Array = values.iter().map(|v| Some(long(v.3))).collect();
    object(vec![
        (
            name::EVENT_TIME,
            times(values.iter().map(|v| v.0).collect()),
        ),
        (
            name::INGEST_TIME,
            times(values.iter().map(|v| v.1).collect()),
        ),
        (name::ORIGIN, Arc::new(origins)),
        (name::ORIGIN_SEQ, Arc::new(sequences)),
    ])
}

fn object(columns: Vec<(&str, ArrayRef)>) -> ArrayRef {
    let fields: Fields = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    Arc::new(StructArray::new(
        fields,
        columns.into_iter().map(|(_, column)| column).collect(),
        None,
    ))
}

fn batch(columns: Vec<(&str, ArrayRef, bool)>) -> Result<RecordBatch, ArrowError> {
    let fields: Vec<_> = columns
        .iter()
        .map(|(name, column, null)| Field::new(*name, column.data_type().clone(), *null))
        .collect();
    RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns.into_iter().map(|(_, column, _)| column).collect(),
    )
}

fn long(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
