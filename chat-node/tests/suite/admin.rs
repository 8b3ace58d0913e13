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

/// More than one page: attachments and answers on later pages find what the first one brought, and a page that comes again brings nothing twice.
async fn a_room_of_many_pages_moves_whole(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(b"plan".to_vec()).file_name("plan.txt"),
    );
    let upload = world.request(Method::POST, "u-1", &format!("/v1/rooms/{room}/files"));
    let file = world.send(upload.multipart(form)).await.expect(201);
    let first = world.say("u-1", &room, "the first").await;
    futures::future::join_all((0..520).map(|n| {
        let (world, path) = (&world, &path);
        async move {
            let body = json!({"body": format!("message {n}")});
            world.post("u-1", path, body).await.expect(201)
        }
    }))
    .await;
    let last = json!({"body": "the last", "reply_to": first["id"], "attachments": [file["id"]]});
    world.post("u-1", &path, last).await.expect(201);
    let (mut pages, mut after) = (Vec::new(), 0);
    loop {
        let page = world
            .get(
                "admin",
                &format!("/v1/admin/export/{room}?after_seq={after}"),
            )
            .await
            .expect(200);
        let next = page["next_after_seq"].as_i64();
        pages.push(page);
        match next {
            Some(next) => after = next,
            None => break,
        }
    }
    assert_eq!(pages.len(), 2);
    for page in &mut pages {
        page["name"] = json!("moved");
    }
    let new = world
        .post("admin", "/v1/admin/import", pages[0].clone())
        .await
        .expect(201)["room"]
        .as_str()
        .unwrap()
        .to_owned();
    let into = format!("/v1/admin/import?into={new}");
    let taken = world
        .post("admin", &into, pages[1].clone())
        .await
        .expect(201);
    assert_eq!(
        (&taken["messages"], &taken["files"]),
        (&json!(22), &json!(0))
    );
    let again = world
        .post("admin", &into, pages[1].clone())
        .await
        .expect(201);
    assert_eq!(again["messages"], 0, "the same page again");
    let moved = world
        .get(
            "u-1",
            &format!("/v1/rooms/{new}/messages?after_seq=0&limit=500"),
        )
        .await
        .expect(200);
    assert_eq!(moved[0]["body"], "the first");
    let end = world
        .get("u-1", &format!("/v1/rooms/{new}/messages?limit=1"))
        .await
        .expect(200);
    assert_eq!(
        (&end[0]["body"], &end[0]["room_seq"]),
        (&json!("the last"), &json!(522))
    );
    assert_eq!(end[0]["reply_to"], moved[0]["id"]);
    assert_eq!(end[0]["attachments"][0]["sha256"], file["sha256"]);
    assert_ne!(end[0]["attachments"][0]["id"], file["id"]);
}

async fn a_room_moves_by_export_and_import(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({"name": "moving"})).await;
    let room = world
        .room_in(
            &category,
            json!({"name": "old", "privacy": "open", "description": "d"}),
        )
        .await;
    world
        .put(
            "admin",
            &format!("/v1/rooms/{room}/members/u-1"),
            json!({"role": "presenter"}),
        )
        .await
        .expect(201);
    let first = world.say("u-1", &room, "first").await;
    let path = format!("/v1/rooms/{room}/messages");
    world
        .post(
            "u-2",
            &path,
            json!({"body": "answer", "reply_to": first["id"]}),
        )
        .await
        .expect(201);
    let gone = world.say("u-1", &room, "gone").await;
    world
        .delete(
            "u-1",
            &format!("/v1/messages/{}", gone["id"].as_str().unwrap()),
        )
        .await
        .expect(204);
    let mut exported = world
        .get("admin", &format!("/v1/admin/export/{room}"))
        .await
        .expect(200);
    assert_eq!(
        (
            exported["messages"].as_array().unwrap().len(),
            &exported["next_after_seq"]
        ),
        (2, &Value::Null)
    );
    world
        .post("admin", "/v1/admin/import", exported.clone())
        .await
        .expect(409);
    exported["name"] = json!("new");
    let imported = world
        .post("admin", "/v1/admin/import", exported.clone())
        .await
        .expect(201);
    assert_eq!(
        (&imported["messages"], &imported["members"]),
        (&json!(2), &json!(2))
    );
    let new = imported["room"].as_str().unwrap();
    let history = world
        .get("u-2", &format!("/v1/rooms/{new}/messages"))
        .await
        .expect(200);
    assert_eq!(
        (
            &history[0]["body"],
            &history[0]["time"],
            &history[0]["author"]["id"]
        ),
        (&json!("first"), &first["time"], &json!("u-1"))
    );
    assert_eq!(
        history[1]["reply_to"], history[0]["id"],
        "answers point to the new ids"
    );
    assert_ne!(history[0]["id"], first["id"]);
    let members = world
        .get("admin", &format!("/v1/rooms/{new}/members"))
        .await
        .expect(200);
    assert_eq!(
        members[1],
        json!({"id": "u-1", "name": "Name of u-1", "role": "presenter"})
    );
    assert_eq!(world.say("u-1", new, "goes on").await["room_seq"], 3);
    exported["surprise"] = json!(1);
    world
        .post("admin", "/v1/admin/import", exported)
        .await
        .expect(400);
}

async fn a_disabled_user_is_out_everywhere(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    client.subscribe(&room, None).await;
    world.disable("u-1").await;
    let (code, _reason) = client.closed().await;
    assert_eq!(code, 4003);
    world.get("u-1", "/v1/me").await.expect(403);
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
    world.get("u-1", "/v1/me").await.expect(403);
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
    a_room_moves_by_export_and_import,
    a_room_of_many_pages_moves_whole,
    a_disabled_user_is_out_everywhere,
    who_is_disabled_or_deleted_already_is_sent_away_all_the_same,
    a_synthetic_message_goes_the_whole_path,
);
