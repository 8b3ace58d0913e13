//! Reading a single-file checkpoint. Source: the Delta transaction log protocol, "Checkpoints".

use arrow::array::{
    Array, AsArray, BooleanArray, Int64Array, MapArray, RecordBatch, StringArray, StructArray,
};
use arrow::compute::{cast, is_null};
use arrow::datatypes::{DataType, Int64Type};
use arrow::error::ArrowError;
use bytes::Bytes;
use delta_kernel::actions::{Metadata, Protocol};
use futures::StreamExt;
use parquet::arrow::arrow_reader::{
    ArrowPredicateFn, ArrowReaderBuilder, ParquetRecordBatchReaderBuilder, RowFilter,
};
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use serde::de::DeserializeOwned;

use crate::error::ArchiveError;
use crate::log::action::{SHA256_TAG, decode_path, segment_of};
use crate::log::state::Parts;
use crate::store::parquet::{Ranged, parquet_error};

const COLUMNS: [&str; 6] = [
    "add",
    "txn",
    "domainMetadata",
    "metaData",
    "protocol",
    "sidecar",
];

/// Any leaf of `remove` that is small and always set: by it a row is known for a tombstone.
const TOMBSTONE_LEAF: &str = "remove.dataChange";
const BATCH_ROWS: usize = 8192;

/// What a checkpoint says about the table; `path` is for messages.
pub(crate) fn read(bytes: Bytes, path: &str) -> Result<Parts, ArchiveError> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| parquet_error(path, e))?;
    let mut parts = Parts::default();
    for batch in live(builder).build().map_err(|e| parquet_error(path, e))? {
        read_batch(&batch.map_err(arrow_error)?, path, &mut parts)?;
    }
    Ok(parts)
}

/// As [`read`], but reading only what it needs: a checkpoint is mostly tombstones (of a week, and every merge leaves
/// many), which nobody needs who opens the table.
pub(crate) async fn read_ranged(file: Ranged, path: &str) -> Result<Parts, ArchiveError> {
    let metadata = file.metadata().await.map_err(|e| parquet_error(path, e))?;
    let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(file, metadata);
    let mut batches = live(builder).build().map_err(|e| parquet_error(path, e))?;
    let mut parts = Parts::default();
    while let Some(batch) = batches.next().await {
        read_batch(
            &batch.map_err(|e| parquet_error(path, e))?,
            path,
            &mut parts,
        )?;
    }
    Ok(parts)
}

/// The removed paths that a checkpoint still remembers, with the moment of their removal.
pub(crate) fn read_removed(bytes: Bytes, path: &str) -> Result<Vec<(String, i64)>, ArchiveError> {
    let builder =
        ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(|e| parquet_error(path, e))?;
    let batches = columns(builder, &["remove"])
        .build()
        .map_err(|e| parquet_error(path, e))?;
    let mut removed = Vec::new();
    for batch in batches {
        let batch = batch.map_err(arrow_error)?;
        let Some(remove) = struct_column(&batch, "remove") else {
            continue;
        };
        let (paths, times) = (
            text(remove, "path", path)?,
            integer(remove, "deletionTimestamp", path)?,
        );
        for row in present(remove) {
            removed.push((decode_path(path, paths.value(row))?, times.value(row)));
        }
    }
    Ok(removed)
}

/// Narrowed to some columns.
fn columns<T>(builder: ArrowReaderBuilder<T>, names: &[&str]) -> ArrowReaderBuilder<T> {
    let fields = builder.parquet_schema().root_schema().get_fields().iter();
    let roots: Vec<usize> = fields
        .enumerate()
        .filter(|(_, field)| names.contains(&field.name()))
        .map(|(index, _)| index)
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), roots);
    builder.with_projection(mask).with_batch_size(BATCH_ROWS)
}

/// Narrowed to the columns of the table's state, and to the rows that are no tombstones.
fn live<T>(builder: ArrowReaderBuilder<T>) -> ArrowReaderBuilder<T> {
    let leaves = builder.parquet_schema().columns();
    let leaf = leaves
        .iter()
        .position(|leaf| leaf.path().string() == TOMBSTONE_LEAF);
    let builder = columns(builder, &COLUMNS);
    let Some(leaf) = leaf else {
        return builder;
    };
    let mask = ProjectionMask::leaves(builder.parquet_schema(), [leaf]);
    let is_live = ArrowPredicateFn::new(mask, |batch| match batch.columns().first() {
        Some(remove) => is_null(remove),
        None => Ok(BooleanArray::from(vec![true; batch.num_rows()])),
    });
    builder.with_row_filter(RowFilter::new(vec![Box::new(is_live)]))
}

fn struct_column<'a>(batch: &'a RecordBatch, name: &str) -> Option<&'a StructArray> {
    batch.column_by_name(name)?.as_struct_opt()
}

fn arrow_error(source: ArrowError) -> ArchiveError {
    ArchiveError::Arrow {
        operation: "read a checkpoint",
        source,
    }
}

