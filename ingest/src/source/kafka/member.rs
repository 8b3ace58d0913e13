//! A member of the group at work: polls, hands on, and keeps group and table in step.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::Subscription;
use super::collect::{Collector, LINGER};
use super::connect::{ANSWER_TIME, Questions, consumer};
use super::context::{Rebalance, Reports};
use super::error::KafkaSourceError;
use super::partitions::Partitions;
use super::start::{check_name, name_mark, start};
use crate::clock;
use crate::settings::KafkaSettings;
use crate::source::{Draft, Feed, KafkaTopic, Pushed, SourceError};

/// How long one offer of a draft waits for room.
const OFFER_TIME: Duration = Duration::from_millis(200);
/// How long the pipeline may be full before partitions are paused. Pausing throws away what librdkafka has fetched ahead, so a short wait is cheaper;
/// it has to stay far below `max.poll.interval.ms` (5 minutes), and below what a rebalance should wait for a member.
const PAUSE_AFTER: Duration = Duration::from_secs(3);
/// How long a poll waits when nothing was collected.
const POLL_TIME: Duration = Duration::from_millis(100);
/// Time between two looks at the topic's id.
const IDENTITY_EVERY: Duration = Duration::from_secs(60);

/// See the module.
pub(super) struct Member {
    consumer: BaseConsumer<Reports>,
    questions: Questions,
    topic: Arc<KafkaTopic>,
    settings: KafkaSettings,
    until_idle: bool,
    feed: Feed,
    collector: Collector,
    /// Generation of what is collected. The gate may be ahead of it for a moment: what is handed on until this is noticed is refused, as it has to
    /// be, since it continues positions that are not the table's.
    generation: u64,
    /// A draft that found the pipeline full, and since when.
    waiting: Option<(Draft, Instant)>,
    paused: bool,
    /// None until the group has given out its partitions for the first time.
    partitions: Option<Partitions>,
    looked_at_identity: Instant,
}

/// What a poll brought.
enum Polled {
    Nothing,
    Record,
}

