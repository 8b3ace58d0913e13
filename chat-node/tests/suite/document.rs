//! The OpenAPI document describes the WebSocket as it is: every frame of a conversation is one of its schemas.

use futures::StreamExt;
use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::on_both;
use crate::support::{Backend, Client, World};

/// What the document says about frames of one direction.
fn schema(document: &Value, direction: &str) -> Validator {
    let socket = &document["paths"]["/v1/ws"]["get"]["x-websocket"];
    let mut schema = socket[direction].clone();
    assert!(schema["$ref"].is_string(), "{socket}");
    schema["components"] = document["components"].clone();
    jsonschema::validator_for(&schema).unwrap()
}

/// The next frame, checked.
async fn next(client: &mut Client, schema: &Validator) -> Value {
    loop {
        if let Message::Text(text) = client.socket.next().await.unwrap().unwrap() {
            let frame: Value = serde_json::from_str(text.as_str()).unwrap();
            if let Err(error) = schema.validate(&frame) {
                panic!("{frame}: {error}");
            }
            return frame;
        }
    }
}

async fn frames_are_those_of_the_document(backend: Backend) {
    let world = World::start(backend).await;
    let document = world
        .send(world.anonymous(Method::GET, "/openapi.json"))
        .await
        .expect(200);
    let operation = &document["paths"]["/v1/ws"]["get"];
    assert!(operation["responses"]["101"].is_object(), "{operation}");
    let header = |path: &str, method: &str, name: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array();
        let is_named = |parameter: &Value| parameter["name"] == name && parameter["in"] == "header";
        assert!(parameters.unwrap().iter().any(is_named), "{method} {path}");
    };
    for path in ["/v1/rooms/{id}", "/v1/categories/{id}"] {
        header(path, "get", "If-None-Match");
        header(path, "patch", "If-Match");
        header(path, "delete", "If-Match");
    }
    header("/v1/messages/{id}", "patch", "If-Match");
    header("/v1/rooms/{id}/messages", "post", "Idempotency-Key");
    let (sent, received) = (schema(&document, "send"), schema(&document, "receive"));
    for odd in [
        json!({}),
        json!({"shout": {}}),
        json!({"message": {"room": "r"}}),
        json!({"ack": {"room": 7}, "post": {}}),
    ] {
        assert!(!sent.is_valid(&odd) && !received.is_valid(&odd), "{odd}");
    }
    let room = world.room().await;
    let mut other = world.connect("u-2").await;
    let mut client = Client::try_connect(&world.base, &world.token("u-1"))
        .await
        .unwrap();
    let frames = [
        json!({"subscribe": {"room": room, "history": 5, "endpoint": "phone"}}),
        json!({"subscribe": {"room": room, "after_seq": 0}}),
        json!({"post": {"room": room, "kind": "story", "title": "t", "body": "hello", "mentions": ["u-2"], "client_id": "c-1"}}),
        json!({"ack": {"room": room, "room_seq": 1}}),
        json!({"unsubscribe": {"room": "r-none"}}),
    ];
    for frame in frames {
        assert!(sent.is_valid(&frame), "{frame}");
        client.send(frame).await;
    }
    let mut seen = std::collections::BTreeSet::new();
    let mut message = String::new();
    while !seen.contains("ack") || message.is_empty() {
        let frame = next(&mut client, &received).await;
        if let Some(id) = frame["message"]["id"].as_str() {
            message = id.to_owned();
        }
        seen.insert(frame.as_object().unwrap().keys().next().unwrap().clone());
    }
    // What others do is told in events of every kind.
    other.subscribe(&room, None).await;
    other.send(json!({"unsubscribe": {"room": room}})).await;
    let admin = |path: &str| format!("/v1/rooms/{room}/{path}");
    let reaction = format!("/v1/messages/{message}/reactions/+1");
    world
        .put("u-2", &reaction, json!({}))
        .await
        .expect_success();
    world.delete("u-2", &reaction).await.expect_success();
    world
        .put("admin", &admin("members/u-1"), json!({"role": "member"}))
        .await
        .expect(201);
    let purge = json!({"room": room, "before": "2100-01-01T00:00:00Z"});
    world
        .post("admin", "/v1/admin/purge", purge)
        .await
        .expect(200);
    let path = format!("/v1/rooms/{room}");
    world
        .patch("admin", &path, json!({"disabled": true}))
        .await
        .expect(200);
    loop {
        let frame = next(&mut client, &received).await;
        let kind = frame["event"]["kind"].as_str().unwrap().to_owned();
        seen.insert(format!("event {kind}"));
        if kind == "removed" {
            break;
        }
    }
    let expected = [
        "ack",
        "error",
        "event invited",
        "event joined",
        "event left",
        "event purged",
        "event reaction_added",
        "event reaction_removed",
        "event removed",
        "joined",
        "message",
        "nodes",
    ];
    assert_eq!(
        seen.iter().map(String::as_str).collect::<Vec<_>>(),
        expected
    );
}

