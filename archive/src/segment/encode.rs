//! Rows to a Parquet file.
//!
//! Pages hold 1,024 rows and the file has an offset index, so that a few hits scattered over a segment are read
//! without the rest. Encodings were measured on the shared chat corpora (854,097 events; ARCHITECTURE.md has the
//! table): ids that only prefix-sharing helps are delta-encoded, numbers that grow are delta-packed, names that repeat
//! go through a dictionary, text goes straight to zstd. Only columns without content have statistics: what was
//! disposed of must not live on in a footer.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, AsArray, Int64Array, PrimitiveArray, RecordBatch,
};
use arrow::datatypes::{Field, Int64Type, Schema, TimestampMicrosecondType};
use bytes::Bytes;
use holdfast_schemas::columns::{self, name};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion,
};
use parquet::schema::types::ColumnPath;
use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::error::ArchiveError;
use crate::segment::{
    CarriedRowIds, EncodedSegment, NewSegment, SegmentFooter, SegmentStats, footer,
};

/// Rows of a page.
pub const PAGE_ROWS: usize = 1_024;
/// Rows of a row group: a segment has one, compaction's upper limit.
const ROW_GROUP_ROWS_MAX: usize = 1_048_576;
const ZSTD_LEVEL: i32 = 3;

/// Columns whose least and greatest values are kept.
const STATISTICS: [&str; 4] = [
    name::EVENT_TIME,
    name::INGEST_TIME,
    name::ORIGIN,
    name::ORIGIN_SEQ,
];
/// Distinct in nearly every row, sharing prefixes with their neighbours.
const SHARED_PREFIX: [&str; 2] = [name::EVENT_ID, name::MESSAGE_ID];
/// Numbers that grow from row to row.
const DELTA_PACKED: [&str; 6] = [
    name::EVENT_TIME,
    name::INGEST_TIME,
    name::ORIGIN_SEQ,
    name::KAFKA_OFFSET,
    name::ROOM_SEQ,
    name::KAFKA_PARTITION,
];
/// Content: distinct, compressed as it is.
const PLAIN: [&str; 5] = [
    name::TITLE,
    name::BODY,
    name::EXTRA,
    name::RAW,
    name::REPLY_TO,
];

/// Writes rows as a segment file. The batch has the columns of `holdfast_schemas::columns::segment_schema()`, is
/// sorted by (event_time, event_id) and holds one year only.
///
/// # Errors
/// The batch is empty, has other columns, is not sorted by time, does not agree with its footer or carried row ids, or
/// Parquet refuses it.
pub fn encode(
    id: Ulid,
    event_year: i32,
    batch: &RecordBatch,
    footer: &SegmentFooter,
    carried: Option<&CarriedRowIds>,
) -> Result<EncodedSegment, ArchiveError> {
    let path = format!("event_year={event_year}/{id}.parquet");
    let parquet = |source| ArchiveError::Parquet {
        path: path.clone(),
        source,
    };
    let invalid = |problem: &str| ArchiveError::Invalid(format!("{path}: {problem}"));
    let rows = batch.num_rows();
    if rows == 0 {
        return Err(invalid("a segment without rows"));
    }
    if batch.schema_ref().fields() != columns::segment_schema().fields() {
        return Err(invalid("the batch has not the columns of a segment"));
    }
    if footer.rows != rows as u64 {
        return Err(invalid("the footer counts other rows"));
    }
    let stats = stats(batch)
        .ok_or_else(|| invalid("origin_seq is negative, or a required column is null"))?;
    let times = batch
        .column_by_name(name::EVENT_TIME)
        .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>());
    if !times.is_some_and(|times| times.values().is_sorted()) {
        return Err(invalid("its rows are not sorted by event_time"));
    }
    let with_ids = carried
        .map(|carried| with_row_ids(batch, carried))
        .transpose()?;
    let batch = with_ids.as_ref().unwrap_or(batch);

    let properties = properties(carried)
        .set_key_value_metadata(Some(footer::to_metadata(footer)))
        .build();
    let options = ArrowWriterOptions::new()
        .with_properties(properties)
        .with_skip_arrow_metadata(true);
    let out = Vec::with_capacity(rows * 64);
    let mut writer =
        ArrowWriter::try_new_with_options(out, batch.schema(), options).map_err(parquet)?;
    writer.write(batch).map_err(parquet)?;
    let bytes = Bytes::from(writer.into_inner().map_err(parquet)?);
    let segment = NewSegment {
        path,
        event_year,
        rows: rows as u64,
        bytes: bytes.len() as u64,
        sha256: Sha256::digest(&bytes).into(),
        stats,
    };
    Ok(EncodedSegment { segment, bytes })
}