fn read_batch(batch: &RecordBatch, path: &str, parts: &mut Parts) -> Result<(), ArchiveError> {
    let column = |name: &str| struct_column(batch, name);
    if column("sidecar").is_some_and(|sidecar| present(sidecar).next().is_some()) {
        return Err(ArchiveError::Unsupported {
            path: path.to_owned(),
            problem: "it is a checkpoint with sidecars (v2Checkpoint)".to_owned(),
        });
    }
    if let Some(add) = column("add") {
        read_adds(add, path, parts)?;
    }
    if let Some(txn) = column("txn") {
        let (ids, versions) = (text(txn, "appId", path)?, integer(txn, "version", path)?);
        for row in present(txn) {
            parts
                .txns
                .insert(ids.value(row).to_owned(), versions.value(row));
        }
    }
    if let Some(domain) = column("domainMetadata") {
        let (names, texts) = (
            text(domain, "domain", path)?,
            text(domain, "configuration", path)?,
        );
        let removed = domain
            .column_by_name("removed")
            .and_then(|c| c.as_boolean_opt());
        for row in present(domain) {
            if !removed.is_some_and(|r| r.is_valid(row) && r.value(row)) {
                parts
                    .domains
                    .push((names.value(row).to_owned(), texts.value(row).to_owned()));
            }
        }
    }
    if let Some(metadata) = column("metaData")
        && let Some(row) = present(metadata).last()
    {
        parts.metadata = Some(action::<Metadata>(metadata, row, path)?);
    }
    if let Some(protocol) = column("protocol")
        && let Some(row) = present(protocol).last()
    {
        parts.protocol = Some(action::<Protocol>(protocol, row, path)?);
    }
    Ok(())
}

fn read_adds(add: &StructArray, path: &str, parts: &mut Parts) -> Result<(), ArchiveError> {
    let paths = text(add, "path", path)?;
    let stats = text(add, "stats", path)?;
    let sizes = integer(add, "size", path)?;
    let row_ids = integer(add, "baseRowId", path)?;
    let versions = integer(add, "defaultRowCommitVersion", path)?;
    let partitions = child(add, "partitionValues", path)?;
    let partitions = partitions
        .as_map_opt()
        .ok_or_else(|| corrupt(path, "partitionValues is no map"))?;
    let vectors = add.column_by_name("deletionVector");
    let tags = add.column_by_name("tags").and_then(|c| c.as_map_opt());
    for row in present(add) {
        if vectors.is_some_and(|v| v.is_valid(row) && has_any(v.as_struct_opt(), row)) {
            return Err(ArchiveError::Unsupported {
                path: path.to_owned(),
                problem: format!("{} has a deletion vector", paths.value(row)),
            });
        }
        parts.segments.push(segment_of(
            path,
            paths.value(row),
            map_value(partitions, row, "event_year"),
            u64::try_from(sizes.value(row)).unwrap_or(0),
            stats.is_valid(row).then(|| stats.value(row)),
            (
                row_ids.is_valid(row).then(|| row_ids.value(row)),
                versions
                    .is_valid(row)
                    .then(|| u64::try_from(versions.value(row)).unwrap_or(0)),
            ),
            tags.filter(|tags| tags.is_valid(row))
                .and_then(|tags| map_value(tags, row, SHA256_TAG)),
        )?);
    }
    Ok(())
}

/// Rows of a struct column that hold an action of its kind.
fn present(column: &StructArray) -> impl DoubleEndedIterator<Item = usize> {
    (0..column.len()).filter(|row| column.is_valid(*row))
}

fn has_any(column: Option<&StructArray>, row: usize) -> bool {
    column.is_some_and(|c| c.columns().iter().any(|field| field.is_valid(row)))
}

/// One row of a struct column as the action it holds, by way of JSON: these are rare.
fn action<T: DeserializeOwned>(
    column: &StructArray,
    row: usize,
    path: &str,
) -> Result<T, ArchiveError> {
    let mut json = arrow::json::LineDelimitedWriter::new(Vec::new());
    json.write(&RecordBatch::from(column.slice(row, 1).without_nulls()))
        .map_err(arrow_error)?;
    json.finish().map_err(arrow_error)?;
    serde_json::from_slice(&json.into_inner()).map_err(|e| corrupt(path, &e.to_string()))
}

trait WithoutNulls {
    fn without_nulls(self) -> StructArray;
}

impl WithoutNulls for StructArray {
    /// The same fields with every row present: a record batch has no null rows.
    fn without_nulls(self) -> StructArray {
        let (fields, columns, _) = self.into_parts();
        StructArray::new(fields, columns, None)
    }
}

fn map_value<'a>(map: &'a MapArray, row: usize, key: &str) -> Option<&'a str> {
    let offsets = map.value_offsets();
    let (start, end) = (
        usize::try_from(offsets[row]).ok()?,
        usize::try_from(offsets[row + 1]).ok()?,
    );
    let keys = map.keys().as_string_opt::<i32>()?;
    let values = map.values().as_string_opt::<i32>()?;
    (start..end)
        .find(|at| keys.value(*at) == key && values.is_valid(*at))
        .map(|at| values.value(at))
}

fn child<'a>(
    column: &'a StructArray,
    name: &str,
    path: &str,
) -> Result<&'a arrow::array::ArrayRef, ArchiveError> {
    column
        .column_by_name(name)
        .ok_or_else(|| corrupt(path, &format!("it has no column {name}")))
}

fn text(column: &StructArray, name: &str, path: &str) -> Result<StringArray, ArchiveError> {
    let column = child(column, name, path)?;
    let column = cast(column, &DataType::Utf8).map_err(arrow_error)?;
    Ok(column.as_string::<i32>().clone())
}

fn integer(column: &StructArray, name: &str, path: &str) -> Result<Int64Array, ArchiveError> {
    let column = child(column, name, path)?;
    let column = cast(column, &DataType::Int64).map_err(arrow_error)?;
    Ok(column.as_primitive::<Int64Type>().clone())
}

fn corrupt(path: &str, problem: &str) -> ArchiveError {
    ArchiveError::Corrupt {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
