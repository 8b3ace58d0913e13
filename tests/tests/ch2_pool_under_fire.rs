//! CH-1 and CH-2 for a pool of three nodes on PostgreSQL and Kafka, with two ingest processes: nodes are killed and stopped in their tracks under load,
//! PostgreSQL fails, the database is restored. Clients see every room in its order, and the archive has everything once.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::large_futures
)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_fixtures::Postgres;
use holdfast_fixtures::chat::{Failure, Person, Posted, Roamer};
use holdfast_tests::chat::{ChatNode, Sink, Stage};
use holdfast_tests::kafka::{Broker, Topic};
use holdfast_tests::rounds::{rounds, seeds};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A client must be back in its room after this.
const BACK: Duration = Duration::from_secs(5);
const WRITERS: usize = 4;

struct Pool {
    _server: Postgres,
    topic: Topic,
    stage: Stage,
    sink: Sink,
    nodes: Vec<ChatNode>,
    /// What clients are told out of band: a load balancer's list.
    bases: watch::Sender<Vec<String>>,
    room: String,
}

impl Pool {
    async fn start() -> Self {
        let server = Postgres::start(&[]).unwrap();
        let topic = Broker::shared().topic(4).await;
        let stage = Stage::postgres(&server).relayed(&topic);
        let sink = Sink::of(&topic);
        let mut nodes = Vec::new();
        for name in ["chat-1", "chat-2", "chat-3"] {
            nodes.push(stage.start(name).await);
        }
        let admin = stage.person(&nodes[0], "admin");
        let category = admin.create_category("all", json!({})).await.unwrap();
        let room = admin
            .create_room("fire", &category, json!({"privacy": "open"}))
            .await
            .unwrap();
        let bases = watch::Sender::new(nodes.iter().map(|node| node.base.clone()).collect());
        Self {
            _server: server,
            topic,
            stage,
            sink,
            nodes,
            bases,
            room,
        }
    }

    fn index(&self, name: &str) -> usize {
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .expect("a node of the pool")
    }

