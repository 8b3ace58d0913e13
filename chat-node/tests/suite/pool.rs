//! Several nodes on one PostgreSQL: messages, files, states and the loss of a node.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_chat_node::args;
use holdfast_chat_node::db::Db;
use holdfast_chat_node::pool::registry;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::runtime::Builder;

use crate::support::{Backend, Client, Options, World, eventually};

pub(crate) async fn pair() -> (World, World) {
    pair_with(false).await
}

/// Both with certificates, or without.
pub(crate) async fn pair_with(tls: bool) -> (World, World) {
    let first = World::with(
        Backend::Postgres,
        Options {
            peers: true,
            tls,
            ..Options::default()
        },
    )
    .await;
    let second = World::on(
        tempfile::tempdir().unwrap(),
        first.database.clone(),
        Options {
            tls,
            ..options_beside(&first, "chat-2")
        },
    )
    .await;
    linked(&first, &second).await;
    (first, second)
}

fn options_beside(first: &World, node: &'static str) -> Options {
    Options {
        node,
        peers: true,
        secret_file: Some(first.secret_file()),
        files: Some(first.files()),
        ..Options::default()
    }
}

async fn beside(first: &World, node: &'static str, standby: bool) -> World {
    let options = Options {
        standby,
        ..options_beside(first, node)
    };
    World::on(
        tempfile::tempdir().unwrap(),
        first.database.clone(),
        options,
    )
    .await
}

