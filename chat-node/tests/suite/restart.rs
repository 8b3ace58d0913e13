//! PostgreSQL fails and comes back under load: a post succeeds or fails, never both, and nothing acknowledged is lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use holdfast_fixtures::Postgres;
use serde_json::{Value, json};

use crate::support::{Options, Proxy, World, postgres};

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
            let (mut acknowledged, mut refused) = (BTreeMap::new(), 0);
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
                    503 => refused += 1,
                    other => panic!("{other}: {}", answer.body),
                }
            }
            (acknowledged, refused)
        })
    });
    let writers: Vec<_> = writers.collect();
    let posted = "select count(*) from messages";
    while world.count(posted).await < 50 {
        tokio::task::yield_now().await;
    }
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
    let (mut acknowledged, mut refused) = (BTreeMap::new(), 0);
    for writer in writers {
        let (own, failed) = writer.await.unwrap();
        acknowledged.extend(own);
        refused += failed;
    }
    assert!(refused > 0, "the database was never away");
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

/// The database does what it was asked, and its answer is lost: each post is there and acknowledged, or refused and not there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch1_commits_that_are_not_answered_leave_no_post_in_doubt() {
    let direct = tokio::task::spawn_blocking(|| postgres().database().unwrap())
        .await
        .unwrap();
    let (address, folder) = direct.split_once("?host=").unwrap();
    let proxy = Proxy::to(folder).await;
    let database = proxy.url(address.rsplit('/').next().unwrap());
    let world = World::on(tempfile::tempdir().unwrap(), database, Options::default()).await;
    let world = Arc::new(world);
    let room = world.room().await;
    let enough = Arc::new(AtomicBool::new(false));
    let writers = (0..16).map(|writer| {
        let (world, room, enough) = (Arc::clone(&world), room.clone(), Arc::clone(&enough));
        tokio::spawn(async move {
            let mut outcomes: Vec<(String, u16, Value)> = Vec::new();
            while !enough.load(Ordering::SeqCst) {
                let client_id = format!("c-{writer}-{}", outcomes.len());
                let post = json!({"body": client_id, "client_id": client_id});
                let path = format!("/v1/rooms/{room}/messages");
                let answer = world.post(&format!("u-{writer}"), &path, post).await;
                outcomes.push((client_id, answer.status, answer.body));
            }
            outcomes
        })
    });
    let writers: Vec<_> = writers.collect();
    let posted = "select count(*) from messages";
    let looking = holdfast_chat_node::db::Db::open(&direct.parse().unwrap(), 2)
        .await
        .unwrap();
    let count = async || {
        let row = looking.one(posted, Vec::new()).await.unwrap();
        row.int(0).unwrap()
    };
    for _cut in 0..8 {
        let before = count().await;
        while count().await < before + 60 {
            tokio::task::yield_now().await;
        }
        proxy.cut();
    }
    enough.store(true, Ordering::SeqCst);
    let mut outcomes = Vec::new();
    for writer in writers {
        outcomes.extend(writer.await.unwrap());
    }
    let rows = looking
        .all("select client_id, id, room_seq from messages", Vec::new())
        .await
        .unwrap();
    let stored: BTreeMap<String, (String, i64)> = rows
        .iter()
        .map(|row| {
            (
                row.text(0).unwrap(),
                (row.text(1).unwrap(), row.int(2).unwrap()),
            )
        })
        .collect();
    assert_eq!(stored.len(), rows.len(), "nothing was posted twice");
    for (client_id, status, body) in &outcomes {
        let found = stored.get(client_id);
        match status {
            200 | 201 => {
                let told = (
                    body["id"].as_str().unwrap().to_owned(),
                    body["room_seq"].as_i64().unwrap(),
                );
                assert_eq!(found, Some(&told), "{client_id} was acknowledged");
            }
            503 => assert_eq!(
                found, None,
                "{client_id} was refused ({body}), and is there all the same"
            ),
            other => panic!("{client_id}: {other} {body}"),
        }
    }
}
