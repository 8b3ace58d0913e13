//! The database fails, or is the one of yesterday.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use holdfast_fixtures::Postgres;
use holdfast_fixtures::chat::{Failure, Person, Posted};
use holdfast_tests::chat::{Sink, Stage, open_room};
use holdfast_tests::kafka::Broker;
use holdfast_tests::rounds::rounds;
use serde_json::json;
use tokio::task::JoinHandle;

/// Each post's own id, and what was answered.
type Outcomes = Vec<(String, Result<Posted, Failure>)>;

/// PostgreSQL fails in the middle of posts, as if its machine had: each of them is there or was refused, never both.
#[tokio::test(flavor = "multi_thread")]
async fn ch1_postgres_failing_under_load_leaves_no_post_in_doubt() {
    let mut server = Postgres::start(&[]).unwrap();
    let stage = Stage::postgres(&server);
    let node = stage.start("chat-1").await;
    let admin = stage.person(&node, "admin");
    let room = open_room(&admin, "fire").await;
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
