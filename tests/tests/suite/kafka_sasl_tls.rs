//! Kafka behind TLS and a password: settings reach librdkafka as they are written, what is wrong with them is named, and the
//! secret among them is nowhere to be read.

use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use holdfast_fixtures::odd::plain;
use holdfast_tests::chat::{ChatNode, Kafka, Stage};
use holdfast_tests::kafka::Topic;
use holdfast_tests::program::{Daemon, Finished, run};
use holdfast_tests::secure::SecureBroker;
use serde_json::json;
use tempfile::TempDir;

const WRONG: &str = "wr0ng-password";
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a topic to its end as the README says: settings in the file, the password in the environment.
fn ingest(
    broker: &SecureBroker,
    topic: &Topic,
    archive: &str,
    ca: &Path,
    password: &str,
) -> Finished {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("ingest.toml");
    // What the client says about its connections and its settings, too: the secret must not be in it.
    let mut text = "[kafka]\n\"debug\" = \"security,conf\"\n".to_owned();
    for (name, value) in broker.settings("SCRAM-SHA-512", ca) {
        writeln!(text, "\"{name}\" = \"{value}\"").unwrap();
    }
    std::fs::write(&file, text).unwrap();
    let source = broker.behind_tls(topic).source("archive");
    let config = file.display().to_string();
    let arguments = [
        "run",
        "--source",
        &source,
        "--archive",
        archive,
        "--config",
        &config,
        "--until-idle",
    ];
    let variables = [
        ("HOLDFAST_KAFKA__SASL_PASSWORD", password),
        ("HOLDFAST_LOG", "debug"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    let ended = Daemon::start_with("holdfast-ingest", arguments, &variables).finished(PATIENCE);
    for secret in [broker.password(), WRONG] {
        assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    }
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn ingest_reads_through_tls_with_a_password_and_names_what_is_wrong_with_either() {
    let broker = SecureBroker::start();
    let topic = broker.broker.topic(2).await;
    let producer = topic.producer();
    for sequence in 1..=100 {
        producer.send(
            None,
            "room",
            plain("secure", sequence, "behind TLS").as_bytes(),
        );
    }
    producer.flush();
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive").display().to_string();
    let _ = run("holdfast", ["init", "--archive", &archive]).success();

    for (ca, password, problem, setting) in [
        (broker.ca(), WRONG, "Authentication failed", "sasl.password"),
        (
            broker.other_ca(),
            broker.password(),
            "certificate verify failed",
            "ssl.ca.location",
        ),
    ] {
        let begin = Instant::now();
        let refused = ingest(&broker, &topic, &archive, &ca, password);
        let error = refused.stderr.split("\nerror: ").nth(1).unwrap_or_default();
        assert_eq!(refused.status.code(), Some(2), "{}", refused.stderr);
        assert!(
            error.starts_with("no connection to Kafka at 127.0.0.1:")
                && error.contains(problem)
                && error.contains(setting),
            "{error}"
        );
        // Not the time that brokers have for an answer: these have given theirs.
        assert!(begin.elapsed() < Duration::from_secs(10), "{error}");
    }

    let report = ingest(&broker, &topic, &archive, &broker.ca(), broker.password());
    assert_eq!(report.success().json()["archived"], 100);
}

/// Starts a node whose settings of Kafka, the password among them, are in a file, and posts a message.
async fn post_at_node(
    broker: &SecureBroker,
    stage: &Stage,
    name: &str,
    ca: &Path,
    password: &str,
) -> ChatNode {
    let mut properties = broker.settings("PLAIN", ca).to_vec();
    properties.push(("sasl.password", password.to_owned()));
    let properties: Vec<String> = properties
        .iter()
        .map(|(name, value)| format!("{:?}", format!("{name}={value}")))
        .collect();
    let file = stage.folder.path().join(format!("{name}.toml"));
    let text = format!("kafka_properties = [{}]\n", properties.join(", "));
    std::fs::write(&file, text).unwrap();
    let mut arguments = stage.arguments(name);
    arguments.extend(["--config".to_owned(), file.display().to_string()]);
    let node = ChatNode::start(name, arguments).await;
    let admin = stage.person(&node, "admin");
    let category = admin.create_category(name, json!({})).await.unwrap();
    let settings = json!({"privacy": "open"});
    let room = admin.create_room(name, &category, settings).await.unwrap();
    admin.post(&room, "through TLS", None).await.unwrap();
    node
}

/// Waits until a node logs this.
async fn logged(node: &ChatNode, wanted: &str) {
    let begin = Instant::now();
    while !node.log().contains(wanted) {
        assert!(
            begin.elapsed() < PATIENCE,
            "no {wanted:?} in {}",
            node.log()
        );
        // A file tells nobody that it has grown.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_relay_sends_through_tls_with_a_password_and_names_what_is_wrong_with_either() {
    let broker = SecureBroker::start();
    let topic = broker.broker.topic(2).await;
    let behind = Kafka::from(&broker.behind_tls(&topic));
    let stage = Stage::sqlite().relayed(behind);

    for (name, ca, password, problem) in [
        ("wrong", broker.ca(), WRONG, "Authentication failed"),
        (
            "untrusted",
            broker.other_ca(),
            broker.password(),
            "certificate verify failed",
        ),
    ] {
        let node = post_at_node(&broker, &stage, name, &ca, password).await;
        logged(&node, problem).await;
        logged(&node, "events wait in SQL").await;
        let ended = node.stop();
        for secret in [broker.password(), WRONG] {
            assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
        }
    }
    assert!(topic.records().is_empty());

    let node = post_at_node(&broker, &stage, "right", &broker.ca(), broker.password()).await;
    stage.emptied().await;
    let ended = node.stop();
    assert!(
        !ended.stderr.contains(broker.password()),
        "{}",
        ended.stderr
    );
    let posts = |payload: &[u8]| String::from_utf8_lossy(payload).contains("through TLS");
    let sent = topic.records();
    assert_eq!(sent.iter().filter(|(_, event)| posts(event)).count(), 3);
}
