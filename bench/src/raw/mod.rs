//! The raw limit of ingest: the same events, columns and indexed fields by the libraries alone. A borrowed serde parse, the Parquet
//! writer, and Tantivy with its simple tokenizer, on both cores. No hash, no order, no deduplication, no commit, no fsync.
//!
//! Two workers take turns at pieces of the file, and each does all of the work on its piece: nothing is handed over, and nobody waits
//! for anybody. Pieces are small enough for both to end together and for their columns to stay near the processor.

mod index;
mod record;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use arrow::array::RecordBatch;
use holdfast_schemas::columns::{RowBuilder, Rows, name, target_id};
use holdfast_schemas::{Intake, Row};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;

use self::index::Fields;
use self::record::Record;

/// Bytes of events of one Parquet file and one index.
const PIECE_BYTES: u64 = 48 << 20;
/// Bytes read at a time behind a piece, for its last line.
const TAIL_BYTES: u64 = 64 << 10;
/// Bytes that a line of chat has at least, as a first guess of how many there are.
const LINE_BYTES: usize = 512;

/// Columns whose values hardly repeat: a dictionary of them would be built and given up.
const DISTINCT: [&str; 5] = [
    name::EVENT_ID,
    name::MESSAGE_ID,
    name::BODY,
    name::ORIGIN_SEQ,
    name::EVENT_TIME,
];

/// Reads `events`, writes Parquet files and Tantivy indexes to `out`.
pub(crate) fn run(events: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let file = File::open(events)?;
    let size = file.metadata()?.len();
    let next = AtomicU64::new(0);
    let fields = Fields::new();
    let worker = || -> Result<()> {
        let mut bytes = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let from = number * PIECE_BYTES;
            if from >= size {
                return Ok(());
            }
            let lines = read_lines(&file, from..size.min(from + PIECE_BYTES), size, &mut bytes)?;
            write_piece(lines, &fields, &out.join(number.to_string()))?;
        }
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers
            .into_iter()
            .try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })
}

/// The lines that begin within a range of a file of `size` bytes.
fn read_lines<'a>(
    file: &File,
    range: Range<u64>,
    size: u64,
    bytes: &'a mut Vec<u8>,
) -> Result<&'a [u8]> {
    // With the byte before: where it ends a line, one begins with the range.
    let start = range.start.saturating_sub(1);
    let mut end = range.end;
    bytes.resize(usize::try_from(end - start)?, 0);
    file.read_exact_at(bytes, start)?;
    while end < size && !bytes.ends_with(b"\n") {
        let at = bytes.len();
        bytes.resize(at + usize::try_from(TAIL_BYTES.min(size - end))?, 0);
        file.read_exact_at(&mut bytes[at..], end)?;
        end += (bytes.len() - at) as u64;
        if let Some(line) = memchr::memchr(b'\n', &bytes[at..]) {
            bytes.truncate(at + line + 1);
            break;
        }
    }
    let begin = match range.start {
        0 => 0,
        _ => memchr::memchr(b'\n', bytes).map_or(bytes.len(), |at| at + 1),
    };
    Ok(&bytes[begin..])
}

fn write_piece(lines: &[u8], fields: &Fields, out: &Path) -> Result<()> {
    let mut columns = RowBuilder::with_capacity(lines.len() / LINE_BYTES);
    let mut index = fields.writer()?;
    for line in lines.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let record: Record<'_> = serde_json::from_slice(line)?;
        let event = record.into_event()?;
        index.add_document(fields.document(&event, target_id(&event).as_deref()))?;
        columns.append(&Row {
            event,
            intake: Intake::default(),
        });
    }
    std::fs::write(out.with_extension("tantivy"), index::finish(index)?)?;
    write_columns(&columns.finish()?, &out.with_extension("parquet"))
}

/// Writes a batch as a Parquet file, compressed as Holdfast compresses.
pub(crate) fn write_columns(batch: &RecordBatch, out: &Path) -> Result<()> {
    let mut properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_statistics_enabled(EnabledStatistics::None);
    for column in DISTINCT {
        properties = properties.set_column_dictionary_enabled(ColumnPath::from(column), false);
    }
    let file = File::create(out)?;
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties.build()))?;
    writer.write(batch)?;
    writer.close()?;
    Ok(())
}

/// Indexes a batch in memory and returns the bytes of all files.
pub(crate) fn index_rows(batch: &RecordBatch) -> Result<Vec<u8>> {
    let fields = Fields::new();
    let mut index = fields.writer()?;
    let rows = Rows::new(batch)?;
    for event in (0..rows.len()).map(|place| rows.event(place)) {
        index.add_document(fields.document(&event, target_id(&event).as_deref()))?;
    }
    index::finish(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_every_line_once() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let text = b"\n\na\nbb\nccc\ndddd\n\neeeee\nf";
        for length in 0..=text.len() {
            let text = &text[..length];
            std::fs::write(file.path(), text).unwrap();
            for piece in 1..=length as u64 + 1 {
                let (mut found, size) = (Vec::new(), length as u64);
                for from in (0..size).step_by(usize::try_from(piece).unwrap()) {
                    let mut bytes = Vec::new();
                    let range = from..size.min(from + piece);
                    found.extend_from_slice(
                        read_lines(file.as_file(), range, size, &mut bytes).unwrap(),
                    );
                }
                assert_eq!(found, text, "{length} bytes in pieces of {piece}");
            }
        }
    }
}
