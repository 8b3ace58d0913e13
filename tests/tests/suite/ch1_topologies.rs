//! The example of every topology in `deploy/topologies` starts, serves, and brings what was said into the archive: with folders, addresses and servers of
//! the test in place of those that the files name, and every other setting as it stands there.

use std::path::Path;
use std::time::Duration;

use holdfast_fixtures::Postgres;
use holdfast_fixtures::chat::{Person, Seat};
use holdfast_tests::archived::Archived;
use holdfast_tests::chat::{ChatNode, Sink, Stage, open_room};
use holdfast_tests::kafka::{Broker, Topic};
use holdfast_tests::program::{Daemon, root, run};
use serde_json::json;

const BROKERS: &str = "kafka-1.example:9092,kafka-2.example:9092,kafka-3.example:9092";
const SAID: usize = 12;

/// One topology, written down again for this machine.
struct Topology {
    name: &'static str,
    stage: Stage,
    replacements: Vec<(String, String)>,
}

impl Topology {
    fn new(name: &'static str, mut stage: Stage, topic: Option<&Topic>) -> Self {
        let folder = stage.folder.path().display().to_string();
        let data = format!("{folder}/chat");
        let mut replacements: Vec<(String, String)> = [
            ("0.0.0.0:8010", "127.0.0.1:0".to_owned()),
            ("127.0.0.1:9300", "127.0.0.1:0".to_owned()),
            ("/var/lib/holdfast/archive", format!("{folder}/archive")),
            ("/srv/holdfast/archive", format!("{folder}/archive")),
            ("/srv/holdfast/chat-files", format!("{folder}/files")),
            ("/etc/holdfast/pool-secret", format!("{folder}/secret")),
        ]
        .map(|(from, to)| (from.to_owned(), to))
        .to_vec();
        if stage.database.starts_with("sqlite") {
            stage.database = format!("sqlite://{data}/chat.db");
        }
        for user in ["holdfast", "holdfast_ingest"] {
            let url = format!("postgres://{user}@db.example/chat");
            replacements.push((url, stage.database.clone()));
        }
        if let Some(topic) = topic {
            replacements.push((BROKERS.to_owned(), topic.bootstrap().to_owned()));
            replacements.push(("compliance.events".to_owned(), topic.name.clone()));
            // Tests of one group would wait for each other's members.
            let group = format!("group={}", topic.name);
            replacements.push(("group=archive".to_owned(), group));
            stage = stage.relayed(topic);
        }
        Self {
            name,
            stage,
            replacements,
        }
    }

