//! `holdfast-chat admin`: everything that administrators do, from the command line.

use std::process::Output;

use holdfast_chat_node::cli::AdminClient;
use holdfast_chat_node::rate::Rate;
use holdfast_chat_node::settings::Limits;
use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, Options, World};

/// Runs the program against the node of `world`.
async fn admin(world: &World, arguments: &[&str]) -> Output {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_holdfast-chat"));
    command
        .args([
            "admin",
            "--url",
            &world.base,
            "--as",
            "admin-cli",
            "--secret-file",
        ])
        .arg(world.secret_file())
        .args(arguments);
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

/// The lines of its answer.
async fn lines(world: &World, arguments: &[&str]) -> Vec<Value> {
    let output = admin(world, arguments).await;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    );
    assert!(output.status.success(), "{arguments:?}: {stderr}");
    stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn one(world: &World, arguments: &[&str]) -> Value {
    let mut lines = lines(world, arguments).await;
    assert_eq!(lines.len(), 1, "{arguments:?}: {lines:?}");
    lines.remove(0)
}

async fn everything_an_administrator_does_has_a_command(backend: Backend) {
    let world = World::start(backend).await;
    let category = one(
        &world,
        &["create-category", "engineering", "{\"files\": false}"],
    )
    .await;
    let category = category["id"].as_str().unwrap();
    one(&world, &["set-category", category, "{\"files\": true}"]).await;
    assert_eq!(one(&world, &["categories"]).await["files"], true);
    let room = one(
        &world,
        &[
            "create-room",
            "ops room",
            "--category",
            category,
            "{\"privacy\": \"open\"}",
        ],
    )
    .await;
    let room = room["id"].as_str().unwrap().to_owned();
    one(
        &world,
        &["set-room", &room, "{\"description\": \"what runs\"}"],
    )
    .await;
    assert_eq!(
        one(&world, &["rooms", "--q", "what runs"]).await["id"],
        room
    );
    world.say("u-1", &room, "the password is hunter2").await;
    world.say("u-2", &room, "never mind").await;
    lines(&world, &["add-member", &room, "u-1", "--role", "presenter"]).await;
    let members = lines(&world, &["members", &room]).await;
    assert!(
        members
            .iter()
            .any(|member| member["id"] == "u-1" && member["role"] == "presenter")
    );
    lines(&world, &["remove-member", &room, "u-1"]).await;
    let replace = [
        "replace",
        &room,
        "--words",
        "hunter2",
        "--with",
        "[removed]",
        "--reason",
        "secret",
    ];
    assert_eq!(one(&world, &replace).await, json!({"messages": 1}));
    assert_eq!(one(&world, &["synthetic", &room]).await["node"], "chat-1");
    assert_eq!(one(&world, &["nodes"]).await["state"], "active");
    lines(&world, &["user", "u-2", "disabled"]).await;
    world.get("u-2", "/v1/rooms").await.expect(403);
    lines(&world, &["user", "u-2", "active"]).await;
    let pages = lines(&world, &["export", &room]).await;
    let mut page = pages[0].clone();
    assert_eq!(page["messages"].as_array().unwrap().len(), 3);
    page["name"] = json!("ops room, moved");
    let file = world.folder.path().join("export.jsonl");
    std::fs::write(&file, format!("{page}\n")).unwrap();
    let taken = one(&world, &["import", file.to_str().unwrap()]).await;
    assert_eq!(taken["messages"], 3);
    let pages = lines(&world, &["export-configuration"]).await;
    assert_eq!(pages[0]["rooms"].as_array().unwrap().len(), 2);
    let file = world.folder.path().join("configuration.jsonl");
    std::fs::write(&file, format!("{}\n", pages[0])).unwrap();
    let configured = one(&world, &["import-configuration", file.to_str().unwrap()]).await;
    assert_eq!(
        (&configured["categories"], &configured["rooms"]),
        (&json!(0), &json!(0))
    );
    let purged = one(
        &world,
        &["purge", &room, "--before", "2100-01-01T00:00:00Z"],
    )
    .await;
    assert_eq!(purged["first_seq"], 5);
    lines(&world, &["delete-room", &room]).await;
    lines(&world, &["delete-room", taken["room"].as_str().unwrap()]).await;
    lines(&world, &["delete-category", category]).await;
    assert!(lines(&world, &["rooms"]).await.is_empty());
    // Each act has its event, by the one who did it.
    let by_command = world
        .events()
        .await
        .into_iter()
        .filter(|event| event["data"]["actor"]["id"] == "admin-cli")
        .count();
    assert!(by_command >= 18, "{by_command}");
}

async fn mistakes_are_told_with_a_hint(backend: Backend) {
    let world = World::start(backend).await;
    for (arguments, told) in [
        (&["delete-room", "r-none"][..], "room was not found\nhint:"),
        (
            &["create-category", "x", "no json"],
            "is no JSON object\nhint:",
        ),
        (&["purge", "r-none", "--before", "soon"], "hint:"),
    ] {
        let output = admin(&world, arguments).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(stderr.contains(told), "{arguments:?}: {stderr}");
    }
}

async fn a_node_that_stops_taking_users_is_an_event(backend: Backend) {
    let world = World::start(backend).await;
    lines(&world, &["node", "chat-1", "standby"]).await;
    lines(&world, &["node", "chat-1", "standby"]).await;
    lines(&world, &["node", "chat-1", "active"]).await;
    let told = async |event_type: &str| {
        let events = world.events_of(event_type).await;
        let by = |event: &&Value| event["data"]["actor"]["id"] == "admin-cli";
        events
            .iter()
            .filter(by)
            .map(|event| event["data"]["after"]["state"].clone())
            .collect::<Vec<Value>>()
    };
    assert_eq!(told("chat.node.stopped").await, [json!("standby")]);
    assert_eq!(told("chat.node.started").await, [json!("active")]);
}

/// Commands of many calls, as `export` and `import`, come faster than one user may ask.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_that_come_too_soon_are_repeated() {
    let options = Options {
        limits: Limits {
            // Four at once.
            requests: Rate::a_second(1),
            ..Limits::default()
        },
        ..Options::default()
    };
    let world = World::with(Backend::Sqlite, options).await;
    let client = AdminClient::new(&world.base, world.token("admin")).unwrap();
    for _call in 0..6 {
        let rooms = client.call(Method::GET, "/v1/rooms", &[], None).await;
        assert_eq!(rooms.unwrap(), json!([]));
    }
    let metrics = world.send(world.anonymous(Method::GET, "/metrics")).await;
    let text = String::from_utf8(metrics.bytes).unwrap();
    assert!(text.contains("status=\"429\""), "{text}");
}

on_both!(
    everything_an_administrator_does_has_a_command,
    mistakes_are_told_with_a_hint,
    a_node_that_stops_taking_users_is_an_event,
);
