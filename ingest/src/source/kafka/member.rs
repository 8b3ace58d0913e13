//! A member of the group at work: polls, hands on, and keeps group and table in step.

use std::ops::Deref;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};

use super::Subscription;
use super::collect::{Collector, LINGER};
use super::connect::{Questions, consumer};
use super::context::Reports;
use super::error::KafkaSourceError;
use super::idle::Others;
use super::partitions::Partitions;
use super::read::Polled;
use crate::clock;
use crate::pipeline::Gate;
use crate::settings::KafkaSettings;
use crate::source::{Draft, Feed, KafkaTopic, Pushed, SourceError};

/// How long one offer of a draft waits for room.
const OFFER_TIME: Duration = Duration::from_millis(200);
/// How long the pipeline may be full before partitions are paused. Pausing throws away what librdkafka has fetched ahead, so a short wait is cheaper;
/// it has to stay far below `max.poll.interval.ms` (5 minutes), and below what a rebalance should wait for a member.
const PAUSE_AFTER: Duration = Duration::from_secs(3);
/// How long a poll waits when nothing was collected.
pub(super) const POLL_TIME: Duration = Duration::from_millis(100);

/// A consumer that leaves its group when it is dropped. Before it does the gate is closed, as for a revocation: a member that leaves because of an
/// error has batches on their way, and the next owner begins at the position that the table has when it is given the partitions. Giving up the
/// partitions first matters, and that revocations are answered at once from then on: closing waits for both, for ever if need be.
pub(super) struct Membership {
    consumer: BaseConsumer<Reports>,
    gate: Arc<Gate>,
}

impl Deref for Membership {
    type Target = BaseConsumer<Reports>;

    fn deref(&self) -> &Self::Target {
        &self.consumer
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.gate.close();
        self.consumer.context().leave();
        if let Err(error) = self.consumer.unassign() {
            tracing::warn!(%error, "partitions could not be given up");
        }
        tracing::info!("leaving the group");
    }
}

/// See the module.
pub(super) struct Member {
    pub(super) consumer: Membership,
    pub(super) questions: Questions,
    pub(super) topic: Arc<KafkaTopic>,
    pub(super) settings: KafkaSettings,
    until_idle: bool,
    pub(super) feed: Feed,
    pub(super) collector: Collector,
    /// Generation of what is collected. The gate may be ahead of it for a moment: what is handed on until this is noticed is refused, as it has to
    /// be, since it continues positions that are not the table's.
    pub(super) generation: u64,
    /// A draft that found the pipeline full, and since when.
    pub(super) waiting: Option<(Draft, Instant)>,
    pub(super) paused: bool,
    /// None until the group has given out its partitions for the first time.
    pub(super) partitions: Option<Partitions>,
    pub(super) looked_at_identity: Instant,
    /// Waited for, by a run that ends with the topic.
    pub(super) others: Option<Others>,
}

impl Member {
    /// Connects, compares cluster and topic with what the archive knows, and joins the group.
    pub(super) fn join(
        subscription: &Subscription,
        settings: KafkaSettings,
        until_idle: bool,
        feed: Feed,
    ) -> Result<Self, SourceError> {
        // The group answers in its own time, so it is asked first; no record is read before everything below is found in order.
        let consumer = Membership {
            consumer: consumer(subscription, &settings)?,
            gate: feed.shared_gate(),
        };
        consumer
            .subscribe(&[&subscription.topic])
            .map_err(|source| KafkaSourceError::Client {
                topic: subscription.topic.clone(),
                source,
            })?;
        let questions = Questions::new(subscription);
        let retention = questions.ask_for_retention(&settings, &feed.runtime)?;
        let topic = Arc::new(questions.identity(&consumer)?);
        questions.judge_retention(&retention, &settings)?;
        tracing::info!(
            topic = topic.name,
            cluster = topic.cluster_id,
            topic_id = topic.topic_id,
            group = subscription.group,
            "joining the group"
        );
        let member = Self {
            consumer,
            questions,
            collector: Collector::new(Arc::clone(&topic)),
            topic,
            settings,
            until_idle,
            feed,
            generation: 0,
            waiting: None,
            paused: false,
            partitions: None,
            looked_at_identity: Instant::now(),
            others: None,
        };
        member.make_contact()?;
        Ok(member)
    }

