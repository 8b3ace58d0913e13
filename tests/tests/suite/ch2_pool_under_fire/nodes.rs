//! Nodes are killed, or hang and come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_chat_node::db::Db;
use holdfast_fixtures::Postgres;
use holdfast_fixtures::eventually;
use holdfast_tests::chat::Stage;
use holdfast_tests::rounds::{rounds, seeds};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::pool::Pool;

/// A client must be back in its room after this.
const BACK: Duration = Duration::from_secs(5);
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

/// The leader hangs when Kafka has its page and SQL does not yet know, another takes over and sends the page again, and then the first one goes on
/// as if nothing were; meanwhile the topic got more partitions.
#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_relay_that_comes_back_from_the_dead_neither_loses_nor_repeats() {
    let mut pool = Pool::start().await;
    let marks = Marks::of(&pool.stage).await;
    let (roamers, writers) = (pool.roamers(3), pool.writers());
    for round in 0..rounds(2) {
        marks.linger(true).await;
        writers.more(40).await;
        marks.wait_for_one().await;
        let old = pool.leader().await;
        let index = pool.index(&old);
        pool.nodes[index].pause();
        marks.linger(false).await;
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
    let topic = pool.topic.clone();
    pool.settle(writers, roamers, None).await;
    let mut partitions: BTreeMap<(String, String), (i32, Vec<u8>)> = BTreeMap::new();
    let mut sent_again = 0;
    for (partition, payload) in topic.records() {
        let event: serde_json::Value = serde_json::from_slice(&payload).unwrap();
        let text = |member: &str| event[member].as_str().unwrap().to_owned();
        let place = (text("origin"), text("sequence"));
        let record = (partition, payload);
        if let Some(first) = partitions.get(&place) {
            sent_again += 1;
            assert_eq!(
                *first, record,
                "{place:?} was sent again elsewhere, or otherwise"
            );
        } else {
            partitions.insert(place, record);
        }
    }
    assert!(
        sent_again > 0,
        "nothing was sent twice: the leader did not hang between sending and marking"
    );
}

/// Its users would be told two orders of who is where by two processes of one name.
#[tokio::test(flavor = "multi_thread")]
async fn ch2_a_node_whose_name_was_taken_while_it_stood_still_ends_and_says_why() {
    let server = Postgres::start(&[]).unwrap();
    let stage = Stage::postgres(&server);
    let frozen = stage.start("chat-1").await;
    frozen.pause();
    let mut heir = stage.start("chat-1").await;
    frozen.resume();
    let ended = frozen.ended();
    assert_eq!(ended.status.code(), Some(2), "{ended:?}");
    let why = "error: conflict: node \"chat-1\" is another process by now";
    assert!(ended.stderr.contains(why), "{}", ended.stderr);
    assert!(heir.runs() && heir.is_ready().await, "{}", heir.log());
}

/// Makes marking a page as delivered last, so that a leader can be stopped between Kafka's acknowledgement and the mark.
struct Marks {
    db: Db,
}

impl Marks {
    async fn of(stage: &Stage) -> Self {
        let db = stage.db().await;
        for sql in [
            "create table lingering (yes boolean)",
            "create function linger() returns trigger language plpgsql as \
             'begin if exists (select from lingering) then perform pg_sleep(3); end if; return null; end'",
            "create trigger marks_linger before update of delivered_us on outbox for each statement execute function linger()",
        ] {
            db.execute(sql, Vec::new()).await.unwrap();
        }
        Self { db }
    }

    async fn linger(&self, yes: bool) {
        let sql = if yes {
            "insert into lingering values (true)"
        } else {
            "delete from lingering"
        };
        self.db.execute(sql, Vec::new()).await.unwrap();
    }

    /// Until Kafka has acknowledged a page whose mark now lasts.
    async fn wait_for_one(&self) {
        let sql = "select 1 from pg_stat_activity where wait_event = 'PgSleep' and query like '%delivered_us%'";
        eventually("a mark", async || {
            self.db.first(sql, Vec::new()).await.unwrap()
        })
        .await;
    }
}
