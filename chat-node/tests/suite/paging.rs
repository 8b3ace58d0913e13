//! A long history that is being read when its reader loses the right to it: nothing more is read.

use futures::StreamExt;
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use crate::on_both;
use crate::support::{Backend, Client, World, eventually};

/// What the node reads at a time.
const PAGE: i64 = 100;
const MESSAGES: i64 = 2 * PAGE + 1;
/// A page of these is more than the sockets' buffers take.
const BODY_BYTES: usize = 200 * 1024;

/// A client that has taken the first message of the first page, and takes no more: the node waits for it.
async fn reading(world: &World, room: &str) -> Client {
    let body = "x".repeat(BODY_BYTES);
    for _message in 0..MESSAGES {
        world.say("u-1", room, &body).await;
    }
    let mut client = world.connect("u-reader").await;
    client.subscribe(room, Some(0)).await;
    assert_eq!(client.next().await["message"]["room_seq"], 1);
    client
}

async fn last_viewed(world: &World) -> i64 {
    let viewed = world.events_of("chat.history.viewed").await;
    viewed.last().unwrap()["data"]["to_seq"].as_i64().unwrap()
}

async fn a_disabled_user_reads_no_further(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = reading(&world, &room).await;
    world.disable("u-reader").await;
    let node = world.node();
    eventually("the connection is ended", async || {
        (node.connections.count() == 0).then_some(())
    })
    .await;
    // Not even the page that was under way comes to its end: what the sockets' buffers held, and the last words where they had room for them.
    let mut received = 0;
    while let Some(Ok(message)) = client.socket.next().await {
        match message {
            Message::Text(_) => received += 1,
            Message::Close(frame) => assert_eq!(frame.map(|f| f.code), Some(4003.into())),
            _ => {}
        }
    }
    assert!(received < PAGE, "{received}");
    assert_eq!(last_viewed(&world).await, PAGE);
}

async fn a_removed_member_reads_no_further(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = reading(&world, &room).await;
    world.close(&room).await;
    let node = world.node();
    eventually("nobody listens", async || {
        (node.hub.participants(&room) == 0).then_some(())
    })
    .await;
    // The page that was under way, and that it was removed.
    for n in 2..=PAGE {
        assert_eq!(client.next().await["message"]["room_seq"], n);
    }
    assert_eq!(client.next().await["event"]["kind"], "removed");
    // Whatever is asked next is answered next: nothing came between.
    client.send(json!({"subscribe": {"room": room}})).await;
    assert_eq!(client.next().await["error"]["of"], "subscribe");
    assert_eq!(last_viewed(&world).await, PAGE);
}

on_both!(
    a_disabled_user_reads_no_further,
    a_removed_member_reads_no_further,
);
