//! A member's assignment: taking partitions over from the table's positions, and giving them up without a trace.

use std::time::{Duration, Instant};

use rdkafka::consumer::{CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::context::Rebalance;
use super::error::KafkaSourceError;
use super::member::Member;
use super::partitions::Partitions;
use crate::source::SourceError;

/// Time between two looks at the topic's id.
const IDENTITY_EVERY: Duration = Duration::from_secs(60);

impl Member {
    /// What group, committer and cluster have to say.
    pub(super) fn serve(&mut self) -> Result<(), SourceError> {
        while let Some(rebalance) = self.consumer.context().next_rebalance() {
            self.feed.metrics().rebalanced();
            match rebalance {
                Rebalance::Assigned(partitions) => self.assigned(&partitions)?,
                Rebalance::Revoked => self.revoked()?,
            }
        }
        self.note_commits(CommitMode::Async);
        if let Some(reason) = self.feed.feedback().take_reset() {
            tracing::warn!(
                reason,
                "the table has other positions than this process; starting over from the table's"
            );
            let ours = self.partitions.as_ref().map(Partitions::numbers);
            if let Some(ours) = ours {
                self.generation = self.feed.gate().close();
                self.begin(&ours)?;
            }
        }
        if let Some(statistics) = self.consumer.context().take_statistics() {
            self.note_lag(&statistics);
        }
        if self.looked_at_identity.elapsed() >= IDENTITY_EVERY {
            self.check_identity()?;
        }
        Ok(())
    }

    fn assigned(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        // Records read before must not be committed from here on, whatever the group thought of them in between.
        self.generation = self.feed.gate().close();
        self.check_identity()?;
        tracing::info!(
            ?partitions,
            generation = self.generation,
            "partitions assigned"
        );
        self.begin(partitions)?;
        // Others may have been given what nobody could archive meanwhile.
        self.others = None;
        self.feed.metrics().set_ready(true);
        Ok(())
    }

    fn revoked(&mut self) -> Result<(), SourceError> {
        // Waits for the commit in flight: the new owner then finds it in the table.
        self.generation = self.feed.gate().close();
        tracing::info!(
            generation = self.generation,
            lost = self.consumer.assignment_lost(),
            "partitions revoked"
        );
        self.note_commits(CommitMode::Async);
        self.collector.begin(std::iter::empty());
        self.waiting = None;
        self.paused = false;
        self.partitions = None;
        self.feed.metrics().forget_lag();
        self.consumer
            .unassign()
            .map_err(|source| self.client(source))
    }

    /// Reads positions from the table and assigns behind them, dropping whatever was collected before.
    fn begin(&mut self, partitions: &[i32]) -> Result<(), SourceError> {
        let begins = self.beginnings_of(partitions)?;
        let mut list = TopicPartitionList::with_capacity(begins.len());
        for begin in &begins {
            list.add_partition_offset(
                &self.topic.name,
                begin.partition,
                Offset::Offset(begin.offset),
            )
            .map_err(|source| self.client(source))?;
        }
        let positions = begins.iter().map(|begin| (begin.partition, begin.position));
        self.collector.begin(positions);
        self.waiting = None;
        self.paused = false;
        self.feed.metrics().paused(false);
        self.partitions = Some(Partitions::new(&begins));
        // Whoever waits for the last commit has paused; librdkafka may keep that for partitions that are assigned again.
        self.consumer
            .assign(&list)
            .and_then(|()| self.consumer.resume(&list))
            .map_err(|source| self.client(source))
    }

    pub(super) fn check_identity(&mut self) -> Result<(), SourceError> {
        self.looked_at_identity = Instant::now();
        match self.questions.topic_id(&self.consumer) {
            Ok(found) if found == self.topic.topic_id => Ok(()),
            Ok(found) => Err(KafkaSourceError::Recreated {
                topic: self.topic.name.clone(),
                was: self.topic.topic_id.clone(),
                found,
            }
            .into()),
            // Brokers come back; until they do nothing can be read that would have to be told apart.
            Err(error) => {
                tracing::warn!(%error, "the topic's id could not be compared");
                Ok(())
            }
        }
    }

    /// Says which offsets are gone. Beginning anew finds out, since it compares every position with what the topic holds.
    pub(super) fn explain_loss(&mut self, error: &KafkaError) -> Result<(), SourceError> {
        self.check_identity()?;
        let ours = self
            .partitions
            .as_ref()
            .map(Partitions::numbers)
            .unwrap_or_default();
        // Accepted losses were passed over at the start; nothing that is lost while running was accepted.
        self.settings.accept_loss.clear();
        self.generation = self.feed.gate().close();
        self.begin(&ours)?;
        tracing::warn!(%error, "the client lost its place, but nothing is missing; reading on from the table's positions");
        Ok(())
    }
}
