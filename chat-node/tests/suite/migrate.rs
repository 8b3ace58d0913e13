//! A SQLite node's content moves to PostgreSQL, whole.

use std::path::Path;

use holdfast_chat_node::migrate::{MigrateError, run};
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

use crate::support::{Backend, Options, World, postgres};

async fn database() -> String {
    tokio::task::spawn_blocking(|| postgres().database().unwrap())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_moves_with_all_it_has() {
    let world = World::start(Backend::Sqlite).await;
    let category = world.category(json!({"name": "Ünïcode 日本"})).await;
    let room = world.room_in(&category, json!({"privacy": "open"})).await;
    for n in 0..1100 {
        // More than a page; text that sorts differently by locale and by bytes.
        let post = json!({"body": format!("message {n} ä\tZ\n😀"), "client_id": format!("c-{n}")});
        world
            .post(
                &format!("u-{}", n % 3),
                &format!("/v1/rooms/{room}/messages"),
                post,
            )
            .await
            .expect(201);
    }
    world
        .put(
            "admin",
            &format!("/v1/rooms/{room}/members/Ä-user"),
            json!({"role": "member"}),
        )
        .await
        .expect(201);
    let first = world
        .get(
            "u-1",
            &format!("/v1/rooms/{room}/messages?after_seq=0&limit=1"),
        )
        .await
        .expect(200);
    let id = first[0]["id"].as_str().unwrap();
    world
        .patch(
            "u-0",
            &format!("/v1/messages/{id}"),
            json!({"body": "edited"}),
        )
        .await
        .expect(200);
    world
        .put(
            "u-1",
            &format!("/v1/messages/{id}/reactions/👍"),
            Value::Null,
        )
        .await
        .expect(204);
    let form = Form::new().part("file", Part::bytes(b"bytes".to_vec()).file_name("plan.txt"));
    let file = world
        .send(
            world
                .request(Method::POST, "u-1", &format!("/v1/rooms/{room}/files"))
                .multipart(form),
        )
        .await
        .expect(201);
    let target = database().await;
    let running = run(world.folder.path(), &target).await;
    assert!(
        matches!(running, Err(MigrateError::Running(_))),
        "{running:?}"
    );
    let before = world
        .get(
            "u-2",
            &format!("/v1/rooms/{room}/messages?after_seq=1090&limit=500"),
        )
        .await
        .expect(200);
    let (folder, _sqlite) = world.stop().await;

    let report = run(folder.path(), &target)
        .await
        .unwrap_or_else(|error| panic!("{error}"));
    let rows = |table: &str| {
        report
            .iter()
            .find(|migrated| migrated.table == table)
            .unwrap()
            .rows
    };
    assert_eq!(
        (
            rows("messages"),
            rows("message_versions"),
            rows("reactions"),
            rows("files")
        ),
        (1101, 1, 1, 1)
    );
    assert!(rows("outbox") > 1100);
    let again = run(folder.path(), &target).await;
    assert!(
        matches!(again, Err(MigrateError::NotEmpty { table: "users", .. })),
        "{again:?}"
    );

    let world = World::on(folder, target, Options::default()).await;
    let after = world
        .get(
            "u-2",
            &format!("/v1/rooms/{room}/messages?after_seq=1090&limit=500"),
        )
        .await
        .expect(200);
    assert_eq!(after, before);
    let repeated = world
        .post(
            "u-0",
            &format!("/v1/rooms/{room}/messages"),
            json!({"body": "x", "client_id": "c-0"}),
        )
        .await;
    assert_eq!(repeated.expect(200)["id"], id);
    assert_eq!(world.say("u-1", &room, "goes on").await["room_seq"], 1102);
    let download = world
        .get(
            "u-1",
            &format!("/v1/files/{}", file["id"].as_str().unwrap()),
        )
        .await;
    assert_eq!(download.bytes, b"bytes");
    // Another database: another incarnation, so that no sequence can be used twice.
    world.until("select count(*) from outbox_origins", 2).await;
    world
        .until("select count(*) from outbox where sequence is null", 0)
        .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_node_is_refused() {
    let target = database().await;
    assert!(matches!(
        run(Path::new("/nonexistent"), &target).await,
        Err(MigrateError::NoSource { .. })
    ));
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        run(folder.path(), &target).await,
        Err(MigrateError::NoSource { .. })
    ));
}
