//! CH-1 against Kafka in every state of trouble: dead, hanging, slow, refusing. Posts go on, and afterwards everything is archived exactly once, in order.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use holdfast_fixtures::chat::Person;
use holdfast_tests::chat::{ChatNode, Kafka, Sink, Stage};
use holdfast_tests::kafka::{Broker, Topic};
use holdfast_tests::pipeline::write_lines;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rdkafka::mocking::MockCluster;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use serde_json::json;

/// Two rooms, two people.
struct Talk {
    people: Vec<Person>,
    rooms: Vec<String>,
    said: usize,
}

impl Talk {
    async fn begin(stage: &Stage, node: &ChatNode) -> Self {
        let admin = stage.person(node, "admin");
        let category = admin.create_category("all", json!({})).await.unwrap();
        let mut rooms = Vec::new();
        for name in ["one", "two"] {
            let settings = json!({"privacy": "open"});
            rooms.push(admin.create_room(name, &category, settings).await.unwrap());
        }
        let people = ["u-1", "u-2"].map(|id| stage.person(node, id)).to_vec();
        Self {
            people,
            rooms,
            said: 0,
        }
    }

    /// Every post is accepted, whatever Kafka does.
    async fn go_on(&mut self, posts: usize, during: &str) {
        for _ in 0..posts {
            let (person, room) = (&self.people[self.said % 2], &self.rooms[self.said / 2 % 2]);
            self.said += 1;
            let body = format!("message {} while Kafka is {during}", self.said);
            if let Err(failure) = person.post(room, &body, None).await {
                panic!("Kafka is {during}, and post {}: {failure}", self.said);
            }
        }
    }
}