async fn a_changed_room_has_the_etag_of_the_document(backend: Backend) {
    let world = World::start(backend).await;
    let path = format!("/v1/rooms/{}", world.room().await);
    let change = json!({"description": "changed"});
    let changed = world.patch("admin", &path, change.clone()).await;
    let tag = changed.headers["etag"].clone();
    assert_eq!(changed.status, 200);
    assert!(tag.to_str().unwrap().starts_with("\"2-"), "{tag:?}");
    assert_eq!(world.get("admin", &path).await.headers["etag"], tag);
    let again = world.patch("admin", &path, change).await;
    assert_eq!((again.status, &again.headers["etag"]), (200, &tag));
    // It is the one that the next change names.
    let next = async |tag: &str, description: &str| {
        let request = world.request(Method::PATCH, "admin", &path);
        let request = request.header("if-match", tag);
        let change = json!({"description": description});
        world.send(request.json(&change)).await
    };
    next("\"1\"", "late").await.expect(412);
    let either = format!("\"1\", {}", tag.to_str().unwrap());
    let after = next(&either, "next").await;
    assert_eq!(after.status, 200);
    assert!(after.headers["etag"].to_str().unwrap().starts_with("\"3-"));
    let document = world
        .send(world.anonymous(Method::GET, "/openapi.json"))
        .await
        .expect(200);
    for (path, method, status) in [
        ("/v1/rooms", "post", "201"),
        ("/v1/rooms/{id}", "get", "200"),
        ("/v1/rooms/{id}", "patch", "200"),
    ] {
        let answer = &document["paths"][path][method]["responses"][status];
        assert!(answer["headers"]["ETag"].is_object(), "{method}: {answer}");
    }
    let refused = &document["paths"]["/v1/rooms"]["post"]["responses"]["default"]["content"];
    assert!(refused["application/problem+json"].is_object(), "{refused}");
    let imported = &document["components"]["schemas"]["Imported"];
    assert!(imported["properties"]["refused"].is_object(), "{imported}");
}

async fn whoever_has_a_room_as_it_is_gets_nothing_and_else_all_of_it(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}");
    let get = async |tag: &str| {
        let request = world.request(Method::GET, "admin", &path);
        world.send(request.header("if-none-match", tag)).await
    };
    let first = world.get("admin", &path).await.headers["etag"].clone();
    let first = first.to_str().unwrap();
    assert_eq!(get(first).await.status, 304);
    // No setting changed, and yet what is told of the room did.
    let post = json!({"body": "one more"});
    let messages = format!("{path}/messages");
    world.post("admin", &messages, post).await.expect(201);
    let after = get(first).await;
    assert_eq!((after.status, &after.body["last_seq"]), (200, &json!(1)));
    assert_eq!(
        get(after.headers["etag"].to_str().unwrap()).await.status,
        304
    );
}

on_both!(
    frames_are_those_of_the_document,
    whoever_has_a_room_as_it_is_gets_nothing_and_else_all_of_it,
    a_changed_room_has_the_etag_of_the_document,
);
