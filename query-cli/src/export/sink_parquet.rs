//! `--as parquet`: the archive's columns and `event_year`, sorted, readable without Holdfast.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int32Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use holdfast_schemas::columns::{self, name};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use super::folder::{Folder, HashedFile};
use super::{Item, Place, Sink};
use crate::failure::Failure;

/// Rows handed to the writer at once. Always full but for the last: where the writer ends a page depends on it, and the
/// bytes must not depend on how the hits came.
const CHUNK_ROWS: usize = 8_192;
/// Rows of a file; then the next one begins.
const FILE_ROWS: usize = 1 << 20;
/// Rows of a row group.
const GROUP_ROWS: usize = 1 << 17;

pub(super) struct ParquetSink {
    schema: SchemaRef,
    with_context: bool,
    batches: Vec<RecordBatch>,
    chunk: Vec<(usize, usize)>,
    responsive: Vec<bool>,
    years: Vec<i32>,
    writer: Option<ArrowWriter<HashedFile>>,
    files: usize,
    rows: usize,
}

impl ParquetSink {
    pub(super) fn new(with_context: bool) -> Self {
        let mut fields: Vec<_> = columns::segment_schema().fields().iter().cloned().collect();
        fields.push(Arc::new(Field::new(
            name::EVENT_YEAR,
            DataType::Int32,
            false,
        )));
        if with_context {
            fields.push(Arc::new(Field::new("responsive", DataType::Boolean, false)));
        }
        Self {
            schema: Arc::new(Schema::new(fields)),
            with_context,
            batches: Vec::new(),
            chunk: Vec::with_capacity(CHUNK_ROWS),
            responsive: Vec::new(),
            years: Vec::new(),
            writer: None,
            files: 0,
            rows: 0,
        }
    }

    fn file_name(&self) -> String {
        format!("events-{:05}.parquet", self.files)
    }

    fn open(&mut self, folder: &Folder) -> Result<(), Failure> {
        self.files += 1;
        self.rows = 0;
        let file = folder.create(&self.file_name())?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_created_by(concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .build();
        let writer = ArrowWriter::try_new(file, Arc::clone(&self.schema), Some(properties))
            .map_err(parquet_failure)?;
        self.writer = Some(writer);
        Ok(())
    }

    fn close(&mut self, folder: &mut Folder) -> Result<(), Failure> {
        self.flush()?;
        if let Some(writer) = self.writer.take() {
            folder.add(writer.into_inner().map_err(parquet_failure)?)?;
        }
        Ok(())
    }

    /// Writes the chunk.
    fn flush(&mut self) -> Result<(), Failure> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        for field in columns::segment_schema().fields() {
            let parts: Vec<ArrayRef> = self
                .batches
                .iter()
                .map(|batch| column(batch, field.name()))
                .collect::<Result<_, _>>()?;
            let parts: Vec<_> = parts.iter().map(AsRef::as_ref).collect();
            arrays.push(
                arrow::compute::interleave(&parts, &self.chunk)
                    .map_err(|e| parquet_failure(e.into()))?,
            );
        }
        arrays.push(Arc::new(Int32Array::from(std::mem::take(&mut self.years))));
        if self.with_context {
            arrays.push(Arc::new(BooleanArray::from(std::mem::take(
                &mut self.responsive,
            ))));
        }
        self.responsive.clear();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(|e| parquet_failure(e.into()))?;
        if let Some(writer) = &mut self.writer {
            writer.write(&batch).map_err(parquet_failure)?;
        }
        self.chunk.clear();
        self.batches.clear();
        Ok(())
    }
}

impl Sink for ParquetSink {
    fn write(&mut self, folder: &mut Folder, item: Item<'_>) -> Result<Place, Failure> {
        if self.writer.is_none() {
            self.open(folder)?;
        }
        // Rows come in runs of one batch: remember each batch once.
        let known = self
            .batches
            .last()
            .is_some_and(|last| same_batch(last, item.batch));
        if !known {
            self.batches.push(item.batch.clone());
        }
        self.chunk.push((self.batches.len() - 1, item.index));
        self.years.push(columns::event_year(item.row.event.time_us));
        self.responsive
            .push(item.standing.responsive != Some(false));
        self.rows += 1;
        let place = Place {
            file: self.file_name(),
            row: self.rows as u64,
        };
        if self.chunk.len() == CHUNK_ROWS {
            self.flush()?;
        }
        if self.rows == FILE_ROWS {
            self.close(folder)?;
        }
        Ok(place)
    }

    fn finish(mut self: Box<Self>, folder: &mut Folder) -> Result<(), Failure> {
        if self.files == 0 {
            // An empty result still is a file with its columns, so that a reader's script runs.
            self.open(folder)?;
        }
        self.close(folder)
    }
}

/// Whether both are views of the same arrays.
fn same_batch(a: &RecordBatch, b: &RecordBatch) -> bool {
    a.num_columns() == b.num_columns()
        && a.num_columns() > 0
        && Arc::ptr_eq(a.column(0), b.column(0))
}

fn column(batch: &RecordBatch, name: &str) -> Result<ArrayRef, Failure> {
    batch
        .column_by_name(name)
        .map(Arc::clone)
        .ok_or_else(|| Failure::Damaged {
            place: "search result".to_owned(),
            message: format!("column `{name}` is missing"),
        })
}

fn parquet_failure(error: parquet::errors::ParquetError) -> Failure {
    Failure::file("write", std::path::Path::new("events.parquet"))(std::io::Error::other(error))
}
