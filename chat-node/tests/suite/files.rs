//! Files: content-addressed, by token, in ranges, within limits.

use std::sync::Arc;

use holdfast_chat_node::clock::{Clock, ManualClock, SystemClock};
use holdfast_chat_node::settings::Limits;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::on_both;
use crate::support::{Answer, Backend, Options, World};

async fn upload(world: &World, user: &str, room: &str, name: &str, bytes: Vec<u8>) -> Answer {
    let part = Part::bytes(bytes)
        .file_name(name.to_owned())
        .mime_str("application/pdf")
        .unwrap();
    let request = world
        .request(Method::POST, user, &format!("/v1/rooms/{room}/files"))
        .multipart(Form::new().part("file", part));
    world.send(request).await
}

async fn the_same_bytes_are_stored_once_and_come_back_whole_or_in_ranges(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    // Larger than what is held in memory at a time.
    let bytes: Vec<u8> = (0..9 * 1024 * 1024_u32).map(|n| (n % 251) as u8).collect();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    let file = upload(&world, "u-1", &room, "../plan \"ä\".pdf", bytes.clone())
        .await
        .expect(201);
    assert_eq!(
        (&file["sha256"], &file["size"], &file["name"]),
        (
            &json!(sha256),
            &json!(bytes.len()),
            &json!("plan \"ä\".pdf")
        )
    );
    upload(&world, "u-2", &room, "copy.pdf", bytes.clone())
        .await
        .expect(201);
    assert_eq!(
        std::fs::read(world.files().join(&sha256[..2]).join(&sha256)).unwrap(),
        bytes
    );
    let stored: Vec<_> = std::fs::read_dir(world.files())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        stored.iter().all(|name| name.len() == 2
            || std::fs::read_dir(world.files().join(name)).unwrap().count() == 0),
        "{stored:?}"
    );

    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let whole = world.get("u-2", &path).await;
    assert_eq!((whole.status, whole.bytes == bytes), (200, true));
    assert_eq!(
        whole.headers["content-disposition"],
        "attachment; filename*=UTF-8''plan%20%22%C3%A4%22.pdf"
    );
    assert_eq!(
        (
            &whole.headers["content-type"],
            &whole.headers["x-content-type-options"]
        ),
        (
            &"application/pdf".parse().unwrap(),
            &"nosniff".parse().unwrap()
        )
    );
    let rest = world
        .send(
            world
                .request(Method::GET, "u-2", &path)
                .header("range", "bytes=9000000-"),
        )
        .await;
    assert_eq!((rest.status, rest.bytes == bytes[9_000_000..]), (206, true));
    assert_eq!(
        rest.headers["content-range"],
        format!("bytes 9000000-{}/{}", bytes.len() - 1, bytes.len()).as_str()
    );
    let beyond = world
        .send(
            world
                .request(Method::GET, "u-2", &path)
                .header("range", "bytes=99000000-"),
        )
        .await;
    assert_eq!(
        beyond.headers["content-range"],
        format!("bytes */{}", bytes.len()).as_str()
    );
    beyond.expect(416);

    let message = world
        .post(
            "u-1",
            &format!("/v1/rooms/{room}/messages"),
            json!({"attachments": [file["id"]]}),
        )
        .await
        .expect(201);
    let event = world.events_of("chat.message.posted").await.pop().unwrap();
    assert_eq!(
        (
            &event["data"]["message"]["id"],
            &event["data"]["message"]["attachments"][0]
        ),
        (&message["id"], &file)
    );
    assert_eq!(world.events_of("chat.file.downloaded").await.len(), 2);
}

async fn a_download_goes_on_with_the_same_bytes_or_begins_anew(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let file = async |bytes: Vec<u8>| {
        let file = upload(&world, "u-1", &room, "plan.pdf", bytes)
            .await
            .expect(201);
        format!("/v1/files/{}", file["id"].as_str().unwrap())
    };
    let bytes: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
    let path = file(bytes.clone()).await;
    let other = file(b"something else".to_vec()).await;
    let tag = async |path: &str| {
        let head = world.get("u-2", path).await.headers;
        head["etag"].to_str().unwrap().to_owned()
    };
    let (own, foreign) = (tag(&path).await, tag(&other).await);
    for (condition, status, from) in [
        (own.clone(), 206, 90_000),
        (foreign, 200, 0),
        // Neither promises equal bytes.
        (format!("W/{own}"), 200, 0),
        ("Fri, 27 Nov 2026 10:00:00 GMT".to_owned(), 200, 0),
    ] {
        let request = world.request(Method::GET, "u-2", &path);
        let request = request
            .header("range", "bytes=90000-")
            .header("if-range", &condition);
        let answer = world.send(request).await;
        assert_eq!(
            (answer.status, answer.bytes == bytes[from..]),
            (status, true),
            "{condition}"
        );
    }
    // A range beyond the end does not matter either when it is one of something else.
    let request = world.request(Method::GET, "u-2", &path);
    let request = request
        .header("range", "bytes=100000-")
        .header("if-range", "\"other\"");
    world.send(request).await.expect_status(200);
    // Equal bytes are the same entity, whoever uploaded them.
    assert_eq!(tag(&file(bytes).await).await, own);
}

