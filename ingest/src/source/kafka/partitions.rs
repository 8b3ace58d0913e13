//! What is known about the partitions that are ours: ends, commits and lag. No I/O.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A partition that is ours.
#[derive(Debug, Default)]
struct Partition {
    /// Last offset committed to the table.
    committed: Option<i64>,
    /// Whether the end of the partition was reached.
    at_end: bool,
    /// Time of the newest record collected, ms since 1970.
    newest_ms: Option<i64>,
    /// Time of the first record collected, ms since 1970: until something is committed, the oldest that waits.
    first_ms: Option<i64>,
    /// Newest record of each draft on its way, as (offset, its time in ms): how old is what was committed?
    on_the_way: VecDeque<(i64, i64)>,
    /// Time of the last committed record, ms since 1970.
    committed_ms: Option<i64>,
}

/// The partitions that are ours.
#[derive(Debug, Default)]
pub(super) struct Partitions(BTreeMap<i32, Partition>);

/// How far a partition's commits are behind its end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Lag {
    /// Records not committed yet.
    pub(super) records: i64,
    /// Age of the last committed record, or of the oldest one read when none is committed yet; zero when nothing waits behind it.
    pub(super) age: Duration,
}

impl Partitions {
    /// These partitions, at these positions of the table.
    pub(super) fn new(positions: impl Iterator<Item = (i32, Option<i64>)>) -> Self {
        let partition = |committed| Partition {
            committed,
            ..Partition::default()
        };
        Self(
            positions
                .map(|(number, committed)| (number, partition(committed)))
                .collect(),
        )
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }

    /// A record was read, of this time.
    pub(super) fn record(&mut self, partition: i32, ms: Option<i64>) {
        if let Some(state) = self.0.get_mut(&partition) {
            state.at_end = false;
            state.newest_ms = ms.or(state.newest_ms);
            state.first_ms = state.first_ms.or(ms);
        }
    }

    /// The end of a partition was reached.
    pub(super) fn end(&mut self, partition: i32) {
        if let Some(state) = self.0.get_mut(&partition) {
            state.at_end = true;
        }
    }

    /// Whether all of them were read to their ends. None at all is an end too: others have them.
    pub(super) fn at_end(&self) -> bool {
        self.0.values().all(|partition| partition.at_end)
    }

    /// A draft was handed on that ends at this offset of a partition.
    pub(super) fn handed_on(&mut self, partition: i32, offset: i64) {
        if let Some(state) = self.0.get_mut(&partition)
            && let Some(ms) = state.newest_ms
        {
            state.on_the_way.push_back((offset, ms));
        }
    }

    /// Takes over what was committed, as last offsets by partition; answers those that are ours.
    pub(super) fn committed(&mut self, last: impl Fn(i32) -> Option<i64>) -> Vec<(i32, i64)> {
        let mut ours = Vec::new();
        for (number, state) in &mut self.0 {
            let Some(last) = last(*number) else { continue };
            state.committed = Some(last);
            while let Some((_, ms)) = state
                .on_the_way
                .front()
                .filter(|(offset, _)| *offset <= last)
            {
                state.committed_ms = Some(*ms);
                state.on_the_way.pop_front();
            }
            ours.push((*number, last));
        }
        ours
    }

    /// How far each is behind, given the offsets that the topic holds: its first, and the one behind its last.
    pub(super) fn lag(
        &self,
        now_ms: i64,
        held: impl Fn(i32) -> Option<(i64, i64)>,
    ) -> impl Iterator<Item = (i32, Lag)> {
        self.0.iter().filter_map(move |(number, state)| {
            // The client says -1 before it knows.
            let (first, end) = held(*number).filter(|(_, end)| *end >= 0)?;
            let records = (end - state.committed.map_or(first, |last| last + 1)).max(0);
            let reference_ms = state.committed_ms.or(state.first_ms);
            let age_ms = reference_ms.map_or(0, |ms| (now_ms - ms).max(0));
            let age = if records > 0 {
                Duration::from_millis(age_ms.unsigned_abs())
            } else {
                Duration::ZERO
            };
            Some((*number, Lag { records, age }))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lag(partitions: &Partitions, end: i64) -> (i64, u128) {
        let (_, lag) = partitions.lag(10_000, |_| Some((3, end))).next().unwrap();
        (lag.records, lag.age.as_millis())
    }

    #[test]
    fn lag_is_counted_from_the_last_commit() {
        let mut partitions = Partitions::new([(0, None)].into_iter());
        assert_eq!(
            lag(&partitions, 8),
            (5, 0),
            "nothing is committed: all that the topic holds"
        );
        for (offset, ms) in [(4, 1000), (6, 2000), (7, 3000)] {
            partitions.record(0, Some(ms));
            partitions.handed_on(0, offset);
        }
        assert_eq!(
            lag(&partitions, 8),
            (5, 9000),
            "nothing is committed: the oldest that was read is 9 s old"
        );
        assert_eq!(partitions.committed(|_| Some(6)), [(0, 6)]);
        assert_eq!(
            lag(&partitions, 8),
            (1, 8000),
            "offset 7 waits, and what is committed is 8 s old"
        );
        partitions.committed(|_| Some(7));
        assert_eq!(lag(&partitions, 8), (0, 0));
        assert_eq!(
            partitions.lag(0, |_| Some((0, -1001))).count(),
            0,
            "unknown to the client"
        );
    }

    #[test]
    fn an_end_holds_until_the_next_record() {
        let mut partitions = Partitions::new([(0, None), (1, Some(4))].into_iter());
        partitions.end(0);
        assert!(!partitions.at_end());
        partitions.end(1);
        partitions.end(9);
        assert!(partitions.at_end());
        partitions.record(1, None);
        assert!(!partitions.at_end());
        assert!(
            Partitions::default().at_end(),
            "none of ours: others read them"
        );
    }
}
