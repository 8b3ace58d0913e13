//! Three nodes of a pool with their database, topic and sink, and what must hold of them in the end.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_fixtures::chat::Roamer;
use holdfast_fixtures::{Postgres, eventually};
use holdfast_tests::chat::{ChatNode, Sink, Stage, open_room};
use holdfast_tests::kafka::{Broker, Topic};
use tokio::sync::watch;

use super::writers::Writers;

const WRITERS: usize = 4;

pub(super) struct Pool {
    _server: Postgres,
    pub(super) topic: Topic,
    pub(super) stage: Stage,
    pub(super) sink: Sink,
    pub(super) nodes: Vec<ChatNode>,
    /// What clients are told out of band: a load balancer's list.
    bases: watch::Sender<Vec<String>>,
    room: String,
}

impl Pool {
    pub(super) async fn start() -> Self {
        let server = Postgres::start(&[]).unwrap();
        let topic = Broker::shared().topic(4).await;
        let stage = Stage::postgres(&server).relayed(&topic);
        let sink = Sink::of(&topic);
        let mut nodes = Vec::new();
        for name in ["chat-1", "chat-2", "chat-3"] {
            nodes.push(stage.start(name).await);
        }
        let admin = stage.person(&nodes[0], "admin");
        let room = open_room(&admin, "fire").await;
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

    pub(super) fn index(&self, name: &str) -> usize {
        self.nodes
            .iter()
            .position(|node| node.name == name)
            .expect("a node of the pool")
    }

    pub(super) async fn leader(&self) -> String {
        eventually("a leader", async || self.stage.leader().await).await
    }

    /// SIGKILL, and another run of the node in its place.
    pub(super) async fn kill_and_replace(&mut self, index: usize) {
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

    pub(super) fn roamers(&self, count: usize) -> Vec<Roamer> {
        let roamer = |n: usize| {
            let node = &self.nodes[n % self.nodes.len()];
            let person = self.stage.person(node, &format!("u-reader-{n}"));
            let mut bases = self.bases.borrow().clone();
            bases.rotate_left(n % self.nodes.len());
            Roamer::start(&person, &self.room, bases)
        };
        (0..count).map(roamer).collect()
    }

    pub(super) fn writers(&self) -> Writers {
        let people =
            (0..WRITERS).map(|n| self.stage.person(&self.nodes[0], &format!("u-writer-{n}")));
        Writers::start(people.collect(), &self.room, &self.bases)
    }

    /// Everybody stops; SQL, clients and archive agree.
    pub(super) async fn settle(
        self,
        writers: Writers,
        roamers: Vec<Roamer>,
        back: Option<Duration>,
    ) {
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
