//! What administrators do, and nobody else.

use holdfast_chat_node::args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

async fn nobody_else_administers(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for (method, path, body) in [
        (
            Method::POST,
            "/v1/admin/purge".to_owned(),
            json!({"room": room, "before": "2030-01-01T00:00:00Z"}),
        ),
        (
            Method::POST,
            "/v1/admin/replace".to_owned(),
            json!({"room": room, "words": "x"}),
        ),
        (Method::GET, format!("/v1/admin/export/{room}"), Value::Null),
        (
            Method::GET,
            "/v1/admin/configuration".to_owned(),
            Value::Null,
        ),
        (Method::PUT, "/v1/admin/configuration".to_owned(), json!({})),
        (Method::POST, "/v1/admin/import".to_owned(), json!({})),
        (Method::GET, "/v1/admin/nodes".to_owned(), Value::Null),
        (
            Method::PATCH,
            "/v1/admin/nodes/chat-1".to_owned(),
            json!({"state": "draining"}),
        ),
        (
            Method::POST,
            "/v1/admin/synthetic".to_owned(),
            json!({"room": room}),
        ),
        (
            Method::PATCH,
            "/v1/admin/users/u-2".to_owned(),
            json!({"state": "disabled"}),
        ),
        (
            Method::DELETE,
            "/v1/admin/users/u-2".to_owned(),
            Value::Null,
        ),
    ] {
        let request = world.request(method, "u-1", &path);
        world
            .send(if body.is_null() {
                request
            } else {
                request.json(&body)
            })
            .await
            .expect(403);
    }
}

