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
/// librdkafka's own, where the operator sets no other: how long the group waits for a member that says nothing.
const SESSION_TIMEOUT: Duration = Duration::from_secs(45);
/// For the group to give out a missed member's partitions.
const REBALANCE_TIME: Duration = Duration::from_secs(5);

/// Partitions of others that are not archived to their ends, with the last offset that is.
type Behind = BTreeMap<i32, Option<i64>>;

/// What others have not archived yet.
#[derive(Debug)]
pub(super) struct Others {
    behind: Behind,
    /// When anything of it moved last.
    moved: Instant,
    looked: Instant,
}

impl Others {
    /// What is behind now; whether it has rested for so long.
    fn rest(&mut self, behind: Behind, patience: Duration) -> bool {
        self.looked = Instant::now();
        if behind != self.behind {
            self.behind = behind;
            self.moved = self.looked;
        }
        self.moved.elapsed() >= patience
    }
}

impl Member {
    /// Whether the topic has no more: nothing of ours to read, and nothing of others that may come to us.
    pub(super) fn is_idle(&mut self) -> Result<bool, SourceError> {
        Ok(self.at_end() && self.still_at_end()? && self.others_are_done()?)
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
    /// anything moved last. One that lives and does not move has its reasons, or its partition ends with what is no record.
    fn others_are_done(&mut self) -> Result<bool, SourceError> {
        if let Some(others) = &self.others
            && others.looked.elapsed() < LOOK_EVERY
        {
            return Ok(false);
        }
        let behind = self.behind_elsewhere()?;
        if behind.is_empty() {
            self.others = None;
            return Ok(true);
        }
        let patience = self.patience();
        let numbers: Vec<i32> = behind.keys().copied().collect();
        if self.others.is_none() {
            tracing::info!(
                partitions = ?numbers,
                "waiting for other members of the group to archive what their partitions hold, or to be missed by it"
            );
        }
        let now = Instant::now();
        let others = self.others.get_or_insert_with(|| Others {
            behind: behind.clone(),
            moved: now,
            looked: now,
        });
        if !others.rest(behind, patience) {
            return Ok(false);
        }
        tracing::warn!(
            partitions = ?numbers,
            seconds = patience.as_secs(),
            "other members of the group keep partitions and archive nothing of them: what these hold is left to them"
        );
        Ok(true)
    }

    fn behind_elsewhere(&self) -> Result<Behind, SourceError> {
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
            if position.map_or(first, |position| position + 1) < end {
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
        let mut properties = self.settings.properties.iter();
        let set = properties.find(|(name, _value)| *name == "session.timeout.ms");
        let session = set.and_then(|(_name, value)| value.parse().ok());
        session.map_or(SESSION_TIMEOUT, Duration::from_millis) + REBALANCE_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_moves_is_waited_for() {
        let behind = |position| Behind::from([(1, position)]);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(60)).unwrap();
        let mut others = Others {
            behind: behind(None),
            moved: long_ago,
            looked: long_ago,
        };
        let patience = Duration::from_secs(30);
        assert!(others.rest(behind(None), patience));
        assert!(!others.rest(behind(Some(7)), patience), "it has moved");
        assert!(!others.rest(behind(Some(7)), patience));
        others.moved = long_ago;
        assert!(others.rest(behind(Some(7)), patience));
    }
}
