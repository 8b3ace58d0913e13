//! Connecting: the client's settings, and what cluster and topic say about themselves.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::runtime::Handle;

use super::Subscription;
use super::context::Reports;
use super::error::KafkaSourceError;
use super::topic_id::topic_id;
use crate::settings::KafkaSettings;
use crate::source::KafkaTopic;

/// How long brokers may take to answer a question.
pub(super) const ANSWER_TIME: Duration = Duration::from_secs(15);
/// How long the first answer is waited for before the client is heard for as long, and so on.
const LISTEN_TIME: Duration = Duration::from_millis(100);

const DAY_MS: u64 = 86_400_000;

/// What ingest needs for its protocol, or needs otherwise than librdkafka's default. Operators' settings come before the first group and never over
/// the second.
pub(crate) const OVERRIDABLE: &[(&str, &str)] = &[
    ("client.id", "holdfast-ingest"),
    // Memory: what librdkafka holds ahead of us, for all partitions together.
    ("queued.max.messages.kbytes", "32768"),
    ("fetch.message.max.bytes", "4194304"),
    // By default a partition whose records fill that memory is left alone for a second, however soon they are taken.
    ("fetch.queue.backoff.ms", "10"),
    // One request to a broker is on its way at a time, for the partitions that had room when it was made. Where those have nothing new the broker
    // keeps it this long, and the others wait with it: half a second by default, again and again at the end of a backlog.
    ("fetch.wait.max.ms", "50"),
    ("socket.keepalive.enable", "true"),
    ("allow.auto.create.topics", "false"),
    // Lag is read from these.
    ("statistics.interval.ms", "5000"),
];
const FIXED: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    // A position that the topic does not hold is an error, not a reason to begin somewhere else.
    ("auto.offset.reset", "error"),
    ("enable.partition.eof", "true"),
    // An eager strategy: the barrier gives up everything before anything is given out.
    ("partition.assignment.strategy", "range,roundrobin"),
    ("group.protocol", "classic"),
];

fn consumer_config(subscription: &Subscription, settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (name, value) in OVERRIDABLE
        .iter()
        .copied()
        .chain(settings.properties.iter())
        .chain(FIXED.iter().copied())
    {
        config.set(name, value);
    }
    config
        .set("bootstrap.servers", &subscription.brokers)
        .set("group.id", &subscription.group);
    config
}

/// Settings of a connection: what a client that asks questions shares with one that reads.
const CONNECTION_PREFIXES: &[&str] = &[
    "security.",
    "sasl.",
    "ssl.",
    "socket.",
    "broker.",
    "api.",
    "enable.ssl.",
    "client.",
    "debug",
];

fn admin_config(subscription: &Subscription, settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("client.id", "holdfast-ingest-admin")
        .set("bootstrap.servers", &subscription.brokers);
    for (name, value) in settings.properties.iter() {
        if CONNECTION_PREFIXES
            .iter()
            .any(|prefix| name.starts_with(prefix))
        {
            config.set(name, value);
        }
    }
    config
}

/// A consumer that has not subscribed yet.
pub(super) fn consumer(
    subscription: &Subscription,
    settings: &KafkaSettings,
) -> Result<BaseConsumer<Reports>, KafkaSourceError> {
    consumer_config(subscription, settings)
        .create_with_context(Reports::default())
        .map_err(KafkaSourceError::Settings)
}

/// Asks about cluster and topic.
pub(super) struct Questions {
    subscription: Subscription,
}

/// What a topic's settings say about how long it keeps its records; nothing for a setting that it does not have.
#[derive(Debug, Default)]
struct Retention {
    policy: Option<String>,
    ms: Option<String>,
    bytes: Option<String>,
}

/// A question about retention on its way.
pub(super) struct AskedForRetention(Receiver<Result<Retention, String>>);

impl Questions {
    pub(super) fn new(subscription: &Subscription) -> Self {
        Self {
            subscription: subscription.clone(),
        }
    }

    fn unreachable(&self, what: &'static str, problem: &str) -> KafkaSourceError {
        KafkaSourceError::Unreachable {
            what,
            topic: self.subscription.topic.clone(),
            brokers: self.subscription.brokers.clone(),
            problem: problem.to_owned(),
        }
    }

