//! Produces sequenced rows to Kafka in their order, and marks them when Kafka has them.
//!
//! A page of rows is produced at once, every acknowledgement awaited, then the page is marked. The producer is idempotent and never gives a record
//! up by itself (`message.timeout.ms = 0`): while Kafka is away, the page waits in librdkafka and everything else in SQL. What a crash or a zombie
//! sends again has the same partition, origin and sequence. Where Kafka refuses a record, what came before it is marked, and pages begin small again, so
//! that what follows it is not sent over and over.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use holdfast_schemas::limits::EVENT_BYTES_MAX;
use holdfast_schemas::outbox::complete;
use rdkafka::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::producer::{FutureProducer, FutureRecord, Producer, PurgeConfig};
use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use super::lease::Lease;
use super::partition_for;
use crate::args;
use crate::db::{Value, chunk_sizes, in_time, placeholders};
use crate::error::{ChatError, Result};
use crate::node::Node;

/// Rows of a page.
const PAGE_ROWS: i64 = 2000;
/// Bytes of a page, so that large events do not fill the memory.
const PAGE_BYTES: usize = 16 * 1024 * 1024;
/// How long metadata may take.
const METADATA_TIMEOUT: Duration = Duration::from_secs(10);
/// After an error.
const PAUSE: Duration = Duration::from_secs(1);
/// A page that is not acknowledged by then is told as blocked; it is waited for all the same.
const STUCK: Duration = Duration::from_secs(5);
/// When nothing wakes it.
const LOOK: Duration = Duration::from_millis(500);

/// How Kafka is reached.
#[derive(Clone, PartialEq, Eq)]
pub struct KafkaSettings {
    /// `host:port,…`
    pub bootstrap: String,
    /// The topic of compliance events.
    pub topic: String,
    /// librdkafka's own settings (SASL, TLS), for what the two above do not say.
    pub properties: Vec<(String, String)>,
}

/// Without the values of properties: some are passwords.
impl std::fmt::Debug for KafkaSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&String> = self.properties.iter().map(|(name, _value)| name).collect();
        f.debug_struct("KafkaSettings")
            .field("bootstrap", &self.bootstrap)
            .field("topic", &self.topic)
            .field("properties", &names)
            .finish()
    }
}

struct Row {
    id: i64,
    key: Option<String>,
    event: String,
    origin: String,
    sequence: i64,
    partition: Option<i64>,
}

impl KafkaSettings {
    fn producer(&self) -> std::result::Result<FutureProducer, KafkaError> {
        let mut config = ClientConfig::new();
        for (name, value) in &self.properties {
            config.set(name, value);
        }
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", "0")
            .set(
                "message.max.bytes",
                (EVENT_BYTES_MAX + 64 * 1024).to_string(),
            )
            .set("queue.buffering.max.kbytes", "131072")
            .set("compression.type", "zstd")
            .set("linger.ms", "5");
        config.create()
    }
}

/// Relays until `over` fires.
pub async fn run(node: Arc<Node>, kafka: KafkaSettings, lease: Lease, over: CancellationToken) {
    let mut rows_max = PAGE_ROWS;
    while !over.is_cancelled() {
        let outcome = match kafka.producer() {
            Ok(producer) => {
                // Whatever it waits for: what is cut off here is done again, with the same sequences.
                let outcome = tokio::select! {
                    outcome = relay(&node, &kafka, &producer, &lease, &mut rows_max, &over) => outcome,
                    () = over.cancelled() => Ok(()),
                };
                // Nothing of an ended term goes out later than it must.
                producer.purge(PurgeConfig::default().queue().inflight());
                outcome
            }
            Err(error) => Err(ChatError::Internal(format!("Kafka's producer: {error}"))),
        };
        if let Err(error) = outcome {
            node.backlog.blocked.store(true, Ordering::Relaxed);
            tracing::warn!(error = %error, "events wait in SQL");
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = over.cancelled() => {}
            }
        }
    }
}

