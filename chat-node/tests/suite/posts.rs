//! Posting: one transaction, dense places, the same client's id the same message, and never Kafka in the way.

use std::collections::HashSet;
use std::sync::Arc;

use futures::future::join_all;
use holdfast_chat_node::limits::CLIENT_ID_BYTES_MAX;
use holdfast_schemas::limits::BODY_BYTES_MAX;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

async fn ch2_places_are_dense_under_concurrent_posts(backend: Backend) {
    let world = Arc::new(World::start(backend).await);
    let category = world.category(json!({})).await;
    let mut rooms = Vec::new();
    for _room in 0..3 {
        rooms.push(world.room_in(&category, json!({"privacy": "open"})).await);
    }
    let posts = (0..240).map(|n| {
        let (world, room) = (Arc::clone(&world), rooms[n % 3].clone());
        async move {
            world
                .say(&format!("u-{}", n % 7), &room, &format!("message {n}"))
                .await
        }
    });
    let answers = join_all(posts).await;
    let ids: HashSet<&str> = answers
        .iter()
        .map(|answer| answer["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 240);
    for room in &rooms {
        let history = world
            .get("u-1", &format!("/v1/rooms/{room}/messages?limit=500"))
            .await
            .expect(200);
        let seqs: Vec<i64> = history
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["room_seq"].as_i64().unwrap())
            .collect();
        assert_eq!(seqs, (1..=80).collect::<Vec<i64>>());
    }
    // One event a message, in the room's order, in the order of the outbox.
    for room in &rooms {
        let posted: Vec<i64> = world
            .events_of("chat.message.posted")
            .await
            .iter()
            .filter(|event| event["subject"] == room.as_str())
            .map(|event| event["data"]["room_seq"].as_i64().unwrap())
            .collect();
        assert_eq!(posted, (1..=80).collect::<Vec<i64>>());
    }
}

async fn ar1_the_same_client_id_is_the_same_post(backend: Backend) {
    let world = Arc::new(World::start(backend).await);
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let again = || {
        let (world, path) = (Arc::clone(&world), path.clone());
        async move {
            world
                .post("u-1", &path, json!({"body": "once", "client_id": "c-1"}))
                .await
        }
    };
    let answers = join_all((0..20).map(|_n| again())).await;
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 201).count(),
        1
    );
    assert_eq!(
        answers.iter().filter(|answer| answer.status == 200).count(),
        19
    );
    assert!(
        answers.iter().all(|answer| answer.body == answers[0].body),
        "the same message each time"
    );
    // The header says the same as the member; another author's is another post.
    let header = world
        .request(reqwest::Method::POST, "u-1", &path)
        .header("idempotency-key", "c-1")
        .json(&json!({"body": "once"}));
    assert_eq!(world.send(header).await.expect(200), answers[0].body);
    world
        .post("u-2", &path, json!({"body": "once", "client_id": "c-1"}))
        .await
        .expect(201);
    assert_eq!(world.events_of("chat.message.posted").await.len(), 2);
}

async fn too_large_is_refused_before_the_commit(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    world
        .post("u-1", &path, json!({"body": "x".repeat(BODY_BYTES_MAX)}))
        .await
        .expect(201);
    world
        .post(
            "u-1",
            &path,
            json!({"body": "x".repeat(BODY_BYTES_MAX + 1)}),
        )
        .await
        .expect(413);
    // A body within its limit whose event is over 2 MiB, because every character is written as six, and names beside it.
    let mentions: Vec<String> = (0..100)
        .map(|n| format!("{n:03}{}", "\u{1}".repeat(1000)))
        .collect();
    world
        .post(
            "u-1",
            &path,
            json!({"body": "\u{1}".repeat(BODY_BYTES_MAX), "mentions": mentions}),
        )
        .await
        .expect(413);
    let next = world.say("u-1", &room, "after").await;
    assert_eq!(next["room_seq"], 2, "what was refused left no gap");
    assert_eq!(world.events_of("chat.message.posted").await.len(), 2);
}

async fn kinds_replies_and_mentions(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let first = world.say("u-1", &room, "first").await;
    let post = |body: Value| world.post("u-2", &path, body);
    post(json!({"kind": "alert", "body": "fire"}))
        .await
        .expect(201);
    post(json!({"kind": "story", "title": "Chapter", "body": "long text"}))
        .await
        .expect(201);
    post(json!({"body": "yes", "reply_to": first["id"], "mentions": ["u-1", "u-3", "u-1"]}))
        .await
        .expect(201);
    for (wrong, status) in [
        (json!({"kind": "story", "body": "untitled"}), 400),
        (
            json!({"kind": "plain", "title": "titled", "body": "x"}),
            400,
        ),
        (json!({"kind": "shout", "body": "x"}), 400),
        (json!({"body": ""}), 400),
        (json!({"body": "x", "reply_to": "m-unknown"}), 400),
        (json!({"body": "x", "attachments": ["f-unknown"]}), 400),
        (json!({"body": "x", "surprise": 1}), 400),
        (json!({"body": "nul \u{0}"}), 400),
        (json!({"body": "x", "client_id": ""}), 400),
        (
            json!({"body": "x", "client_id": "c".repeat(CLIENT_ID_BYTES_MAX + 1)}),
            413,
        ),
    ] {
        post(wrong).await.expect(status);
    }
    let history = world.get("u-1", &path).await.expect(200);
    let entries = history.as_array().unwrap();
    assert_eq!(entries.len(), 4);
    assert_eq!(
        (&entries[1]["kind"], &entries[2]["title"]),
        (&json!("alert"), &json!("Chapter"))
    );
    assert_eq!(
        (&entries[3]["reply_to"], &entries[3]["mentions"]),
        (&first["id"], &json!(["u-1", "u-3"]))
    );
    let event = world.events_of("chat.message.posted").await.pop().unwrap();
    assert_eq!(event["data"]["message"]["reply_to"], first["id"]);
    assert_eq!(event["data"]["actor"]["name"], "Name of u-2");
}

async fn an_edited_story_has_a_title(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let story = json!({"kind": "story", "title": "Chapter", "body": "long text"});
    let story = world.post("u-1", &path, story).await.expect(201);
    let path = format!("/v1/messages/{}", story["id"].as_str().unwrap());
    let edit = |change: Value| world.patch("u-1", &path, change);
    edit(json!({"body": "longer text", "title": ""}))
        .await
        .expect(400);
    for (change, title) in [
        (json!({"body": "longer text"}), "Chapter"),
        (json!({"body": "longer text", "title": "Part"}), "Part"),
    ] {
        assert_eq!(edit(change).await.expect(200)["title"], title);
    }
}

on_both!(
    ch2_places_are_dense_under_concurrent_posts,
    ar1_the_same_client_id_is_the_same_post,
    too_large_is_refused_before_the_commit,
    kinds_replies_and_mentions,
    an_edited_story_has_a_title,
);
