//! Knowing when a topic has no more, for runs that end then.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rdkafka::consumer::Consumer;

use super::connect::ANSWER_TIME;
use super::member::Member;
use super::partitions::Partitions;
use crate::source::SourceError;

/// Time between two looks at what others have archived.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// librdkafka's own, where the operator sets no other: how long the group waits for a member that says nothing, and how often members hear of it.
const SESSION_MS: u64 = 45_000;
const HEARTBEAT_MS: u64 = 3_000;
/// For what a member had begun when it died, and for the group to give out its partitions.
const MARGIN: Duration = Duration::from_secs(15);

/// Partitions of others that are not archived to where they ended, with the last offset that is.
type Behind = BTreeMap<i32, Option<i64>>;

/// What others have not archived yet.
#[derive(Debug)]
pub(super) struct Others {
    /// Where partitions ended when they were first looked at: what comes later is not waited for.
    ends: BTreeMap<i32, i64>,
    behind: Behind,
    /// When anything of it moved last.
    moved: Instant,
    looked: Instant,
}

impl Others {
    fn new(now: Instant) -> Self {
        Self {
            ends: BTreeMap::new(),
            behind: Behind::new(),
            moved: now,
            looked: now,
        }
    }

    /// Takes over what is behind now.
    fn look(&mut self, behind: Behind, now: Instant) {
        self.looked = now;
        if behind != self.behind {
            self.behind = behind;
            self.moved = now;
        }
    }
}

impl Member {
    /// Whether the topic has no more: nothing of ours to read, and nothing of others that may come to us.
    pub(super) fn is_idle(&mut self) -> Result<bool, SourceError> {
        let waits = self.others.as_ref();
        if !self.at_end() || waits.is_some_and(|others| others.looked.elapsed() < LOOK_EVERY) {
            return Ok(false);
        }
        Ok(self.still_at_end()? && self.others_are_done())
    }

    /// Whether everything of ours has been read; nothing has before the group has given out its partitions.
    fn at_end(&self) -> bool {
        self.partitions.as_ref().is_some_and(Partitions::at_end)
    }

    /// Asks where partitions end now. Their ends were known when they were assigned, or from the last time: waiting until the client comes to
    /// them would take the time that a broker waits for more records, half a second.
    fn still_at_end(&mut self) -> Result<bool, SourceError> {
        let numbers = self.partitions.as_ref().map(Partitions::numbers);
        for partition in numbers.unwrap_or_default() {
            let (_, end) = self.watermarks(partition)?;
            if let Some(partitions) = &mut self.partitions {
                partitions.ends_at(partition, end);
            }
        }
        Ok(self.at_end())
    }

    /// Whether the partitions that other members have are archived to their ends, or rest there for good. A member that died without a word keeps
    /// its partitions until the group misses it; they come to us then. So whoever is behind is waited for as long as that takes, counted from when
    /// anything moved last, or was given out anew. One that lives and does not move has its reasons, or its partition ends with what is no record.
    fn others_are_done(&mut self) -> bool {
        let now = Instant::now();
        let known = self.others.take();
        let first = known.is_none();
        let mut others = known.unwrap_or_else(|| Others::new(now));
        match self.behind_elsewhere(&mut others.ends) {
            Ok(behind) if behind.is_empty() => return true,
            Ok(behind) => others.look(behind, now),
            Err(error) => {
                tracing::warn!(%error, "what others of the group have archived could not be looked up");
                others.looked = now;
            }
        }
        let partitions: Vec<i32> = others.behind.keys().copied().collect();
        if first {
            tracing::info!(
                ?partitions,
                "waiting for other members of the group to archive what their partitions hold, or to be missed by it"
            );
        }
        let patience = self.patience();
        let rested = others.moved.elapsed() >= patience;
        if rested {
            tracing::warn!(
                ?partitions,
                seconds = patience.as_secs(),
                "other members of the group keep partitions that are not archived to their ends, and do not go on: what these hold is left to them"
            );
        }
        self.others = Some(others);
        rested
    }

    fn behind_elsewhere(&self, ends: &mut BTreeMap<i32, i64>) -> Result<Behind, SourceError> {
        let ours = self.partitions.as_ref().map(Partitions::numbers);
        let ours = ours.unwrap_or_default();
        let mut elsewhere = self.all_partitions()?;
        elsewhere.retain(|partition| !ours.contains(partition));
        let mut behind = Behind::new();
        if elsewhere.is_empty() {
            return Ok(behind);
        }
        let positions = self.feed.positions()?;
        for partition in elsewhere {
            let position = positions.get(&self.topic.app_id(partition)).copied();
            let (first, end) = self.watermarks(partition)?;
            let end = *ends.entry(partition).or_insert(end);
            let next = position.map_or(first, |position| first.max(position + 1));
            if next < end {
                behind.insert(partition, position);
            }
        }
        Ok(behind)
    }

    /// The first offset of a partition, and the one behind its last.
    pub(super) fn watermarks(&self, partition: i32) -> Result<(i64, i64), SourceError> {
        self.consumer
            .fetch_watermarks(&self.topic.name, partition, ANSWER_TIME)
            .map_err(|source| self.client(source))
    }

    fn patience(&self) -> Duration {
        let set = |name: &str| {
            let mut properties = self.settings.properties.iter();
            let (_name, value) = properties.find(|(other, _value)| *other == name)?;
            value.parse().ok()
        };
        let session_ms = set("session.timeout.ms").unwrap_or(SESSION_MS);
        let heartbeat_ms = set("heartbeat.interval.ms").unwrap_or(HEARTBEAT_MS);
        Duration::from_millis(session_ms.saturating_add(heartbeat_ms)) + MARGIN
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_moves_is_waited_for_anew() {
        let begin = Instant::now();
        let after = |seconds| begin + Duration::from_secs(seconds);
        let behind = |position| Behind::from([(1, position)]);
        let mut others = Others::new(begin);
        others.look(behind(None), after(1));
        others.look(behind(None), after(5));
        assert_eq!((others.moved, others.looked), (after(1), after(5)));
        others.look(behind(Some(7)), after(6));
        others.look(behind(Some(7)), after(7));
        assert_eq!((others.moved, others.looked), (after(6), after(7)));
    }
}
