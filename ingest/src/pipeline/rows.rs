//! Rows while they are on their way: columns, and what is known about them beside.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use holdfast_schemas::columns::RowBuilder;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{EventHash, Row};
use roaring::RoaringTreemap;

use crate::error::IngestError;

/// Rows with what is known about them beside their columns.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The columns of a segment.
    pub batch: RecordBatch,
    /// One hash a row.
    pub hashes: Vec<EventHash>,
    /// The rows' sequences, by origin.
    pub origins: Vec<OriginRows>,
    /// Which of the rows are quarantined records, ascending.
    pub quarantined: Vec<u32>,
    /// Attachments that the rows refer to.
    pub attachments: Vec<AttachmentRef>,
}

/// An attachment that an event refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttachmentRef {
    /// The event's row.
    pub row: u32,
    /// Its SHA-256, as the event spells it, if it has one.
    pub sha256: Option<String>,
    /// Its size, if the event tells.
    pub size: Option<u64>,
}

/// The rows of one origin.
#[derive(Debug, Clone)]
pub struct OriginRows {
    /// The origin.
    pub origin: Arc<str>,
    /// Their sequences.
    pub sequences: RoaringTreemap,
    /// Whether no sequence comes twice.
    pub distinct: bool,
    /// Which rows, ascending; neighbours share a range.
    pub rows: Vec<Range<u32>>,
}

/// Builds [`Rows`] one row at a time.
#[derive(Debug)]
pub(super) struct Collector {
    builder: RowBuilder,
    hashes: Vec<EventHash>,
    origins: Vec<OriginRows>,
    current: usize,
    /// The dense run of sequences that the current origin's last rows form.
    run: Option<(u64, u64)>,
    quarantined: Vec<u32>,
    attachments: Vec<AttachmentRef>,
}

impl Collector {
    /// With room for so many rows.
    #[must_use]
    pub(super) fn new(rows: usize) -> Self {
        Self {
            builder: RowBuilder::with_capacity(rows),
            hashes: Vec::with_capacity(rows),
            origins: Vec::new(),
            current: 0,
            run: None,
            quarantined: Vec::new(),
            attachments: Vec::new(),
        }
    }

    /// Adds an event.
    pub(super) fn add(&mut self, row: &Row<'_>, scratch: &mut Vec<u8>) {
        let number = u32::try_from(self.hashes.len()).unwrap_or(u32::MAX);
        self.note_sequence(&row.event.origin, row.event.sequence, number);
        self.hashes.push(event_hash(&row.event, scratch));
        self.builder.append(row);
        for attachment in &row.event.attachments {
            self.attachments.push(AttachmentRef {
                row: number,
                sha256: attachment.sha256.as_deref().map(str::to_owned),
                size: attachment.size.and_then(|size| u64::try_from(size).ok()),
            });
        }
    }

    /// Adds a quarantined record.
    pub(super) fn add_quarantined(&mut self, row: &Row<'_>, scratch: &mut Vec<u8>) {
        self.quarantined
            .push(u32::try_from(self.hashes.len()).unwrap_or(u32::MAX));
        self.add(row, scratch);
    }

    /// Sequences mostly follow each other, so that whole runs reach the bitmap, not single numbers.
    fn note_sequence(&mut self, origin: &str, sequence: u64, row: u32) {
        let same = self
            .origins
            .get(self.current)
            .is_some_and(|current| &*current.origin == origin);
        if !same {
            self.end_run();
            self.current = self
                .origins
                .iter()
                .position(|known| &*known.origin == origin)
                .unwrap_or_else(|| {
                    self.origins.push(OriginRows {
                        origin: Arc::from(origin),
                        sequences: RoaringTreemap::new(),
                        distinct: true,
                        rows: Vec::new(),
                    });
                    self.origins.len() - 1
                });
        }
        let rows = &mut self.origins[self.current].rows;
        match rows.last_mut() {
            Some(last) if last.end == row => last.end = row + 1,
            _ => rows.push(row..row + 1),
        }
        match &mut self.run {
            Some((_, last)) if last.checked_add(1) == Some(sequence) => *last = sequence,
            _ => {
                self.end_run();
                self.run = Some((sequence, sequence));
            }
        }
    }

    fn end_run(&mut self) {
        if let (Some((first, last)), Some(origin)) =
            (self.run.take(), self.origins.get_mut(self.current))
        {
            let fresh = if first == last {
                u64::from(origin.sequences.insert(first))
            } else {
                origin.sequences.insert_range(first..=last)
            };
            origin.distinct &= fresh == last - first + 1;
        }
    }

    /// The rows.
    ///
    /// # Errors
    /// They do not fit an Arrow batch.
    pub(super) fn finish(mut self) -> Result<Rows, IngestError> {
        self.end_run();
        let batch = self.builder.finish().map_err(|source| IngestError::Arrow {
            operation: "decoding records into columns",
            source,
        })?;
        Ok(Rows {
            batch,
            hashes: self.hashes,
            origins: self.origins,
            quarantined: self.quarantined,
            attachments: self.attachments,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_schemas::{Event, Intake};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn origins_hold_their_rows_and_sequences(rows in proptest::collection::vec((0usize..3, 1u64..40), 0..80)) {
            let mut collector = Collector::new(4);
            for (origin, sequence) in &rows {
                let event = Event { origin: ["a", "b", "c"][*origin].into(), sequence: *sequence, ..Event::default() };
                collector.add(&Row { event, intake: Intake::default() }, &mut Vec::new());
            }
            let found = collector.finish().unwrap();
            for origin in &found.origins {
                let own: Vec<_> = rows.iter().enumerate().filter(|(_, row)| ["a", "b", "c"][row.0] == &*origin.origin).collect();
                let expected: RoaringTreemap = own.iter().map(|(_, row)| row.1).collect();
                prop_assert_eq!(origin.distinct, expected.len() == own.len() as u64);
                prop_assert_eq!(&origin.sequences, &expected);
                let numbers: Vec<u32> = origin.rows.iter().cloned().flatten().collect();
                prop_assert_eq!(numbers, own.iter().map(|(i, _)| *i as u32).collect::<Vec<_>>());
            }
        }
    }
}