    async fn leader(&self) -> String {
        let begin = Instant::now();
        loop {
            if let Some(name) = self.stage.leader().await {
                return name;
            }
            assert!(begin.elapsed() < Duration::from_secs(30), "nobody leads");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// SIGKILL, and another run of the node in its place.
    async fn kill_and_replace(&mut self, index: usize) {
        let victim = self.nodes.swap_remove(index);
        let name = victim.name.clone();
        let _ = victim.kill();
        self.tell();
        self.nodes.push(self.stage.start(&name).await);
        self.tell();
    }

    fn tell(&self) {
        self.bases
            .send_replace(self.nodes.iter().map(|node| node.base.clone()).collect());
    }

    fn roamers(&self, count: usize) -> Vec<Roamer> {
        let roamer = |n: usize| {
            let node = &self.nodes[n % self.nodes.len()];
            let person = self.stage.person(node, &format!("u-reader-{n}"));
            let mut bases = self.bases.borrow().clone();
            bases.rotate_left(n % self.nodes.len());
            Roamer::start(&person, &self.room, bases)
        };
        (0..count).map(roamer).collect()
    }

    fn writers(&self) -> Writers {
        let people =
            (0..WRITERS).map(|n| self.stage.person(&self.nodes[0], &format!("u-writer-{n}")));
        Writers::start(people.collect(), &self.room, &self.bases)
    }

    /// Everybody stops; SQL, clients and archive agree.
    async fn settle(self, writers: Writers, roamers: Vec<Roamer>, back: Option<Duration>) {
        let acknowledged = writers.stop().await;
        let truth = self.stage.truth().await;
        let entries = truth.rooms.get(&self.room).expect("entries of the room");
        let last = entries.last().expect("an entry").room_seq;
        let stored: BTreeMap<&str, (&str, i64)> = entries
            .iter()
            .filter_map(|entry| {
                Some((
                    entry.client_id.as_deref()?,
                    (entry.id.as_str(), entry.room_seq),
                ))
            })
            .collect();
        for (client_id, posted) in &acknowledged {
            let found = stored.get(client_id.as_str());
            assert_eq!(
                found,
                Some(&(posted.id.as_str(), posted.room_seq)),
                "acknowledged as {client_id}"
            );
        }
        assert_eq!(
            stored.len(),
            acknowledged.len(),
            "every post was tried until it was acknowledged"
        );
        let ids: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        let mut longest = Duration::ZERO;
        for mut roamer in roamers {
            let reached = roamer.reaches(last, Duration::from_secs(30)).await;
            let roamed = roamer.stop().await.unwrap();
            assert!(
                reached,
                "a client saw {:?} of {last}; {:?}",
                roamed.log.last(&self.room),
                roamed.troubles
            );
            if let Err(wrong) = roamed.log.check_whole(&self.room, last) {
                panic!("CH-2: {wrong}; {:?}", roamed.troubles);
            }
            assert_eq!(
                roamed.log.posted(&self.room),
                ids,
                "the same messages in the same order"
            );
            longest = longest.max(roamed.longest_absence);
            if let Some(back) = back {
                assert!(roamed.longest_absence <= back, "{roamed:?}");
            }
        }
        println!("{last} messages, longest absence of a client {longest:?}");
        self.stage.emptied().await;
        for node in self.nodes {
            let _ = node.kill();
        }
        let truth = self.stage.truth().await;
        let _report = self.sink.drain();
        truth.assert_archived(&self.sink.archived().await, "after the fire");
    }
}

/// People who post without a pause, each post again and again at any node until it is acknowledged.
struct Writers {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Vec<(String, Posted)>>>,
}

impl Writers {
    fn start(people: Vec<Person>, room: &str, bases: &watch::Sender<Vec<String>>) -> Self {
        let (stop, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
        let tasks = people.into_iter().enumerate().map(|(writer, person)| {
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(&acknowledged));
            let (room, bases) = (room.to_owned(), bases.subscribe());
            tokio::spawn(async move {
                let mut posts = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let client_id = format!("{writer}-{}", posts.len());
                    let posted = insist(&person, &room, &client_id, &bases, writer).await;
                    acknowledged.fetch_add(1, Ordering::Relaxed);
                    posts.push((client_id, posted));
                    // People type; and the machine is needed by those who read.
                    tokio::time::sleep(Duration::from_millis(15)).await;
                }
                posts
            })
        });
        Self {
            tasks: tasks.collect(),
            stop,
            acknowledged,
        }
    }

    /// Waits for this many more acknowledged posts.
    async fn more(&self, posts: usize) {
        let (from, begin) = (self.acknowledged.load(Ordering::Relaxed), Instant::now());
        while self.acknowledged.load(Ordering::Relaxed) < from + posts {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "posting stands still"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn stop(self) -> BTreeMap<String, Posted> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = BTreeMap::new();
        for task in self.tasks {
            all.extend(task.await.unwrap());
        }
        all
    }
}

async fn insist(
    person: &Person,
    room: &str,
    client_id: &str,
    bases: &watch::Receiver<Vec<String>>,
    first: usize,
) -> Posted {
    let (begin, mut turn) = (Instant::now(), first);
    loop {
        let base = {
            let bases = bases.borrow();
            bases[turn % bases.len()].clone()
        };
        turn += 1;
        let post = person.at(&base);
        // A node that hangs must not hold its writer: the same post goes to another.
        let answer = tokio::time::timeout(
            Duration::from_secs(3),
            post.post(room, client_id, Some(client_id)),
        );
        match answer.await {
            Ok(Ok(posted)) => return posted,
            Ok(Err(failure)) => assert!(failure.passes(), "{client_id}: {failure}"),
            Err(_elapsed) => {}
        }
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{client_id} was never taken"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ch2_nodes_killed_under_load_cost_no_client_a_message() {
    let seed = seeds(1).next().unwrap();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut pool = Pool::start().await;
    let ingest = [pool.sink.start(), pool.sink.start()];
    let (roamers, writers) = (pool.roamers(6), pool.writers());
    for round in 0..rounds(4) {
        writers.more(40).await;
        tokio::time::sleep(Duration::from_millis(random.random_range(0..400))).await;
        // The leader every other time.
        let victim = if round % 2 == 0 {
            pool.index(&pool.leader().await)
        } else {
            random.random_range(0..pool.nodes.len())
        };
        pool.kill_and_replace(victim).await;
    }
    writers.more(40).await;
    drop(ingest);
    pool.settle(writers, roamers, Some(BACK)).await;
}

/// The leader hangs, another takes over, and then the first one goes on as if nothing were; meanwhile the topic got more partitions.
#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_relay_that_comes_back_from_the_dead_neither_loses_nor_repeats() {
    let mut pool = Pool::start().await;
    let (roamers, writers) = (pool.roamers(3), pool.writers());
    for round in 0..rounds(2) {
        writers.more(40).await;
        let old = pool.leader().await;
        let index = pool.index(&old);
        pool.nodes[index].pause();
        let begin = Instant::now();
        while pool.leader().await == old {
            assert!(
                begin.elapsed() < Duration::from_secs(30),
                "nobody takes over from {old}"
            );
        }
        if round == 0 {
            pool.topic.grow(7).await;
        }
        writers.more(40).await;
        pool.nodes[index].resume();
        writers.more(40).await;
        assert!(pool.nodes[index].runs(), "{}", pool.nodes[index].log());
    }
    let (topic, stage_topic) = (pool.topic.clone(), pool.topic.name.clone());
    pool.settle(writers, roamers, None).await;
    let mut partitions: BTreeMap<(String, String), (i32, Vec<u8>)> = BTreeMap::new();
    for (partition, payload) in topic.records() {
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let place = (text("origin"), text("sequence"));
        let first = partitions
            .entry(place.clone())
            .or_insert((partition, payload.clone()));
        assert_eq!(
            *first,
            (partition, payload),
            "{place:?} of {stage_topic} was sent again elsewhere, or otherwise"
        );
    }
}

/// Each post's own id, and what was answered.
type Outcomes = Vec<(String, Result<Posted, Failure>)>;

/// PostgreSQL fails in the middle of posts, as if its machine had: each of them is there or was refused, never both.
#[tokio::test(flavor = "multi_thread")]
async fn ch1_postgres_failing_under_load_leaves_no_post_in_doubt() {
    let mut server = Postgres::start(&[]).unwrap();
    let stage = Stage::postgres(&server);
    let node = stage.start("chat-1").await;
    let admin = stage.person(&node, "admin");
    let category = admin.create_category("all", json!({})).await.unwrap();
    let room = admin
        .create_room("fire", &category, json!({"privacy": "open"}))
        .await
        .unwrap();
    let stop = Arc::<AtomicBool>::default();
    let answered = Arc::<AtomicUsize>::default();
    let writers: Vec<JoinHandle<Outcomes>> = (0..8)
        .map(|writer| {
            let person = stage.person(&node, &format!("u-{writer}"));
            let (stop, answered, room) = (Arc::clone(&stop), Arc::clone(&answered), room.clone());
            tokio::spawn(async move {
                let mut outcomes = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let client_id = format!("{writer}-{}", outcomes.len());
                    let outcome = person.post(&room, &client_id, Some(&client_id)).await;
                    answered.fetch_add(usize::from(outcome.is_ok()), Ordering::Relaxed);
                    outcomes.push((client_id, outcome));
                }
                outcomes
            })
        })
        .collect();
    for _ in 0..rounds(3) {
        let (from, begin) = (answered.load(Ordering::Relaxed), Instant::now());
        while answered.load(Ordering::Relaxed) < from + 100 {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "posting does not go on\n{}",
                node.log()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        server.restart(&[]).unwrap();
    }
    stop.store(true, Ordering::Relaxed);
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.extend(writer.await.unwrap());
    }
    stage.emptied().await;
    let truth = stage.truth().await;
    truth.assert_whole("after PostgreSQL failed");
    let stored: BTreeMap<&str, (&str, i64)> = truth.rooms[&room]
        .iter()
        .map(|entry| {
            (
                entry.client_id.as_deref().unwrap(),
                (entry.id.as_str(), entry.room_seq),
            )
        })
        .collect();
    let mut refused = 0;
    for (client_id, outcome) in &outcomes {
        let found = stored.get(client_id.as_str());
        match outcome {
            Ok(posted) => assert_eq!(
                found,
                Some(&(posted.id.as_str(), posted.room_seq)),
                "{client_id} was acknowledged"
            ),
            Err(failure) => {
                refused += 1;
                assert!(failure.passes(), "{client_id}: {failure}");
                assert_eq!(
                    found, None,
                    "{client_id} was refused ({failure}), and is there all the same"
                );
            }
        }
    }
    println!("{} posts, {refused} refused", outcomes.len());
    let _ = node.stop();
}

/// The database of yesterday comes back: its sequences would repeat with other events, so that a new incarnation of the origin begins.
#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_database_restored_to_yesterday_begins_a_new_incarnation() {
    let server = Postgres::start(&[]).unwrap();
    let topic = Broker::shared().topic(4).await;
    let mut stage = Stage::postgres(&server).relayed(&topic);
    let sink = Sink::of(&topic);
    let node = stage.start("chat-1").await;
    let admin = stage.person(&node, "admin");
    let category = admin.create_category("all", json!({})).await.unwrap();
    let room = admin.create_room("r", &category, json!({})).await.unwrap();
    let say = async |person: &Person, count: usize, when: &str| {
        for n in 0..count {
            person
                .post(&room, &format!("{when} {n}"), None)
                .await
                .unwrap();
        }
    };
    say(&admin, 20, "before the backup").await;
    stage.emptied().await;
    let _ = node.stop();
    let name = stage
        .database
        .split('?')
        .next()
        .unwrap()
        .rsplit('/')
        .next()
        .unwrap()
        .to_owned();
    server
        .sql(
            "postgres",
            &format!("create database yesterday template {name}"),
        )
        .unwrap();
    let node = stage.start("chat-1").await;
    say(&admin.at(&node.base), 30, "after the backup").await;
    stage.emptied().await;
    let _ = node.kill();
    let lost = stage.truth().await;
    stage.database = server.url("yesterday");
    let node = stage.start("chat-1").await;
    say(&admin.at(&node.base), 25, "after the restore").await;
    stage.emptied().await;
    let _ = node.kill();
    let truth = stage.truth().await;
    truth.assert_whole("after the restore");
    let origins: std::collections::BTreeSet<&str> = truth
        .events
        .keys()
        .map(|(origin, _)| origin.as_str())
        .collect();
    assert_eq!(
        origins.into_iter().collect::<Vec<_>>(),
        ["main.1", "main.2"]
    );
    let _report = sink.drain();
    let archived = sink.archived().await;
    assert_eq!(archived.quarantined().count(), 0);
    let delivered = lost.events.iter().chain(&truth.events);
    let expected = delivered
        .filter(|(place, event)| {
            event.delivered || archived.rows.iter().any(|row| row.place == **place)
        })
        .map(|(place, event)| (place.clone(), event.id.clone()))
        .collect();
    archived.assert_exactly_once(&expected, "yesterday's and today's");
    let said = archived
        .rows
        .iter()
        .filter(|row| row.event_type == "chat.message.posted")
        .count();
    assert_eq!(
        said,
        20 + 30 + 25,
        "what the restored database has forgotten is in the archive"
    );
}
