//! The raw limits: reading, rewriting and indexing Parquet files by the libraries alone, on both cores.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, anyhow};
use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow::util::display::array_value_to_string;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use roaring::RoaringBitmap;
use sha2::{Digest, Sha256};

use crate::raw::{index_rows, write_columns};

/// Rows of a batch.
const BATCH_ROWS: usize = 8 * 1024;

/// Reads every column of the files; hashes each file, and each row's values.
pub(crate) fn verify(files: &[PathBuf]) -> Result<()> {
    let rows = AtomicUsize::new(0);
    on_both_cores(files, |file| {
        let bytes = Bytes::from(std::fs::read(file)?);
        std::hint::black_box(Sha256::digest(&bytes));
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)?
            .with_batch_size(BATCH_ROWS)
            .build()?;
        let mut scratch = Vec::new();
        for batch in reader {
            let batch = batch?;
            for row in 0..batch.num_rows() {
                scratch.clear();
                values(&batch, row, &mut scratch)?;
                std::hint::black_box(Sha256::digest(&scratch));
            }
            rows.fetch_add(batch.num_rows(), Ordering::Relaxed);
        }
        Ok(())
    })?;
    println!("{} rows", rows.into_inner());
    Ok(())
}

/// The bytes of a row's values, one after the other.
fn values(batch: &RecordBatch, row: usize, out: &mut Vec<u8>) -> Result<()> {
    for column in batch.columns() {
        if column.is_null(row) {
            continue;
        }
        match column.data_type() {
            DataType::Utf8 => out.extend(column.as_string::<i32>().value(row).as_bytes()),
            DataType::Binary => out.extend(column.as_binary::<i32>().value(row)),
            DataType::Int64 => {
                out.extend(column.as_primitive::<Int64Type>().value(row).to_le_bytes());
            }
            DataType::Int32 => {
                out.extend(column.as_primitive::<Int32Type>().value(row).to_le_bytes());
            }
            DataType::Timestamp(..) => {
                let times = column.as_primitive::<TimestampMicrosecondType>();
                out.extend(times.value(row).to_le_bytes());
            }
            DataType::Boolean => out.push(u8::from(column.as_boolean().value(row))),
            DataType::List(_) if column.as_list::<i32>().value_length(row) == 0 => {}
            _ => out.extend(array_value_to_string(column, row)?.into_bytes()),
        }
    }
    Ok(())
}

/// Reads the files, writes and indexes those of their rows that stay.
pub(super) fn rewrite(files: &[(PathBuf, RoaringBitmap)], out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    on_both_cores(files, |(file, stays)| {
        let bytes = Bytes::from(std::fs::read(file)?);
        let builder = ParquetRecordBatchReaderBuilder::try_new(bytes)?.with_batch_size(BATCH_ROWS);
        let schema = std::sync::Arc::clone(builder.schema());
        let (mut kept, mut first) = (Vec::new(), 0u32);
        for batch in builder.build()? {
            let batch = batch?;
            let rows = first..first + u32::try_from(batch.num_rows())?;
            first = rows.end;
            let mask: BooleanArray = rows.map(|row| Some(stays.contains(row))).collect();
            kept.push(filter_record_batch(&batch, &mask)?);
        }
        let kept = concat_batches(&schema, &kept)?;
        if kept.num_rows() == 0 {
            return Ok(());
        }
        let name = file.file_name().ok_or_else(|| anyhow!("no file"))?;
        let out = out.join(name);
        write_columns(&kept, &out)?;
        std::fs::write(out.with_extension("tantivy"), index_rows(&kept)?)?;
        Ok(())
    })
}

fn on_both_cores<T: Sync>(items: &[T], work: impl Fn(&T) -> Result<()> + Sync) -> Result<()> {
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
            work(item)?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers
            .into_iter()
            .try_for_each(|one| one.join().map_err(|_| anyhow!("a worker panicked"))?)
    })
}