async fn purge_takes_the_past_and_leaves_the_order(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut times = Vec::new();
    for n in 1..=6 {
        times.push(
            world.say("u-1", &room, &format!("message {n}")).await["time"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    let purged = world
        .post(
            "admin",
            "/v1/admin/purge",
            json!({"room": room, "before": times[3]}),
        )
        .await
        .expect(200);
    assert_eq!(purged, json!({"entries": 3, "first_seq": 4}));
    let left = world
        .get("u-1", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(200);
    assert_eq!(
        left.as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["room_seq"].as_i64().unwrap())
            .collect::<Vec<_>>(),
        [4, 5, 6]
    );
    assert_eq!(world.say("u-1", &room, "message 7").await["room_seq"], 7);
    // A client that saw message 2 last goes on behind the hole.
    let mut client = world.connect("u-2").await;
    client.subscribe(&room, Some(2)).await;
    for seq in 4..=7 {
        assert_eq!(client.next_of("message").await["room_seq"], seq);
    }
    world.say("u-1", &room, "live").await;
    assert_eq!(client.next_of("message").await["room_seq"], 8);
    let all = world
        .post(
            "admin",
            "/v1/admin/purge",
            json!({"room": room, "before": "2100-01-01T00:00:00Z"}),
        )
        .await
        .expect(200);
    assert_eq!(all, json!({"entries": 5, "first_seq": 9}));
    world
        .post(
            "admin",
            "/v1/admin/purge",
            json!({"room": room, "before": "soon"}),
        )
        .await
        .expect(400);
    world
        .post(
            "admin",
            "/v1/admin/purge",
            json!({"room": "r-none", "before": "2100-01-01T00:00:00Z"}),
        )
        .await
        .expect(404);
}

async fn messages_are_replaced_and_deleted_by_user_date_and_words(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "the Launch Code is 1234").await;
    world.say("u-1", &room, "code of conduct").await;
    let third = world.say("u-2", &room, "launch at noon").await;
    let mut client = world.connect("u-3").await;
    client.subscribe(&room, Some(3)).await;
    let replace = async |body: Value| world.post("admin", "/v1/admin/replace", body).await;
    replace(json!({"room": room})).await.expect(400);
    let wordless = replace(json!({"room": room, "words": ""})).await;
    assert_eq!(wordless.expect(400)["detail"], "words: holds no word");
    let body = json!({"room": room, "words": "\"launch code\"", "replacement": "[removed]", "reason": "secret"});
    assert_eq!(replace(body.clone()).await.expect(200)["messages"], 1);
    assert_eq!(replace(body).await.expect(200)["messages"], 0, "it is done");
    let live = client.next_of("message").await;
    assert_eq!(
        (&live["action"], &live["body"], &live["room_seq"]),
        (&json!("replaced"), &json!("[removed]"), &json!(4))
    );
    assert_eq!(
        replace(json!({"room": room, "from": "u-2", "until": third["time"]}))
            .await
            .expect(200)["messages"],
        0
    );
    assert_eq!(
        replace(json!({"room": room, "from": "u-2", "since": third["time"]}))
            .await
            .expect(200)["messages"],
        1
    );
    let history = world
        .get("u-3", &format!("/v1/rooms/{room}/messages"))
        .await
        .expect(200);
    assert_eq!(
        (
            &history[0]["body"],
            &history[1]["body"],
            &history[2]["deleted"]
        ),
        (&json!("[removed]"), &json!("code of conduct"), &json!(true))
    );
    let event = world
        .events_of("chat.message.replaced")
        .await
        .pop()
        .unwrap();
    assert_eq!(
        (&event["data"]["actor"]["id"], &event["data"]["by"]["id"]),
        (&json!("u-1"), &json!("admin"))
    );
    assert_eq!(event["data"]["reason"], "secret");
}

/// What is deleted while a call works its way through is not brought back by another text, and does not end the call.
async fn what_is_deleted_meanwhile_stays_deleted(backend: Backend) {
    let world = World::start(backend).await;
    for replacement in [Some("[removed]"), None] {
        let room = world.room().await;
        let said = (0..150).map(|n| {
            let (world, room) = (&world, &room);
            async move { world.say("u-1", room, &format!("secret {n}")).await }
        });
        let said = futures::future::join_all(said).await;
        let last = said.iter().max_by_key(|said| said["room_seq"].as_i64());
        let last = last.unwrap()["id"].as_str().unwrap();
        let mut client = world.connect("u-2").await;
        client.subscribe(&room, Some(150)).await;
        let body = json!({"room": room, "words": "secret", "replacement": replacement});
        let replacing = world.post("admin", "/v1/admin/replace", body);
        let deleting = async {
            // All are picked, and the first one is done.
            client.next_of("message").await;
            let path = format!("/v1/messages/{last}");
            world.delete("u-1", &path).await
        };
        let (replaced, deleted) = tokio::join!(replacing, deleting);
        assert_eq!(replaced.expect(200)["messages"], 150, "{replacement:?}");
        assert!(replacement.is_none() || deleted.status == 204);
        let path = format!("/v1/rooms/{room}/messages?before_seq=151&limit=1");
        let history = world.get("u-2", &path).await.expect(200);
        let left = (
            &history[0]["id"],
            &history[0]["deleted"],
            &history[0]["body"],
        );
        assert_eq!(left, (&json!(last), &json!(true), &Value::Null));
        let mut events = world.events().await;
        events.retain(|event| event["data"]["message"]["id"] == last);
        assert_eq!(events.pop().unwrap()["type"], "chat.message.deleted");
        assert!(
            events
                .iter()
                .all(|event| event["type"] != "chat.message.replaced"),
            "it was deleted before its turn came"
        );
    }
}

/// Words are cut as a search cuts them.
async fn words_to_replace_are_those_of_the_search(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for (said, words) in [
        ("Rene\u{301} knows", "rene\u{301}"),
        ("COVID-19 again", "covid-19"),
        ("mail ana@example.com", "example"),
    ] {
        world.say("u-1", &room, said).await;
        let body = json!({"room": room, "words": words, "replacement": "[removed]"});
        let replaced = world.post("admin", "/v1/admin/replace", body).await;
        assert_eq!(replaced.expect(200)["messages"], 1, "{words} in {said}");
    }
}

async fn a_disabled_user_is_out_everywhere(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    client.subscribe(&room, None).await;
    world.disable("u-1").await;
    let (code, _reason) = client.closed().await;
    assert_eq!(code, 4003);
    let refused = world.get("u-1", "/v1/me").await.expect(403);
    assert_eq!(refused["detail"], "not allowed: this user is disabled");
    world
        .post(
            "u-1",
            &format!("/v1/rooms/{room}/messages"),
            json!({"body": "x"}),
        )
        .await
        .expect(403);
    world
        .patch("admin", "/v1/admin/users/u-1", json!({"state": "active"}))
        .await
        .expect(204);
    world.get("u-1", "/v1/me").await.expect(200);
    world
        .delete("admin", "/v1/admin/users/u-1")
        .await
        .expect(204);
    let refused = world.get("u-1", "/v1/me").await.expect(403);
    assert_eq!(refused["detail"], "not allowed: this user was deleted");
    world
        .patch("admin", "/v1/admin/users/u-1", json!({"state": "active"}))
        .await
        .expect(404);
    world
        .put(
            "admin",
            &format!("/v1/rooms/{room}/members/u-1"),
            json!({"role": "member"}),
        )
        .await
        .expect(404);
    world
        .patch(
            "admin",
            "/v1/admin/users/nobody",
            json!({"state": "disabled"}),
        )
        .await
        .expect(404);
}

/// The first time the change was committed, and its answer lost before anybody was sent away.
async fn who_is_disabled_or_deleted_already_is_sent_away_all_the_same(backend: Backend) {
    let world = World::start(backend).await;
    for (user, state) in [("u-1", "disabled"), ("u-2", "deleted")] {
        let mut client = world.connect(user).await;
        let sql = "update users set state = $2 where id = $1";
        let changed = world.db().execute(sql, args![user, state]).await;
        assert_eq!(changed.unwrap(), 1);
        let path = format!("/v1/admin/users/{user}");
        if state == "disabled" {
            let body = json!({"state": state});
            world.patch("admin", &path, body).await.expect(204);
        } else {
            world.delete("admin", &path).await.expect(404);
        }
        assert_eq!(client.closed().await.0, 4003, "{state}");
    }
    assert!(world.events_of("chat.user.disabled").await.is_empty());
}

async fn a_synthetic_message_goes_the_whole_path(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let told = world
        .post("admin", "/v1/admin/synthetic", json!({"room": room}))
        .await
        .expect(201);
    assert_eq!(
        (&told["room_seq"], &told["node"]),
        (&json!(1), &json!("chat-1"))
    );
    let event = world.events_of("chat.message.posted").await.pop().unwrap();
    assert_eq!(event["data"]["message"]["id"], told["id"]);
}

on_both!(
    nobody_else_administers,
    purge_takes_the_past_and_leaves_the_order,
    messages_are_replaced_and_deleted_by_user_date_and_words,
    what_is_deleted_meanwhile_stays_deleted,
    words_to_replace_are_those_of_the_search,
    a_disabled_user_is_out_everywhere,
    who_is_disabled_or_deleted_already_is_sent_away_all_the_same,
    a_synthetic_message_goes_the_whole_path,
);
