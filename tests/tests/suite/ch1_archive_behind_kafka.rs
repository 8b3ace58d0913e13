//! CH-1 with Kafka between: an archive that can be read and not be written costs no post, and has everything once, in order, when it can be written again.

use std::sync::Arc;

use holdfast_archive::{Archive, OpenOptions};
use holdfast_fixtures::eventually;
use holdfast_fixtures::{Fault, FaultyStore, Operation, Plan};
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::settings::{FileSettings, RunFlags, Settings};
use holdfast_ingest::{IngestError, Report, run_in};
use holdfast_tests::archived::Archived;
use holdfast_tests::chat::{Stage, post_quickly};
use holdfast_tests::kafka::{Broker, Topic};
use object_store::memory::InMemory;
use serde_json::json;
use url::Url;

/// Ingest from the topic, in this process: above a store whose writes can be refused.
async fn ingest(
    topic: &Topic,
    archive: &Archive,
    stop: &Arc<Stop>,
    until_idle: bool,
) -> Result<Report, IngestError> {
    let flags = RunFlags {
        source: Some(topic.source(&topic.name)),
        archive: Some(archive.url().to_owned()),
        until_idle,
        flush_ms: Some(100),
        threads: Some(2),
        no_upkeep: true,
        ..RunFlags::default()
    };
    let settings = Settings::resolve(flags, FileSettings::default(), &[])?;
    run_in(settings, archive.clone(), Arc::clone(stop)).await
}

/// Ids of posts as the archive has them, in the order of their sequences.
async fn posts(archive: &Archive) -> Vec<String> {
    let mut rows = Archived::read(archive).await.rows;
    rows.retain(|row| row.event_type == "chat.message.posted");
    rows.sort_by(|a, b| a.place.cmp(&b.place));
    rows.into_iter().map(|row| row.message.unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ch1_a_read_only_archive_behind_kafka_costs_no_post() {
    let topic = Broker::shared().topic(4).await;
    let stage = Stage::sqlite().relayed(&topic);
    let node = stage.start("chat-1").await;
    let admin = stage.person(&node, "admin");
    let category = admin.create_category("projects", json!({})).await.unwrap();
    let open = json!({"privacy": "open"});
    let room = admin.create_room("launch", &category, open).await.unwrap();
    let ana = stage.person(&node, "ana");

    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let faults = store.faults();
    let url = Url::parse("memory:///archive").unwrap();
    Archive::create_in(store.inner(), url.clone())
        .await
        .unwrap();
    let options = OpenOptions::default;
    let archive = Archive::open_in_with(store, url, options()).await.unwrap();
    let stop = Arc::new(Stop::default());
    let running = {
        let (topic, archive, stop) = (topic.clone(), archive.clone(), Arc::clone(&stop));
        tokio::spawn(async move { ingest(&topic, &archive, &stop, false).await })
    };
    let mut posted = post_quickly(&ana, &room, 50, "well").await;
    eventually("the first posts", async || {
        (posts(&archive).await == posted).then_some(())
    })
    .await;
    faults.plan(Plan::dead_from(1, Fault::Before).on(Operation::WRITES));
    posted.extend(post_quickly(&ana, &room, 100, "while the archive is read-only").await);
    faults.happened().await;
    // Kafka takes what the archive does not; nobody waits for anything.
    posted.extend(post_quickly(&ana, &room, 50, "after ingest has noticed").await);
    stage.emptied().await;
    assert_eq!(
        posts(&archive).await.len(),
        50,
        "it can be read all the while"
    );
    faults.clear();
    posted.extend(post_quickly(&ana, &room, 20, "afterwards").await);
    stage.emptied().await;
    let _ = node.kill();
    // Ingest may have given up meanwhile, as its operator is told, or have waited: another run takes what is left.
    stop.ask();
    let _either = running.await.unwrap();
    ingest(&topic, &archive, &Arc::default(), true)
        .await
        .unwrap();
    let truth = stage.truth().await;
    truth.assert_archived(&Archived::read(&archive).await, "after the trouble");
    assert_eq!(posts(&archive).await, posted, "each once, in order");
}
