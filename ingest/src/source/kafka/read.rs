//! Taking records from the client.

use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use super::member::{Member, POLL_TIME};
use crate::source::SourceError;

/// Records taken in a row, as long as they are there, before anything else is looked at: a look costs as much as several records.
const RECORDS_IN_A_ROW: usize = 256;

/// What a poll brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Polled {
    Nothing,
    Record,
    /// The last record that its partition is known to hold.
    LastRecord,
}

impl Member {
    /// Takes what records are there, at most a draft full.
    pub(super) fn read(&mut self) -> Result<Polled, SourceError> {
        let now = Instant::now();
        let mut wait = self.collector.wait(now).unwrap_or(POLL_TIME);
        for _ in 0..RECORDS_IN_A_ROW {
            let polled = self.poll(wait)?;
            // What is no record may be a rebalance, which has to be acted on before the next one is taken.
            if polled != Polled::Record || self.collector.full() {
                return Ok(polled);
            }
            wait = Duration::ZERO;
        }
        Ok(Polled::Record)
    }

    /// Takes one record, or whatever else the client has to say.
    pub(super) fn poll(&mut self, wait: Duration) -> Result<Polled, SourceError> {
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
        self.collector.add(partition, offset, message.payload());
        let ms = message.timestamp().to_millis();
        let last = self
            .partitions
            .as_mut()
            .is_some_and(|partitions| partitions.record(partition, offset, ms));
        Ok(if last {
            Polled::LastRecord
        } else {
            Polled::Record
        })
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
}
