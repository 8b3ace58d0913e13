//! What is kept and shown: categories, rooms, edits and deletions, reactions and history.

use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

async fn categories_are_flat_named_once_and_deleted_when_empty(backend: Backend) {
    let world = World::start(backend).await;
    world
        .post("u-1", "/v1/categories", json!({"name": "mine"}))
        .await
        .expect(403);
    let made = world
        .post("admin", "/v1/categories", json!({"name": "Legal"}))
        .await;
    assert_eq!(made.headers["etag"], "\"1\"");
    let made = made.expect(201);
    assert_eq!(
        (&made["allowed"], &made["denied"], &made["history"]),
        (&json!(["*"]), &json!([]), &json!(true))
    );
    let id = made["id"].as_str().unwrap();
    world
        .post("admin", "/v1/categories", json!({"name": "LEGAL"}))
        .await
        .expect(409);
    let path = format!("/v1/categories/{id}");
    let room = world.room_in(id, json!({})).await;
    world.delete("admin", &path).await.expect(409);
    world
        .delete("admin", &format!("/v1/rooms/{room}"))
        .await
        .expect(204);

    // Two administrators: the second finds out that the first was there.
    let change = |version: &str, change: Value| {
        world
            .request(Method::PATCH, "admin", &path)
            .header("if-match", version.to_owned())
            .json(&change)
    };
    let files = || json!({"files": false});
    let changed = world.send(change("\"1\"", files())).await;
    assert_eq!(changed.headers["etag"], "\"2\"");
    let other = json!({"files": true});
    for passed in [
        "\"1\"",
        "\"1\", \"0\"",
        "W/\"2\"",
        "\"x,2\"",
        "\"+2\"",
        "2",
        "*, \"1\"",
    ] {
        let late = change(passed, other.clone());
        world.send(late).await.expect(412);
    }
    // Whoever did not hear the answer may ask for the same again.
    let again = world.send(change("\"1\"", files())).await;
    assert_eq!(
        (again.status, &again.headers["etag"]),
        (200, &changed.headers["etag"])
    );
    let unchanged = world
        .request(Method::GET, "admin", &path)
        .header("if-none-match", "\"2\"");
    assert_eq!(world.send(unchanged).await.status, 304);
    world.delete("admin", &path).await.expect(204);
    world.get("admin", &path).await.expect(404);
    let updated = world
        .events_of("chat.category.updated")
        .await
        .pop()
        .unwrap();
    assert_eq!(
        (&updated["data"]["before"], &updated["data"]["after"]),
        (&json!({"files": true}), &json!({"files": false}))
    );
}

async fn rooms_have_unique_names_and_versions(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({"creators": ["u-1"]})).await;
    let new = |name: &str| json!({"name": name, "category": category, "addin_url": "https://example.com/board"});
    world
        .post("u-2", "/v1/rooms", new("Review"))
        .await
        .expect(403);
    let room = world
        .post("u-1", "/v1/rooms", new("Review"))
        .await
        .expect(201);
    assert_eq!(
        (&room["privacy"], &room["type"], &room["role"]),
        (&json!("closed"), &json!("normal"), &json!("manager"))
    );
    world
        .post("u-1", "/v1/rooms", new("REVIEW"))
        .await
        .expect(409);
    world
        .post("u-1", "/v1/rooms", new(&"x".repeat(257)))
        .await
        .expect(400);
    world
        .post(
            "u-1",
            "/v1/rooms",
            json!({"name": "Bad", "category": category, "addin_url": "javascript:alert(1)"}),
        )
        .await
        .expect(400);
    let path = format!("/v1/rooms/{}", room["id"].as_str().unwrap());
    let stale = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"7\"")
        .json(&json!({"description": "x"}));
    world.send(stale).await.expect(412);
    let as_it_is = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"7\"")
        .json(&json!({"description": ""}));
    world.send(as_it_is).await.expect(200);
    let renamed = world
        .patch(
            "u-1",
            &path,
            json!({"name": "Post-mortem", "addin_url": null}),
        )
        .await
        .expect(200);
    assert_eq!(
        (&renamed["name"], &renamed["addin_url"]),
        (&json!("Post-mortem"), &Value::Null)
    );
    let found = world.get("u-2", "/v1/rooms?q=MORTEM").await.expect(200);
    assert_eq!(found.as_array().unwrap().len(), 1);
    assert_eq!(
        world.get("u-2", "/v1/rooms?q=%25").await.expect(200),
        json!([]),
        "what is typed is text, not a pattern"
    );
}

async fn moving_a_room_purges_whom_the_category_forbids(backend: Backend) {
    let world = World::start(backend).await;
    let (from, to) = (
        world.category(json!({})).await,
        world.category(json!({"denied": ["u-2"]})).await,
    );
    let room = world.room_in(&from, json!({})).await;
    for user in ["u-1", "u-2"] {
        world
            .put(
                "admin",
                &format!("/v1/rooms/{room}/members/{user}"),
                json!({"role": "member"}),
            )
            .await
            .expect(201);
    }
    world
        .patch(
            "admin",
            &format!("/v1/rooms/{room}"),
            json!({"category": to}),
        )
        .await
        .expect(200);
    let members = world
        .get("admin", &format!("/v1/rooms/{room}/members"))
        .await
        .expect(200);
    let ids: Vec<&str> = members
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["admin", "u-1"]);
    world
        .get("u-2", &format!("/v1/rooms/{room}"))
        .await
        .expect(404);
    let removed = world.events_of("chat.room.member_removed").await;
    assert_eq!(
        (removed.len(), &removed[0]["data"]["member"]["id"]),
        (1, &json!("u-2"))
    );
}

