//! Reading a single-file checkpoint. Source: the Delta transaction log protocol, "Checkpoints".

use arrow::array::{Array, AsArray, Int64Array, MapArray, RecordBatch, StringArray, StructArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use bytes::Bytes;
use delta_kernel::actions::{Metadata, Protocol};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::de::DeserializeOwned;

use crate::error::ArchiveError;
use crate::log::action::{SHA256_TAG, decode_path, segment_of};
use crate::log::state::Parts;

const COLUMNS: [&str; 6] = [
    "add",
    "txn",
    "domainMetadata",
    "metaData",
    "protocol",
    "sidecar",
];

/// What a checkpoint says about the table; `path` is for messages.
pub(crate) fn read(bytes: Bytes, path: &str) -> Result<Parts, ArchiveError> {
    let mut parts = Parts::default();
    batches(bytes, path, &COLUMNS, |batch| {
        read_batch(batch, path, &mut parts)
    })?;
    Ok(parts)
}

/// The removed paths that a checkpoint still remembers, with the moment of their removal.
pub(crate) fn read_removed(bytes: Bytes, path: &str) -> Result<Vec<(String, i64)>, ArchiveError> {
    let mut removed = Vec::new();
    batches(bytes, path, &["remove"], |batch| {
        let Some(remove) = batch
            .column_by_name("remove")
            .and_then(|c| c.as_struct_opt())
        else {
            return Ok(());
        };
        let (paths, times) = (
            text(remove, "path", path)?,
            integer(remove, "deletionTimestamp", path)?,
        );
        for row in present(remove) {
            removed.push((decode_path(path, paths.value(row))?, times.value(row)));
        }
        Ok(())
    })?;
    Ok(removed)
}

fn batches(
    bytes: Bytes,
    path: &str,
    columns: &[&str],
    mut each: impl FnMut(&RecordBatch) -> Result<(), ArchiveError>,
) -> Result<(), ArchiveError> {
    let parquet = |source| ArchiveError::Parquet {
        path: path.to_owned(),
        source,
    };
    let arrow = |source| ArchiveError::Arrow {
        operation: "read a checkpoint",
        source,
    };
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes).map_err(parquet)?;
    let schema = builder.parquet_schema();
    let roots = schema
        .root_schema()
        .get_fields()
        .iter()
        .enumerate()
        .filter(|(_, field)| columns.contains(&field.name()))
        .map(|(index, _)| index);
    let mask = ProjectionMask::roots(schema, roots);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(8192)
        .build()
        .map_err(parquet)?;
    for batch in reader {
        each(&batch.map_err(arrow)?)?;
    }
    Ok(())
}

fn read_batch(batch: &RecordBatch, path: &str, parts: &mut Parts) -> Result<(), ArchiveError> {
    let column = |name: &str| batch.column_by_name(name).and_then(|c| c.as_struct_opt());
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
    let arrow = |source| ArchiveError::Arrow {
        operation: "read a checkpoint",
        source,
    };
    let mut json = arrow::json::LineDelimitedWriter::new(Vec::new());
    json.write(&RecordBatch::from(column.slice(row, 1).without_nulls()))
        .map_err(arrow)?;
    json.finish().map_err(arrow)?;
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
    let column = cast(column, &DataType::Utf8).map_err(|source| ArchiveError::Arrow {
        operation: "read a checkpoint",
        source,
    })?;
    Ok(column.as_string::<i32>().clone())
}

fn integer(column: &StructArray, name: &str, path: &str) -> Result<Int64Array, ArchiveError> {
    let column = child(column, name, path)?;
    let column = cast(column, &DataType::Int64).map_err(|source| ArchiveError::Arrow {
        operation: "read a checkpoint",
        source,
    })?;
    Ok(column.as_primitive::<Int64Type>().clone())
}

fn corrupt(path: &str, problem: &str) -> ArchiveError {
    ArchiveError::Corrupt {
        path: path.to_owned(),
        problem: problem.to_owned(),
    }
}
