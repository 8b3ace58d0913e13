//! A real Apache Kafka: `KAFKA_BOOTSTRAP` when it is set, else one broker for this test program, started by `scripts/kafka`.

use std::path::PathBuf;
use std::process::Command;
use std::sync::{OnceLock, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::Message;
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier,
    TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::program::root;

/// Large enough for an event of 2 MiB and for one that is too large; the broker allows the same.
const MESSAGE_BYTES_MAX: &str = "8388608";

/// Settings of an ingest whose group misses it after two seconds, so that tests are short; production settings wait longer and do the same.
pub const QUICK_GROUP: &str = "
[kafka]
\"session.timeout.ms\" = \"2000\"
\"heartbeat.interval.ms\" = \"300\"
";

/// A broker.
#[derive(Debug)]
pub struct Broker {
    bootstrap: String,
    /// Its folder, when it is ours to stop.
    data: Option<PathBuf>,
}

impl Broker {
    /// The broker that all tests of this program share. It ends with the program, however that ends.
    ///
    /// # Panics
    /// None can be started; the message says why.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(|| match std::env::var("KAFKA_BOOTSTRAP") {
            Ok(bootstrap) if !bootstrap.is_empty() => Self {
                bootstrap,
                data: None,
            },
            _ => Self::own(),
        })
    }

    /// A broker of one's own, to be stopped, killed or paused. It ends when dropped.
    ///
    /// # Panics
    /// None can be started; the message says why.
    #[must_use]
    pub fn own() -> Self {
        Self::start(&[]).0
    }

    /// Starts one with these arguments, too; and what the script printed.
    pub(crate) fn start(arguments: &[&str]) -> (Self, Printed) {
        let parent = std::process::id().to_string();
        let arguments = [&["start", "--with-parent", &parent], arguments].concat();
        let printed = Printed(script(&arguments));
        let broker = Self {
            bootstrap: printed.value("KAFKA_BOOTSTRAP"),
            data: Some(printed.value("KAFKA_DATA").into()),
        };
        (broker, printed)
    }

    /// `host:port`.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn tell(&self, command: &str) {
        let data = self
            .data
            .as_ref()
            .expect("a shared broker is nobody's to stop: use Broker::own");
        script(&[command, &data.to_string_lossy()]);
    }

    /// SIGSTOP: it keeps its connections and answers nothing.
    pub fn pause(&self) {
        self.tell("pause");
    }

    /// SIGCONT.
    pub fn resume(&self) {
        self.tell("resume");
    }

    /// SIGKILL.
    pub fn kill(&self) {
        self.tell("kill");
    }

    /// Starts it again after [`Broker::kill`], with what it had and where it was.
    pub fn restart(&self) {
        self.tell("restart");
    }

    /// A new topic with a name that no other test has, which keeps its records for ever.
    ///
    /// # Panics
    /// The broker does not create it.
    pub async fn topic(&self, partitions: i32) -> Topic {
        let name = format!("t-{}", uuid::Uuid::now_v7().simple());
        let topic = Topic {
            bootstrap: self.bootstrap.clone(),
            name,
            partitions,
        };
        topic.create().await;
        topic
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(data) = self.data.take() {
            script(&["kill", &data.to_string_lossy()]);
        }
    }
}

/// `NAME=value` lines of the script.
pub(crate) struct Printed(String);

impl Printed {
    pub(crate) fn value(&self, name: &str) -> String {
        let mut lines = self.0.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        value
            .unwrap_or_else(|| panic!("scripts/kafka printed no {name}: {}", self.0))
            .to_owned()
    }
}

