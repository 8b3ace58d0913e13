//! What happens by itself when time passes.

use std::sync::Arc;
use std::time::Duration;

use holdfast_chat_node::clock::{Clock, ManualClock, SystemClock};
use holdfast_chat_node::limits::RESUME_WINDOW;
use holdfast_chat_node::ops::admin::prune;
use holdfast_chat_node::ops::rooms::snapshot::emit_due;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, Options, World};

const DAY: Duration = Duration::from_secs(86_400);

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap()
}

async fn world(backend: Backend) -> (World, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::at(SystemClock.now_us()));
    let options = Options {
        clock: Arc::clone(&clock) as _,
        ..Options::default()
    };
    (World::with(backend, options).await, clock)
}

/// A message with an earlier text and a reaction.
async fn lively(world: &World, room: &str, text: &str) {
    let message = world.say("u-1", room, &format!("{text} frist")).await;
    let path = format!("/v1/messages/{}", message["id"].as_str().unwrap());
    let change = json!({"body": format!("{text} first")});
    world.patch("u-1", &path, change).await.expect(200);
    let path = format!("{path}/reactions/+1");
    world.put("u-2", &path, Value::Null).await.expect(204);
}

/// Entries of messages, earlier texts and reactions.
async fn stored(world: &World) -> (i64, i64, i64) {
    (
        world.count("select count(*) from messages").await,
        world.count("select count(*) from message_versions").await,
        world.count("select count(*) from reactions").await,
    )
}

async fn without_history_messages_go_with_all_that_belongs_to_them(backend: Backend) {
    let (world, clock) = world(backend).await;
    let passing = world.category(json!({"history": false})).await;
    let passing = world.room_in(&passing, json!({"privacy": "open"})).await;
    let kept = world.room().await;
    lively(&world, &passing, "old").await;
    lively(&world, &kept, "old").await;
    clock.advance_us(us(RESUME_WINDOW) / 2);
    lively(&world, &passing, "young").await;
    clock.advance_us(us(RESUME_WINDOW) - us(RESUME_WINDOW) / 2);
    assert_eq!(prune(world.node()).await.unwrap(), 0, "a moment too early");
    assert_eq!(stored(&world).await, (6, 3, 3));
    clock.advance_us(1);
    assert_eq!(prune(world.node()).await.unwrap(), 2);
    assert_eq!(stored(&world).await, (4, 2, 2));
    let versions = "select count(*) from message_versions where body = 'young frist'";
    assert_eq!(world.count(versions).await, 1);
    // Who comes back goes on behind what is gone, and places are not given twice.
    let mut client = world.connect("u-2").await;
    client.subscribe(&passing, Some(0)).await;
    assert_eq!(client.next_of("message").await["body"], "young first");
    clock.advance_us(us(RESUME_WINDOW));
    assert_eq!(prune(world.node()).await.unwrap(), 2);
    assert_eq!(stored(&world).await, (2, 1, 1), "a history is kept");
    assert_eq!(world.say("u-1", &passing, "next").await["room_seq"], 5);
}

async fn each_room_is_told_daily(backend: Backend) {
    let (world, clock) = world(backend).await;
    let room = world.room().await;
    let snapshots = "select count(*) from outbox where event like '%chat.room.snapshot%'";
    world.until(snapshots, 1).await;
    clock.advance_us(us(DAY) - 1);
    assert_eq!(emit_due(world.node()).await.unwrap(), 0);
    assert_eq!(world.count(snapshots).await, 1, "the day has not passed");
    clock.advance_us(1);
    world.until(snapshots, 2).await;
    let told = world.events_of("chat.room.snapshot").await;
    assert_eq!(told[1]["subject"], room.as_str());
    assert_eq!(
        told[1]["data"]["members"],
        json!([{"id": "admin", "role": "manager", "admitted": true}])
    );
    let time = |event: &Value| {
        let text = event["time"].as_str().unwrap();
        holdfast_schemas::time::parse_rfc3339(text).unwrap().us
    };
    assert_eq!(time(&told[1]) - time(&told[0]), us(DAY));
}

on_both!(
    without_history_messages_go_with_all_that_belongs_to_them,
    each_room_is_told_daily,
);
