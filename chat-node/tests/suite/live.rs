//! WebSockets: CH-2 across reconnects, bounded queues, rosters, drain.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use holdfast_chat_node::args;
use holdfast_chat_node::limits::{FRAME_BYTES_MAX, ROSTER_STOP};
use holdfast_chat_node::settings::Limits;
use reqwest::Method;
use serde_json::json;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::on_both;
use crate::support::{Backend, Client, Options, World, eventually};

async fn a_browser_offers_its_token_behind_the_subprotocol(backend: Backend) {
    let world = World::start(backend).await;
    let token = world.token("u-1");
    let connected = Client::try_connect_as_browser(&world.base, &token).await;
    let mut client = connected.unwrap();
    assert!(client.next().await["nodes"].is_array());
    assert!(
        Client::try_connect_as_browser(&world.base, "no-token")
            .await
            .is_err()
    );
}

async fn every_end_of_a_connection_is_said_with_its_code(backend: Backend) {
    let world = World::start(backend).await;
    let mut polite = world.connect("u-1").await;
    let bye = CloseFrame {
        code: CloseCode::Normal,
        reason: "bye".into(),
    };
    polite.socket.close(Some(bye)).await.unwrap();
    assert_eq!(polite.closed().await, (1000, "bye".to_owned()));

    let mut long = world.connect("u-1").await;
    let text = "x".repeat(FRAME_BYTES_MAX + 1);
    let _broken_off = long.socket.send(Message::text(text)).await;
    assert_eq!(long.closed().await.0, 1009);

    let mut no_text = world.connect("u-1").await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    no_text.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(no_text.closed().await.0, 1007);
}

async fn ch2_no_gap_and_no_repeat_across_reconnects(backend: Backend) {
    let world = Arc::new(World::start(backend).await);
    let room = world.room().await;
    const MESSAGES: i64 = 300;
    let writer = {
        let (world, room) = (Arc::clone(&world), room.clone());
        tokio::spawn(async move {
            let mut client = world.connect("u-writer").await;
            for n in 1..=MESSAGES {
                client
                    .post(&room, &format!("message {n}"), &format!("c-{n}"))
                    .await;
                if n % 16 == 0 {
                    for _ack in 0..16 {
                        client.next_of("ack").await;
                    }
                }
            }
        })
    };
    // Readers that come and go in the middle of it, each with what it saw last.
    let readers = (0..4_usize).map(|reader| {
        let (world, room) = (Arc::clone(&world), room.clone());
        tokio::spawn(async move {
            let mut seen = Vec::new();
            while seen.last() != Some(&MESSAGES) {
                let mut client = world.connect(&format!("u-{reader}")).await;
                client.send(json!({"subscribe": {"room": room, "after_seq": seen.last().copied().unwrap_or(0)}})).await;
                for _frame in 0..20 + 13 * reader {
                    seen.push(client.next_of("message").await["room_seq"].as_i64().unwrap());
                    if seen.last() == Some(&MESSAGES) {
                        break;
                    }
                }
            }
            seen
        })
    });
    let readers: Vec<_> = readers.collect();
    tokio::time::timeout(Duration::from_secs(120), async {
        writer.await.unwrap();
        for reader in readers {
            assert_eq!(reader.await.unwrap(), (1..=MESSAGES).collect::<Vec<i64>>());
        }
    })
    .await
    .unwrap();
}

async fn joining_shows_the_last_entries_and_is_an_event(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    for n in 1..=35 {
        world.say("u-1", &room, &format!("message {n}")).await;
    }
    let mut client = world.connect("u-2").await;
    client
        .send(json!({"subscribe": {"room": room, "endpoint": "desktop"}}))
        .await;
    let joined = client.next().await;
    assert_eq!(
        (
            &joined["joined"]["last_seq"],
            &joined["joined"]["participants"]
        ),
        (&json!(35), &json!(1))
    );
    assert_eq!(client.next().await["message"]["room_seq"], 6);
    for _rest in 7..=35 {
        client.next_of("message").await;
    }
    client.send(json!({"subscribe": {"room": room}})).await;
    assert_eq!(client.next_of("error").await["status"], 409);
    for (after, status) in [(36, 400), (-1, 400)] {
        let mut other = world.connect("u-3").await;
        other
            .send(json!({"subscribe": {"room": room, "after_seq": after}}))
            .await;
        assert_eq!(other.next_of("error").await["status"], status);
    }
    drop(client);
    world
        .until(
            "select count(*) from outbox where event like '%chat.room.left%'",
            1,
        )
        .await;
    let joined = world.events_of("chat.room.joined").await.remove(0);
    let left = world.events_of("chat.room.left").await.remove(0);
    assert_eq!(
        (&joined["data"]["endpoint"], &joined["data"]["session"]),
        (&json!("desktop"), &left["data"]["session"])
    );
    let viewed = world.events_of("chat.history.viewed").await;
    assert_eq!(
        (&viewed[0]["data"]["from_seq"], &viewed[0]["data"]["to_seq"]),
        (&json!(6), &json!(35))
    );
}

