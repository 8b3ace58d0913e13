//! Kafka records into drafts: copied behind each other, with the positions that they move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::source::{Draft, KafkaTopic, Message, Moved, Records};

/// Bytes from which a draft is handed on.
const DRAFT_BYTES: usize = 2 * 1024 * 1024;
/// Time after its first record at which it is handed on all the same.
pub(super) const LINGER: Duration = Duration::from_millis(40);

/// A partition as far as it was collected.
#[derive(Debug, Clone)]
struct Progress {
    app_id: Arc<str>,
    /// Last offset collected, or the table's position before any was.
    last: Option<i64>,
}

/// Collects records of the partitions assigned.
#[derive(Debug)]
pub(super) struct Collector {
    topic: Arc<KafkaTopic>,
    partitions: BTreeMap<i32, Progress>,
    bytes: Vec<u8>,
    messages: Vec<Message>,
    moved: BTreeMap<i32, (Option<i64>, i64)>,
    first_at: Option<Instant>,
}

impl Collector {
    pub(super) fn new(topic: Arc<KafkaTopic>) -> Self {
        Self {
            topic,
            partitions: BTreeMap::new(),
            bytes: Vec::new(),
            messages: Vec::new(),
            moved: BTreeMap::new(),
            first_at: None,
        }
    }

    /// Drops what was collected, and begins with these partitions at these positions of the table.
    pub(super) fn begin(&mut self, positions: impl Iterator<Item = (i32, Option<i64>)>) {
        *self = Self::new(Arc::clone(&self.topic));
        for (partition, last) in positions {
            self.partitions.insert(
                partition,
                Progress {
                    app_id: Arc::from(self.topic.app_id(partition)),
                    last,
                },
            );
        }
    }

    /// Adds a record. A record at or before the last one of its partition was taken already; one of a partition that is not
    /// ours came too late: both are left out.
    pub(super) fn add(&mut self, partition: i32, offset: i64, value: Option<&[u8]>) {
        let Some(progress) = self.partitions.get_mut(&partition) else {
            return;
        };
        if progress.last.is_some_and(|last| offset <= last) {
            return;
        }
        if self.messages.is_empty() {
            self.bytes.reserve(DRAFT_BYTES + DRAFT_BYTES / 8);
            self.first_at = Some(Instant::now());
        }
        self.moved
            .entry(partition)
            .or_insert((progress.last, offset))
            .1 = offset;
        progress.last = Some(offset);
        // A draft ends soon after two MiB, and a record is at most as long as a Kafka response: far below 4 GiB.
        let at = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let value = value.map(|value| {
            let start = at(&self.bytes);
            self.bytes.extend_from_slice(value);
            start..at(&self.bytes)
        });
        self.messages.push(Message {
            value,
            partition,
            offset,
        });
    }

    /// Whether it is enough for a draft.
    pub(super) fn full(&self) -> bool {
        self.bytes.len() >= DRAFT_BYTES
    }

    /// Whether it is time to hand on what was collected.
    pub(super) fn due(&self, now: Instant) -> bool {
        self.full() || self.wait(now).is_some_and(|left| left.is_zero())
    }

    /// Time until it is; nothing when nothing was collected.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.first_at
            .map(|at| (at + LINGER).saturating_duration_since(now))
    }

    /// Hands on what was collected.
    pub(super) fn take(&mut self, generation: u64) -> Option<Draft> {
        self.first_at = None;
        if self.messages.is_empty() {
            return None;
        }
        let app_id = |partition: &i32| Arc::clone(&self.partitions[partition].app_id);
        let positions: Vec<Moved> = std::mem::take(&mut self.moved)
            .iter()
            .map(|(partition, (from, to))| Moved {
                app_id: app_id(partition),
                from: *from,
                to: *to,
            })
            .collect();
        let records = Records::Messages {
            topic: Arc::clone(&self.topic),
            messages: std::mem::take(&mut self.messages),
        };
        Some(Draft {
            generation,
            bytes: std::mem::take(&mut self.bytes),
            records,
            positions,
            flush: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn collector(partitions: &[(i32, Option<i64>)]) -> Collector {
        let topic = KafkaTopic {
            cluster_id: "c".into(),
            topic_id: "t".into(),
            name: "n".into(),
        };
        let mut collector = Collector::new(Arc::new(topic));
        collector.begin(partitions.iter().copied());
        collector
    }

    proptest! {
        #[test]
        fn ar2_drafts_continue_each_other_and_hold_every_record_once(records in proptest::collection::vec((0i32..4, 0i64..3, any::<bool>()), 0..80)) {
            // Partition 3 is not ours; offsets have holes, and come again at times.
            let mut collector = collector(&[(0, None), (1, Some(4)), (2, Some(0))]);
            let mut position: BTreeMap<i32, Option<i64>> = [(0, None), (1, Some(4)), (2, Some(0))].into();
            let mut expected = Vec::new();
            let mut found = Vec::new();
            let mut at: BTreeMap<i32, i64> = BTreeMap::new();
            for (partition, step, hand_on) in records {
                let offset = at.entry(partition).or_insert(0);
                *offset += step;
                let seen = expected.iter().rev().find(|(p, _)| *p == partition).map(|(_, o)| *o).or(match partition { 1 => Some(4), 2 => Some(0), _ => None });
                if partition != 3 && seen.is_none_or(|seen| *offset > seen) {
                    expected.push((partition, *offset));
                }
                collector.add(partition, *offset, Some(&offset.to_le_bytes()));
                let draft = if hand_on { collector.take(7) } else { None };
                if let Some(draft) = draft {
                    prop_assert_eq!(draft.generation, 7);
                    let Records::Messages { messages, .. } = &draft.records else { panic!() };
                    for message in messages {
                        let range = message.value.clone().unwrap();
                        prop_assert_eq!(&draft.bytes[range.start as usize..range.end as usize], &message.offset.to_le_bytes());
                        found.push((message.partition, message.offset));
                    }
                    for moved in &draft.positions {
                        let partition: i32 = moved.app_id.rsplit('/').next().unwrap().parse().unwrap();
                        prop_assert_eq!(moved.from, position[&partition]);
                        position.insert(partition, Some(moved.to));
                    }
                }
            }
            if let Some(draft) = collector.take(7) && let Records::Messages { messages, .. } = draft.records {
                found.extend(messages.iter().map(|message| (message.partition, message.offset)));
            }
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn a_draft_is_handed_on_by_size_or_time() {
        let mut collector = collector(&[(0, None)]);
        let before = Instant::now();
        assert!(!collector.due(before) && collector.wait(before).is_none());
        collector.add(0, 0, None);
        let after = Instant::now();
        assert!(!collector.due(before) && collector.due(after + LINGER));
        collector.add(0, 1, Some(&vec![0; DRAFT_BYTES]));
        assert!(collector.full() && collector.due(before));
    }

    #[test]
    fn partitions_given_up_take_what_was_collected_with_them() {
        let mut collector = collector(&[(0, None)]);
        collector.add(0, 0, None);
        collector.begin([(1, Some(8))].into_iter());
        collector.add(0, 1, None);
        assert!(collector.take(1).is_none());
    }
}
