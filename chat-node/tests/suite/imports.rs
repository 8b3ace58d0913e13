//! Rooms move whole by export and import. Both are administrators' acts: each page says who did it, and walls hold for whom it brings.

use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

/// A page of a room, exported and renamed.
async fn page(world: &World, room: &str, name: &str) -> Value {
    let path = format!("/v1/admin/export/{room}");
    let mut page = world.get("admin", &path).await.expect(200);
    page["name"] = json!(name);
    page
}

/// The data of events of a type that tell of a room.
async fn told(world: &World, event_type: &str, room: &str) -> Vec<Value> {
    let mut events = world.events_of(event_type).await;
    events.retain(|event| event["subject"] == room);
    events
        .into_iter()
        .map(|mut event| event["data"].take())
        .collect()
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
        json!({"id": "u-1", "name": "Name of u-1", "role": "presenter", "admitted": true})
    );
    assert_eq!(world.say("u-1", new, "goes on").await["room_seq"], 3);
    exported["surprise"] = json!(1);
    world
        .post("admin", "/v1/admin/import", exported)
        .await
        .expect(400);
}

async fn each_imported_page_names_its_administrator(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let first = json!({"body": "first", "mentions": ["u-3", "u-2"]});
    world.post("u-1", &path, first).await.expect(201);
    world.say("u-2", &room, "second").await;
    let page = page(&world, &room, "moved").await;
    let import = async |path: &str, page: &Value| {
        let path = format!("/v1/admin/import{path}");
        world.post("admin-2", &path, page.clone()).await
    };
    let taken = import("", &page).await.expect(201);
    let moved = taken["room"].as_str().unwrap();
    let into = format!("?into={moved}");
    assert_eq!(import(&into, &page).await.expect(201)["messages"], 0);
    // Words put into somebody's mouth: who did it is on record.
    let mut forged = page.clone();
    forged["messages"] = json!([page["messages"][0]]);
    forged["messages"][0]["id"] = json!("m-forged");
    forged["messages"][0]["author"]["id"] = json!("u-9");
    assert_eq!(import(&into, &forged).await.expect(201)["messages"], 1);
    // What is refused has not happened.
    forged["messages"][0]["id"] = json!("m-untimely");
    forged["messages"][0]["time"] = json!("yesterday");
    import(&into, &forged).await.expect(400);

    let acts = told(&world, "chat.room.updated", moved).await;
    let acts: Vec<Value> = acts
        .iter()
        .map(|data| {
            let who = (&data["actor"]["id"], &data["room"]["name"]);
            assert_eq!(who, (&json!("admin-2"), &json!("moved")));
            let places = (&data["before"]["last_seq"], &data["after"]["last_seq"]);
            json!([places.0, places.1, data["imported"]])
        })
        .collect();
    let counts = |messages: usize, members: usize| json!({"messages": messages, "members": members, "refused": 0, "files": 0});
    assert_eq!(
        acts,
        [
            json!([0, 2, counts(2, 1)]),
            json!([2, 2, counts(0, 0)]),
            json!([2, 3, counts(1, 0)])
        ]
    );
    // The messages' own events tell all that is stored.
    let posted = told(&world, "chat.message.posted", moved).await;
    let posted: Vec<Value> = posted
        .iter()
        .map(|data| json!([data["actor"]["id"], data["message"]["mentions"]]))
        .collect();
    let mentions = json!(["u-2", "u-3"]);
    assert_eq!(
        posted,
        [
            json!(["u-1", mentions]),
            json!(["u-2", []]),
            json!(["u-9", mentions])
        ]
    );
}

