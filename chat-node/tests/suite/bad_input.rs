//! Input that is wrong, large, forged or odd gets an answer that says so, and does nothing else.

use std::sync::Arc;

use holdfast_chat_node::auth::Secret;
use holdfast_chat_node::clock::{Clock, ManualClock, SystemClock};
use holdfast_chat_node::limits::REQUEST_BYTES_MAX;
use holdfast_chat_node::rate::Rate;
use holdfast_chat_node::settings::Limits;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::Error;

use crate::on_both;
use crate::support::{Backend, Client, Options, World};

async fn bodies_are_json_of_known_members_and_bounded(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let raw = async |media_type: &str, body: Vec<u8>| {
        world
            .send(
                world
                    .request(Method::POST, "u-1", &path)
                    .header("content-type", media_type.to_owned())
                    .body(body),
            )
            .await
    };
    for body in [
        "",
        "{",
        "[]",
        "7",
        "null",
        "{\"body\": 7}",
        "{\"body\": \"x\", \"bodi\": 1}",
        "{\"body\": \"x\"} trailing",
        "\u{feff}{}",
    ] {
        raw("application/json", body.into()).await.expect(400);
    }
    raw("application/json", vec![0xff, 0xfe]).await.expect(400);
    raw("application/json", b"{\"body\": \"\\ud800\"}".to_vec())
        .await
        .expect(400);
    raw(
        "application/json",
        format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(),
    )
    .await
    .expect(400);
    raw("text/plain", b"{\"body\": \"x\"}".to_vec())
        .await
        .expect(400);
    raw("application/json", vec![b' '; REQUEST_BYTES_MAX + 1])
        .await
        .expect(413);
    raw(
        "application/json; charset=utf-8",
        b"{\"body\": \"x\"}".to_vec(),
    )
    .await
    .expect(201);
    assert_eq!(world.count("select count(*) from messages").await, 1);
}

async fn paths_are_ids_and_nothing_else(backend: Backend) {
    let world = World::start(backend).await;
    for path in [
        "/v1/rooms/..%2f..%2fetc%2fpasswd",
        "/v1/rooms/%2e%2e",
        "/v1/rooms/r-%00",
        "/v1/files/..%2fsecret",
        "/v1/files/%ff",
        "/v1/rooms/'%20or%201=1--",
        "/v1/unknown",
        "/etc/passwd",
        "/v1/../secret",
    ] {
        world.get("admin", path).await.expect(404);
    }
    world
        .get("admin", &format!("/v1/rooms/{}", "x".repeat(20_000)))
        .await
        .expect(404);
    world
        .put("admin", "/v1/rooms/r-1", json!({}))
        .await
        .expect(405);
}

async fn only_genuine_tokens_open_anything(backend: Backend) {
    let world = World::start(backend).await;
    let ask = async |token: &str| {
        world
            .send(world.anonymous(Method::GET, "/v1/me").bearer_auth(token))
            .await
    };
    let good = world.claims("u-1");
    ask(&world.sign(&good)).await.expect(200);
    let mut expired = good.clone();
    expired.exp = 1_000_000_000;
    let forged = good
        .sign(&Secret::from_text(
            "another secret of more than 32 characters",
        ))
        .unwrap();
    let signed = world.sign(&good);
    let parts: Vec<&str> = signed.split('.').collect();
    let admin = world.sign(&world.claims("admin"));
    let admin_parts: Vec<&str> = admin.split('.').collect();
    let spliced = format!("{}.{}.{}", parts[0], admin_parts[1], parts[2]);
    // {"alg":"none","typ":"JWT"}
    let unsigned = format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{}.", parts[1]);
    let other_algorithm = jsonwebtoken::encode(
        &Header::new(Algorithm::HS512),
        &good,
        &EncodingKey::from_secret(b"x"),
    )
    .unwrap();
    let tokens = [
        world.sign(&expired),
        forged,
        spliced,
        unsigned,
        other_algorithm,
        "x".repeat(10_000),
        "a.b.c".into(),
        String::new(),
    ];
    for token in &tokens {
        let answer = ask(token).await;
        assert_eq!(answer.headers["www-authenticate"], "Bearer");
        answer.expect(401);
        assert!(Client::try_connect(&world.base, token).await.is_err());
    }
    for sub in ["", "*", "group:legal", "node:chat-1", "a\nb"] {
        ask(&world.sign(&world.claims(sub))).await.expect(401);
    }
    world
        .send(world.anonymous(Method::GET, "/v1/rooms"))
        .await
        .expect(401);
    world
        .send(
            world
                .anonymous(Method::GET, "/v1/rooms")
                .header("authorization", "Basic dTpw"),
        )
        .await
        .expect(401);
    assert_eq!(
        world.count("select count(*) from users").await,
        1,
        "nobody but u-1 came in"
    );
}