    /// Reads until told to stop, or until the end when it is to end there.
    pub(super) fn run(&mut self) -> Result<(), SourceError> {
        while !self.feed.aborted() {
            self.serve()?;
            if self.feed.stopping() {
                return self.finish().map(drop);
            }
            if self.waiting.is_some() {
                self.offer_again()?;
                continue;
            }
            if self.collector.due(Instant::now()) && !self.hand_on() {
                return Ok(());
            }
            if self.read()? != Polled::Record
                && self.until_idle
                && self.is_idle()?
                && self.finish()?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// An error of the client, with its topic.
    pub(super) fn client(&self, source: KafkaError) -> SourceError {
        KafkaSourceError::Client {
            topic: self.topic.name.clone(),
            source,
        }
        .into()
    }

    /// Hands on what was collected; false when the pipeline has ended.
    fn hand_on(&mut self) -> bool {
        let Some(draft) = self.collector.take(self.generation) else {
            return true;
        };
        for moved in &draft.positions {
            // The last part of a position's name is its partition.
            let partition = moved
                .app_id
                .rsplit('/')
                .next()
                .and_then(|text| text.parse().ok());
            if let (Some(partition), Some(partitions)) = (partition, &mut self.partitions) {
                partitions.handed_on(partition, moved.to);
            }
        }
        self.offer(draft, Instant::now(), OFFER_TIME)
    }

    fn offer(&mut self, draft: Draft, since: Instant, patience: Duration) -> bool {
        match self.feed.push(draft, patience) {
            Pushed::Taken => {
                if self.paused {
                    self.set_paused(false);
                }
                true
            }
            Pushed::Full(draft) => {
                self.waiting = Some((draft, since));
                true
            }
            Pushed::Closed => false,
        }
    }

    /// Offers the waiting draft again; pauses the partitions when it has waited for long, and polls on, for the group's sake.
    fn offer_again(&mut self) -> Result<(), SourceError> {
        if let Some((draft, since)) = self.waiting.take() {
            self.offer(draft, since, OFFER_TIME);
        }
        let long = self
            .waiting
            .as_ref()
            .is_some_and(|(_, since)| since.elapsed() >= PAUSE_AFTER);
        if long && !self.paused {
            self.set_paused(true);
        }
        if self.paused {
            // Nothing comes from paused partitions but what was on its way here: it is collected, not lost.
            self.poll(Duration::ZERO)?;
        }
        Ok(())
    }

    fn set_paused(&mut self, paused: bool) {
        let done = self.consumer.assignment().and_then(|assignment| {
            if paused {
                self.consumer.pause(&assignment)
            } else {
                self.consumer.resume(&assignment)
            }
        });
        match done {
            Ok(()) => {
                self.paused = paused;
                self.feed.metrics().paused(paused);
                tracing::debug!(paused, "partitions paused or resumed");
            }
            // Unpaused it only fetches ahead within its bounds; still paused it is resumed at the next draft.
            Err(error) => {
                tracing::warn!(%error, paused, "partitions could not be paused or resumed");
            }
        }
    }

    /// Hands on what was read and waits until it is committed; false when a rebalance came in between and there may be more to do.
    fn finish(&mut self) -> Result<bool, SourceError> {
        let generation = self.generation;
        let collected = self.collector.take(generation);
        for draft in self
            .waiting
            .take()
            .map(|(draft, _)| draft)
            .into_iter()
            .chain(collected)
            .chain([Draft::flush(generation)])
        {
            if !self.feed.push_waiting(draft) {
                return Ok(true);
            }
        }
        let pushed = self.feed.pushed_chunks();
        self.set_paused(true);
        while !self.feed.feedback().wait(pushed, Duration::from_millis(20)) && !self.feed.aborted()
        {
            // The group still wants to be answered. Records that were on their way here are read again by whoever reads next.
            if let Some(Err(error)) = self.consumer.poll(Duration::ZERO)
                && !matches!(error, KafkaError::PartitionEOF(_))
            {
                tracing::debug!(%error, "while waiting for the last commit");
            }
            self.serve()?;
            if self.generation != generation {
                break;
            }
        }
        self.note_commits(CommitMode::Sync);
        // A batch that was refused counts as settled too: only what the committer asked for tells that its records have to be read again.
        if !self.feed.stopping() {
            self.serve()?;
        }
        let undisturbed = self.generation == generation;
        if !undisturbed && self.paused {
            self.set_paused(false);
        }
        Ok(undisturbed || self.feed.stopping())
    }

    /// Kafka's own offsets follow the table's.
    pub(super) fn note_commits(&mut self, mode: CommitMode) {
        let committed = self.feed.feedback().take_committed();
        let Some(partitions) = self.partitions.as_mut().filter(|_| !committed.is_empty()) else {
            return;
        };
        let mut list = TopicPartitionList::new();
        let app_id = |partition| self.topic.app_id(partition);
        for (partition, last) in
            partitions.committed(|partition| committed.get(app_id(partition).as_str()).copied())
        {
            // Kafka counts the next offset, the table the last one.
            if let Err(error) =
                list.add_partition_offset(&self.topic.name, partition, Offset::Offset(last + 1))
            {
                tracing::debug!(%error, "an offset could not be named");
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, mode)
        {
            tracing::debug!(%error, "Kafka's own offsets could not be committed; only lag tools look at them");
        }
    }

    pub(super) fn note_lag(&self, statistics: &rdkafka::Statistics) {
        let (Some(topic), Some(partitions)) =
            (statistics.topics.get(&self.topic.name), &self.partitions)
        else {
            return;
        };
        let held = |partition: i32| {
            topic
                .partitions
                .get(&partition)
                .map(|seen| (seen.lo_offset.max(0), seen.hi_offset))
        };
        for (partition, lag) in partitions.lag(clock::now_ms(), held) {
            self.feed
                .metrics()
                .lag(partition, lag.records, lag.age.as_secs_f64());
        }
    }
}

/// A draft is handed on well before a poll that waits for records returns empty-handed.
const _: () = assert!(LINGER.as_millis() < POLL_TIME.as_millis());