async fn a_slow_reader_is_disconnected_with_a_reason(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut slow = world.connect("u-slow").await;
    slow.subscribe(&room, None).await;
    let mut quick = world.connect("u-quick").await;
    quick.subscribe(&room, None).await;
    // More than the queue and the sockets' buffers hold, none of it read.
    let body = "x".repeat(200 * 1024);
    let mut posted = 0;
    while world.node().connections.count() == 2 {
        assert!(posted < 400, "a client that reads nothing is still there");
        world.say("u-1", &room, &body).await;
        posted += 1;
        quick.next_of("message").await;
    }
    let (code, reason) = slow.closed().await;
    assert!(code == 4008 || code == 0, "{code} {reason}");
    let metrics = world
        .send(world.anonymous(reqwest::Method::GET, "/metrics"))
        .await;
    let text = String::from_utf8(metrics.bytes).unwrap();
    assert!(
        text.contains("holdfast_chat_connections_ended_total{reason=\"slow\"} 1"),
        "{text}"
    );
    // What it missed is there when it comes back.
    let mut again = world.connect("u-slow").await;
    again.subscribe(&room, Some(0)).await;
    for n in 1..=posted {
        assert_eq!(again.next_of("message").await["room_seq"], n);
    }
}

/// The event of a join could not be written: nobody joined, and the same connection may ask again.
async fn a_join_that_was_not_written_may_be_asked_for_again(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    let rename = async |sql: &'static str| world.db().execute(sql, args![]).await.unwrap();
    rename("alter table outbox rename to outbox_away").await;
    client.send(json!({"subscribe": {"room": room}})).await;
    let refused = client.next_of("error").await;
    assert_eq!(
        (&refused["of"], &refused["status"]),
        (&json!("subscribe"), &json!(503)),
        "{refused}"
    );
    assert_eq!(world.node().hub.participants(&room), 0);
    rename("alter table outbox_away rename to outbox").await;
    client.send(json!({"subscribe": {"room": room}})).await;
    let answer = client.next().await;
    assert_eq!(answer["joined"]["participants"], 1, "{answer}");
    world.say("u-2", &room, "welcome").await;
    assert_eq!(client.next_of("message").await["body"], "welcome");
    assert_eq!(world.events_of("chat.room.joined").await.len(), 1);
}

async fn a_flood_of_frames_ends_the_connection(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    for _frame in 0..2000 {
        let ack = json!({"ack": {"room": room, "room_seq": 1}}).to_string();
        if client.socket.send(Message::text(ack)).await.is_err() {
            break;
        }
    }
    let (code, reason) = client.closed().await;
    // The close frame may be lost behind a reset: what was still sent met a closed socket.
    assert!(code == 1008 || code == 0, "{code} {reason}");
}

