//! PostgreSQL fails and comes back under load: a post succeeds or fails, never both, and nothing acknowledged is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_fixtures::Postgres;
use serde_json::{Value, json};

use crate::support::{Options, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch1_a_failing_database_loses_nothing_that_was_acknowledged() {
    let mut server = tokio::task::spawn_blocking(|| Postgres::start(&[]).unwrap())
        .await
        .unwrap();
    let database = server.database().unwrap();
    let world = World::on(tempfile::tempdir().unwrap(), database, Options::default()).await;
    let world = Arc::new(world);
    let room = world.room().await;
    let enough = Arc::new(AtomicBool::new(false));
    let writers = (0..4).map(|writer| {
        let (world, room, enough) = (Arc::clone(&world), room.clone(), Arc::clone(&enough));
        tokio::spawn(async move {
            let mut acknowledged = BTreeMap::new();
            for n in 0.. {
                if enough.load(Ordering::SeqCst) {
                    break;
                }
                let client_id = format!("c-{writer}-{n}");
                let post = json!({"body": client_id, "client_id": client_id});
                let answer = world
                    .post(
                        &format!("u-{writer}"),
                        &format!("/v1/rooms/{room}/messages"),
                        post,
                    )
                    .await;
                match answer.status {
                    201 => {
                        acknowledged.insert(client_id, answer.body["room_seq"].as_i64().unwrap());
                    }
                    503 => {}
                    other => panic!("{other}: {}", answer.body),
                }
            }
            acknowledged
        })
    });
    let writers: Vec<_> = writers.collect();
    let posted = "select count(*) from messages";
    while world.count(posted).await < 50 {
        tokio::task::yield_now().await;
    }
    let since = "select cast(extract(epoch from pg_postmaster_start_time()) * 1000000 as bigint)";
    let started = world.count(since).await;
    // As if the machine had failed, and up again.
    let server = tokio::task::spawn_blocking(move || server.restart(&[]).map(|()| server))
        .await
        .unwrap()
        .unwrap();
    let before = world.count(posted).await;
    while world.count(posted).await < before + 50 {
        tokio::task::yield_now().await;
    }
    enough.store(true, Ordering::SeqCst);
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    // Whether anybody was refused is luck: where only a commit was lost, it was looked up or tried again.
    assert!(
        world.count(since).await > started,
        "the database was never away"
    );
    // Every entry once, in a dense order; everything acknowledged is there, at the place that was told.
    let mut kept: BTreeMap<String, i64> = BTreeMap::new();
    let (mut last, mut after) = (0, 0);
    loop {
        let page = world
            .get(
                "u-1",
                &format!("/v1/rooms/{room}/messages?after_seq={after}&limit=500"),
            )
            .await
            .expect(200);
        let page: &Vec<Value> = page.as_array().unwrap();
        for entry in page {
            last += 1;
            assert_eq!(entry["room_seq"], last);
            assert!(
                kept.insert(entry["body"].as_str().unwrap().to_owned(), last)
                    .is_none(),
                "{entry} twice"
            );
        }
        after = last;
        if page.len() < 500 {
            break;
        }
    }
    for (client_id, seq) in &acknowledged {
        assert_eq!(
            kept.get(client_id),
            Some(seq),
            "{client_id} was acknowledged"
        );
    }
    world
        .until("select count(*) from outbox where sequence is null", 0)
        .await;
    assert_eq!(
        world
            .count("select max(sequence) - count(*) from outbox")
            .await,
        0
    );
    let events = world.events_of("chat.message.posted").await;
    assert_eq!(events.len(), kept.len(), "one event each");
    // A failure of the server's process is no restore: the same incarnation goes on.
    assert_eq!(world.count("select count(*) from outbox_origins").await, 1);
    Arc::into_inner(world).unwrap().stop().await;
    drop(server);
}
