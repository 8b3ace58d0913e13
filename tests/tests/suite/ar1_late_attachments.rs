//! AR-1 for files: an event whose bytes are late or lost is archived at once, its files are pending, tried again and counted; by the outbox and through
//! Kafka alike.

use std::path::PathBuf;

use holdfast_fixtures::chat::{Person, Upload};
use holdfast_fixtures::{PATIENCE, eventually};
use holdfast_tests::chat::{Sink, Stage};
use holdfast_tests::kafka::Broker;
use serde_json::{Value, json};

async fn upload(person: &Person, room: &str, bytes: &[u8]) -> Upload {
    let name = format!("{}.bin", bytes.len());
    let media_type = "application/octet-stream";
    let upload = person.upload(room, &name, media_type, bytes.to_vec());
    upload.await.unwrap()
}

async fn late_bytes(stage: Stage, sink: Sink) {
    let sink = sink.with_attachments(&stage.files());
    let node = stage.start("chat-1").await;
    let admin = stage.person(&node, "admin");
    let category = admin.create_category("projects", json!({})).await.unwrap();
    let open = json!({"privacy": "open"});
    let room = admin.create_room("launch", &category, open).await.unwrap();
    let ana = stage.person(&node, "ana");
    // Gone from the file store before ingest sees the events, as on a store that lags behind.
    let (late, lost, there) = (
        upload(&ana, &room, b"late").await,
        upload(&ana, &room, b"lost!").await,
        upload(&ana, &room, b"there").await,
    );
    let under = |folder: PathBuf, file: &Upload| folder.join(&file.sha256[..2]).join(&file.sha256);
    let stored = |file| under(stage.files(), file);
    let archived = |file| under(sink.archive().join("attachments"), file);
    let aside = stage.folder.path().join("aside");
    std::fs::rename(stored(&late), &aside).unwrap();
    std::fs::remove_file(stored(&lost)).unwrap();
    let files: Vec<String> = [&late, &lost, &there].map(|file| file.id.clone()).into();
    let message = json!({"body": "three files", "attachments": files});
    ana.post_message(&room, message).await.unwrap();
    let ingest = sink.start();
    // The event does not wait for its files.
    eventually("the event", async || {
        (sink.hits("type:chat.message.posted").len() == 1).then_some(())
    })
    .await;
    eventually("two pending", async || (sink.pending() == 2).then_some(())).await;
    let found = sink.ask(&["--format", "json", "search", "three"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(found["coverage"]["attachments_pending"], 2, "{found}");
    assert_eq!(std::fs::read(archived(&there)).unwrap(), b"there");
    ana.post(&room, "what comes after them", None)
        .await
        .unwrap();
    eventually("the next event", async || {
        (sink.hits("after").len() == 1).then_some(())
    })
    .await;
    // Tried again by itself when the bytes come.
    std::fs::rename(&aside, stored(&late)).unwrap();
    eventually("one pending", async || (sink.pending() == 1).then_some(())).await;
    assert_eq!(std::fs::read(archived(&late)).unwrap(), b"late");
    stage.emptied().await;
    let _ = node.stop();
    let _ = ingest.terminate(PATIENCE).success();
    let _ = sink.drain();
    let truth = stage.truth().await;
    truth.assert_archived(&sink.archived().await, "with files that were late");
    assert_eq!(sink.pending(), 1, "what is lost stays counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_bytes_that_are_late_are_pending_and_hold_no_event_back() {
    let stage = Stage::sqlite();
    let sink = Sink::new(format!("outbox:{}", stage.database));
    late_bytes(stage, sink).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_bytes_that_are_late_behind_kafka_are_pending_and_hold_no_event_back() {
    let topic = Broker::shared().topic(3).await;
    let stage = Stage::sqlite().relayed(&topic);
    late_bytes(stage, Sink::of(&topic)).await;
}