async fn edits_keep_versions_and_deletions_take_the_text(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let message = world.say("u-1", &room, "frist").await;
    let path = format!("/v1/messages/{}", message["id"].as_str().unwrap());
    let edited = world.patch("u-1", &path, json!({"body": "first"})).await;
    assert_eq!(edited.headers["etag"], "\"2\"");
    world
        .patch("u-2", &path, json!({"body": "mine"}))
        .await
        .expect(403);
    let stale = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"1\"")
        .json(&json!({"body": "again"}));
    world.send(stale).await.expect(412);
    // Asked for again, by whoever did not hear the answer, it is the same edit.
    let again = world
        .request(Method::PATCH, "u-1", &path)
        .header("if-match", "\"1\"")
        .json(&json!({"body": "first"}));
    assert_eq!(world.send(again).await.expect(200), edited.body);
    assert_eq!(world.events_of("chat.message.edited").await.len(), 1);
    assert_eq!(
        world
            .count("select count(*) from message_versions where body = 'frist'")
            .await,
        1
    );
    let history = world
        .get("u-2", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(200);
    assert_eq!(
        (
            &history[0]["body"],
            &history[0]["edited_seq"],
            &history[1]["action"]
        ),
        (&json!("first"), &json!(2), &json!("edited"))
    );

    world
        .put("u-2", &format!("{path}/reactions/👍"), Value::Null)
        .await
        .expect(204);
    world
        .put("u-2", &format!("{path}/reactions/👍"), Value::Null)
        .await
        .expect(204);
    let reactions = world
        .get("u-1", &format!("{path}/reactions"))
        .await
        .expect(200);
    assert_eq!(reactions, json!([{"user": "u-2", "value": "👍"}]));
    assert_eq!(
        world.events_of("chat.reaction.added").await.len(),
        1,
        "the second time nothing happened"
    );

    world
        .delete("u-1", &format!("{path}?reason=oops"))
        .await
        .expect(204);
    world.delete("u-1", &path).await.expect(404);
    world
        .patch("u-1", &path, json!({"body": "back"}))
        .await
        .expect(409);
    let history = world
        .get("u-2", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(200);
    assert_eq!(
        (
            &history[0]["deleted"],
            &history[0]["body"],
            &history[2]["reason"]
        ),
        (&json!(true), &Value::Null, &json!("oops"))
    );
    assert_eq!(
        world
            .count("select count(*) from messages where body is not null")
            .await,
        0
    );
    assert_eq!(
        world.count("select count(*) from message_versions").await,
        0
    );
    let event = world.events_of("chat.message.edited").await.pop().unwrap();
    // SHA-256 of "frist".
    let expected = {
        use sha2::{Digest, Sha256};
        hex::encode(Sha256::digest(b"frist"))
    };
    assert_eq!(event["data"]["previous_sha256"], expected);
    let event = world.events_of("chat.message.deleted").await.pop().unwrap();
    assert_eq!(
        (&event["data"]["by"]["id"], &event["data"]["reason"]),
        (&json!("u-1"), &json!("oops"))
    );
}

async fn history_is_paged_by_place(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for n in 1..=40 {
        world.say("u-1", &room, &format!("message {n}")).await;
    }
    let seqs = async |query: &str| -> Vec<i64> {
        let page = world
            .get("u-2", &format!("/v1/rooms/{room}/messages{query}"))
            .await
            .expect(200);
        page.as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["room_seq"].as_i64().unwrap())
            .collect()
    };
    assert_eq!(seqs("").await, (11..=40).collect::<Vec<i64>>());
    assert_eq!(seqs("?before_seq=11&limit=3").await, [8, 9, 10]);
    assert_eq!(seqs("?after_seq=38").await, [39, 40]);
    assert_eq!(seqs("?after_seq=2&before_seq=6&limit=2").await, [3, 4]);
    assert_eq!(seqs("?after_seq=40").await, [0_i64; 0]);
    for wrong in ["?limit=0", "?limit=501", "?limit=x", "?surprise=1"] {
        world
            .get("u-2", &format!("/v1/rooms/{room}/messages{wrong}"))
            .await
            .expect(400);
    }
    let viewed = world.events_of("chat.history.viewed").await;
    assert_eq!(viewed.len(), 4, "an empty page shows nothing");
    assert_eq!(
        (&viewed[1]["data"]["from_seq"], &viewed[1]["data"]["to_seq"]),
        (&json!(8), &json!(10))
    );
}

on_both!(
    categories_are_flat_named_once_and_deleted_when_empty,
    rooms_have_unique_names_and_versions,
    moving_a_room_purges_whom_the_category_forbids,
    edits_keep_versions_and_deletions_take_the_text,
    history_is_paged_by_place,
);