fn properties(carried: Option<&CarriedRowIds>) -> WriterPropertiesBuilder {
    let level = ZstdLevel::try_new(ZSTD_LEVEL).unwrap_or_default();
    let mut builder = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_created_by(concat!("holdfast ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_data_page_row_count_limit(PAGE_ROWS)
        // The row limit is looked at between write batches only.
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
        .set_dictionary_enabled(true)
        .set_statistics_enabled(EnabledStatistics::None);
    let column = |name: &str| ColumnPath::from(name);
    for name in STATISTICS {
        builder = builder.set_column_statistics_enabled(column(name), EnabledStatistics::Chunk);
    }
    for name in SHARED_PREFIX {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BYTE_ARRAY);
    }
    let materialised = carried
        .iter()
        .flat_map(|c| [c.columns.0.as_str(), c.columns.1.as_str()]);
    for name in DELTA_PACKED.into_iter().chain(materialised) {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    for name in PLAIN {
        builder = builder.set_column_dictionary_enabled(column(name), false);
    }
    for field in &columns::attachment_fields() {
        let path = vec![
            name::ATTACHMENTS.to_owned(),
            "list".to_owned(),
            "element".to_owned(),
            field.name().clone(),
        ];
        builder = builder.set_column_dictionary_enabled(ColumnPath::new(path), false);
    }
    builder
}

/// The batch with the materialised row-tracking columns.
fn with_row_ids(batch: &RecordBatch, carried: &CarriedRowIds) -> Result<RecordBatch, ArchiveError> {
    let mut fields: Vec<_> = batch.schema_ref().fields().iter().cloned().collect();
    let mut columns: Vec<ArrayRef> = batch.columns().to_vec();
    for (name, values) in [
        (&carried.columns.0, &carried.row_ids),
        (&carried.columns.1, &carried.commit_versions),
    ] {
        fields.push(Arc::new(Field::new(name, Int64Type::DATA_TYPE, true)));
        columns.push(Arc::new(Int64Array::from(values.clone())));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|source| {
        ArchiveError::Arrow {
            operation: "carry row ids",
            source,
        }
    })
}

/// Least and greatest values of the columns without content; nothing when one of them is missing or null.
fn stats(batch: &RecordBatch) -> Option<SegmentStats> {
    fn range<T: ArrowPrimitiveType>(column: &PrimitiveArray<T>) -> Option<(T::Native, T::Native)>
    where
        T::Native: Copy,
    {
        if arrow::array::Array::null_count(column) > 0 {
            return None;
        }
        Some((arrow::compute::min(column)?, arrow::compute::max(column)?))
    }
    let times = |name| {
        range(
            batch
                .column_by_name(name)?
                .as_primitive_opt::<TimestampMicrosecondType>()?,
        )
    };
    let origins = batch.column_by_name(name::ORIGIN)?.as_string_opt::<i32>()?;
    let sequences = range(
        batch
            .column_by_name(name::ORIGIN_SEQ)?
            .as_primitive_opt::<Int64Type>()?,
    )?;
    Some(SegmentStats {
        event_time_us: times(name::EVENT_TIME)?,
        ingest_time_us: times(name::INGEST_TIME)?,
        origin: (
            arrow::compute::min_string(origins)?.to_owned(),
            arrow::compute::max_string(origins)?.to_owned(),
        ),
        origin_seq: (
            u64::try_from(sequences.0).ok()?,
            u64::try_from(sequences.1).ok()?,
        ),
    })
}