    /// The example with this machine's places in it, in a file of the test.
    fn settings(&self, file: &str, own: &[(&str, &str)]) -> String {
        let example = root().join("deploy/topologies").join(self.name).join(file);
        let text = std::fs::read_to_string(&example)
            .unwrap_or_else(|error| panic!("{}: {error}", example.display()));
        let mut settings: String = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| format!("{line}\n"))
            .collect();
        let own = own
            .iter()
            .map(|(from, to)| ((*from).to_owned(), (*to).to_owned()));
        for (from, to) in own.chain(self.replacements.clone()) {
            settings = settings.replace(&from, &to);
        }
        for foreign in ["example", "/var/", "/etc/", "/srv/"] {
            assert!(
                !settings.contains(foreign),
                "{file} of {} names {foreign}:\n{settings}",
                self.name
            );
        }
        let path = self.stage.folder.path().join(file);
        std::fs::write(&path, settings).unwrap();
        path.display().to_string()
    }

    /// Starts a node with `file`; `data` is its folder's name.
    async fn node(&self, file: &str, data: &str) -> ChatNode {
        let folder = self.stage.folder.path().join(data).display().to_string();
        let url = format!("https://{data}.example:8010");
        let own = [
            ("/var/lib/holdfast/chat", folder.as_str()),
            // A node of the pool tells its own address to clients of the others: here the one it listens on.
            (&format!("client_url = \"{url}\"\n"), ""),
            ("10.0.0.11:8011", "127.0.0.1:0"),
            ("10.0.0.12:8011", "127.0.0.1:0"),
            ("10.0.0.13:8011", "127.0.0.1:0"),
        ];
        let settings = self.settings(file, &own);
        ChatNode::start(data, vec!["--config".to_owned(), settings]).await
    }

    fn ingest(&self) -> Vec<String> {
        let chat = self.stage.folder.path().join("chat").display().to_string();
        let settings = self.settings("ingest.toml", &[("/var/lib/holdfast/chat", &chat)]);
        ["run", "--config", &settings].map(str::to_owned).to_vec()
    }

    fn archive(&self) -> std::path::PathBuf {
        self.stage.folder.path().join("archive")
    }

    fn person(&self, node: &ChatNode, secret: &Path, sub: &str) -> Person {
        let secret = secret.display().to_string();
        let mut arguments = vec!["token", "--secret-file", &secret, "--sub", sub];
        if sub == "admin" {
            arguments.extend(["--role", "admin"]);
        }
        let token = run("holdfast-chat", arguments).success().stdout;
        Person::new(&node.base, token.trim()).unwrap()
    }

    /// People talk at each of the nodes; what they said arrives in the archive, the bytes of a file with it.
    async fn works(self, nodes: Vec<ChatNode>, secret: &Path, members: usize) {
        let archive = self.archive().display().to_string();
        let _ = run("holdfast", ["init", "--archive", &archive]).success();
        let ingest: Vec<Daemon> = (0..members)
            .map(|_| Daemon::start("holdfast-ingest", self.ingest()))
            .collect();
        let admin = self.person(&nodes[0], secret, "admin");
        let room = open_room(&admin, "hall").await;
        let mut seats = Vec::new();
        for (n, node) in nodes.iter().enumerate() {
            let person = self.person(node, secret, &format!("u-{n}"));
            let mut seat = Seat::take(&person).await.unwrap();
            seat.join(&room).await.unwrap();
            seats.push(seat);
        }
        for n in 0..SAID {
            let at = n % seats.len();
            seats[at].say(&room, &format!("message {n}")).await.unwrap();
        }
        let last = i64::try_from(SAID).unwrap();
        for seat in &mut seats {
            seat.until(&room, last).await.unwrap();
            seat.log().check_whole(&room, last).unwrap();
        }
        admin
            .put_member(&room, "u-elsewhere", "presenter")
            .await
            .unwrap();
        for node in &nodes {
            let there = admin.at(&node.base);
            let seen = there.get(&format!("/v1/rooms/{room}")).await.unwrap();
            assert_eq!(
                (&seen["name"], &seen["last_seq"]),
                (&json!("hall"), &json!(last))
            );
            let path = format!("/v1/rooms/{room}/members");
            let members = there.get(&path).await.unwrap();
            let is_there = |member: &serde_json::Value| {
                member["id"] == "u-elsewhere" && member["role"] == "presenter"
            };
            assert!(
                members.as_array().unwrap().iter().any(is_there),
                "{members}"
            );
            let history = there.history(&room, 0).await.unwrap();
            let ids: Vec<_> = history.iter().map(|entry| &entry["id"]).collect();
            assert_eq!(
                ids,
                seats[0].log().posted(&room),
                "history at {}",
                node.name
            );
        }
        let bytes = b"what was planned".to_vec();
        let upload = admin
            .upload(&room, "plan.txt", "text/plain", bytes.clone())
            .await
            .unwrap();
        let elsewhere = admin.at(&nodes[nodes.len() - 1].base);
        assert_eq!(elsewhere.download(&upload.id).await.unwrap(), bytes);
        self.stage.emptied().await;
        for node in nodes {
            let _ = node.stop();
        }
        for member in ingest {
            let _ = member.terminate(Duration::from_secs(60)).success();
        }
        let mut rest = self.ingest();
        rest.push("--until-idle".to_owned());
        let _ = run("holdfast-ingest", rest).success();
        let truth = self.stage.truth().await;
        assert_eq!(truth.count("chat.message.posted"), SAID);
        truth.assert_archived(&Archived::at(&self.archive()).await, self.name);
        let _ = run("holdfast", ["verify", "--archive", &archive]).success();
        let (folder, name) = (&upload.sha256[..2], &upload.sha256);
        let copied = self.archive().join("attachments").join(folder).join(name);
        assert_eq!(
            std::fs::read(&copied).unwrap(),
            bytes,
            "{}",
            copied.display()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_one_node_with_kafka() {
    let server = Postgres::start(&[]).unwrap();
    let topic = Broker::shared().topic(4).await;
    let topology = Topology::new("3-kafka", Stage::postgres(&server), Some(&topic));
    let node = topology.node("chat.toml", "chat").await;
    let secret = topology.stage.folder.path().join("chat/secret");
    topology.works(vec![node], &secret, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_three_nodes_with_kafka_and_two_ingest_processes() {
    let server = Postgres::start(&[]).unwrap();
    let topic = Broker::shared().topic(4).await;
    let topology = Topology::new("4-pool", Stage::postgres(&server), Some(&topic));
    let mut nodes = Vec::new();
    for n in 1..=3 {
        let (file, data) = (format!("chat-{n}.toml"), format!("chat-{n}"));
        nodes.push(topology.node(&file, &data).await);
    }
    let secret = topology.stage.secret();
    topology.works(nodes, &secret, 2).await;
}

/// A pool that began as one node on SQLite: it is migrated, and two nodes with Kafka go on where it ended, for clients and for the archive.
#[tokio::test(flavor = "multi_thread")]
async fn ch1_one_node_grows_to_a_pool() {
    let server = Postgres::start(&[]).unwrap();
    let topic = Broker::shared().topic(2).await;
    let mut stage = Stage::sqlite();
    let node = stage.start("chat-1").await;
    let admin = stage.person(&node, "admin");
    let room = open_room(&admin, "hall").await;
    let mut seat = Seat::take(&stage.person(&node, "u-1")).await.unwrap();
    seat.join(&room).await.unwrap();
    for n in 0..30 {
        seat.say(&room, &format!("alone {n}")).await.unwrap();
    }
    seat.until(&room, 30).await.unwrap();
    let file = admin
        .upload(&room, "plan.txt", "text/plain", b"plan".to_vec())
        .await
        .unwrap();
    let before = stage.truth().await;
    let _ = node.stop();
    let (from, to) = (stage.database.clone(), server.database().unwrap());
    let from = from.trim_start_matches("sqlite://");
    let report = run("holdfast-chat", ["migrate", "--from", from, "--to", &to]).success();
    assert_eq!(
        report.stdout.matches("\"sha256\"").count(),
        12,
        "{}",
        report.stdout
    );
    stage.database = to;
    let stage = stage.relayed(&topic);
    let nodes = [stage.start("chat-1").await, stage.start("chat-2").await];
    let mut seat = seat.resume_at(&nodes[1].base).await.unwrap();
    let mut other = Seat::take(&stage.person(&nodes[0], "u-2")).await.unwrap();
    other.join(&room).await.unwrap();
    for n in 0..30 {
        let speaker = if n % 2 == 0 { &mut seat } else { &mut other };
        speaker
            .say(&room, &format!("in the pool {n}"))
            .await
            .unwrap();
    }
    for seat in [&mut seat, &mut other] {
        seat.until(&room, 60).await.unwrap();
        seat.log().check_whole(&room, 60).unwrap();
    }
    let there = admin.at(&nodes[1].base);
    assert_eq!(there.download(&file.id).await.unwrap(), b"plan");
    stage.emptied().await;
    for node in nodes {
        let _ = node.kill();
    }
    let truth = stage.truth().await;
    for (place, event) in &before.events {
        assert_eq!(truth.events[place].id, event.id, "{place:?} is what it was");
    }
    let sink = Sink::of(&topic);
    let _report = sink.drain();
    truth.assert_archived(&sink.archived().await, "after growing");
    assert_eq!(truth.count("chat.message.posted"), 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_one_machine_with_sqlite_and_no_broker() {
    let topology = Topology::new("1-one-machine", Stage::sqlite(), None);
    let node = topology.node("chat.toml", "chat").await;
    let secret = topology.stage.folder.path().join("chat/secret");
    topology.works(vec![node], &secret, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_postgres_apart_and_no_broker() {
    let server = Postgres::start(&[]).unwrap();
    let topology = Topology::new("2-database-apart", Stage::postgres(&server), None);
    let node = topology.node("chat.toml", "chat").await;
    let secret = topology.stage.folder.path().join("chat/secret");
    topology.works(vec![node], &secret, 1).await;
}