fn script(arguments: &[&str]) -> String {
    let output = Command::new(root().join("scripts/kafka"))
        .args(arguments)
        .output()
        .expect("scripts/kafka runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "scripts/kafka {arguments:?}: {}\n{stderr}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// See [`Topic::bystander`]. Leaves its group when dropped.
#[derive(Debug)]
pub struct Bystander {
    stay: Option<mpsc::Sender<()>>,
    polling: Option<JoinHandle<()>>,
}

impl Drop for Bystander {
    fn drop(&mut self) {
        drop(self.stay.take());
        if let Some(polling) = self.polling.take() {
            drop(polling.join());
        }
    }
}

/// A topic of a test.
#[derive(Debug, Clone)]
pub struct Topic {
    bootstrap: String,
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
}

impl Topic {
    /// A topic that is there already, at a broker of whatever kind.
    #[must_use]
    pub fn at(bootstrap: &str, name: &str, partitions: i32) -> Self {
        Self {
            bootstrap: bootstrap.to_owned(),
            name: name.to_owned(),
            partitions,
        }
    }

    /// The source as `holdfast-ingest` names it.
    #[must_use]
    pub fn source(&self, group: &str) -> String {
        format!("kafka://{}/{}?group={group}", self.bootstrap, self.name)
    }

    /// `host:port` of its broker.
    #[must_use]
    pub fn bootstrap(&self) -> &str {
        &self.bootstrap
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.bootstrap)
            .set("message.max.bytes", MESSAGE_BYTES_MAX);
        config
    }

    /// A member of a group that takes its share of the partitions and does nothing with it. Comes when it has its share.
    ///
    /// # Panics
    /// The broker gives it none.
    #[must_use]
    pub fn bystander(&self, group: &str) -> Bystander {
        let consumer: BaseConsumer = self
            .config()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("heartbeat.interval.ms", "300")
            .create()
            .expect("a consumer");
        consumer.subscribe(&[&self.name]).expect("a subscription");
        let share = || consumer.assignment().expect("its assignment").count();
        let begin = Instant::now();
        while share() == 0 {
            assert!(begin.elapsed() < Duration::from_secs(60), "no partition");
            drop(consumer.poll(Duration::from_millis(100)));
        }
        let (stay, leave) = mpsc::channel::<()>();
        let polling = std::thread::spawn(move || {
            // Rebalances are answered by polls.
            while leave.try_recv() == Err(mpsc::TryRecvError::Empty) {
                drop(consumer.poll(Duration::from_millis(100)));
            }
        });
        Bystander {
            stay: Some(stay),
            polling: Some(polling),
        }
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.config().create().expect("an admin client")
    }

    /// Creates it, again after [`Topic::delete`].
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn create(&self) {
        let new = NewTopic::new(&self.name, self.partitions, TopicReplication::Fixed(1))
            .set("max.message.bytes", MESSAGE_BYTES_MAX)
            .set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let results = self
            .admin()
            .create_topics(&[new], &options)
            .await
            .expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("topic {name} was not created: {code}"));
        }
    }

    /// Deletes it.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn delete(&self) {
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let results = self
            .admin()
            .delete_topics(&[&self.name], &options)
            .await
            .expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("topic {name} was not deleted: {code}"));
        }
    }

    /// Gives it more partitions.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn grow(&self, partitions: usize) {
        let new = NewPartitions::new(&self.name, partitions);
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let results = self
            .admin()
            .create_partitions(&[new], &options)
            .await
            .expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(name, code)| panic!("topic {name} did not grow: {code}"));
        }
    }

    /// Has the broker take records of at most `bytes`.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn take_at_most(&self, bytes: u64) {
        let bytes = bytes.to_string();
        let change = AlterConfig::new(ResourceSpecifier::Topic(&self.name))
            .set("max.message.bytes", &bytes)
            .set("retention.ms", "-1");
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        let results = self
            .admin()
            .alter_configs(&[change], &options)
            .await
            .expect("the broker answers");
        for result in results {
            result.unwrap_or_else(|(what, code)| panic!("{what:?} was not changed: {code}"));
        }
    }

    /// Every record that it holds now, with its partition, in the order of each partition.
    ///
    /// # Panics
    /// The broker does not give them out.
    #[must_use]
    pub fn records(&self) -> Vec<(i32, Vec<u8>)> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let mut config = self.config();
        config
            .set("group.id", "nobody")
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest");
        let consumer: BaseConsumer = config.create().expect("a consumer");
        let metadata = consumer
            .fetch_metadata(Some(&self.name), PATIENCE)
            .expect("the topic's partitions");
        let (mut assigned, mut left) = (rdkafka::TopicPartitionList::new(), 0);
        for partition in metadata.topics()[0].partitions() {
            let id = partition.id();
            let (low, high) = consumer
                .fetch_watermarks(&self.name, id, PATIENCE)
                .expect("watermarks");
            left += usize::try_from(high - low).expect("a count");
            assigned
                .add_partition_offset(&self.name, id, rdkafka::Offset::Beginning)
                .expect("a valid offset");
        }
        consumer.assign(&assigned).expect("an assignment");
        let mut records = Vec::with_capacity(left);
        while records.len() < left {
            let message = consumer
                .poll(PATIENCE)
                .expect("another record")
                .expect("a record");
            let payload = message.payload().expect("a payload").to_vec();
            records.push((message.partition(), payload));
        }
        records
    }

    /// Deletes the records before `offset` of a partition, as retention would.
    ///
    /// # Panics
    /// The broker refuses.
    pub async fn delete_before(&self, partition: i32, offset: i64) {
        let mut offsets = rdkafka::TopicPartitionList::new();
        offsets
            .add_partition_offset(&self.name, partition, rdkafka::Offset::Offset(offset))
            .expect("a valid offset");
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(30)));
        self.admin()
            .delete_records(&offsets, &options)
            .await
            .expect("the broker deletes records");
    }

    /// A producer for it; see [`Records::send`].
    ///
    /// # Panics
    /// It cannot be created.
    #[must_use]
    pub fn producer(&self) -> Records {
        let mut config = self.config();
        // Idempotent: what these tests count must not be doubled by the producer's own retries.
        config
            .set("enable.idempotence", "true")
            .set("linger.ms", "5")
            .set("queue.buffering.max.kbytes", "262144");
        Records {
            topic: self.name.clone(),
            producer: config.create().expect("a producer"),
        }
    }
}

/// Sends records to a topic.
pub struct Records {
    topic: String,
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl std::fmt::Debug for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}

impl Records {
    /// Queues a record: to the partition given, or to the one of its key. Waits while the queue is full.
    ///
    /// # Panics
    /// The record is refused.
    pub fn send(&self, partition: Option<i32>, key: &str, payload: &[u8]) {
        let mut record = BaseRecord::to(&self.topic).key(key).payload(payload);
        record.partition = partition;
        while let Err((error, unsent)) = self.producer.send(record) {
            let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
            assert_eq!(error, full, "the record was refused");
            // Room comes with the next acknowledgement, which the producer's own thread takes.
            std::thread::sleep(Duration::from_millis(5));
            record = unsent;
        }
    }

    /// Returns when the broker has acknowledged all records sent.
    ///
    /// # Panics
    /// It did not within two minutes.
    pub fn flush(&self) {
        self.producer
            .flush(Duration::from_secs(120))
            .expect("the broker acknowledges");
        assert_eq!(
            self.producer.in_flight_count(),
            0,
            "records without acknowledgement"
        );
    }
}
