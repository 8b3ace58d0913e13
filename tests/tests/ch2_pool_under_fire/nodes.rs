//! Nodes are killed, or hang and come back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use holdfast_tests::rounds::{rounds, seeds};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::pool::Pool;

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
