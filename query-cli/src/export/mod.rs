//! Exports: a folder with the data, what is in it, and the means to check both. `docs/export-format.md` is its page.
//!
//! ```text
//! DIR/events.jsonl | events.csv | events-00001.parquet …   the data
//! DIR/context.jsonl                                        jsonl only: events around the hits, not responsive themselves
//! DIR/attachments/<sha256>                                 the files that the events refer to
//! DIR/items.csv                                            a row an event: id, hash, file, row, responsive | context, status
//! DIR/summary.csv                                          a row a room
//! DIR/errors.csv                                           what could not be included, when there is any
//! DIR/manifest.json                                        query, snapshot, coverage, counts, Merkle root, every file
//! DIR/SHA256SUMS                                           all of the above
//! DIR/provenance.json                                      when and by whom; not in SHA256SUMS, since it differs each time
//! ```
//!
//! The same snapshot, query and tool give the same bytes. The folder is written as `.DIR.partial` beside its place and
//! renamed when whole, so that a killed export never passes for a whole one.

pub mod attachments;
pub mod folder;
pub mod items;
pub mod manifest;
mod sink_csv;
mod sink_jsonl;
mod sink_parquet;

use arrow::array::RecordBatch;
use clap::ValueEnum;
use holdfast_schemas::Row;

use crate::failure::Failure;
use crate::hit::Standing;
use folder::Folder;

/// What the data is written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// The archive's columns, for DuckDB, Spark, Polars, Trino
    Parquet,
    /// The CloudEvents as archived, one a line, for programs
    Jsonl,
    /// For spreadsheets: RFC 4180, UTF-8 with BOM, formulas defused
    Csv,
}

impl ExportFormat {
    /// Its name on the command line and in the manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
        }
    }

    /// A new sink for this format.
    ///
    /// # Errors
    /// A file cannot be created.
    pub fn sink(self, folder: &Folder, with_context: bool) -> Result<Box<dyn Sink>, Failure> {
        Ok(match self {
            Self::Parquet => Box::new(sink_parquet::ParquetSink::new(with_context)),
            Self::Jsonl => Box::new(sink_jsonl::JsonlSink::new(folder, with_context)?),
            Self::Csv => Box::new(sink_csv::CsvSink::new(folder)?),
        })
    }
}

/// One event on its way into the data.
#[derive(Clone, Copy)]
pub struct Item<'a> {
    /// The batch it lies in, with every archive column.
    pub batch: &'a RecordBatch,
    /// Its row there.
    pub index: usize,
    /// The same, as a row.
    pub row: &'a Row<'a>,
    /// Status, and whether it is responsive.
    pub standing: Standing,
    /// Its canonical JSON, as hashed.
    pub canonical: &'a [u8],
}

/// Where an event was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// File in the folder.
    pub file: String,
    /// Row in the file, from 1, headers not counted.
    pub row: u64,
}

/// Writes the data of one format.
pub trait Sink {
    /// Adds one event; they come in (event_time, event_id) order.
    ///
    /// # Errors
    /// The file cannot be written.
    fn write(&mut self, folder: &mut Folder, item: Item<'_>) -> Result<Place, Failure>;

    /// Ends the data and enters its files into the folder.
    ///
    /// # Errors
    /// A file cannot be written.
    fn finish(self: Box<Self>, folder: &mut Folder) -> Result<(), Failure>;
}
