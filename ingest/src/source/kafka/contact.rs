//! The archive's first contact with a topic, and losses that the operator accepted: commits of positions alone, before any record is read.
//!
//! | the table knows | partitions | |
//! |---|---|---|
//! | not this topic | all begin at 0 | the topic's mark is committed |
//! | | some begin later | an error that names them all, unless each loss was accepted; then mark and accepted losses are one commit |
//! | this topic | without a position, begins at 0 | nothing of it is archived yet, or it is new: read from its beginning |
//! | | lost offsets since | an error, or, accepted, a commit that moves the position past them |
//!
//! So from the first contact on every partition has a beginning that the table vouches for, whichever partitions a process is given, and a
//! loss is accepted once: the table remembers it. Processes that begin at the same moment agree by the commit: whoever comes second reads the
//! table again and finds what the first one wrote.

use std::collections::BTreeMap;

use holdfast_archive::{Advance, AdvanceOnly, CommitKind, Conflict, Counts, Outcome};
use rdkafka::consumer::Consumer;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use uuid::Uuid;

use super::connect::ANSWER_TIME;
use super::error::KafkaSourceError;
use super::member::Member;
use super::start::{check_name, name_mark, start};
use crate::settings::AcceptedLoss;
use crate::source::SourceError;

/// A partition with what table and topic hold of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beginning {
    pub(super) partition: i32,
    /// Last offset archived; nothing when none is.
    pub(super) position: Option<i64>,
    /// Offset to read from.
    pub(super) offset: i64,
    /// Offset behind the topic's last record.
    pub(super) end: i64,
    /// Offsets passed over on the way there, as the operator accepted.
    pub(super) lost: i64,
}

impl Member {
    /// Compares the topic with what the archive knows under its name, and makes it known to the archive when it is not.
    pub(super) fn make_contact(&self) -> Result<(), SourceError> {
        loop {
            let positions = self.feed.positions()?;
            let topic = &self.topic;
            check_name(
                &topic.name,
                &topic.cluster_id,
                &topic.topic_id,
                positions.keys().map(String::as_str),
                self.settings.accept_topic.as_deref(),
            )?;
            let mark = name_mark(&topic.name, &topic.cluster_id, &topic.topic_id);
            if positions.contains_key(&mark) {
                return Ok(());
            }
            let partitions = self.all_partitions()?;
            let begins = self.beginnings(&partitions, &positions);
            let begins = all_or_every_loss(&topic.name, begins)?;
            let mut moves = self.past_losses(&begins);
            moves.push(Advance {
                app_id: mark,
                from: None,
                to: 1,
            });
            tracing::info!(
                topic = topic.name,
                topic_id = topic.topic_id,
                "this archive reads the topic for the first time"
            );
            if self.commit_positions(moves)? {
                return Ok(());
            }
        }
    }

    /// Where to begin each of these partitions. Losses that were accepted are in the table then.
    pub(super) fn beginnings_of(&self, partitions: &[i32]) -> Result<Vec<Beginning>, SourceError> {
        loop {
            let positions = self.feed.positions()?;
            let begins = self
                .beginnings(partitions, &positions)
                .collect::<Result<Vec<_>, _>>()?;
            let moves = self.past_losses(&begins);
            if moves.is_empty() {
                return Ok(begins);
            }
            self.commit_positions(moves)?;
        }
    }

    fn beginnings(
        &self,
        partitions: &[i32],
        positions: &BTreeMap<String, i64>,
    ) -> impl Iterator<Item = Result<Beginning, SourceError>> {
        partitions.iter().map(|&partition| {
            let position = positions.get(&self.topic.app_id(partition)).copied();
            let (first, end) = self.watermarks(partition)?;
            let begin = start(
                &self.topic.name,
                partition,
                position,
                first..end,
                &self.settings.accept_loss,
            )?;
            Ok(Beginning {
                partition,
                position,
                offset: begin.offset,
                end,
                lost: begin.lost,
            })
        })
    }

    pub(super) fn all_partitions(&self) -> Result<Vec<i32>, SourceError> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(&self.topic.name), ANSWER_TIME)
            .map_err(|source| self.client(source))?;
        let topics = metadata.topics().iter();
        if let Some(error) = topics.clone().find_map(MetadataTopic::error) {
            return Err(self.client(KafkaError::MetadataFetch(error.into())));
        }
        let partitions = topics.flat_map(MetadataTopic::partitions);
        let partitions: Vec<i32> = partitions.map(|partition| partition.id()).collect();
        if partitions.is_empty() {
            let unknown = RDKafkaErrorCode::UnknownPartition;
            return Err(self.client(KafkaError::MetadataFetch(unknown)));
        }
        Ok(partitions)
    }

    /// The moves that take positions past what the operator gave up.
    fn past_losses(&self, begins: &[Beginning]) -> Vec<Advance> {
        let lossy = begins.iter().filter(|begin| begin.lost > 0);
        let moves = lossy.map(|begin| {
            tracing::error!(
                partition = begin.partition,
                count = begin.lost,
                from = begin.offset,
                "offsets are passed over, as --accept-loss says"
            );
            Advance {
                app_id: self.topic.app_id(begin.partition),
                from: begin.position,
                to: begin.offset - 1,
            }
        });
        moves.collect()
    }

    /// Commits positions alone; false when another process moved one of them first.
    fn commit_positions(&self, positions: Vec<Advance>) -> Result<bool, SourceError> {
        let refused = |problem: String| KafkaSourceError::Positions {
            topic: self.topic.name.clone(),
            problem,
        };
        let advance = AdvanceOnly {
            commit_id: Uuid::new_v4(),
            kind: CommitKind::Fence,
            positions,
            counts: Counts::default(),
        };
        match self.feed.advance(advance)? {
            Outcome::Committed(_) => Ok(true),
            Outcome::Conflicted(Conflict::PositionMoved { .. }) => Ok(false),
            Outcome::Conflicted(
                conflict @ (Conflict::AlreadyArchived { .. }
                | Conflict::BelowHorizon { .. }
                | Conflict::InputGone { .. }
                | Conflict::LedgerMoved { .. }
                | Conflict::DecisionChanged { .. }
                | Conflict::KeptChanged { .. }
                | Conflict::LeaseHeld { .. }),
            ) => Err(refused(conflict.to_string()).into()),
            Outcome::Unknown(uncertain) => Err(refused(format!(
                "whether commit {} is in the archive is not known: {}",
                uncertain.commit_id, uncertain.reason
            ))
            .into()),
        }
    }
}

/// The beginnings, or every loss among them in one error: an operator should not have to learn of them one start after the other.
fn all_or_every_loss(
    topic: &str,
    begins: impl Iterator<Item = Result<Beginning, SourceError>>,
) -> Result<Vec<Beginning>, SourceError> {
    let (mut found, mut lost) = (Vec::new(), Vec::new());
    for begin in begins {
        match begin {
            Ok(begin) => found.push(begin),
            Err(SourceError::Kafka(KafkaSourceError::Lost {
                partition,
                first,
                last,
                ..
            })) => lost.push(AcceptedLoss {
                partition,
                first,
                last,
            }),
            Err(error) => return Err(error),
        }
    }
    if lost.is_empty() {
        return Ok(found);
    }
    Err(KafkaSourceError::NoBeginning {
        topic: topic.to_owned(),
        lost,
    }
    .into())
}