async fn relay(
    node: &Node,
    kafka: &KafkaSettings,
    producer: &FutureProducer,
    lease: &Lease,
    rows_max: &mut i64,
    over: &CancellationToken,
) -> Result<()> {
    let partitions = tokio::select! {
        partitions = topic_partitions(producer.clone(), kafka.topic.clone()) => partitions?,
        () = over.cancelled() => return Ok(()),
    };
    node.backlog
        .topic_partitions
        .store(partitions, Ordering::Relaxed);
    let limit = node.limits.database_answer;
    while !over.is_cancelled() {
        let mut page = in_time(limit, next_page(node, *rows_max)).await?;
        if page.is_empty() {
            node.backlog.blocked.store(false, Ordering::Relaxed);
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = node.backlog.sequenced.notified() => {}
                () = over.cancelled() => {}
            }
            continue;
        }
        if !in_time(limit, store_partitions(node, lease, &mut page, partitions)).await? {
            return Ok(());
        }
        let (taken, refused) = tokio::select! {
            outcome = produce(producer, &kafka.topic, &page) => outcome?,
            () = told_when_stuck(node) => continue,
            () = over.cancelled() => return Ok(()),
        };
        if !in_time(limit, mark(node, lease, &page[..taken])).await? {
            return Ok(());
        }
        node.metrics.delivered(taken as u64);
        if let Some(error) = refused {
            *rows_max = 1;
            return Err(error);
        }
        node.backlog.blocked.store(false, Ordering::Relaxed);
        *rows_max = (*rows_max * 2).min(PAGE_ROWS);
    }
    Ok(())
}

/// Never ends; says in the metrics, and to `/readyz`, that Kafka has held a page for too long.
async fn told_when_stuck(node: &Node) {
    tokio::time::sleep(STUCK).await;
    node.backlog.blocked.store(true, Ordering::Relaxed);
    std::future::pending::<()>().await;
}

/// How many partitions the topic has. A question that blocks, so on a thread of its own.
async fn topic_partitions(producer: FutureProducer, topic: String) -> Result<u32> {
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = producer
            .client()
            .fetch_metadata(Some(&topic), METADATA_TIMEOUT)?;
        let partitions = metadata
            .topics()
            .iter()
            .find(|found| found.name() == topic)
            .map_or(0, |found| found.partitions().len());
        Ok::<_, KafkaError>((topic, partitions))
    });
    let (topic, partitions) = asked
        .await
        .map_err(|error| ChatError::Internal(error.to_string()))?
        .map_err(|error| ChatError::Unavailable {
            problem: format!("Kafka does not answer: {error}"),
        })?;
    match u32::try_from(partitions) {
        Ok(count) if count > 0 => Ok(count),
        _none => Err(ChatError::Unavailable {
            problem: format!(
                "Kafka has no topic {topic:?}: create it, with the partitions you want"
            ),
        }),
    }
}

/// The next rows of the oldest origin that has some, in their order.
async fn next_page(node: &Node, rows_max: i64) -> Result<Vec<Row>> {
    for known in node
        .db
        .all(
            "select origin from outbox_origins order by incarnation",
            Vec::new(),
        )
        .await?
    {
        let origin = known.text(0)?;
        // By the index of undelivered rows: neither the delivered ones before them nor a backlog of a day behind them are touched.
        let sql = "select id, room_id, event, sequence, partition from outbox \
                   where origin = $1 and delivered_us is null order by sequence limit $2";
        let (mut page, mut bytes) = (Vec::new(), 0);
        for row in node.db.all(sql, args![&origin, rows_max]).await? {
            let event = row.text(2)?;
            bytes += event.len();
            if bytes > PAGE_BYTES && !page.is_empty() {
                break;
            }
            let (id, key, sequence, partition) =
                (row.int(0)?, row.text_opt(1)?, row.int(3)?, row.int_opt(4)?);
            page.push(Row {
                id,
                key,
                event,
                origin: origin.clone(),
                sequence,
                partition,
            });
        }
        if !page.is_empty() {
            return Ok(page);
        }
    }
    Ok(Vec::new())
}