async fn each_exported_page_names_its_administrator(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "first").await;
    world.say("u-1", &room, "second").await;
    for after in [0, 1, 2] {
        let path = format!("/v1/admin/export/{room}?after_seq={after}");
        world.get("admin-2", &path).await.expect(200);
    }
    let viewed: Vec<Value> = told(&world, "chat.history.viewed", &room)
        .await
        .iter()
        .map(|data| {
            assert_eq!(
                (&data["actor"]["id"], &data["export"]),
                (&json!("admin-2"), &json!(true))
            );
            json!([data["from_seq"], data["to_seq"], data["messages"]])
        })
        .collect();
    assert_eq!(
        viewed,
        [json!([1, 2, 2]), json!([2, 2, 1]), json!([0, 0, 0])]
    );
}

async fn an_import_takes_nobody_through_a_wall(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for user in ["u-1", "u-denied", "u-gone", "u-trader"] {
        let path = format!("/v1/rooms/{room}/members/{user}");
        let role = json!({"role": "presenter"});
        world.put("admin", &path, role).await.expect(201);
    }
    let mut page = page(&world, &room, "moved").await;
    let wall = json!({"name": "walled", "denied": ["u-denied", "group:trading"]});
    world.category(wall).await;
    page["category"] = json!("walled");
    let mut trader = world.claims("u-trader");
    trader.groups = vec!["trading".into()];
    let seen = world
        .anonymous(Method::GET, "/v1/me")
        .bearer_auth(world.sign(&trader));
    world.send(seen).await.expect(200);
    world.get("u-gone", "/v1/me").await.expect(200);
    let path = "/v1/admin/users/u-gone";
    world.delete("admin", path).await.expect(204);

    let taken = world.post("admin-2", "/v1/admin/import", page).await;
    let taken = taken.expect(201);
    let moved = taken["room"].as_str().unwrap();
    assert_eq!(
        taken,
        json!({"room": moved, "members": 2, "refused": 3, "messages": 0, "files": 0})
    );
    let members = world
        .get("admin", &format!("/v1/rooms/{moved}/members"))
        .await
        .expect(200);
    let members: Vec<&str> = members
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["id"].as_str().unwrap())
        .collect();
    assert_eq!(members, ["admin", "u-1"]);
    let added = told(&world, "chat.room.member_added", moved).await;
    assert_eq!(added.len(), 2, "nobody is told to be in who is not");
    let act = told(&world, "chat.room.updated", moved).await;
    assert_eq!(act[0]["imported"]["refused"], 3);
}

/// How to break a page: a pointer into it, and what is put there.
fn breaks(page: &Value) -> Vec<(&'static str, Value)> {
    let twice = json!([page["members"][0], page["members"][0]]);
    vec![
        ("/category", json!("a\0")),
        ("/members", twice),
        ("/members/0/role", json!("king")),
        ("/members/0/id", json!("")),
        ("/members/0/id", json!("*")),
        ("/members/0/id", json!("group:legal")),
        ("/members/0/id", json!("a\nb")),
        ("/messages/0/author/id", json!("")),
        ("/messages/0/author/id", json!("node:chat-1")),
        ("/messages/0/time", json!("yesterday")),
        ("/messages/0/kind", json!("story")),
        ("/messages/0/title", json!("of a plain message")),
        ("/messages/1/title", json!(null)),
        ("/messages/1/title", json!("")),
        ("/files/0/name", json!("..")),
        ("/files/0/media_type", json!("text/\0")),
        ("/files/0/sha256", json!("0")),
    ]
}

