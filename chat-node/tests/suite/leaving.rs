//! Leaving, and being put out: told once, to everybody, and kept so in SQL and outbox.

use std::collections::BTreeMap;

use holdfast_chat_node::args;
use reqwest::Method;
use serde_json::{Value, json};

use crate::on_both;
use crate::support::{Backend, Client, World, eventually};

/// Joins and leaves of a user, each with its session, in the order of the outbox.
async fn presence(world: &World, user: &str) -> Vec<(String, String)> {
    let events = world.events().await.into_iter();
    let own = events.filter(|event| event["data"]["actor"]["id"] == user);
    let of = |event: &Value| {
        let kind = event["type"].as_str()?.strip_prefix("chat.room.")?;
        let session = event["data"]["session"].as_str()?;
        Some((session.to_owned(), kind.to_owned()))
    };
    own.filter_map(|event| of(&event)).collect()
}

/// The next event of this kind; others are skipped.
async fn event_of(client: &mut Client, kind: &str) -> Value {
    loop {
        let event = client.next_of("event").await;
        if event["kind"] == kind {
            return event;
        }
    }
}

/// Whatever puts somebody out of a room, they have left it when they are told so: once, and for the others too.
async fn who_is_put_out_has_left(backend: Backend) {
    let world = World::start(backend).await;
    let own = world.category(json!({})).await;
    let other = world.category(json!({"denied": ["u-1"]})).await;
    let room = world.room_in(&own, json!({"privacy": "open"})).await;
    let (category, path) = (format!("/v1/categories/{own}"), format!("/v1/rooms/{room}"));
    let member = format!("{path}/members/u-1");
    let put = |path: &str, body: Value| (Method::PUT, path.to_owned(), body);
    let patch = |path: &str, body: Value| (Method::PATCH, path.to_owned(), body);
    let enter = || put(&member, json!({"role": "member"}));
    let ways = [
        (
            "closed",
            patch(&path, json!({"privacy": "closed"})),
            vec![enter()],
        ),
        (
            "removed as a member",
            (Method::DELETE, member.clone(), Value::Null),
            vec![enter()],
        ),
        (
            "behind a wall",
            patch(&category, json!({"denied": ["u-1"]})),
            vec![patch(&category, json!({"denied": []})), enter()],
        ),
        (
            "disabled",
            patch(&path, json!({"disabled": true})),
            vec![patch(&path, json!({"disabled": false}))],
        ),
        (
            "moved",
            patch(&path, json!({"category": other})),
            vec![patch(&path, json!({"category": own}))],
        ),
    ];
    let act = async |(method, path, body): (Method, String, Value)| {
        let request = world.request(method, "admin", &path).json(&body);
        world.send(request).await.expect_success();
    };
    let (mut watcher, mut client) = (world.connect("admin").await, world.connect("u-1").await);
    watcher.subscribe(&room, None).await;
    let mut expected = Vec::new();
    for (how, out, back) in ways {
        let disabled = how == "disabled";
        client.subscribe(&room, None).await;
        assert_eq!(event_of(&mut watcher, "joined").await["participants"], 2);
        act(out).await;
        event_of(&mut client, "removed").await;
        expected.extend(["joined", "left"]);
        let seen = presence(&world, "u-1").await;
        let kinds: Vec<&str> = seen.iter().map(|(_session, kind)| kind.as_str()).collect();
        assert_eq!(kinds, expected, "{how}");
        if disabled {
            event_of(&mut watcher, "removed").await;
        } else {
            let left = event_of(&mut watcher, "left").await;
            assert_eq!(
                (&left["user"]["id"], &left["participants"]),
                (&json!("u-1"), &json!(1)),
                "{how}"
            );
        }
        for step in back {
            act(step).await;
        }
        if disabled {
            watcher.subscribe(&room, None).await;
        }
    }
    // Of a disconnect after that nothing more comes.
    client.send(json!({"unsubscribe": {"room": room}})).await;
    drop(client);
    let gone = async || (world.node().connections.count() == 1).then_some(());
    eventually("the connection is over", gone).await;
    let seen = presence(&world, "u-1").await;
    assert_eq!(seen.len(), expected.len());
    assert!(seen.iter().all(|(session, _kind)| *session == seen[0].0));
}

/// Joins, as often as it takes: while a connection is being put out it is refused.
async fn join(client: &mut Client, room: &str) {
    let joined = async || {
        client.send(json!({"subscribe": {"room": room}})).await;
        loop {
            let frame = client.next().await;
            if frame.get("joined").is_some() {
                return Some(());
            }
            if frame.get("error").is_some() {
                return None;
            }
        }
    };
    eventually("nobody is put out any more", joined).await;
}

/// A room is closed while its subscriber unsubscribes or disconnects, and opened again: whoever of both was first, each join has one leave behind it.
async fn who_leaves_while_being_put_out_has_left_once(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}");
    let mut client = world.connect("u-1").await;
    for round in 0..24 {
        join(&mut client, &room).await;
        if round % 3 == 0 {
            let (_closed, ()) = tokio::join!(client.socket.close(None), world.close(&room));
            client = world.connect("u-1").await;
        } else {
            let unsubscribe = json!({"unsubscribe": {"room": room}});
            tokio::join!(client.send(unsubscribe), world.close(&room));
        }
        let open = json!({"privacy": "open"});
        world.patch("admin", &path, open).await.expect(200);
    }
    drop(client);
    let settled = async || {
        let (mut sessions, mut joins) = (BTreeMap::<String, Vec<String>>::new(), 0);
        for (session, kind) in presence(&world, "u-1").await {
            joins += usize::from(kind == "joined");
            sessions.entry(session).or_default().push(kind);
        }
        let whole = |kinds: &Vec<String>| kinds.chunks(2).all(|pair| pair == ["joined", "left"]);
        (joins == 24 && sessions.values().all(whole)).then_some(())
    };
    eventually("each join with its leave behind it", settled).await;
    assert_eq!(world.node().hub.participants(&room), 0);
}

/// A room is closed after somebody was admitted and before they were in it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_lost_the_right_while_joining_is_not_in_the_room() {
    let world = World::start(Backend::Postgres).await;
    let room = world.room().await;
    world.say("admin", &room, "for whoever may be here").await;
    let mut client = world.connect("u-1").await;
    // Whoever was admitted is asked for here until the lock is gone.
    let mut tx = world.db().begin().await.unwrap();
    for sql in [
        "set local idle_in_transaction_session_timeout = 0",
        "lock table messages in access exclusive mode",
    ] {
        tx.execute(sql, args![]).await.unwrap();
    }
    client.send(json!({"subscribe": {"room": room}})).await;
    let waiting =
        "select count(*) from pg_locks where not granted and relation = 'messages'::regclass";
    world.until(waiting, 1).await;
    world.close(&room).await;
    drop(tx);
    let removed = event_of(&mut client, "removed").await;
    assert_eq!(removed["room"], json!(room));
    assert_eq!(world.node().hub.participants(&room), 0);
    let seen = presence(&world, "u-1").await;
    let kinds: Vec<&str> = seen.iter().map(|(_session, kind)| kind.as_str()).collect();
    assert_eq!(kinds, ["joined", "left"]);
}

on_both!(
    who_is_put_out_has_left,
    who_leaves_while_being_put_out_has_left_once,
);
