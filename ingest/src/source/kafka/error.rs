//! Why Kafka cannot be read on. Each message says what was lost, if anything, and what to do.

use rdkafka::error::KafkaError;

use crate::settings::AcceptedLoss;

/// Kafka cannot be read, or not without losing records.
#[derive(Debug, thiserror::Error)]
pub enum KafkaSourceError {
    /// librdkafka refuses a setting.
    #[error(
        "Kafka's client refuses its settings: {}\nhint: settings in [kafka] and HOLDFAST_KAFKA__… go to librdkafka as they are; its CONFIGURATION.md names them all",
        without_value(.0)
    )]
    Settings(KafkaError),
    /// Cluster or topic did not answer.
    #[error(
        "{what} of topic {topic} at {brokers} cannot be learnt: {problem}\nhint: check that the brokers are reachable, that the topic exists, and that this client may describe it"
    )]
    Unreachable {
        /// What was asked.
        what: &'static str,
        /// The topic.
        topic: String,
        /// The brokers asked.
        brokers: String,
        /// What happened.
        problem: String,
    },
    /// A broker does not take this client for who it says it is, or the other way round.
    #[error(
        "no connection to Kafka at {brokers}: {problem}\nhint: security.protocol, sasl.mechanism, sasl.username, sasl.password and ssl.ca.location have to be what the brokers expect; they are read from [kafka] of the settings file and from HOLDFAST_KAFKA__SASL_PASSWORD and the like"
    )]
    Refused {
        /// The brokers asked.
        brokers: String,
        /// What the client says; it names no secret.
        problem: String,
    },
    /// The broker is too old to tell topics apart.
    #[error(
        "the cluster gives topic {topic} no id: its brokers are older than Kafka 2.8\nhint: without ids a recreated topic cannot be told from the old one, and its records would be taken for archived ones; upgrade the brokers"
    )]
    NoTopicId {
        /// The topic.
        topic: String,
    },
    /// The topic forgets too early.
    #[error(
        "topic {topic} keeps records for {found}, producers rely on {wanted_days} days\nhint: kafka-configs --alter --entity-type topics --entity-name {topic} --add-config retention.ms={wanted_ms}, or --allow-short-retention if a stop of this process is always shorter"
    )]
    ShortRetention {
        /// The topic.
        topic: String,
        /// What it is set to.
        found: String,
        /// Days it should keep.
        wanted_days: u64,
        /// The same in milliseconds.
        wanted_ms: u64,
    },
    /// The topic is compacted.
    #[error(
        "topic {topic} is compacted: Kafka keeps only the newest record of each room and removes the others before they are archived\nhint: kafka-configs --alter --entity-type topics --entity-name {topic} --add-config cleanup.policy=delete"
    )]
    Compacted {
        /// The topic.
        topic: String,
    },
    /// Offsets between the archive's position and the topic's first record are gone.
    #[error(
        "partition {partition} of topic {topic} has lost offsets {first} to {last} ({count} records at most): they were removed before they were archived\nhint: have the producers send them again (sequences make resending safe; `holdfast verify --completeness` names what is missing), then go on with --accept-loss {partition}:{first}-{last}"
    )]
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// First lost offset.
        first: i64,
        /// Last lost offset.
        last: i64,
        /// How many.
        count: i64,
    },
    /// A topic that the archive has not read yet no longer holds the beginnings of its partitions.
    #[error(
        "topic {topic} no longer holds its beginning, and this archive has nothing of it: {} were removed before they could be archived\nhint: if that is history from before this archive, or it cannot be had any more, go on with {} (beside the losses accepted so far); else have the producers send it again first (sequences make resending safe; `holdfast verify --completeness` names what is missing)",
        lost.iter().map(|loss| format!("offsets {} to {} of partition {}", loss.first, loss.last, loss.partition)).collect::<Vec<_>>().join(", "),
        lost.iter().map(|loss| format!("--accept-loss {}:{}-{}", loss.partition, loss.first, loss.last)).collect::<Vec<_>>().join(" ")
    )]
    NoBeginning {
        /// The topic.
        topic: String,
        /// What is gone, one range a partition.
        lost: Vec<AcceptedLoss>,
    },
    /// A commit of positions alone was refused for a reason that it does not have, or its outcome is unknown.
    #[error(
        "the positions of topic {topic} could not be committed: {problem}\nhint: start again; the positions in the archive tell what is archived, and nothing is lost or taken twice"
    )]
    Positions {
        /// The topic.
        topic: String,
        /// What the archive says.
        problem: String,
    },
    /// The topic ends before the archive's position.
    #[error(
        "partition {partition} of topic {topic} ends at offset {end}, but offset {position} is archived: the topic was truncated or restored from an older state, and records would be skipped\nhint: let the producers send their records to a new topic, and read that; what is archived already is dropped as a duplicate"
    )]
    Truncated {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Offset behind the topic's last record.
        end: i64,
        /// Last offset archived.
        position: i64,
    },
    /// The topic of this name is another one than the archive knows.
    #[error(
        "topic {topic} is not the one this archive was read from: it has id {found} in cluster {cluster}, the archive knows {known}\nhint: the topic was recreated or the brokers are another cluster's. What was in the old one and is not archived is lost to this source (`holdfast verify --completeness` names it). To read this topic from its beginning give --accept-topic {found}; what is archived already is dropped as a duplicate"
    )]
    OtherTopic {
        /// The topic.
        topic: String,
        /// Its id now.
        found: String,
        /// Its cluster's id now.
        cluster: String,
        /// Cluster and topic ids that the archive knows.
        known: String,
    },
    /// The topic was recreated while it was read.
    #[error(
        "topic {topic} was recreated while it was read: its id was {was} and is {found}\nhint: what was in the old one and not archived is lost to this source (`holdfast verify --completeness` names it). To read the new one from its beginning start with --accept-topic {found}"
    )]
    Recreated {
        /// The topic.
        topic: String,
        /// Its id before.
        was: String,
        /// Its id now.
        found: String,
    },
    /// The client cannot go on.
    #[error(
        "reading topic {topic}: {source}\nhint: start again; positions are in the archive, nothing is lost or taken twice"
    )]
    Client {
        /// The topic.
        topic: String,
        /// What librdkafka says.
        #[source]
        source: KafkaError,
    },
}

/// The error without the setting's value: that may be a password, and messages end in logs.
fn without_value(error: &KafkaError) -> String {
    match error {
        KafkaError::ClientConfig(_, problem, key, _) => format!("{key:?}: {problem}"),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_setting_is_named_without_its_value() {
        let mut config = rdkafka::ClientConfig::new();
        config.set("sasl.pasword", "s3cret");
        let Err(error) = config.create::<rdkafka::consumer::BaseConsumer>() else {
            panic!("librdkafka knows no such setting");
        };
        let message = KafkaSourceError::Settings(error).to_string();
        assert!(
            message.contains("sasl.pasword") && !message.contains("s3cret"),
            "{message}"
        );
    }
}
