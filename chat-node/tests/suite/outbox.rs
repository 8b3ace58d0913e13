//! The outbox: dense sequences in the order of insertion, fenced, with Kafka away.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use holdfast_chat_node::args;
use holdfast_chat_node::outbox::lease::{Lease, RELAY};
use holdfast_chat_node::outbox::origin::{DIGEST_OF_NOTHING, Origin};
use holdfast_chat_node::outbox::relay::KafkaSettings;
use holdfast_chat_node::outbox::retention;
use holdfast_chat_node::outbox::sequencer::{Pass, PassContext, pass};
use holdfast_chat_node::settings::Limits;
use holdfast_schemas::outbox::{
    COUNT_UNSEQUENCED, SELECT_EVENTS, SELECT_ORIGINS, UPSERT_READER, complete,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::on_both;
use crate::support::{Backend, Options, World, eventually};

fn closed_port() -> KafkaSettings {
    // Bound and dropped: nobody listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    KafkaSettings {
        bootstrap: format!("127.0.0.1:{port}"),
        topic: "compliance.events".into(),
        properties: Vec::new(),
    }
}

/// All events of an origin as a reader gets them, with the contract's own statements.
pub(crate) async fn read(world: &World, origin: &str) -> Vec<(i64, Value)> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let rows = world
            .db()
            .all(SELECT_EVENTS, args![origin, after, 100])
            .await
            .unwrap();
        for row in &rows {
            after = row.int(0).unwrap();
            let whole =
                complete(&row.text(1).unwrap(), origin, u64::try_from(after).unwrap()).unwrap();
            events.push((after, serde_json::from_slice(&whole).unwrap()));
        }
        if rows.len() < 100 {
            return events;
        }
    }
}

pub(crate) async fn origins(world: &World) -> Vec<(String, i64)> {
    let rows = world.db().all(SELECT_ORIGINS, args![]).await.unwrap();
    rows.iter()
        .map(|row| (row.text(0).unwrap(), row.int(1).unwrap()))
        .collect()
}

async fn ar1_sequences_are_dense_and_the_digest_is_theirs(backend: Backend) {
    let world = Arc::new(World::start(backend).await);
    let room = world.room().await;
    join_all((0..200).map(|n| {
        let (world, room) = (Arc::clone(&world), room.clone());
        async move {
            world
                .say(&format!("u-{}", n % 5), &room, &format!("message {n}"))
                .await
        }
    }))
    .await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let events = read(&world, "main.1").await;
    let sequences: Vec<i64> = events.iter().map(|(sequence, _event)| *sequence).collect();
    assert_eq!(
        sequences,
        (1..=i64::try_from(sequences.len()).unwrap()).collect::<Vec<i64>>()
    );
    let order: Vec<&Value> = events
        .iter()
        .map(|(_s, event)| event)
        .filter(|event| event["type"] == "chat.message.posted")
        .collect();
    let places: Vec<i64> = order
        .iter()
        .map(|event| event["data"]["room_seq"].as_i64().unwrap())
        .collect();
    assert_eq!(
        places,
        (1..=200).collect::<Vec<i64>>(),
        "a room's events keep the room's order"
    );

    // The digest of the first heartbeat after them is what anybody computes from the events.
    let stored = world
        .db()
        .one("select digest, last_sequence from outbox_origins", args![])
        .await
        .unwrap();
    let (digest, last) = (stored.text(0).unwrap(), stored.int(1).unwrap());
    let mut rolling = hex::decode(DIGEST_OF_NOTHING).unwrap();
    let mut beats = 0;
    for (sequence, event) in read(&world, "main.1")
        .await
        .into_iter()
        .take_while(|(sequence, _event)| *sequence <= last)
    {
        if event["type"] == "chat.origin.heartbeat" {
            assert_eq!(event["data"]["through"], format!("{:020}", sequence - 1));
            assert_eq!(event["data"]["digest"], hex::encode(&rolling));
            beats += 1;
        }
        let bytes = serde_json::to_vec(&event).unwrap();
        let hash = holdfast_schemas::hash::event_hash(
            &holdfast_schemas::decode::decode(&bytes).unwrap(),
            &mut Vec::new(),
        );
        rolling = Sha256::new()
            .chain_update(&rolling)
            .chain_update(hash)
            .finalize()
            .to_vec();
    }
    assert!(beats > 0);
    assert_eq!(hex::encode(rolling), digest);
}

