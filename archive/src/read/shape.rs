//! The shape of what is read: visible columns, then row ids and commit versions.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type, Schema, SchemaRef};

use crate::error::ArchiveError;
use crate::read::{COMMIT_VERSION, ROW_ID};

/// Turns batches as they are in the file into batches as they were asked for.
#[derive(Debug)]
pub(super) struct Shape {
    roots: Vec<usize>,
    schema: SchemaRef,
    versions: Option<RowVersions>,
}

/// Row ids and commit versions: the row's own ones where the file carries them, else the file's base id plus the row
/// number, and the file's version. Source: the Delta protocol, "Row Tracking".
#[derive(Debug)]
pub(super) struct RowVersions {
    pub(super) columns: (String, String),
    pub(super) base_row_id: i64,
    pub(super) commit_version: i64,
    /// Row numbers that come, if not all.
    pub(super) rows: Option<Vec<u32>>,
    /// Rows that came so far.
    pub(super) next: usize,
}

impl Shape {
    pub(super) fn new(
        roots: Vec<usize>,
        mut visible: Vec<FieldRef>,
        versions: Option<RowVersions>,
    ) -> Self {
        if versions.is_some() {
            for name in [ROW_ID, COMMIT_VERSION] {
                visible.push(Arc::new(Field::new(name, DataType::Int64, false)));
            }
        }
        Self {
            roots,
            schema: Arc::new(Schema::new(visible)),
            versions,
        }
    }

    /// Indexes of the file's columns to read.
    pub(super) fn roots(&self) -> &[usize] {
        &self.roots
    }

    pub(super) fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// The next batch of the file, shaped. Batches must come in order.
    pub(super) fn finish(&mut self, batch: &RecordBatch) -> Result<RecordBatch, ArchiveError> {
        let rows = batch.num_rows();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        let hidden = self
            .versions
            .as_ref()
            .map(|v| [v.columns.0.as_str(), v.columns.1.as_str()]);
        for (field, column) in batch.schema_ref().fields().iter().zip(batch.columns()) {
            if !hidden.is_some_and(|hidden| hidden.contains(&field.name().as_str())) {
                columns.push(Arc::clone(column));
            }
        }
        if let Some(versions) = &mut self.versions {
            let (ids, commits) = versions.of(batch);
            columns.push(ids);
            columns.push(commits);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(
            |source| ArchiveError::Arrow {
                operation: "read a segment",
                source,
            },
        )
    }
}

impl RowVersions {
    fn of(&mut self, batch: &RecordBatch) -> (ArrayRef, ArrayRef) {
        let (start, rows) = (self.next, batch.num_rows());
        self.next += rows;
        let own = |name: &str| {
            batch
                .column_by_name(name)
                .and_then(|c| c.as_primitive_opt::<Int64Type>())
        };
        let number = |at: usize| match &self.rows {
            Some(rows) => i64::from(rows[start + at]),
            None => i64::try_from(start + at).unwrap_or(i64::MAX),
        };
        let ids = filled(own(&self.columns.0), rows, |at| {
            self.base_row_id + number(at)
        });
        let commits = filled(own(&self.columns.1), rows, |_| self.commit_version);
        (ids, commits)
    }
}

/// The column, with `default` where it is null or missing.
fn filled(own: Option<&Int64Array>, rows: usize, default: impl Fn(usize) -> i64) -> ArrayRef {
    match own {
        Some(own) if own.null_count() == 0 => Arc::new(own.clone()),
        Some(own) => {
            let value = |at| {
                if own.is_valid(at) {
                    own.value(at)
                } else {
                    default(at)
                }
            };
            Arc::new(Int64Array::from_iter_values((0..rows).map(value)))
        }
        None => Arc::new(Int64Array::from_iter_values((0..rows).map(default))),
    }
}
