//! Rows of one origin into a draft: completed, copied behind each other, and held to be dense.

use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;

use holdfast_schemas::outbox::complete_into;

use crate::source::OutboxRecord;

/// Bytes from which a page ends.
pub(super) const PAGE_BYTES: usize = 2 * 1024 * 1024;
/// Rows that are asked for at most.
pub(super) const PAGE_ROWS_MAX: usize = 8192;
/// Rows that are asked for when nothing is known about their size.
const PAGE_ROWS_FIRST: usize = 512;

/// How a page ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// The database had no more rows.
    Exhausted,
    /// It has as many rows or bytes as one may.
    Full,
    /// These sequences are missing before the next row.
    Hole(RangeInclusive<i64>),
    /// The next row's sequence does not follow the last one's.
    Disorder(i64),
}

/// Rows of one origin.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) origin: Arc<str>,
    rows_max: usize,
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<OutboxRecord>,
    /// Last sequence taken, or the position before any was.
    pub(super) last: i64,
    pub(super) end: End,
}

impl Page {
    /// An empty one behind `position`.
    pub(super) fn new(origin: Arc<str>, position: i64, rows_max: usize) -> Self {
        Self {
            origin,
            rows_max,
            bytes: Vec::new(),
            records: Vec::new(),
            last: position,
            end: End::Exhausted,
        }
    }

    /// Takes the next row, unless it does not follow the last one; breaks when no more is wanted.
    pub(super) fn take(&mut self, sequence: i64, stored: &[u8]) -> ControlFlow<()> {
        let next = self.last + 1;
        if sequence != next {
            self.end = if sequence > next {
                End::Hole(next..=sequence - 1)
            } else {
                End::Disorder(sequence)
            };
            return ControlFlow::Break(());
        }
        self.last = sequence;
        // A page ends soon after two MiB, and a row is at most as long as a database's value: below 4 GiB.
        let at = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let start = at(&self.bytes);
        let number = sequence.unsigned_abs();
        let whole = std::str::from_utf8(stored)
            .is_ok_and(|text| complete_into(text, &self.origin, number, &mut self.bytes).is_ok());
        if !whole {
            self.bytes.extend_from_slice(stored);
        }
        self.records.push(OutboxRecord {
            value: start..at(&self.bytes),
            sequence,
            whole,
        });
        if self.bytes.len() >= PAGE_BYTES || self.records.len() >= self.rows_max {
            self.end = End::Full;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// How many rows to ask for: about a page, going by the last one. What is asked for and not taken is thrown away on its way here.
#[derive(Debug)]
pub(super) struct PageSize(usize);

impl Default for PageSize {
    fn default() -> Self {
        Self(PAGE_ROWS_FIRST)
    }
}

impl PageSize {
    /// Rows to ask for.
    pub(super) fn rows(&self) -> usize {
        self.0
    }

    /// Learns from a page.
    pub(super) fn learn(&mut self, rows: usize, bytes: usize) {
        if let Some(average) = bytes.checked_div(rows) {
            self.0 = (PAGE_BYTES.div_ceil(average.max(1)) + 1).min(PAGE_ROWS_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ar2_a_page_is_dense_and_names_the_first_hole(
            position in 0i64..20, missing in proptest::collection::btree_set(1i64..40, 0..4), rows_max in 1usize..50,
        ) {
            let rows: Vec<i64> = (position + 1..=40).filter(|n| !missing.contains(n)).collect();
            let mut page = Page::new(Arc::from("main.1"), position, rows_max);
            for sequence in &rows {
                if page.take(*sequence, br#"{"id":"x"}"#).is_break() {
                    break;
                }
            }
            let taken: Vec<i64> = page.records.iter().map(|record| record.sequence).collect();
            prop_assert!(taken.iter().copied().eq(position + 1..=page.last), "dense from the position");
            let hole_at = (position + 1..=40).find(|n| missing.contains(n));
            match page.end {
                End::Full => prop_assert_eq!(taken.len(), rows_max),
                End::Hole(hole) => {
                    prop_assert_eq!(Some(*hole.start()), hole_at);
                    prop_assert!(hole.clone().all(|n| missing.contains(&n)) && rows.contains(&(hole.end() + 1)));
                }
                End::Exhausted => prop_assert!(hole_at.is_none_or(|at| rows.iter().all(|n| *n < at))),
                End::Disorder(_) => prop_assert!(false),
            }
        }
    }

    #[test]
    fn records_are_completed_or_kept_as_they_are() {
        let mut page = Page::new(Arc::from("main.1"), 6, 10);
        assert!(page.take(7, br#"{"id":"x"}"#).is_continue());
        assert!(page.take(8, b"no object").is_continue());
        assert!(page.take(9, b"{\"id\":\"\xff\"}").is_continue());
        let record = |n: usize| {
            let record = &page.records[n];
            let range = record.value.start as usize..record.value.end as usize;
            (&page.bytes[range], record.sequence, record.whole)
        };
        let whole = br#"{"id":"x","origin":"main.1","sequence":"00000000000000000007"}"#;
        assert_eq!(record(0), (&whole[..], 7, true));
        assert_eq!(record(1), (&b"no object"[..], 8, false));
        assert_eq!(record(2), (&b"{\"id\":\"\xff\"}"[..], 9, false));
        assert!(page.take(9, b"{}").is_break());
        assert_eq!(page.end, End::Disorder(9));
    }

    #[test]
    fn a_page_is_bounded_by_bytes_and_the_next_one_asks_for_as_much() {
        let mut page = Page::new(Arc::from("main.1"), 0, 10);
        assert!(page.take(1, &vec![b' '; PAGE_BYTES]).is_break());
        assert_eq!(page.end, End::Full);
        let mut size = PageSize::default();
        size.learn(1, page.bytes.len());
        assert_eq!(size.rows(), 2);
        size.learn(2, 2 * 600);
        assert_eq!(size.rows(), PAGE_BYTES / 600 + 2);
        size.learn(0, 0);
        size.learn(10, 10);
        assert_eq!(size.rows(), PAGE_ROWS_MAX);
    }
}