async fn ch1_posts_go_on_while_kafka_is_away(backend: Backend) {
    let world = World::with(
        backend,
        Options {
            kafka: Some(closed_port()),
            ..Options::default()
        },
    )
    .await;
    let room = world.room().await;
    for n in 0..50 {
        world.say("u-1", &room, &format!("message {n}")).await;
    }
    world.until(COUNT_UNSEQUENCED, 0).await;
    assert_eq!(
        world
            .count("select count(*) from outbox where delivered_us is not null")
            .await,
        0
    );
    world
        .send(world.anonymous(reqwest::Method::GET, "/readyz"))
        .await
        .expect(200);
    let grown = async || {
        let text = world
            .send(world.anonymous(reqwest::Method::GET, "/metrics"))
            .await
            .bytes;
        let text = String::from_utf8(text).unwrap();
        let rows = text.lines().find_map(|line| {
            line.strip_prefix("holdfast_chat_outbox_backlog_rows ")?
                .parse::<i64>()
                .ok()
        });
        (rows.unwrap() > 50).then_some(())
    };
    eventually("the backlog is counted", grown).await;
    // And the node ends in time, with everything in SQL.
    let (folder, database) = tokio::time::timeout(Duration::from_secs(30), world.stop())
        .await
        .unwrap();
    let db = holdfast_chat_node::db::Db::open(&database.parse().unwrap(), 2)
        .await
        .unwrap();
    assert_eq!(
        db.one(COUNT_UNSEQUENCED, args![])
            .await
            .unwrap()
            .int(0)
            .unwrap(),
        0
    );
    db.close().await;
    drop(folder);
}

async fn required_compliance_refuses_posts_while_it_is_behind(backend: Backend) {
    let limits = Limits {
        compliance_backlog_max: Some(20),
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
    let room = world.room().await;
    let path = format!("/v1/rooms/{room}/messages");
    let refused = async || {
        let answer = world.post("u-1", &path, json!({"body": "x"})).await;
        (answer.status != 201).then_some(answer)
    };
    let refused = eventually("posts are refused", refused).await.expect(503);
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("compliance is required"),
        "{refused}"
    );
    // A reader archives all of it: posting goes on.
    world
        .db()
        .execute(UPSERT_READER, args!["test", "main.1", 1_000_000_i64, 1_i64])
        .await
        .unwrap();
    let accepted = async || {
        let answer = world.post("u-1", &path, json!({"body": "x"})).await;
        (answer.status == 201).then_some(())
    };
    eventually("posting goes on", accepted).await;
}

/// Somebody else takes over for good: the node under test hears of it, and cannot sequence any more.
async fn taken_over(world: &World) -> Lease {
    let sql = "update leases set fence = fence + 1, holder = 'another', expires_us = 9000000000000000 where name = 'relay'";
    world.db().execute(sql, args![]).await.unwrap();
    let sql = "select fence from leases where name = 'relay'";
    let row = world.db().one(sql, args![]).await.unwrap();
    Lease {
        name: RELAY,
        holder: "another".into(),
        fence: row.int(0).unwrap(),
    }
}

/// Nothing is known of it yet: a pass finds out.
fn first_origin() -> Origin {
    Origin {
        name: "main.1".into(),
        incarnation: 1,
        last_sequence: 0,
        digest: DIGEST_OF_NOTHING.into(),
    }
}

/// A pass has little time: a backlog of large events that does not fit into one must not stop it for good.
async fn ar1_large_events_are_sequenced_in_several_passes(backend: Backend) {
    const LARGE: u64 = 20;
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "small").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let lease = taken_over(&world).await;
    let sql = "select event from outbox where room_id = $1 order by id desc limit 1";
    let row = world.db().one(sql, args![&room]).await.unwrap();
    let mut event: Value = serde_json::from_str(&row.text(0).unwrap()).unwrap();
    event["data"]["message"]["body"] = "x".repeat(1 << 20).into();
    for n in 0..LARGE {
        event["id"] = format!("0197c0de-0000-7000-8000-{n:012x}").into();
        let sql = "insert into outbox (room_id, event, created_us) values ($1, $2, 1)";
        let large = args![&room, event.to_string()];
        world.db().execute(sql, large).await.unwrap();
    }
    let mut origin = first_origin();
    let context = PassContext {
        lease: &lease,
        partitions: None,
        heartbeat_source: Some("a node"),
        now_us: world.node().clock.now_us(),
    };
    let mut passes = Vec::new();
    while passes.last().is_none_or(|(_, drained)| !drained) {
        match pass(world.db(), &mut origin, &context).await.unwrap() {
            Pass::Sequenced { rows, drained } => passes.push((rows, drained)),
            Pass::Fenced => panic!("nobody else leads"),
        }
    }
    assert_eq!(passes.len(), 2, "{passes:?}");
    let total: u64 = passes.iter().map(|(rows, _)| rows).sum();
    assert_eq!(
        total,
        LARGE + 1,
        "and one heartbeat, with the last: {passes:?}"
    );
    assert_eq!(world.count(COUNT_UNSEQUENCED).await, 0);
}