async fn odd_frames_are_answered_and_harm_nobody(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    for odd in [
        "",
        "{",
        "[]",
        "{}",
        "null",
        r#"{"subscribe": {"room": 7}}"#,
        r#"{"subscribe": {"room": "r", "surprise": 1}}"#,
        r#"{"shout": {}}"#,
        r#"{"post": {"room": "r"}, "ack": {"room": "r", "room_seq": 1}}"#,
        r#"{"post": {"body": "no room"}}"#,
    ] {
        client.socket.send(Message::text(odd)).await.unwrap();
        assert_eq!(client.next().await["error"]["status"], 400, "{odd}");
    }
    client
        .socket
        .send(Message::binary(vec![1_u8, 2, 3]))
        .await
        .unwrap();
    assert_eq!(client.next().await["error"]["status"], 400);
    for (frame, status) in [
        (json!({"subscribe": {"room": "r-none"}}), 404),
        (json!({"unsubscribe": {"room": "r-none"}}), 400),
        (
            json!({"post": {"room": "r-none", "body": "x", "client_id": "c"}}),
            404,
        ),
        (json!({"subscribe": {"room": room, "history": 501}}), 400),
    ] {
        client.send(frame.clone()).await;
        assert_eq!(client.next().await["error"]["status"], status, "{frame}");
    }
    // Refused before it is whole: the sending may already meet a closed socket.
    let _cut_off = client
        .socket
        .send(Message::text("x".repeat(2 * 1024 * 1024)))
        .await;
    client.closed().await;
    world.connect("u-1").await.subscribe(&room, None).await;
}

async fn rosters_are_told_in_small_rooms_only(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut watcher = world.connect("u-watcher").await;
    watcher.subscribe(&room, None).await;
    let mut crowd: BTreeMap<usize, Client> = BTreeMap::new();
    for n in 1..=ROSTER_STOP + 5 {
        let mut client = world.connect(&format!("u-{n}")).await;
        client.subscribe(&room, None).await;
        crowd.insert(n, client);
    }
    world.say("u-1", &room, "here we are").await;
    let mut told = Vec::new();
    loop {
        let frame = watcher.next().await;
        if frame.get("message").is_some() {
            break;
        }
        if frame["event"]["kind"] == "joined" {
            told.push(frame["event"]["participants"].as_u64().unwrap());
        }
    }
    assert_eq!(told, (2..=ROSTER_STOP as u64).collect::<Vec<u64>>());
    let seen = world
        .get("admin", &format!("/v1/rooms/{room}"))
        .await
        .expect(200);
    assert_eq!(seen["participants"], ROSTER_STOP + 6);
    crowd.clear();
    let left = async {
        loop {
            let frame = watcher.next().await;
            if frame["event"]["kind"] == "left" {
                return frame["event"]["participants"].as_u64().unwrap();
            }
        }
    };
    // Several leave at the same time: who is told first may have left with the next.
    let left = left.await;
    assert!(
        (50..60).contains(&left),
        "the first that is told after the silence: {left}"
    );
}

async fn disabling_disconnects_everybody(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world
        .put(
            "admin",
            &format!("/v1/rooms/{room}/members/u-1"),
            json!({"role": "member"}),
        )
        .await
        .expect(201);
    let mut client = world.connect("u-1").await;
    client.subscribe(&room, None).await;
    world
        .patch(
            "admin",
            &format!("/v1/rooms/{room}"),
            json!({"disabled": true}),
        )
        .await
        .expect(200);
    assert_eq!(client.next_of("event").await["kind"], "removed");
    world
        .patch(
            "admin",
            &format!("/v1/rooms/{room}"),
            json!({"disabled": false}),
        )
        .await
        .expect(200);
    client.subscribe(&room, None).await;
    world.say("u-1", &room, "again").await;
    assert_eq!(client.next_of("message").await["body"], "again");
    world
        .delete("admin", &format!("/v1/rooms/{room}/members/u-1"))
        .await
        .expect(204);
    world.say("admin", &room, "still open to everybody").await;
    assert_eq!(
        client.next_of("message").await["body"],
        "still open to everybody"
    );
    world.close(&room).await;
    assert_eq!(client.next_of("event").await["kind"], "removed");
}

async fn invitations_reach_whom_they_invite(backend: Backend) {
    let world = World::start(backend).await;
    let category = world.category(json!({})).await;
    let (room, quiet) = (
        world.room_in(&category, json!({})).await,
        world
            .room_in(&category, json!({"invitations": "off"}))
            .await,
    );
    let mut client = world.connect("u-1").await;
    for room in [&quiet, &room] {
        world
            .put(
                "admin",
                &format!("/v1/rooms/{room}/members/u-1"),
                json!({"role": "member"}),
            )
            .await
            .expect(201);
    }
    let event = client.next_of("event").await;
    assert_eq!(
        (&event["kind"], &event["room"]),
        (&json!("invited"), &json!(room))
    );
}

