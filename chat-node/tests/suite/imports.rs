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
        json!({"id": "u-1", "name": "Name of u-1", "role": "presenter"})
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
    assert_eq!(members, ["admin", "admin-2", "u-1"]);
    let added = told(&world, "chat.room.member_added", moved).await;
    assert_eq!(added.len(), 3, "nobody is told to be in who is not");
    let act = told(&world, "chat.room.updated", moved).await;
    assert_eq!(act[0]["imported"]["refused"], 3);
}

on_both!(
    a_room_moves_by_export_and_import,
    a_room_of_many_pages_moves_whole,
    each_imported_page_names_its_administrator,
    each_exported_page_names_its_administrator,
    an_import_takes_nobody_through_a_wall,
);