/// Waits until a node says of itself that Kafka takes nothing from it (or takes again).
async fn blocked(node: &ChatNode, expected: bool) {
    let begin = Instant::now();
    loop {
        let text = node.text("/readyz").await.expect("a node that takes users");
        let ready: serde_json::Value = serde_json::from_str(&text).unwrap();
        if ready["outbox"]["blocked"] == expected {
            return;
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{ready}\n{}",
            node.log()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Kafka has everything, and the node is gone.
async fn delivered(stage: &Stage, node: ChatNode) {
    stage.emptied().await;
    let _ = node.kill();
}

/// Everything arrives: SQL, topic and archive agree.
async fn arrives(stage: &Stage, sink: &Sink, said: usize) {
    let truth = stage.truth().await;
    assert_eq!(truth.count("chat.message.posted"), said);
    let _report = sink.drain();
    truth.assert_archived(&sink.archived().await, "after the trouble");
}

/// Partitions that a sequence was found in, and what the records held.
type Places = BTreeSet<(i32, Vec<u8>)>;

/// In each partition an origin's sequences grow, but for records that were sent again; nothing is in two partitions.
fn assert_in_order(topic: &Topic) -> usize {
    let mut places: BTreeMap<(String, u64), Places> = BTreeMap::new();
    let mut newest: BTreeMap<(i32, String), u64> = BTreeMap::new();
    let records = topic.records();
    let count = records.len();
    for (partition, payload) in records {
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let origin = event["origin"].as_str().unwrap().to_owned();
        let sequence: u64 = event["sequence"].as_str().unwrap().parse().unwrap();
        let seen = places.entry((origin.clone(), sequence)).or_default();
        let newest = newest.entry((partition, origin)).or_default();
        assert!(
            sequence > *newest || !seen.is_empty(),
            "{sequence} came first after {newest}"
        );
        *newest = (*newest).max(sequence);
        seen.insert((partition, payload));
    }
    for (place, sent) in &places {
        assert_eq!(
            sent.len(),
            1,
            "{place:?} was sent to two partitions, or with two contents"
        );
    }
    count
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_kafka_dead_and_hanging_costs_no_post() {
    let broker = Broker::own();
    let topic = broker.topic(4).await;
    let stage = Stage::sqlite().relayed(&topic);
    let sink = Sink::of(&topic);
    let node = stage.start("chat-1").await;
    let mut talk = Talk::begin(&stage, &node).await;
    talk.go_on(20, "well").await;
    stage.emptied().await;
    broker.pause();
    talk.go_on(50, "hanging").await;
    broker.resume();
    talk.go_on(20, "awake again").await;
    broker.kill();
    talk.go_on(50, "dead").await;
    // A node that starts while Kafka is dead serves all the same.
    let _ = node.stop();
    let node = stage.start("chat-1").await;
    for person in &mut talk.people {
        *person = person.at(&node.base);
    }
    talk.go_on(50, "dead since the start").await;
    blocked(&node, true).await;
    broker.restart();
    talk.go_on(20, "back").await;
    delivered(&stage, node).await;
    arrives(&stage, &sink, talk.said).await;
    assert_in_order(&topic);
}

/// A broker that is one in name only: it answers late, or with errors, as often as it is told to.
#[tokio::test(flavor = "multi_thread")]
async fn ch1_kafka_slow_and_refusing_costs_no_post() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", 4, 1).unwrap();
    let kafka = Kafka {
        bootstrap: cluster.bootstrap_servers(),
        topic: "events".to_owned(),
        // Tried again at once, not after the second that is usual.
        properties: vec!["retry.backoff.ms=20".to_owned()],
    };
    let topic = Topic::at(&kafka.bootstrap, "events", 4);
    let stage = Stage::sqlite().relayed(kafka);
    // Ingest wants more of a broker than this one can: what it was given is taken from it as a file.
    let records = stage.folder.path().join("records.jsonl");
    let sink = Sink::new(format!("jsonl:{}", records.display()));
    let node = stage.start("chat-1").await;
    let mut talk = Talk::begin(&stage, &node).await;
    cluster
        .broker_round_trip_time(1, Duration::from_millis(400))
        .unwrap();
    talk.go_on(40, "slow").await;
    stage.emptied().await;
    cluster.broker_round_trip_time(1, Duration::ZERO).unwrap();
    use RDKafkaRespErr as E;
    for (what, error) in [
        (
            "refusing it",
            E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        ),
        (
            "finding it too large",
            E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        ),
        (
            "short of replicas",
            E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        ),
        (
            "losing its leader",
            E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ),
        ("hanging up", E::RD_KAFKA_RESP_ERR__TRANSPORT),
        ("failing", E::RD_KAFKA_RESP_ERR_UNKNOWN),
    ] {
        cluster.request_errors(RDKafkaApiKey::Produce, &[error; 3]);
        talk.go_on(20, what).await;
        stage.emptied().await;
    }
    delivered(&stage, node).await;
    assert_in_order(&topic);
    write_lines(
        &records,
        topic
            .records()
            .into_iter()
            .map(|(_partition, payload)| payload),
    );
    arrives(&stage, &sink, talk.said).await;
}

/// A topic that takes only small records: the large one waits, with what is behind it, until the operator has changed that.
#[tokio::test(flavor = "multi_thread")]
async fn ch1_a_record_too_large_for_the_topic_waits_and_is_not_passed_over() {
    let topic = Broker::shared().topic(2).await;
    topic.take_at_most(64 * 1024).await;
    let stage = Stage::sqlite().relayed(&topic);
    let sink = Sink::of(&topic);
    let node = stage.start("chat-1").await;
    let mut talk = Talk::begin(&stage, &node).await;
    talk.go_on(10, "well").await;
    stage.emptied().await;
    // Text that no compression makes small.
    let mut random = StdRng::seed_from_u64(7);
    let large: String = (0..200_000)
        .map(|_| char::from(random.random_range(b'0'..b'z')))
        .collect();
    talk.people[0]
        .post(&talk.rooms[0], &large, None)
        .await
        .unwrap();
    talk.said += 1;
    talk.go_on(200, "refusing the large one").await;
    blocked(&node, true).await;
    // It is tried again and again, but what follows it is not sent again and again with it.
    tokio::time::sleep(Duration::from_secs(4)).await;
    let held_back = topic.records().len();
    topic.take_at_most(8 * 1024 * 1024).await;
    delivered(&stage, node).await;
    arrives(&stage, &sink, talk.said).await;
    assert_in_order(&topic);
    let events = sink.archived().await.rows.len();
    assert!(
        held_back <= events,
        "{held_back} records were sent before the topic took the large one, of {events} events"
    );
}
