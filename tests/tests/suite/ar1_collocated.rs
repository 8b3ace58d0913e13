//! AR-1 and CH-1 without a broker: a chat node on SQLite, holdfast-ingest on its outbox, an archive beside them; all as processes.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_fixtures::chat::{Person, Seat};
use holdfast_fixtures::eventually;
use holdfast_tests::archived::Place;
use holdfast_tests::chat::{ChatNode, Sink, Stage, post_quickly};
use holdfast_tests::program::Daemon;
use rand::RngExt;
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    stage: Stage,
    node: ChatNode,
    sink: Sink,
    room: String,
}

impl World {
    async fn new() -> Self {
        let stage = Stage::sqlite();
        let node = stage.start("chat-1").await;
        let sink = Sink::new(format!("outbox:{}", stage.database)).with_attachments(&stage.files());
        let admin = stage.person(&node, "admin");
        let category = admin.create_category("projects", json!({})).await.unwrap();
        let open = json!({"privacy": "open"});
        let room = admin.create_room("launch", &category, open).await.unwrap();
        Self {
            stage,
            node,
            sink,
            room,
        }
    }

    fn person(&self, sub: &str) -> Person {
        self.stage.person(&self.node, sub)
    }

    /// What is left is archived; then SQL and archive are held against each other: the same ids at the same places, each once.
    async fn assert_archived(&self, context: &str) {
        let _ = self.sink.drain();
        let archived = self.sink.archived().await;
        let truth = self.stage.truth().await;
        truth.assert_archived(&archived, context);
        // A node that runs adds a heartbeat now and then, which may be younger than the drain.
        let through = |origin: &str| {
            let own = archived.rows.iter().filter(|row| row.place.0 == origin);
            own.map(|row| row.place.1).max().unwrap_or(0)
        };
        let all: BTreeMap<Place, String> = truth
            .events
            .iter()
            .filter(|((origin, sequence), event)| {
                event.event_type != "chat.origin.heartbeat" || *sequence <= through(origin)
            })
            .map(|(place, event)| (place.clone(), event.id.clone()))
            .collect();
        archived.assert_exactly_once(&all, context);
    }
}

