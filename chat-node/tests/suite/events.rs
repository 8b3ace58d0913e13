//! Every event type of the contract that a node can cause leaves by the outbox, as the contract has it.

use std::collections::BTreeSet;
use std::time::Duration;

use holdfast_chat_node::args;
use holdfast_chat_node::db::Db;
use holdfast_schemas::event_type::{KNOWN, QUARANTINED};
use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, World};

/// Does everything that a user or administrator can do.
async fn everything(world: &World) {
    let category = world.category(json!({})).await;
    world
        .patch(
            "admin",
            &format!("/v1/categories/{category}"),
            json!({"name": "renamed"}),
        )
        .await
        .expect(200);
    let room = world.room_in(&category, json!({"privacy": "open"})).await;
    let at = |path: &str| format!("/v1/rooms/{room}{path}");
    world
        .patch("admin", &at(""), json!({"description": "described"}))
        .await
        .expect(200);
    world
        .patch("admin", &at(""), json!({"disabled": true}))
        .await
        .expect(200);
    world
        .patch("admin", &at(""), json!({"disabled": false}))
        .await
        .expect(200);
    world
        .put("admin", &at("/members/u-2"), json!({"role": "presenter"}))
        .await
        .expect(201);
    world.delete("admin", &at("/members/u-2")).await.expect(204);

    let mut client = world.connect("u-1").await;
    client.subscribe(&room, None).await;
    let first = world.say("u-1", &room, "first").await;
    let second = world.say("u-1", &room, "second").await;
    let message = format!("/v1/messages/{}", first["id"].as_str().unwrap());
    world
        .patch("u-1", &message, json!({"body": "edited"}))
        .await
        .expect(200);
    world
        .put("u-2", &format!("{message}/reactions/+1"), Value::Null)
        .await
        .expect(204);
    world
        .delete("u-2", &format!("{message}/reactions/+1"))
        .await
        .expect(204);
    world.delete("u-1", &message).await.expect(204);
    world.get("u-2", &at("/messages")).await.expect(200);
    world.get("u-2", "/v1/search?q=second").await.expect(200);
    let form = reqwest::multipart::Form::new().part(
        "file",
        reqwest::multipart::Part::bytes(b"bytes".to_vec()).file_name("plan.txt"),
    );
    let file = world
        .send(
            world
                .request(Method::POST, "u-1", &at("/files"))
                .multipart(form),
        )
        .await
        .expect(201);
    let download = world
        .get(
            "u-2",
            &format!("/v1/files/{}", file["id"].as_str().unwrap()),
        )
        .await;
    assert_eq!(
        (download.status, download.bytes.as_slice()),
        (200, b"bytes".as_slice())
    );
    let replace =
        json!({"room": room, "words": "second", "replacement": "[removed]", "reason": "policy"});
    assert_eq!(
        world
            .post("admin", "/v1/admin/replace", replace)
            .await
            .expect(200)["messages"],
        1
    );
    let until = second["time"].as_str().unwrap();
    world
        .post(
            "admin",
            "/v1/admin/purge",
            json!({"room": room, "before": until}),
        )
        .await
        .expect(200);
    client.send(json!({"unsubscribe": {"room": room}})).await;

    let mut renamed = world.claims("u-2");
    renamed.name = Some("Another Name".into());
    let request = world
        .anonymous(Method::GET, "/v1/me")
        .bearer_auth(world.sign(&renamed));
    world.send(request).await.expect(200);
    world.disable("u-2").await;
    world
        .delete("admin", "/v1/admin/users/u-2")
        .await
        .expect(204);
    // Before the room is gone: who left it, and its snapshot.
    world
        .until(
            "select count(*) from outbox where event like '%chat.room.left%'",
            1,
        )
        .await;
    world
        .until(
            "select count(distinct room_id) from outbox where event like '%chat.room.snapshot%'",
            1,
        )
        .await;
    world.delete("admin", &at("")).await.expect(204);
    world
        .delete("admin", &format!("/v1/categories/{category}"))
        .await
        .expect(204);
}

async fn every_type_of_the_contract_is_emitted(backend: Backend) {
    let world = World::start(backend).await;
    everything(&world).await;
    let sql = "insert into nodes (id, run_id, client_url, peer_address, state, version, started_us, beat_us) \
               values ('chat-9', 'run', 'http://127.0.0.1:1', '', 'active', '0', 1, 1)";
    world.db().execute(sql, args![]).await.unwrap();
    world
        .until(
            "select count(*) from outbox where event like '%chat.node.failed_over%'",
            1,
        )
        .await;
    let (folder, database) = world.stop().await;

    let db = Db::open(&database.parse().unwrap(), 2).await.unwrap();
    let rows = db
        .all(
            "select event, origin, sequence from outbox order by sequence",
            args![],
        )
        .await
        .unwrap();
    let mut seen = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for (index, row) in rows.iter().enumerate() {
        let sequence = u64::try_from(row.int(2).unwrap()).unwrap();
        assert_eq!(
            sequence,
            index as u64 + 1,
            "stopping leaves nothing without a sequence"
        );
        let whole = holdfast_schemas::outbox::complete(
            &row.text(0).unwrap(),
            &row.text(1).unwrap(),
            sequence,
        )
        .unwrap();
        let event = holdfast_schemas::decode::decode(&whole)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&whole)));
        assert!(ids.insert(event.id.to_string()), "an id was used twice");
        let known = KNOWN
            .iter()
            .find(|known| known.name == event.event_type)
            .expect("a type of the contract");
        assert_eq!(event.room.id.is_some(), known.room_bound, "{}", known.name);
        assert!(event.source.starts_with("/pools/main/nodes/"));
        seen.insert(known.name);
    }
    let expected: BTreeSet<&str> = KNOWN
        .iter()
        .map(|known| known.name)
        .filter(|name| *name != QUARANTINED)
        .collect();
    assert_eq!(seen, expected);
    db.close().await;
    drop(folder);
}

async fn a_changed_group_tells_who_may_read_now(backend: Backend) {
    let world = World::start(backend).await;
    let category = world
        .category(json!({"allowed": ["group:legal", "admin"]}))
        .await;
    let room = world.room_in(&category, json!({"privacy": "open"})).await;
    let snapshots = "select count(*) from outbox where event like '%chat.room.snapshot%'";
    world.until(snapshots, 1).await;
    let mut claims = world.claims("u-1");
    claims.groups = vec!["legal".into()];
    world
        .send(
            world
                .anonymous(Method::GET, "/v1/me")
                .bearer_auth(world.sign(&claims)),
        )
        .await
        .expect(200);
    world.until(snapshots, 2).await;
    let last = world.events_of("chat.room.snapshot").await.pop().unwrap();
    assert_eq!(last["subject"], room.as_str());
    let members: Vec<&str> = last["data"]["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["id"].as_str().unwrap())
        .collect();
    assert_eq!(members, ["admin", "u-1"], "the group is resolved");
    claims.groups.clear();
    world
        .send(
            world
                .anonymous(Method::GET, "/v1/me")
                .bearer_auth(world.sign(&claims)),
        )
        .await
        .expect(200);
    world.until(snapshots, 3).await;
    let last = world.events_of("chat.room.snapshot").await.pop().unwrap();
    assert_eq!(last["data"]["members"].as_array().unwrap().len(), 1);
    tokio::time::timeout(Duration::from_secs(30), world.stop())
        .await
        .unwrap();
}

on_both!(
    every_type_of_the_contract_is_emitted,
    a_changed_group_tells_who_may_read_now
);