async fn what_is_wrong_by_itself_is_refused_before_anything_is_written(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "plain").await;
    let path = format!("/v1/rooms/{room}/messages");
    let story = json!({"kind": "story", "title": "t", "body": "b"});
    world.post("u-1", &path, story).await.expect(201);
    let part = reqwest::multipart::Part::bytes(b"plan".to_vec()).file_name("plan.txt");
    let form = reqwest::multipart::Form::new().part("file", part);
    let upload = world.request(Method::POST, "u-1", &format!("/v1/rooms/{room}/files"));
    world.send(upload.multipart(form)).await.expect(201);
    let page = page(&world, &room, "moved").await;
    let written = async || {
        // Snapshots come by themselves.
        let events = "select count(*) from outbox where event not like '%chat.room.snapshot%'";
        let rooms = world.count("select count(*) from rooms").await;
        (rooms, world.count(events).await)
    };
    // Who asks is known from now on.
    world.get("admin-2", "/v1/me").await.expect(200);
    let before = written().await;
    for (place, value) in breaks(&page) {
        let mut broken = page.clone();
        let (parent, member) = place.rsplit_once('/').unwrap();
        broken.pointer_mut(parent).unwrap()[member] = value;
        let refused = world.post("admin-2", "/v1/admin/import", broken).await;
        assert_eq!(refused.status, 400, "{place}: {}", refused.body);
        assert_eq!(written().await, before, "{place}");
    }
    let mut long = page.clone();
    long["members"][0]["id"] = json!("x".repeat(1025));
    let refused = world.post("admin-2", "/v1/admin/import", long).await;
    refused.expect(413);
    assert_eq!(written().await, before);
    // The name is free: it can be done right.
    let taken = world.post("admin-2", "/v1/admin/import", page).await;
    assert_eq!(taken.expect(201)["messages"], 2);
}

async fn members_are_those_of_the_export_and_nobody_else(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut page = page(&world, &room, "").await;
    let two = json!([{"id": "u-1", "role": "presenter"}, {"id": "u-2", "role": "member"}]);
    for (name, members) in [("of two", two), ("of nobody", json!([]))] {
        page["name"] = json!(name);
        page["members"] = members.clone();
        let taken = world.post("admin-2", "/v1/admin/import", page.clone());
        let taken = taken.await.expect(201);
        let moved = taken["room"].as_str().unwrap();
        let path = format!("/v1/rooms/{moved}/members");
        let found = world.get("admin", &path).await.expect(200);
        let ids = |list: &Value| -> Vec<Value> {
            let list = list.as_array().unwrap();
            list.iter().map(|member| member["id"].clone()).collect()
        };
        assert_eq!(ids(&found), ids(&members), "{name}");
        assert_eq!(taken["members"], ids(&members).len(), "{name}");
        let added: Value = told(&world, "chat.room.member_added", moved)
            .await
            .iter()
            .map(|data| data["member"].clone())
            .collect();
        assert_eq!(ids(&added), ids(&members), "{name}");
    }
}

/// The title is gone with the text, and a story has a title. What was moved moves again.
async fn a_story_whose_text_was_replaced_moves_as_plain_text(backend: Backend) {
    let world = World::start(backend).await;
    let mut room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let story = json!({"kind": "story", "title": "t", "body": "secret"});
    world.post("u-1", &path, story).await.expect(201);
    let replace = json!({"room": room, "words": "secret", "replacement": "[removed]"});
    let replaced = world.post("admin", "/v1/admin/replace", replace).await;
    assert_eq!(replaced.expect(200)["messages"], 1);
    for name in ["moved", "moved again"] {
        let page = page(&world, &room, name).await;
        let taken = world.post("admin", "/v1/admin/import", page).await;
        taken.expect(201)["room"]
            .as_str()
            .unwrap()
            .clone_into(&mut room);
        let path = format!("/v1/rooms/{room}/messages");
        let history = world.get("u-1", &path).await.expect(200);
        assert_eq!(
            (&history[0]["kind"], &history[0]["body"]),
            (&json!("plain"), &json!("[removed]")),
            "{name}"
        );
    }
}

on_both!(
    a_room_moves_by_export_and_import,
    a_room_of_many_pages_moves_whole,
    each_imported_page_names_its_administrator,
    each_exported_page_names_its_administrator,
    an_import_takes_nobody_through_a_wall,
    what_is_wrong_by_itself_is_refused_before_anything_is_written,
    members_are_those_of_the_export_and_nobody_else,
    a_story_whose_text_was_replaced_moves_as_plain_text,
);
