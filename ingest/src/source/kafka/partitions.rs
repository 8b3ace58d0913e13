//! What is known about the partitions that are ours: ends, commits and lag. No I/O.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::contact::Beginning;

/// A partition that is ours.
#[derive(Debug, Default)]
struct Partition {
    /// Last offset committed to the table.
    committed: Option<i64>,
    /// Next offset to read.
    next: i64,
    /// Offset behind the last record that the partition held when it was last asked.
    end: i64,
    /// Whether the client came to its end: what lies between `next` and `end` are no records.
    ended: bool,
    /// Time of the newest record collected, ms since 1970.
    newest_ms: Option<i64>,
    /// Time of the first record collected, ms since 1970: until something is committed, the oldest that waits.
    first_ms: Option<i64>,
    /// Newest record of each draft on its way, as (offset, its time in ms): how old is what was committed?
    on_the_way: VecDeque<(i64, i64)>,
    /// Time of the last committed record, ms since 1970.
    committed_ms: Option<i64>,
}

impl Partition {
    fn at_end(&self) -> bool {
        self.ended || self.next >= self.end
    }
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
    /// These partitions, where they are read from.
    pub(super) fn new(beginnings: &[Beginning]) -> Self {
        let partition = |beginning: &Beginning| Partition {
            committed: beginning.position,
            next: beginning.offset,
            end: beginning.end,
            ..Partition::default()
        };
        Self(
            beginnings
                .iter()
                .map(|beginning| (beginning.partition, partition(beginning)))
                .collect(),
        )
    }

    pub(super) fn numbers(&self) -> Vec<i32> {
        self.0.keys().copied().collect()
    }

    /// A record was read, of this time; true when it is the last one that its partition is known to hold.
    pub(super) fn record(&mut self, partition: i32, offset: i64, ms: Option<i64>) -> bool {
        let Some(state) = self.0.get_mut(&partition) else {
            return false;
        };
        state.ended = false;
        state.next = state.next.max(offset + 1);
        state.newest_ms = ms.or(state.newest_ms);
        state.first_ms = state.first_ms.or(ms);
        state.at_end()
    }

    /// The client came to the end of a partition.
    pub(super) fn end(&mut self, partition: i32) {
        if let Some(state) = self.0.get_mut(&partition) {
            state.ended = true;
        }
    }

    /// Whether all of them were read to the ends that are known. None at all is an end too: others have them.
    pub(super) fn at_end(&self) -> bool {
        self.0.values().all(Partition::at_end)
    }

    /// Takes over where a partition ends now.
    pub(super) fn ends_at(&mut self, partition: i32, end: i64) {
        if let Some(state) = self.0.get_mut(&partition) {
            state.end = end;
        }
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

    /// Of (partition, position, offset to read from, end).
    fn partitions(of: &[(i32, Option<i64>, i64, i64)]) -> Partitions {
        let beginning = |&(partition, position, offset, end): &_| Beginning {
            partition,
            position,
            offset,
            end,
            lost: 0,
        };
        Partitions::new(&of.iter().map(beginning).collect::<Vec<_>>())
    }

    fn lag(partitions: &Partitions, end: i64) -> (i64, u128) {
        let (_, lag) = partitions.lag(10_000, |_| Some((3, end))).next().unwrap();
        (lag.records, lag.age.as_millis())
    }

    #[test]
    fn lag_is_counted_from_the_last_commit() {
        let mut partitions = partitions(&[(0, None, 5, 8)]);
        assert_eq!(
            lag(&partitions, 8),
            (5, 0),
            "nothing is committed: all that the topic holds"
        );
        for (offset, ms) in [(4, 1000), (6, 2000), (7, 3000)] {
            partitions.record(0, offset, Some(ms));
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
        let mut partitions = partitions(&[(0, None, 0, 3), (1, Some(4), 5, 6)]);
        partitions.end(0);
        assert!(!partitions.at_end());
        partitions.end(1);
        partitions.end(9);
        assert!(partitions.at_end());
        partitions.record(0, 0, None);
        assert!(!partitions.at_end());
        assert!(
            Partitions::default().at_end(),
            "none of ours: others read them"
        );
    }

    #[test]
    fn the_last_known_record_is_an_end_until_there_are_more() {
        let mut partitions = partitions(&[(0, None, 0, 3), (1, Some(4), 5, 5)]);
        assert!(!partitions.record(0, 0, None) && !partitions.at_end());
        assert!(partitions.record(0, 2, None) && partitions.at_end());
        partitions.ends_at(1, 7);
        assert!(!partitions.at_end());
        // Offset 6 is no record: only the client can tell.
        assert!(!partitions.record(1, 5, None) && !partitions.at_end());
        partitions.end(1);
        assert!(partitions.at_end());
        assert!(!partitions.record(9, 6, None), "not ours");
    }
}