/// The messages that hits are about, as SQL says of the events with the same ids.
async fn messages(stage: &Stage, hits: &[Value]) -> Vec<String> {
    let truth = stage.truth().await;
    let message = |hit: &Value| {
        let mut events = truth.events.values();
        let event = events.find(|event| hit["event_id"] == *event.id).unwrap();
        event.data["message"]["id"].as_str().unwrap().to_owned()
    };
    hits.iter().map(message).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_what_people_do_is_found_by_search() {
    let world = World::new().await;
    let ingest = world.sink.start();
    let (ana, peter) = (world.person("ana"), world.person("peter"));
    let mut anas_seat = Seat::take(&ana).await.unwrap();
    let mut peters_seat = Seat::take(&peter).await.unwrap();
    anas_seat.join(&world.room).await.unwrap();
    peters_seat.join(&world.room).await.unwrap();
    // Over the WebSocket, and over HTTP.
    let first = anas_seat
        .say(&world.room, "the larkspur ships on Thursday")
        .await
        .unwrap();
    let second = peter
        .post(&world.room, "larkspur needs another review", None)
        .await
        .unwrap();
    peter
        .edit(&second.id, "larkspur needs two more reviews")
        .await
        .unwrap();
    let third = ana
        .post(&world.room, "forget the larkspur price 4711", None)
        .await
        .unwrap();
    ana.delete(&third.id).await.unwrap();
    peter.react(&first.id, "thumbsup").await.unwrap();
    let bytes = b"petals: five, spurs: one".repeat(1000);
    let upload = ana
        .upload(&world.room, "larkspur.txt", "text/plain", bytes.clone())
        .await
        .unwrap();
    let with_file = json!({"body": "the plan of the larkspur", "attachments": [upload.id]});
    let fourth = ana.post_message(&world.room, with_file).await.unwrap();
    // Both saw all of it, in the room's order.
    for seat in [&mut anas_seat, &mut peters_seat] {
        seat.until(&world.room, fourth.room_seq).await.unwrap();
        seat.log()
            .check_whole(&world.room, fourth.room_seq)
            .unwrap();
    }
    let query = "type:chat.message.posted AND larkspur";
    let posted = eventually("the posts", async || {
        let found = world.sink.hits(query);
        (found.len() == 4).then_some(found)
    })
    .await;
    let found = messages(&world.stage, &posted).await;
    assert_eq!(found, [&*first.id, &*second.id, &*third.id, &*fourth.id]);
    assert_eq!(posted[0]["body"], "the larkspur ships on Thursday");
    for (query, expected) in [
        ("type:chat.message.edited AND reviews", &second.id),
        ("type:chat.message.deleted", &third.id),
        ("type:chat.reaction.added", &first.id),
    ] {
        let found = eventually(query, async || {
            let found = world.sink.hits(query);
            (!found.is_empty()).then_some(found)
        })
        .await;
        let found = messages(&world.stage, &found).await;
        assert_eq!(found, std::slice::from_ref(expected), "{query}");
    }
    eventually("the upload", async || {
        (world.sink.hits("type:chat.file.uploaded").len() == 1).then_some(())
    })
    .await;
    // The bytes are in the archive, under their digest.
    let stored = world
        .sink
        .archive()
        .join("attachments")
        .join(&upload.sha256[..2]);
    let stored = stored.join(&upload.sha256);
    eventually("the file", async || {
        (world.sink.pending() == 0).then_some(())
    })
    .await;
    assert_eq!(std::fs::read(stored).unwrap(), bytes);
    let _ = ingest.terminate(PATIENCE).success();
    world.assert_archived("after a conversation").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_posts_go_on_whatever_ingest_and_archive_do() {
    let world = World::new().await;
    let ana = world.person("ana");
    let mut posted = post_quickly(&ana, &world.room, 50, "before ingest").await;
    let ingest = world.sink.start();
    posted.extend(post_quickly(&ana, &world.room, 50, "beside ingest").await);
    // In its tracks, wherever it is: even in a transaction on the node's database.
    ingest.pause();
    posted.extend(post_quickly(&ana, &world.room, 50, "while ingest hangs").await);
    ingest.resume();
    posted.extend(post_quickly(&ana, &world.room, 50, "afterwards").await);
    // The archive is gone: whatever ingest tries, fails.
    let (archive, aside) = (world.sink.archive(), world.stage.folder.path().join("away"));
    std::fs::rename(archive.join("events"), &aside).unwrap();
    std::fs::write(archive.join("events"), "no folder").unwrap();
    posted.extend(post_quickly(&ana, &world.room, 100, "without an archive").await);
    let failed = ingest.finished(PATIENCE);
    assert!(!failed.status.success(), "{}", failed.stderr);
    assert!(failed.stderr.contains("error: "), "{}", failed.stderr);
    posted.extend(post_quickly(&ana, &world.room, 50, "without ingest").await);
    std::fs::remove_file(archive.join("events")).unwrap();
    std::fs::rename(&aside, archive.join("events")).unwrap();
    world.assert_archived("after everything").await;
    let found = world.sink.hits("type:chat.message.posted");
    let found = messages(&world.stage, &found).await;
    assert_eq!(found, posted, "in the order in which they were posted");
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_node_and_ingest_are_killed_at_random_moments() {
    let seed = holdfast_tests::rounds::seeds(1).next().unwrap();
    println!("seed {seed}");
    let mut random: rand::rngs::StdRng = rand::SeedableRng::seed_from_u64(seed);
    let World {
        stage,
        mut node,
        sink,
        room,
    } = World::new().await;
    let mut ingest = sink.start();
    let mut posted = 0;
    for round in 0..holdfast_tests::rounds::rounds(6) {
        let ana = stage.person(&node, "ana");
        let until_killed = Duration::from_millis(random.random_range(20..600));
        let load = async {
            loop {
                match ana
                    .post(&room, &format!("message {posted} of round {round}"), None)
                    .await
                {
                    Ok(_) => posted += 1,
                    Err(failure) => panic!("{failure}"),
                }
            }
        };
        let _elapsed = tokio::time::timeout(until_killed, load).await;
        if random.random_bool(0.5) {
            let _ = node.kill();
            node = stage.start("chat-1").await;
        }
        if random.random_bool(0.7) {
            let _ = ingest.kill();
            ingest = sink.start();
        }
    }
    // It may have been started this very moment, and know no signals yet.
    let _ = ingest.kill();
    let world = World {
        stage,
        node,
        sink,
        room,
    };
    world.assert_archived(&format!("seed {seed}")).await;
    let found = world.sink.hits("type:chat.message.posted").len();
    assert!(
        found >= posted,
        "seed {seed}: {posted} were acknowledged, {found} are archived"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_database_restored_to_yesterday_is_gone_on_with() {
    let World {
        stage,
        node,
        sink,
        room,
    } = World::new().await;
    let ana = stage.person(&node, "ana");
    post_quickly(&ana, &room, 30, "before the backup").await;
    let _ = node.stop();
    let database = stage.folder.path().join("chat.db");
    let backup = stage.folder.path().join("backup.db");
    std::fs::copy(&database, &backup).unwrap();
    let node = stage.start("chat-1").await;
    let lost_later = post_quickly(&stage.person(&node, "ana"), &room, 20, "after the backup").await;
    let _ = node.stop();
    let _ = sink.drain();
    let before = sink.archived().await.rows.len();
    // Over the file: same inode, so that the mark beside it must tell.
    std::fs::copy(&backup, &database).unwrap();
    for beside in ["chat.db-wal", "chat.db-shm"] {
        let _gone = std::fs::remove_file(stage.folder.path().join(beside));
    }
    // No node has started on it: nothing explains why the origin ends below the position.
    let archive = sink.archive().display().to_string();
    let source = format!("outbox:{}", stage.database);
    let arguments = [
        "run",
        "--source",
        &source,
        "--archive",
        &archive,
        "--until-idle",
    ];
    let refused = Daemon::start("holdfast-ingest", arguments).finished(PATIENCE);
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        refused.stderr.contains("restored to an older state") && refused.stderr.contains("hint: "),
        "{}",
        refused.stderr
    );
    let node = stage.start("chat-1").await;
    let new = post_quickly(&stage.person(&node, "ana"), &room, 10, "after the restore").await;
    let _ = node.stop();
    let report = sink.drain();
    assert_eq!(
        (&report["quarantined"], &report["duplicates"]),
        (&json!(0), &json!(0))
    );
    let archived = sink.archived().await;
    let messages: Vec<&str> = archived
        .rows
        .iter()
        .filter_map(|row| row.message.as_deref())
        .collect();
    for id in lost_later.iter().chain(&new) {
        assert_eq!(
            messages.iter().filter(|found| *found == id).count(),
            1,
            "{id}"
        );
    }
    assert!(archived.rows.len() >= before + 10);
    assert!(archived.rows.iter().any(|row| row.place.0 == "main.2"));
}
