//! Records to rows: parsed, hashed and appended to Arrow builders while they still borrow from the record's bytes. Runs on every core.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Instant;

use holdfast_schemas::decode::decode;
use holdfast_schemas::outbox::IncompleteEvent;
use holdfast_schemas::quarantine::{Position, forged, quarantined};
use holdfast_schemas::{Intake, Row};
use memchr::memchr;

use super::Grant;
use super::rows::{Collector, Rows};
use crate::error::IngestError;
use crate::source::{Chunk, Moved, Records, line_position, message_position, row_position};

/// A chunk's rows.
#[derive(Debug)]
pub(super) struct Decoded {
    /// As [`Chunk::number`].
    pub number: u64,
    /// As [`crate::source::Draft::generation`].
    pub generation: u64,
    /// As [`Chunk::at`].
    pub at: Instant,
    /// The rows; events and quarantined records alike.
    pub rows: Rows,
    /// The records' bytes and places, for rows that turn out to be conflicts.
    pub records: RecordBytes,
    /// Records taken.
    pub consumed: u64,
    /// As [`crate::source::Draft::positions`].
    pub positions: Vec<Moved>,
    /// As [`crate::source::Draft::flush`].
    pub flush: bool,
    /// The chunk's share of the memory budget.
    pub grant: Grant,
}

/// The bytes of a chunk's records.
#[derive(Debug)]
pub(super) struct RecordBytes {
    bytes: Vec<u8>,
    records: Records,
    /// One a row: its bytes' place and, for lines, its line.
    places: Vec<(Range<u32>, u32)>,
}

impl RecordBytes {
    /// The record behind a row, and where it came from.
    #[must_use]
    pub(super) fn of_row(&self, row: usize) -> (&[u8], Position) {
        let (range, n) = &self.places[row];
        let bytes = &self.bytes[range.start as usize..range.end as usize];
        (bytes, position(&self.records, *n))
    }

    /// The row's Kafka coordinates, or none.
    #[must_use]
    pub(super) fn intake(&self, row: usize, ingest_time_us: i64) -> Intake<'_> {
        intake(&self.records, self.places[row].1, ingest_time_us)
    }
}

/// Where the `n`th record (of messages) or line (of lines) came from.
fn position(records: &Records, n: u32) -> Position {
    match records {
        Records::Lines { file, first_line } => line_position(file, first_line + u64::from(n)),
        Records::Oversized { file, line, bytes } => {
            // Only the beginning is kept: two lines that share it are told apart by their lengths.
            let mut position = line_position(file, *line);
            position.place = format!("{} of {bytes} bytes", position.place);
            position
        }
        Records::Messages { topic, messages } => {
            let message = &messages[n as usize];
            message_position(topic, message.partition, message.offset)
        }
        Records::Rows { origin, rows } => row_position(origin, rows[n as usize].sequence),
    }
}

fn intake(records: &Records, n: u32, ingest_time_us: i64) -> Intake<'_> {
    match records {
        Records::Lines { .. } | Records::Oversized { .. } | Records::Rows { .. } => Intake {
            ingest_time_us,
            ..Intake::default()
        },
        Records::Messages { topic, messages } => {
            let message = &messages[n as usize];
            Intake {
                ingest_time_us,
                kafka_topic: Some(Cow::Borrowed(&topic.name)),
                kafka_partition: Some(message.partition),
                kafka_offset: Some(message.offset),
            }
        }
    }
}

/// Decodes chunks; keeps its buffers between them.
#[derive(Debug)]
pub(super) struct Decoder {
    scratch: Vec<u8>,
    rows_expected: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            scratch: Vec::new(),
            rows_expected: 1024,
        }
    }
}

impl Decoder {
    /// Turns a chunk's records into rows: events, and quarantined records for what is no event.
    ///
    /// # Errors
    /// The rows do not fit an Arrow batch.
    pub(super) fn decode(&mut self, chunk: Chunk) -> Result<Decoded, IngestError> {
        let Chunk {
            number,
            draft,
            grant,
            at,
            ingest_time_us,
        } = chunk;
        let mut collector = Collector::new(self.rows_expected);
        let mut places = Vec::with_capacity(self.rows_expected);
        let mut take = |range: Range<usize>, n: usize, problem: Option<String>| {
            // A draft is far below 4 GiB and 4 G records.
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            let bytes = &draft.bytes[range.clone()];
            let intake = intake(&draft.records, n, ingest_time_us);
            let decoded = match problem {
                Some(problem) => Err(problem),
                None => decode(bytes)
                    .map_err(|error| error.to_string())
                    .and_then(|event| forged(&event).map_or(Ok(event), Err)),
            };
            match decoded {
                Ok(event) => collector.add(&Row { event, intake }, &mut self.scratch),
                Err(reason) => {
                    let place = position(&draft.records, n);
                    collector.add_quarantined(
                        &quarantined(bytes, &reason, &place, intake),
                        &mut self.scratch,
                    );
                }
            }
            let limit = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            places.push((limit(range.start)..limit(range.end), n));
        };
        match &draft.records {
            Records::Lines { .. } => each_line(&draft.bytes, |range, n| take(range, n, None)),
            Records::Oversized { bytes, .. } => {
                let limit = holdfast_schemas::limits::EVENT_BYTES_MAX;
                let kept = draft.bytes.len();
                take(
                    0..kept,
                    0,
                    Some(format!(
                        "{bytes} bytes, the limit is {limit}; the first {kept} are kept"
                    )),
                );
            }
            Records::Messages { messages, .. } => {
                for (n, message) in messages.iter().enumerate() {
                    match &message.value {
                        Some(range) => take(range.start as usize..range.end as usize, n, None),
                        None => take(0..0, n, Some("a record without a value".to_owned())),
                    }
                }
            }
            Records::Rows { rows, .. } => {
                for (n, row) in rows.iter().enumerate() {
                    let range = row.value.start as usize..row.value.end as usize;
                    let problem = (!row.whole).then(|| IncompleteEvent.to_string());
                    take(range, n, problem);
                }
            }
        }
        let rows = collector.finish()?;
        self.rows_expected = rows.hashes.len().next_power_of_two().max(64);
        let consumed = rows.hashes.len() as u64;
        let records = RecordBytes {
            bytes: draft.bytes,
            records: draft.records,
            places,
        };
        let (generation, positions, flush) = (draft.generation, draft.positions, draft.flush);
        Ok(Decoded {
            number,
            generation,
            at,
            rows,
            records,
            consumed,
            positions,
            flush,
            grant,
        })
    }
}

/// Calls with every line that is not empty, and its number from 0. A carriage return before the line's end belongs to the line end.
fn each_line(bytes: &[u8], mut line: impl FnMut(Range<usize>, usize)) {
    let (mut start, mut number) = (0, 0);
    while start < bytes.len() {
        let end = memchr(b'\n', &bytes[start..]).map_or(bytes.len(), |at| start + at);
        let stripped = if end > start && bytes[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        if stripped > start {
            line(start..stripped, number);
        }
        start = end + 1;
        number += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_with_their_numbers() {
        let found = |text: &str| {
            let mut lines = Vec::new();
            each_line(text.as_bytes(), |range, n| {
                lines.push((n, text[range].to_owned()));
            });
            lines
        };
        assert_eq!(
            found("a\r\n\n\r\nb\nc"),
            [(0, "a".into()), (3, "b".into()), (4, "c".into())]
        );
        assert!(found("").is_empty() && found("\n\n").is_empty());
    }
}