    /// Who cluster and topic are.
    pub(super) fn identity(
        &self,
        consumer: &BaseConsumer<Reports>,
    ) -> Result<KafkaTopic, KafkaSourceError> {
        let name = self.subscription.topic.clone();
        let cluster_id = self.cluster_id(consumer)?;
        let topic_id = self.topic_id(consumer)?;
        Ok(KafkaTopic {
            cluster_id,
            topic_id,
            name,
        })
    }

    /// Which cluster answers. A wrong password or certificate does not become right by waiting, so it ends the wait.
    fn cluster_id(&self, consumer: &BaseConsumer<Reports>) -> Result<String, KafkaSourceError> {
        let begin = Instant::now();
        while begin.elapsed() < ANSWER_TIME {
            if let Some(id) = consumer.client().fetch_cluster_id(LISTEN_TIME) {
                return Ok(id);
            }
            // The client tells what happened when it is polled. There is no record among it: nothing is assigned yet.
            drop(consumer.poll(LISTEN_TIME));
            if let Some(problem) = consumer.context().refusal() {
                return Err(KafkaSourceError::Refused {
                    brokers: self.subscription.brokers.clone(),
                    problem,
                });
            }
        }
        Err(self.unreachable("the cluster", "no broker answered in time"))
    }

    /// The topic's id now.
    pub(super) fn topic_id(
        &self,
        consumer: &BaseConsumer<Reports>,
    ) -> Result<String, KafkaSourceError> {
        let topic = &self.subscription.topic;
        let id = topic_id(consumer.client(), topic, ANSWER_TIME)
            .map_err(|problem| self.unreachable("the id", &problem))?;
        // The id of all zeros, in base64.
        if id.bytes().all(|b| b == b'A') {
            return Err(KafkaSourceError::NoTopicId {
                topic: topic.clone(),
            });
        }
        Ok(id)
    }

    /// Asks how long the topic keeps its records. A consumer cannot be asked for settings, and a client that can takes a tenth of a second to be
    /// closed: that happens on a thread that nobody waits for.
    pub(super) fn ask_for_retention(
        &self,
        settings: &KafkaSettings,
        runtime: &Handle,
    ) -> Result<AskedForRetention, KafkaSourceError> {
        let admin: AdminClient<DefaultClientContext> = admin_config(&self.subscription, settings)
            .create()
            .map_err(KafkaSourceError::Settings)?;
        let (topic, runtime) = (self.subscription.topic.clone(), runtime.clone());
        let (answered, answer) = bounded(1);
        let ask = move || {
            // Whoever asked may have ended meanwhile.
            drop(answered.send(runtime.block_on(retention(&admin, &topic))));
        };
        std::thread::Builder::new()
            .name("retention".to_owned())
            .spawn(ask)
            .map_err(|error| self.unreachable("the retention", &error.to_string()))?;
        Ok(AskedForRetention(answer))
    }

    /// Refuses a topic that may forget records before they are archived.
    pub(super) fn judge_retention(
        &self,
        asked: &AskedForRetention,
        settings: &KafkaSettings,
    ) -> Result<(), KafkaSourceError> {
        let topic = &self.subscription.topic;
        // The question itself ends in time; its thread may have to wait for a core.
        let answer = asked.0.recv_timeout(ANSWER_TIME * 2);
        let Retention { policy, ms, bytes } = match answer {
            Ok(Ok(retention)) => retention,
            Ok(Err(problem)) => return self.retention_unknown(settings, &problem),
            Err(error) => return self.retention_unknown(settings, &error.to_string()),
        };
        judge_retention(topic, policy.as_deref(), ms.as_deref(), settings)?;
        if bytes.is_some_and(|bytes| bytes != "-1") {
            tracing::warn!(
                topic,
                "the topic is also bounded by bytes: under load it may forget records earlier than its time says"
            );
        }
        Ok(())
    }

    fn retention_unknown(
        &self,
        settings: &KafkaSettings,
        problem: &str,
    ) -> Result<(), KafkaSourceError> {
        if settings.allow_short_retention {
            tracing::warn!(problem, "the topic's retention cannot be learnt");
            return Ok(());
        }
        Err(self.unreachable(
            "the retention (needed unless --allow-short-retention)",
            problem,
        ))
    }
}