impl Member {
    /// Connects, compares cluster and topic with what the archive knows, and joins the group.
    pub(super) fn join(
        subscription: &Subscription,
        settings: KafkaSettings,
        until_idle: bool,
        feed: Feed,
    ) -> Result<Self, SourceError> {
        let consumer = consumer(subscription, &settings)?;
        let questions = Questions::new(subscription, &settings)?;
        let topic = Arc::new(questions.identity(&consumer)?);
        questions.check_retention(&settings, &feed.runtime)?;
        let positions = feed.positions()?;
        let known = positions.keys().map(String::as_str);
        check_name(
            &topic.name,
            &topic.cluster_id,
            &topic.topic_id,
            known,
            settings.accept_topic.as_deref(),
        )?;
        consumer
            .subscribe(&[&topic.name])
            .map_err(|source| KafkaSourceError::Client {
                topic: topic.name.clone(),
                source,
            })?;
        tracing::info!(
            topic = topic.name,
            cluster = topic.cluster_id,
            topic_id = topic.topic_id,
            group = subscription.group,
            "joining the group"
        );
        Ok(Self {
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
        })
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
            if let Polled::Nothing =
                self.poll(self.collector.wait(Instant::now()).unwrap_or(POLL_TIME))?
                && self.until_idle
                && self.at_end()
                && self.finish()?
            {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Leaves the group. Giving up the partitions first matters: closing waits for them otherwise.
    pub(super) fn leave(self) {
        self.consumer.context().leave();
        if let Err(error) = self.consumer.unassign() {
            tracing::warn!(%error, "partitions could not be given up");
        }
        tracing::info!("leaving the group");
    }

    /// What group, committer and cluster have to say.
    fn serve(&mut self) -> Result<(), SourceError> {
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

    fn client(&self, source: KafkaError) -> SourceError {
        KafkaSourceError::Client {
            topic: self.topic.name.clone(),
            source,
        }
        .into()
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
        self.collector.begin(std::iter::empty(), None);
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
        let positions = self.feed.positions()?;
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let mut ours = Vec::with_capacity(partitions.len());
        for &partition in partitions {
            let position = positions.get(&self.topic.app_id(partition)).copied();
            let (first, end) = self
                .consumer
                .fetch_watermarks(&self.topic.name, partition, ANSWER_TIME)
                .map_err(|source| self.client(source))?;
            let begin = start(
                &self.topic.name,
                partition,
                position,
                first..end,
                &self.settings.accept_loss,
            )?;
            if begin.lost > 0 {
                tracing::error!(
                    partition,
                    count = begin.lost,
                    "offsets are passed over, as --accept-loss says"
                );
            }
            if position.is_none() && first > 0 {
                tracing::warn!(
                    partition,
                    first,
                    "the topic no longer holds its beginning; `holdfast verify --completeness` names sequences that are missing"
                );
            }
            list.add_partition_offset(&self.topic.name, partition, Offset::Offset(begin.offset))
                .map_err(|source| self.client(source))?;
            ours.push((partition, position));
        }
        let mark = name_mark(
            &self.topic.name,
            &self.topic.cluster_id,
            &self.topic.topic_id,
        );
        let mark = (!positions.contains_key(&mark)).then_some(mark);
        self.collector.begin(ours.iter().copied(), mark);
        self.waiting = None;
        self.paused = false;
        self.feed.metrics().paused(false);
        self.partitions = Some(Partitions::new(ours.into_iter()));
        self.consumer
            .assign(&list)
            .map_err(|source| self.client(source))
    }

    fn check_identity(&mut self) -> Result<(), SourceError> {
        self.looked_at_identity = Instant::now();
        match self.questions.topic_id() {
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

    /// Takes one record, or whatever else the client has to say.
    fn poll(&mut self, wait: Duration) -> Result<Polled, SourceError> {
        let message = match self.consumer.poll(wait.min(POLL_TIME)) {
            None => return Ok(Polled::Nothing),
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                if let Some(partitions) = &mut self.partitions {
                    partitions.end(partition);
                }
                return Ok(Polled::Nothing);
            }
            Some(Err(error)) => return self.trouble(error).map(|()| Polled::Nothing),
        };
        let (partition, offset) = (message.partition(), message.offset());
        self.collector
            .add(partition, offset, message.payload(), Instant::now());
        if let Some(partitions) = &mut self.partitions {
            partitions.record(partition, message.timestamp().to_millis());
        }
        Ok(Polled::Record)
    }

    /// An error of the client: some end the run, others pass by themselves.
    fn trouble(&mut self, error: KafkaError) -> Result<(), SourceError> {
        let code = match &error {
            KafkaError::MessageConsumptionFatal(_) => return Err(self.client(error)),
            KafkaError::MessageConsumption(code) | KafkaError::Global(code) => *code,
            _ => return Err(self.client(error)),
        };
        match code {
            RDKafkaErrorCode::OffsetOutOfRange | RDKafkaErrorCode::AutoOffsetReset => {
                self.explain_loss(&error)
            }
            RDKafkaErrorCode::UnknownTopicOrPartition
            | RDKafkaErrorCode::UnknownTopic
            | RDKafkaErrorCode::UnknownPartition
            | RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed => {
                self.check_identity()?;
                Err(self.client(error))
            }
            _ => {
                tracing::warn!(%error, "Kafka's client reports; it goes on by itself");
                Ok(())
            }
        }
    }

    /// Says which offsets are gone. Beginning anew finds out, since it compares every position with what the topic holds.
    fn explain_loss(&mut self, error: &KafkaError) -> Result<(), SourceError> {
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

    /// Hands on what was collected; false when the pipeline has ended.
    fn hand_on(&mut self) -> bool {
        let Some(draft) = self.collector.take(self.generation) else {
            return true;
        };
        for moved in &draft.positions {
            // The last part of a position's name is its partition; the topic's mark has none.
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
                tracing::info!(paused, "the pipeline is full, or no longer");
            }
            // Unpaused it only fetches ahead within its bounds; still paused it is resumed at the next draft.
            Err(error) => {
                tracing::warn!(%error, paused, "partitions could not be paused or resumed");
            }
        }
    }

    /// Whether everything of ours has been read; nothing has before the group has given out its partitions.
    fn at_end(&self) -> bool {
        self.partitions.as_ref().is_some_and(Partitions::at_end)
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
        let undisturbed = self.generation == generation;
        if !undisturbed && self.paused {
            self.set_paused(false);
        }
        Ok(undisturbed || self.feed.stopping())
    }

    /// Kafka's own offsets follow the table's.
    fn note_commits(&mut self, mode: CommitMode) {
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

    fn note_lag(&self, statistics: &rdkafka::Statistics) {
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