async fn linked(first: &World, second: &World) {
    let linked = |world: &World| !world.node().peers.linked().is_empty();
    let both = async || (linked(first) && linked(second)).then_some(());
    eventually("the nodes are linked", both).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_a_living_node_has_is_given_to_no_other() {
    let options = Options {
        peers: true,
        ..Options::default()
    };
    let first = World::with(Backend::Postgres, options).await;
    let folder = tempfile::tempdir().unwrap();
    let twin = World::on(
        folder,
        first.database.clone(),
        options_beside(&first, "chat-1"),
    );
    let Err(refused) = tokio::spawn(twin).await else {
        panic!("a second chat-1 was started")
    };
    let refused = refused.into_panic();
    let refused = refused.downcast_ref::<String>().unwrap();
    assert!(
        refused.contains("another process runs as node"),
        "{refused}"
    );
    registry::beat_once(first.node()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch2_users_of_both_nodes_see_one_order() {
    let (first, second) = pair().await;
    let room = first.room().await;
    let (mut one, mut two) = (first.connect("u-1").await, second.connect("u-2").await);
    one.subscribe(&room, None).await;
    two.subscribe(&room, None).await;
    for n in 0..60 {
        let (client, id) = if n % 2 == 0 {
            (&mut one, "u-1")
        } else {
            (&mut two, "u-2")
        };
        client
            .post(&room, &format!("message {n} by {id}"), &format!("c-{n}"))
            .await;
    }
    for client in [&mut one, &mut two] {
        for seq in 1..=60 {
            assert_eq!(client.next_of("message").await["room_seq"], seq);
        }
    }
    let seen = first
        .get("admin", &format!("/v1/rooms/{room}"))
        .await
        .expect(200);
    assert_eq!(seen["participants"], 2, "of the whole pool");
    // Who may not read any more is told on the other node too.
    first
        .put(
            "admin",
            &format!("/v1/rooms/{room}/members/u-1"),
            json!({"role": "member"}),
        )
        .await
        .expect(201);
    first.close(&room).await;
    loop {
        if two.next_of("event").await["kind"] == "removed" {
            break;
        }
    }
    // And a disabled user is out there too.
    let mut three = second.connect("u-3").await;
    first
        .patch("admin", "/v1/admin/users/u-3", json!({"state": "disabled"}))
        .await
        .expect(204);
    assert_eq!(three.closed().await.0, 4003);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_put_out_on_one_node_is_no_participant_on_the_other() {
    let (first, second) = pair().await;
    let room = first.room().await;
    let mut watcher = first.connect("admin").await;
    watcher.subscribe(&room, None).await;
    let mut clients = Vec::new();
    for user in ["u-1", "u-2", "u-3"] {
        let mut client = second.connect(user).await;
        client.subscribe(&room, None).await;
        clients.push(client);
    }
    let path = format!("/v1/rooms/{room}");
    let until = async |count: i64| {
        let counted = async || {
            let seen = first.get("admin", &path).await.expect(200);
            (seen["participants"] == count).then_some(())
        };
        eventually(&format!("{count} participants"), counted).await;
    };
    until(4).await;
    first.close(&room).await;
    for client in &mut clients {
        while client.next_of("event").await["kind"] != "removed" {}
    }
    let left = second.events_of("chat.room.left").await;
    let mut users: Vec<_> = left.iter().map(|e| &e["data"]["actor"]["id"]).collect();
    users.sort_by_key(|id| id.as_str());
    assert_eq!(users, ["u-1", "u-2", "u-3"]);
    assert!(left.iter().all(|event| event["data"]["node"] == "chat-2"));
    until(1).await;
    let mut told = BTreeSet::new();
    while told.len() < 3 {
        let event = watcher.next_of("event").await;
        if event["kind"] == "left" {
            told.insert(event["user"]["id"].as_str().unwrap().to_owned());
        }
    }
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reactions_purges_and_invitations_reach_users_of_the_other_node() {
    let (first, second) = pair().await;
    let room = first.room().await;
    let mut there = second.connect("u-2").await;
    there.subscribe(&room, None).await;
    let message = first.say("u-1", &room, "well said?").await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    there.next_of("message").await;
    let kinds = async |client: &mut Client, kind: &str| loop {
        let event = client.next_of("event").await;
        if event["kind"] == kind {
            return event;
        }
    };
    // That somebody listens there is told over the link in its own time; what has no place in the order is not kept for them.
    let mut reaction = None;
    for value in 0..100 {
        let path = format!("/v1/messages/{message}/reactions/{value}");
        first.put("u-1", &path, json!({})).await;
        let patience = Duration::from_millis(200);
        reaction = tokio::time::timeout(patience, kinds(&mut there, "reaction_added"))
            .await
            .ok();
        if reaction.is_some() {
            break;
        }
    }
    assert_eq!(reaction.unwrap()["message"], message);
    first
        .put(
            "admin",
            &format!("/v1/rooms/{room}/members/u-2"),
            json!({"role": "presenter"}),
        )
        .await
        .expect(201);
    assert_eq!(kinds(&mut there, "invited").await["room"], room);
    let before = "2100-01-01T00:00:00Z";
    first
        .post(
            "admin",
            "/v1/admin/purge",
            json!({"room": room, "before": before}),
        )
        .await
        .expect(200);
    assert_eq!(kinds(&mut there, "purged").await["first_seq"], 2);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ch2_without_any_link_sql_is_the_truth() {
    let first = World::start(Backend::Postgres).await;
    let second = {
        let options = Options {
            node: "chat-2",
            secret_file: Some(first.secret_file()),
            files: Some(first.files()),
            ..Options::default()
        };
        World::on(
            tempfile::tempdir().unwrap(),
            first.database.clone(),
            options,
        )
        .await
    };
    let room = first.room().await;
    let mut reader = second.connect("u-2").await;
    reader.subscribe(&room, None).await;
    for n in 1..=5 {
        first.say("u-1", &room, &format!("message {n}")).await;
    }
    for seq in 1..=5 {
        assert_eq!(reader.next_of("message").await["room_seq"], seq);
    }
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_made_on_one_node_is_there_on_the_other() {
    let (first, second) = pair().await;
    let category = first.category(json!({"name": "Made here"})).await;
    let room = first.room_in(&category, json!({"name": "Shared"})).await;
    let path = format!("/v1/rooms/{room}");
    for (user, role) in [("u-1", "manager"), ("u-2", "member")] {
        let member = format!("{path}/members/{user}");
        first
            .put("admin", &member, json!({"role": role}))
            .await
            .expect(201);
    }
    let message = first.say("u-1", &room, "made on the first").await;
    // The room with its settings, its members with their roles and rights, what was said.
    let seen = second.get("u-2", &path).await.expect(200);
    assert_eq!(
        (&seen["name"], &seen["category_name"], &seen["role"]),
        (&json!("Shared"), &json!("Made here"), &json!("member"))
    );
    let path_of_members = format!("{path}/members");
    let members = second.get("u-1", &path_of_members).await.expect(200);
    assert_eq!(
        members,
        first.get("u-1", &path_of_members).await.expect(200)
    );
    assert_eq!(members.as_array().unwrap().len(), 3);
    second.get("u-3", &path).await.expect_status(200);
    second
        .get("u-3", &format!("{path}/messages"))
        .await
        .expect(403);
    second.say("u-2", &room, "made on the second").await;
    for node in [&first, &second] {
        let history = node
            .get("u-2", &format!("{path}/messages"))
            .await
            .expect(200);
        assert_eq!(history[0]["id"], message["id"]);
        assert_eq!(
            (&history[0]["body"], &history[1]["body"]),
            (&json!("made on the first"), &json!("made on the second"))
        );
    }
    let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 253) as u8).collect();
    let form = Form::new().part("file", Part::bytes(bytes.clone()).file_name("plan.pdf"));
    let file = first
        .send(
            first
                .request(Method::POST, "u-1", &format!("/v1/rooms/{room}/files"))
                .multipart(form),
        )
        .await
        .expect(201);
    let path = format!("/v1/files/{}", file["id"].as_str().unwrap());
    let token = first
        .post("u-1", &format!("{path}/token"), json!({}))
        .await
        .expect(200)["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let download = second
        .send(second.anonymous(Method::GET, &format!("{path}?token={token}")))
        .await;
    assert_eq!((download.status, download.bytes == bytes), (200, true));
    let hash = hex::encode(Sha256::digest(&download.bytes));
    assert_eq!(file["sha256"], hash);
    assert_eq!(download.headers["etag"], format!("\"{hash}\"").as_str());
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_others_took_for_dead_is_what_it_was_and_keeps_its_users() {
    let world = World::start(Backend::Postgres).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    let state = async || {
        let row = world.db().one("select state from nodes", args![]).await;
        row.unwrap().text(0).unwrap()
    };
    let deaths = async || {
        let sql = "select count(*) from outbox where event like '%\"chat.node.failed_over\"%'";
        let row = world.db().one(sql, args![]).await;
        row.unwrap().int(0).unwrap()
    };
    // It beats by itself, too: nothing is noted when a beat comes in between.
    let noted_down = async || {
        let before = deaths().await;
        eventually("its death to be noted", async || {
            let row = world.db().one("select beat_us from nodes", args![]).await;
            let (node, beat_us) = (world.node(), row.unwrap().int(0).unwrap());
            let noted = registry::note_death(node, &node.name, &node.run_id, beat_us);
            noted.await.unwrap();
            (deaths().await > before).then_some(())
        })
        .await;
    };
    let told = async |word: &str| {
        let sql = "update nodes set state = $1";
        world.db().execute(sql, args![word]).await.unwrap();
    };
    let after_a_beat = async || {
        registry::beat_once(world.node()).await.unwrap();
        state().await
    };
    noted_down().await;
    assert_eq!(after_a_beat().await, "active");
    client.subscribe(&room, None).await;
    // What an administrator says just before is not lost, though the node had no beat to see it.
    told("draining").await;
    noted_down().await;
    assert_eq!(after_a_beat().await, "draining");
    assert_eq!(client.closed().await.0, 1001);
    told("standby").await;
    assert_eq!(after_a_beat().await, "standby");
    // As a node of the version before notes it.
    told("down").await;
    assert_eq!(after_a_beat().await, "standby");
}

/// Its users are served by the one thread of this runtime, which waits for another to have seen beats, and does nothing else.
#[tokio::test]
async fn a_node_whose_users_keep_its_threads_busy_tells_the_pool_that_it_lives() {
    let world = World::start(Backend::Postgres).await;
    let database = world.database.parse().unwrap();
    let elsewhere = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let db = Db::open(&database, 1).await.unwrap();
            let mut beats = BTreeSet::new();
            eventually("three beats", async || {
                let row = db.one("select beat_us from nodes", args![]).await;
                beats.insert(row.unwrap().int(0).unwrap());
                (beats.len() > 3).then_some(())
            })
            .await;
        });
    });
    elsewhere.join().unwrap();
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_takes_users_when_told_and_draining_sends_them_away() {
    let first = World::with(
        Backend::Postgres,
        Options {
            peers: true,
            ..Options::default()
        },
    )
    .await;
    let second = beside(&first, "chat-2", true).await;
    let token = second.token("u-1");
    assert!(
        Client::try_connect(&second.base, &token).await.is_err(),
        "standby"
    );
    second
        .send(second.anonymous(Method::GET, "/readyz"))
        .await
        .expect_status(503);
    let mut client = first.connect("u-1").await;
    first
        .patch(
            "admin",
            "/v1/admin/nodes/chat-2",
            json!({"state": "active"}),
        )
        .await
        .expect(204);
    let told = async {
        loop {
            let nodes = client.next_of("nodes").await;
            if nodes
                .as_array()
                .unwrap()
                .iter()
                .any(|node| node["node"] == "chat-2" && node["state"] == "active")
            {
                return nodes;
            }
        }
    };
    let nodes = tokio::time::timeout(Duration::from_secs(30), told)
        .await
        .unwrap();
    assert_eq!(nodes[1]["url"], second.base);
    let mut nodes = second.node().nodes.subscribe();
    let active = nodes.wait_for(|nodes| {
        nodes
            .iter()
            .any(|node| node.node == "chat-2" && node.state == "active")
    });
    tokio::time::timeout(Duration::from_secs(30), active)
        .await
        .unwrap()
        .map(drop)
        .unwrap();
    second
        .patch(
            "admin",
            "/v1/admin/nodes/chat-1",
            json!({"state": "draining"}),
        )
        .await
        .expect(204);
    assert_eq!(client.closed().await.0, 1001);
    assert!(Client::try_connect(&first.base, &token).await.is_err());
    second.connect("u-1").await;
    first.get("admin", "/v1/admin/nodes").await.expect(200);
    second
        .patch(
            "admin",
            "/v1/admin/nodes/chat-7",
            json!({"state": "active"}),
        )
        .await
        .expect(404);
    second.stop().await;
    first.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_noted_once_and_the_outbox_goes_on() {
    let (first, second) = pair().await;
    let third = beside(&first, "chat-3", false).await;
    let room = first.room().await;
    first.say("u-1", &room, "before").await;
    let (folder, _database) = first.stop().await;
    // Stopped in order, it is down without having died; another that was killed has only stopped to beat.
    let sql = "update nodes set state = 'active' where id = 'chat-1'";
    second.db().execute(sql, args![]).await.unwrap();
    let failed = "select count(*) from outbox where event like '%chat.node.failed_over%'";
    second.until(failed, 1).await;
    second.say("u-1", &room, "after").await;
    second
        .until("select count(*) from outbox where sequence is null", 0)
        .await;
    let dense = "select max(sequence) - count(*) from outbox";
    assert_eq!(second.count(dense).await, 0);
    assert_eq!(second.count("select count(*) from outbox_origins").await, 1);
    let leading = [&second, &third]
        .iter()
        .filter(|world| {
            world
                .node()
                .backlog
                .leading
                .load(std::sync::atomic::Ordering::Relaxed)
        })
        .count();
    assert_eq!(leading, 1);
    assert_eq!(second.count(failed).await, 1);
    third.stop().await;
    second.stop().await;
    drop(folder);
}