async fn ch1_drain_answers_what_was_accepted(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    let mut client = world.connect("u-1").await;
    client.subscribe(&room, None).await;
    for n in 0..40 {
        client
            .post(&room, &format!("message {n}"), &format!("c-{n}"))
            .await;
    }
    // Some are committed, some on their way when the node is told to end.
    client.next_of("ack").await;
    let (base, token) = (world.base.clone(), world.token("u-1"));
    let stopping = tokio::spawn(world.stop());
    let mut acknowledged = 1;
    let code = loop {
        match tokio::time::timeout(Duration::from_secs(30), client.socket.next())
            .await
            .unwrap()
        {
            Some(Ok(Message::Text(text))) => acknowledged += usize::from(text.contains("\"ack\"")),
            Some(Ok(Message::Close(Some(close)))) => break u16::from(close.code),
            Some(Ok(_other)) => {}
            Some(Err(_)) | None => break 0,
        }
    };
    assert_eq!(code, 1001);
    let (folder, database) = stopping.await.unwrap();
    assert!(matches!(
        Client::try_connect(&base, &token).await,
        Err(Error::Io(_) | Error::Http(_))
    ));
    let db = holdfast_chat_node::db::Db::open(&database.parse().unwrap(), 2)
        .await
        .unwrap();
    let kept = db
        .one("select count(*) from messages", Vec::new())
        .await
        .unwrap()
        .int(0)
        .unwrap();
    assert!(
        usize::try_from(kept).unwrap() >= acknowledged,
        "{kept} of {acknowledged} acknowledged posts are there"
    );
    let events = db
        .one(
            "select count(*) from outbox where event like '%chat.message.posted%'",
            Vec::new(),
        )
        .await
        .unwrap()
        .int(0)
        .unwrap();
    assert_eq!(events, kept);
    db.close().await;
    drop(folder);
}

async fn one_user_has_so_many_connections_and_no_more(backend: Backend) {
    let options = Options::default();
    let limits = Limits {
        connections: 2,
        ..options.limits
    };
    let world = World::with(backend, Options { limits, ..options }).await;
    let room = world.room().await;
    let mut first = world.connect("u-1").await;
    let second = world.connect("u-1").await;
    let token = world.token("u-1");
    // Those that are refused take no place, however many they are.
    for _attempt in 0..3 {
        let mut third = Client::try_connect(&world.base, &token).await.unwrap();
        let (code, reason) = third.closed().await;
        assert_eq!(code, 4029, "{reason}");
        assert!(reason.contains("as many connections"), "{reason}");
    }
    let metrics = world.send(world.anonymous(Method::GET, "/metrics")).await;
    let text = String::from_utf8(metrics.bytes).unwrap();
    let counted = "holdfast_chat_connections_ended_total{reason=\"too_many\"} 3\n";
    assert!(text.contains(counted), "{text}");
    // The others are not disturbed, and other users come in.
    first.subscribe(&room, None).await;
    world.connect("u-2").await.subscribe(&room, None).await;
    drop(second);
    let taken = async || {
        let mut third = Client::try_connect(&world.base, &token).await.unwrap();
        third.send(json!({"subscribe": {"room": room}})).await;
        // Joined, or closed.
        loop {
            match third.socket.next().await {
                Some(Ok(Message::Text(text))) if text.contains("\"joined\"") => return Some(()),
                Some(Ok(Message::Text(_other))) => {}
                _closed => return None,
            }
        }
    };
    eventually("a place becomes free", taken).await;
}

on_both!(
    one_user_has_so_many_connections_and_no_more,
    a_browser_offers_its_token_behind_the_subprotocol,
    every_end_of_a_connection_is_said_with_its_code,
    ch2_no_gap_and_no_repeat_across_reconnects,
    joining_shows_the_last_entries_and_is_an_event,
    a_slow_reader_is_disconnected_with_a_reason,
    a_join_that_was_not_written_may_be_asked_for_again,
    a_flood_of_frames_ends_the_connection,
    odd_frames_are_answered_and_harm_nobody,
    rosters_are_told_in_small_rooms_only,
    disabling_disconnects_everybody,
    invitations_reach_whom_they_invite,
    ch1_drain_answers_what_was_accepted,
);
