//! Records to rows: parsed, hashed and appended to Arrow builders while they still borrow from the record's bytes. Runs on every core.

use std::borrow::Cow;
use std::ops::Range;
use std::time::Instant;

use holdfast_schemas::decode::decode;
use holdfast_schemas::limits::EVENT_BYTES_MAX;
use holdfast_schemas::outbox::IncompleteEvent;
use holdfast_schemas::quarantine::{Position, forged, quarantined};
use holdfast_schemas::{Intake, Row};
use memchr::memchr;

use super::Grant;
use super::rows::{Collector, Rows};
use crate::error::IngestError;
use crate::source::{
    Chunk, Moved, OVERSIZED_BYTES_KEPT, Records, line_position, message_position, row_position,
};

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
    places: Vec<Place>,
}

/// Where a row's record is.
#[derive(Debug)]
struct Place {
    /// What is kept of it in the chunk's bytes.
    range: Range<u32>,
    /// Which of the messages, or of the lines.
    n: u32,
    /// Length of a line of which only the beginning is kept.
    oversized: Option<u64>,
}

impl RecordBytes {
    /// The record behind a row, and where it came from.
    #[must_use]
    pub(super) fn of_row(&self, row: usize) -> (&[u8], Position) {
        let Place {
            range,
            n,
            oversized,
        } = &self.places[row];
        let bytes = &self.bytes[range.start as usize..range.end as usize];
        (bytes, position(&self.records, *n, *oversized))
    }

    /// The row's Kafka coordinates, or none.
    #[must_use]
    pub(super) fn intake(&self, row: usize, ingest_time_us: i64) -> Intake<'_> {
        intake(&self.records, self.places[row].n, ingest_time_us)
    }
}

/// Where the `n`th record (of messages) or line (of lines) came from.
fn position(records: &Records, n: u32, oversized: Option<u64>) -> Position {
    let line_position = |file, line| {
        let mut position = line_position(file, line);
        // Only the beginning is kept: two lines that share it are told apart by their lengths.
        if let Some(bytes) = oversized {
            position.place = format!("{} of {bytes} bytes", position.place);
        }
        position
    };
    match records {
        Records::Lines { file, first_line } => line_position(file, first_line + u64::from(n)),
        Records::Oversized { file, line, .. } => line_position(file, *line),
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

/// Why a record need not be looked at to know that it is no event.
struct Problem {
    reason: String,
    oversized: Option<u64>,
}

impl Problem {
    fn oversized(bytes: u64) -> Self {
        let cut = if bytes > OVERSIZED_BYTES_KEPT as u64 {
            format!("; the first {OVERSIZED_BYTES_KEPT} are kept")
        } else {
            String::new()
        };
        Self {
            reason: format!("{bytes} bytes, the limit is {EVENT_BYTES_MAX}{cut}"),
            oversized: Some(bytes),
        }
    }

    fn because(reason: &impl std::fmt::Display) -> Self {
        Self {
            reason: reason.to_string(),
            oversized: None,
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
        let mut take = |range: Range<usize>, n: usize, problem: Option<Problem>| {
            // A draft is far below 4 GiB and 4 G records.
            let n = u32::try_from(n).unwrap_or(u32::MAX);
            let bytes = &draft.bytes[range.clone()];
            let intake = intake(&draft.records, n, ingest_time_us);
            let oversized = problem.as_ref().and_then(|problem| problem.oversized);
            let decoded = match problem {
                Some(problem) => Err(problem.reason),
                None => decode(bytes)
                    .map_err(|error| error.to_string())
                    .and_then(|event| forged(&event).map_or(Ok(event), Err)),
            };
            match decoded {
                Ok(event) => collector.add(&Row { event, intake }, &mut self.scratch),
                Err(reason) => {
                    let place = position(&draft.records, n, oversized);
                    collector.add_quarantined(
                        &quarantined(bytes, &reason, &place, intake),
                        &mut self.scratch,
                    );
                }
            }
            let limit = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
            places.push(Place {
                range: limit(range.start)..limit(range.end),
                n,
                oversized,
            });
        };
        match &draft.records {
            Records::Lines { .. } => each_line(&draft.bytes, |range, n| {
                if range.len() > EVENT_BYTES_MAX {
                    let length = range.len() as u64;
                    let kept = range.end.min(range.start + OVERSIZED_BYTES_KEPT);
                    take(range.start..kept, n, Some(Problem::oversized(length)));
                } else {
                    take(range, n, None);
                }
            }),
            Records::Oversized { bytes, .. } => {
                take(0..draft.bytes.len(), 0, Some(Problem::oversized(*bytes)));
            }
            Records::Messages { messages, .. } => {
                for (n, message) in messages.iter().enumerate() {
                    match &message.value {
                        Some(range) => take(range.start as usize..range.end as usize, n, None),
                        None => take(0..0, n, Some(Problem::because(&"a record without a value"))),
                    }
                }
            }
            Records::Rows { rows, .. } => {
                for (n, row) in rows.iter().enumerate() {
                    let range = row.value.start as usize..row.value.end as usize;
                    let problem = (!row.whole).then(|| Problem::because(&IncompleteEvent));
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
    use crate::pipeline::Budget;
    use crate::source::Draft;
    use std::sync::Arc;
    use std::time::Duration;

    fn decoded(bytes: Vec<u8>, records: Records) -> Decoded {
        let budget = Budget::new(1);
        let chunk = Chunk {
            number: 0,
            draft: Draft {
                generation: 0,
                bytes,
                records,
                positions: Vec::new(),
                flush: false,
            },
            grant: budget.acquire(1, Duration::ZERO, || false).unwrap(),
            at: Instant::now(),
            ingest_time_us: 7,
        };
        Decoder::default().decode(chunk).unwrap()
    }

    #[test]
    fn ar1_an_oversized_line_is_the_same_record_wherever_blocks_end() {
        for length in [EVENT_BYTES_MAX + 1, OVERSIZED_BYTES_KEPT + 1] {
            is_the_same_record_wherever_blocks_end(length);
        }
    }

    fn is_the_same_record_wherever_blocks_end(length: usize) {
        let line = vec![b'x'; length];
        let file: Arc<str> = Arc::from("f");
        let whole = decoded(
            [b"a\n", line.as_slice(), b"\r\n"].concat(),
            Records::Lines {
                file: Arc::clone(&file),
                first_line: 4,
            },
        );
        let cut = decoded(
            line[..length.min(OVERSIZED_BYTES_KEPT)].to_vec(),
            Records::Oversized {
                file,
                line: 5,
                bytes: length as u64,
            },
        );
        assert_eq!(whole.rows.batch.slice(1, 1), cut.rows.batch);
        assert_eq!(whole.rows.hashes[1], cut.rows.hashes[0]);
        assert_eq!(whole.records.of_row(1), cut.records.of_row(0));
    }

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