async fn tokens_open_one_file_for_half_an_hour(backend: Backend) {
    let clock = Arc::new(ManualClock::at(SystemClock.now_us()));
    let world = World::with(
        backend,
        Options {
            clock: Arc::clone(&clock) as _,
            ..Options::default()
        },
    )
    .await;
    let room = world.room().await;
    let file = upload(&world, "u-1", &room, "a.pdf", b"bytes".to_vec())
        .await
        .expect(201);
    let other = upload(&world, "u-1", &room, "b.pdf", b"other".to_vec())
        .await
        .expect(201);
    let (path, other) = (
        format!("/v1/files/{}", file["id"].as_str().unwrap()),
        format!("/v1/files/{}", other["id"].as_str().unwrap()),
    );
    let token = world
        .post("u-1", &format!("{path}/token"), json!({}))
        .await
        .expect(200)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let by_token = async |path: &str, token: &str| {
        world
            .send(world.anonymous(Method::GET, &format!("{path}?token={token}")))
            .await
    };
    assert_eq!(by_token(&path, &token).await.bytes, b"bytes");
    by_token(&other, &token).await.expect(401);
    by_token(&path, &world.token("u-1")).await.expect(401);
    by_token(&path, &format!("{token}x")).await.expect(401);
    world
        .send(world.anonymous(Method::GET, &path))
        .await
        .expect(401);
    let bearer = world.anonymous(Method::GET, "/v1/me").bearer_auth(&token);
    world.send(bearer).await.expect(401);
    clock.advance_us(29 * 60 * 1_000_000);
    assert_eq!(by_token(&path, &token).await.status, 200);
    // Whoever has lost the room has lost the file, token or not.
    world
        .patch("admin", "/v1/admin/users/u-1", json!({"state": "disabled"}))
        .await
        .expect(204);
    by_token(&path, &token).await.expect(403);
    world
        .patch("admin", "/v1/admin/users/u-1", json!({"state": "active"}))
        .await
        .expect(204);
    clock.advance_us(60 * 1_000_000);
    by_token(&path, &token).await.expect(401);
    let event = world.events_of("chat.file.downloaded").await.remove(0);
    assert_eq!(event["data"]["actor"]["id"], "u-1");
}

async fn limits_and_switches_are_kept(backend: Backend) {
    let limits = Limits {
        file_bytes_max: 1000,
        ..Limits::default()
    };
    let world = World::with(
        backend,
        Options {
            limits,
            ..Options::default()
        },
    )
    .await;
    let category = world.category(json!({})).await;
    let room = world.room_in(&category, json!({"privacy": "open"})).await;
    upload(&world, "u-1", &room, "fits", vec![7; 1000])
        .await
        .expect(201);
    upload(&world, "u-1", &room, "large", vec![7; 1001])
        .await
        .expect(413);
    for name in ["..", "/", "\u{1}"] {
        upload(&world, "u-1", &room, name, vec![7])
            .await
            .expect(400);
    }
    let no_file = Form::new().text("field", "no file");
    world
        .send(
            world
                .request(Method::POST, "u-1", &format!("/v1/rooms/{room}/files"))
                .multipart(no_file),
        )
        .await
        .expect(400);
    world
        .post("u-1", &format!("/v1/rooms/{room}/files"), json!({}))
        .await
        .expect(400);
    world
        .patch(
            "admin",
            &format!("/v1/categories/{category}"),
            json!({"files": false}),
        )
        .await
        .expect(200);
    upload(&world, "u-1", &room, "forbidden", vec![7])
        .await
        .expect(403);
    assert_eq!(world.events_of("chat.file.uploaded").await.len(), 1);
    assert_eq!(world.count("select count(*) from files").await, 1);
}

async fn one_file_a_request(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let send = async |form: Form| {
        let path = format!("/v1/rooms/{room}/files");
        let request = world.request(Method::POST, "u-1", &path);
        world.send(request.multipart(form)).await
    };
    let file = |name: &'static str| Part::bytes(name.as_bytes()).file_name(name);
    let two = Form::new().part("file", file("a.txt"));
    let two = two.text("note", "between").part("other", file("b.txt"));
    let refused = send(two).await.expect(400);
    let detail = "form: \"other\" is another: one file a request";
    assert_eq!(refused["detail"], detail);
    assert_eq!(world.count("select count(*) from files").await, 0);
    assert!(world.events_of("chat.file.uploaded").await.is_empty());
    // Whatever the field is called, and whatever else the form says.
    let one = Form::new().text("note", "before");
    let one = one.part("attachment", file("a.txt")).text("note", "after");
    assert_eq!(send(one).await.expect(201)["name"], "a.txt");
    assert_eq!(world.count("select count(*) from files").await, 1);
}

on_both!(
    the_same_bytes_are_stored_once_and_come_back_whole_or_in_ranges,
    a_download_goes_on_with_the_same_bytes_or_begins_anew,
    tokens_open_one_file_for_half_an_hour,
    limits_and_switches_are_kept,
    one_file_a_request,
);