/// Rows that were sequenced before the topic was known get their partition before they are produced: whatever happens to the topic's partition
/// count, a row that is sent again goes where it went. `false`: the term is over.
async fn store_partitions(
    node: &Node,
    lease: &Lease,
    page: &mut [Row],
    partitions: u32,
) -> Result<bool> {
    let mut missing: Vec<&mut Row> = page
        .iter_mut()
        .filter(|row| row.partition.is_none())
        .collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let mut tx = node.db.begin().await?;
    if !lease.holds(&mut tx).await? {
        return Ok(false);
    }
    for row in &mut missing {
        row.partition = Some(i64::from(partition_for(
            row.key.as_deref().unwrap_or(&row.origin),
            partitions,
        )));
    }
    let mut rest = missing.as_slice();
    for size in chunk_sizes(missing.len()) {
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let args: Vec<Value> = chunk
            .iter()
            .flat_map(|row| [Value::from(row.id), row.partition.into()])
            .collect();
        let values = placeholders(1, size, &["bigint", "bigint"]);
        let sql = format!(
            "update outbox set partition = v.column2 from (values {values}) as v where outbox.id = v.column1"
        );
        tx.execute(AssertSqlSafe(sql), args).await?;
    }
    tx.commit().await?;
    Ok(true)
}

/// How many rows from the first on Kafka has, and why it has not the next one.
async fn produce(
    producer: &FutureProducer,
    topic: &str,
    page: &[Row],
) -> Result<(usize, Option<ChatError>)> {
    let mut acknowledgements = Vec::with_capacity(page.len());
    let mut unsent = None;
    for row in page {
        let sequence = u64::try_from(row.sequence)
            .map_err(|_negative| ChatError::Internal("a sequence below zero".into()))?;
        let payload = complete(&row.event, &row.origin, sequence)
            .map_err(|error| ChatError::Internal(error.to_string()))?;
        let partition = row
            .partition
            .and_then(|partition| i32::try_from(partition).ok())
            .unwrap_or(0);
        let record = FutureRecord::to(topic)
            .partition(partition)
            .key(row.key.as_deref().unwrap_or(&row.origin))
            .payload(&payload);
        match producer.send_result(record) {
            Ok(sent) => acknowledgements.push(sent),
            Err((error, _record)) => {
                unsent = Some(refused(row, &error));
                break;
            }
        }
    }
    let outcomes = join_all(acknowledgements).await;
    for (taken, (row, outcome)) in page.iter().zip(&outcomes).enumerate() {
        match outcome {
            Ok(Ok(_delivery)) => {}
            Ok(Err((error, _message))) => return Ok((taken, Some(refused(row, error)))),
            Err(_gone) => {
                let ended = ChatError::Internal("Kafka's producer ended".into());
                return Ok((taken, Some(ended)));
            }
        }
    }
    Ok((outcomes.len(), unsent))
}

fn refused(row: &Row, error: &KafkaError) -> ChatError {
    ChatError::Unavailable {
        problem: format!(
            "Kafka did not take event {} {}: {error}",
            row.origin, row.sequence
        ),
    }
}

/// `false`: the term is over, and whoever leads now will produce these again.
async fn mark(node: &Node, lease: &Lease, page: &[Row]) -> Result<bool> {
    let (Some(first), Some(last)) = (page.first(), page.last()) else {
        return Ok(true);
    };
    let mut tx = node.db.begin().await?;
    // A mark that a crash of the database takes back only lets the same rows be sent once more.
    tx.relax().await?;
    if !lease.holds(&mut tx).await? {
        return Ok(false);
    }
    let sql = "update outbox set delivered_us = $1 where origin = $2 and sequence >= $3 and sequence <= $4";
    tx.execute(
        sql,
        args![
            node.clock.now_us(),
            &first.origin,
            first.sequence,
            last.sequence
        ],
    )
    .await?;
    tx.commit().await?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::KafkaSettings;

    #[test]
    fn passwords_are_not_for_logs() {
        let settings = KafkaSettings {
            bootstrap: "broker:9092".into(),
            topic: "events".into(),
            properties: vec![("sasl.password".into(), "hunter2".into())],
        };
        let text = format!("{settings:?}");
        assert!(
            text.contains("sasl.password") && !text.contains("hunter2"),
            "{text}"
        );
        let url: crate::db::DatabaseUrl = "postgres://u:hunter2@db/chat".parse().unwrap();
        assert!(!format!("{url:?}").contains("hunter2"));
    }
}