async fn whoever_asks_too_often_waits_and_nobody_else(backend: Backend) {
    let clock = Arc::new(ManualClock::at(SystemClock.now_us()));
    let limits = Limits {
        requests: Rate::a_second(3),
        ..Limits::default()
    };
    let options = Options {
        clock: Arc::clone(&clock) as _,
        limits,
        ..Options::default()
    };
    let world = World::with(backend, options).await;
    for _request in 0..12 {
        world.get("u-1", "/v1/rooms").await.expect(200);
    }
    let refused = world.get("u-1", "/v1/rooms").await;
    assert_eq!(refused.headers["retry-after"], "1");
    let problem = refused.expect(429);
    assert_eq!(problem["type"], "urn:holdfast:problem:too-many");
    // By which door they come, makes no difference: posts, downloads by token, WebSockets.
    world
        .post("u-1", "/v1/rooms/r-1/messages", json!({"body": "x"}))
        .await
        .expect(429);
    let token = world.token("u-1");
    assert!(matches!(
        Client::try_connect(&world.base, &token).await,
        Err(Error::Http(answer)) if answer.status() == 429
    ));
    let (file_token, _ends) = world
        .node()
        .file_tokens
        .make("u-1", "f-1", clock.now_us())
        .unwrap();
    let path = format!("/v1/files/f-1?token={file_token}");
    world
        .send(world.anonymous(Method::GET, &path))
        .await
        .expect(429);
    // Others are not concerned, and what was asked too often changed nothing.
    world.get("u-2", "/v1/rooms").await.expect(200);
    world
        .send(world.anonymous(Method::GET, "/healthz"))
        .await
        .expect_status(200);
    clock.advance_us(1_000_000);
    for _request in 0..3 {
        world.get("u-1", "/v1/rooms").await.expect(200);
    }
    world.get("u-1", "/v1/rooms").await.expect(429);
}

async fn the_document_lists_what_the_node_serves(backend: Backend) {
    let world = World::start(backend).await;
    let document = world
        .send(world.anonymous(Method::GET, "/openapi.json"))
        .await
        .expect(200);
    let paths = document["paths"].as_object().unwrap();
    for (path, methods) in [
        ("/v1/categories", &["get", "post"][..]),
        ("/v1/categories/{id}", &["get", "patch", "delete"]),
        ("/v1/rooms", &["get", "post"]),
        ("/v1/rooms/{id}", &["get", "patch", "delete"]),
        ("/v1/rooms/{id}/members", &["get"]),
        ("/v1/rooms/{id}/members/{user}", &["put", "delete"]),
        ("/v1/rooms/{id}/messages", &["get", "post"]),
        ("/v1/messages/{id}", &["patch", "delete"]),
        ("/v1/messages/{id}/reactions/{value}", &["put", "delete"]),
        ("/v1/search", &["get"]),
        ("/v1/rooms/{id}/files", &["post"]),
        ("/v1/files/{id}", &["get"]),
        ("/v1/admin/purge", &["post"]),
        ("/v1/admin/replace", &["post"]),
        ("/v1/admin/export/{room}", &["get"]),
        ("/v1/admin/import", &["post"]),
        ("/v1/admin/nodes", &["get"]),
        ("/v1/admin/synthetic", &["post"]),
        ("/v1/admin/configuration", &["get", "put"]),
        ("/v1/ws", &["get"]),
    ] {
        for method in methods {
            assert!(
                paths
                    .get(path)
                    .is_some_and(|operations| operations.get(*method).is_some()),
                "{method} {path}"
            );
        }
    }
    // Whoever is nobody is refused everywhere.
    for (path, operations) in paths {
        for method in operations.as_object().unwrap().keys() {
            let path = path
                .replace("{id}", "x")
                .replace("{user}", "x")
                .replace("{value}", "x")
                .replace("{room}", "x")
                .replace("{node}", "x");
            let answer = world
                .send(world.anonymous(method.to_uppercase().parse().unwrap(), &path))
                .await;
            assert!(
                matches!(answer.status, 401 | 404),
                "{method} {path}: {}",
                answer.status
            );
            if answer.status == 404 {
                assert!(path.starts_with("/v1/files/"), "{method} {path}");
            }
        }
    }
    assert_eq!(
        world
            .send(world.anonymous(Method::GET, "/healthz"))
            .await
            .status,
        200
    );
}

on_both!(
    bodies_are_json_of_known_members_and_bounded,
    paths_are_ids_and_nothing_else,
    only_genuine_tokens_open_anything,
    whoever_asks_too_often_waits_and_nobody_else,
    the_document_lists_what_the_node_serves,
);