async fn retention(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
) -> Result<Retention, String> {
    let resources = [ResourceSpecifier::Topic(topic)];
    let options = AdminOptions::new().request_timeout(Some(ANSWER_TIME));
    let answer = admin.describe_configs(&resources, &options).await;
    let described = match answer.map(|results| results.into_iter().next()) {
        Ok(Some(Ok(described))) => described,
        Ok(Some(Err(error))) => return Err(error.to_string()),
        Ok(None) => return Err("an empty answer".to_owned()),
        Err(error) => return Err(error.to_string()),
    };
    let value = |name: &str| described.get(name).and_then(|entry| entry.value.clone());
    Ok(Retention {
        policy: value("cleanup.policy"),
        ms: value("retention.ms"),
        bytes: value("retention.bytes"),
    })
}

fn judge_retention(
    topic: &str,
    policy: Option<&str>,
    retention_ms: Option<&str>,
    settings: &KafkaSettings,
) -> Result<(), KafkaSourceError> {
    if policy.is_some_and(|policy| policy.contains("compact")) {
        return Err(KafkaSourceError::Compacted {
            topic: topic.to_owned(),
        });
    }
    let wanted_ms = settings.retention_days_min.saturating_mul(DAY_MS);
    let found_ms = retention_ms.and_then(|text| text.parse::<i64>().ok());
    // -1 is for ever; what cannot be read is taken for too short.
    let long_enough =
        found_ms.is_some_and(|ms| u64::try_from(ms).map_or(ms == -1, |ms| ms >= wanted_ms));
    if long_enough {
        return Ok(());
    }
    let found = retention_ms.map_or_else(|| "an unknown time".to_owned(), |ms| format!("{ms} ms"));
    if settings.allow_short_retention {
        tracing::warn!(
            topic,
            found,
            "the topic forgets early; a stop of this process that is longer loses records"
        );
        return Ok(());
    }
    Err(KafkaSourceError::ShortRetention {
        topic: topic.to_owned(),
        found,
        wanted_days: settings.retention_days_min,
        wanted_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::KafkaProperties;

    fn settings(toml: &str) -> KafkaSettings {
        let properties = KafkaProperties::from_table(&toml.parse().unwrap()).unwrap();
        KafkaSettings {
            properties,
            retention_days_min: 30,
            ..KafkaSettings::default()
        }
    }

    fn subscription() -> Subscription {
        Subscription {
            brokers: "b:1".into(),
            topic: "t".into(),
            group: "g".into(),
        }
    }

    #[test]
    fn operators_settings_reach_the_client_and_the_protocols_stay() {
        let settings = settings(
            "'sasl.password' = 'p'\n'queued.max.messages.kbytes' = 7\n'fetch.wait.max.ms' = 9",
        );
        let config = consumer_config(&subscription(), &settings);
        for (name, value) in [
            ("sasl.password", "p"),
            ("queued.max.messages.kbytes", "7"),
            ("fetch.wait.max.ms", "9"),
            ("auto.offset.reset", "error"),
            ("enable.auto.commit", "false"),
            ("group.id", "g"),
        ] {
            assert_eq!(config.get(name), Some(value), "{name}");
        }
        let admin = admin_config(&subscription(), &settings);
        assert_eq!(
            (admin.get("sasl.password"), admin.get("fetch.wait.max.ms")),
            (Some("p"), None)
        );
    }

    #[test]
    fn a_topic_that_forgets_too_early_is_refused() {
        let strict = settings("");
        let judge =
            |policy, ms, settings: &KafkaSettings| judge_retention("t", policy, ms, settings);
        for ms in ["-1", "2592000000", "99999999999999"] {
            assert!(judge(Some("delete"), Some(ms), &strict).is_ok(), "{ms}");
        }
        for ms in [Some("2591999999"), Some("0"), Some("-2"), Some("x"), None] {
            let error = judge(Some("delete"), ms, &strict).unwrap_err().to_string();
            assert!(
                error.contains("retention.ms=2592000000")
                    && error.contains("--allow-short-retention"),
                "{error}"
            );
            let lenient = KafkaSettings {
                allow_short_retention: true,
                ..strict.clone()
            };
            assert!(judge(Some("delete"), ms, &lenient).is_ok());
        }
        assert!(matches!(
            judge(Some("compact,delete"), Some("-1"), &strict),
            Err(KafkaSourceError::Compacted { .. })
        ));
    }
}