async fn ar1_a_zombie_whose_lease_was_taken_over_changes_nothing(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "before").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let row = world
        .db()
        .one(
            "select fence, holder from leases where name = 'relay'",
            args![],
        )
        .await
        .unwrap();
    let zombie = Lease {
        name: RELAY,
        holder: row.text(1).unwrap(),
        fence: row.int(0).unwrap(),
    };
    let holder = taken_over(&world).await;
    world.say("u-1", &room, "after").await;
    let (_, last) = origins(&world).await[0].clone();
    let mut origin = first_origin();
    let context = PassContext {
        lease: &zombie,
        partitions: None,
        heartbeat_source: Some("zombie"),
        now_us: world.node().clock.now_us(),
    };
    assert_eq!(
        pass(world.db(), &mut origin, &context).await.unwrap(),
        Pass::Fenced
    );
    assert!(
        !zombie
            .renew(world.db(), world.node().clock.as_ref())
            .await
            .unwrap()
    );
    assert_eq!(
        retention::run(world.node(), &zombie, true, Duration::ZERO)
            .await
            .unwrap(),
        0
    );
    assert_eq!(origins(&world).await[0].1, last);
    assert!(world.count(COUNT_UNSEQUENCED).await > 0);
    // The new holder goes on where the last one ended.
    let context = PassContext {
        lease: &holder,
        partitions: Some(6),
        heartbeat_source: None,
        now_us: world.node().clock.now_us(),
    };
    assert!(
        matches!(pass(world.db(), &mut origin, &context).await.unwrap(), Pass::Sequenced { rows, .. } if rows > 0)
    );
    let events = read(&world, "main.1").await;
    assert_eq!(
        events.len(),
        usize::try_from(events.last().unwrap().0).unwrap(),
        "still dense"
    );
    let partitions = "select count(distinct partition) from outbox where partition is not null and room_id is not null";
    assert_eq!(
        world.count(partitions).await,
        1,
        "a room's events share a partition"
    );
}

/// A leader that only renews with its passes would lose the lease while events gather for the next one, and another node take over from it.
async fn ch1_the_lease_lives_while_events_gather(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    // Both by one statement: a pass moves the lease and takes what has gathered in one transaction.
    let look = async || {
        let sql = "select fence, expires_us, (select count(*) from outbox where sequence is null) from leases where name = 'relay'";
        let row = world.db().one(sql, args![]).await.unwrap();
        (
            row.int(0).unwrap(),
            row.int(1).unwrap(),
            row.int(2).unwrap(),
        )
    };
    let fence = eventually("a leader", async || {
        let sql = "select fence from leases where name = 'relay'";
        let row = world.db().first(sql, args![]).await.unwrap();
        row.map(|row| row.int(0).unwrap())
    })
    .await;
    let mut seen = None;
    let holder = eventually("a renewal while an event waits for a pass", async || {
        let (holder, expires_us, waiting) = look().await;
        if waiting == 0 {
            seen = None;
            world.say("u-1", &room, "a word").await;
            return None;
        }
        let renewed = seen
            .replace(expires_us)
            .is_some_and(|seen| expires_us > seen);
        renewed.then_some(holder)
    })
    .await;
    assert_eq!(holder, fence, "somebody took over");
}

async fn delivered_rows_stay_until_every_reader_has_them(backend: Backend) {
    let world = World::start(backend).await;
    let room = world.room().await;
    world.say("u-1", &room, "one").await;
    world.until(COUNT_UNSEQUENCED, 0).await;
    let row = world
        .db()
        .one(
            "select fence, holder from leases where name = 'relay'",
            args![],
        )
        .await
        .unwrap();
    let lease = Lease {
        name: RELAY,
        holder: row.text(1).unwrap(),
        fence: row.int(0).unwrap(),
    };
    let clean = async |kafka| {
        retention::run(world.node(), &lease, kafka, Duration::ZERO)
            .await
            .unwrap()
    };
    assert_eq!(clean(false).await, 0, "nobody has read anything");
    assert_eq!(clean(true).await, 0, "Kafka has taken nothing");
    for (reader, through) in [("a", 4_i64), ("b", 2)] {
        world
            .db()
            .execute(UPSERT_READER, args![reader, "main.1", through, 1_i64])
            .await
            .unwrap();
    }
    // A reader never moves back.
    world
        .db()
        .execute(UPSERT_READER, args!["a", "main.1", 1_i64, 2_i64])
        .await
        .unwrap();
    assert_eq!(
        world
            .count("select max(through_sequence) from outbox_readers")
            .await,
        4
    );
    assert_eq!(clean(false).await, 2);
    assert_eq!(world.count("select min(sequence) from outbox").await, 3);
    world
        .db()
        .execute(
            "update outbox set delivered_us = 1 where sequence <= 4",
            args![],
        )
        .await
        .unwrap();
    world
        .db()
        .execute("delete from outbox_readers where reader = 'b'", args![])
        .await
        .unwrap();
    assert_eq!(clean(true).await, 2);
    assert_eq!(world.count("select min(sequence) from outbox").await, 5);
}

on_both!(
    ch1_the_lease_lives_while_events_gather,
    ar1_sequences_are_dense_and_the_digest_is_theirs,
    ch1_posts_go_on_while_kafka_is_away,
    required_compliance_refuses_posts_while_it_is_behind,
    ar1_a_zombie_whose_lease_was_taken_over_changes_nothing,
    ar1_large_events_are_sequenced_in_several_passes,
    delivered_rows_stay_until_every_reader_has_them,
);
