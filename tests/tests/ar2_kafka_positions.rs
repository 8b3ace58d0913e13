//! AR-2 against a real Kafka: lost offsets and a recreated topic stop ingest with an error that says what is lost and what to do.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use holdfast_fixtures::odd::plain;
use holdfast_tests::kafka::{Broker, Topic};
use holdfast_tests::program::{Finished, run};
use tempfile::TempDir;

struct Stage {
    folder: TempDir,
    topic: Topic,
}

impl Stage {
    async fn new() -> Self {
        let stage = Self {
            folder: TempDir::new().unwrap(),
            topic: Broker::shared().topic(1).await,
        };
        let _ = run("holdfast", ["init", "--archive", &stage.archive()]).success();
        stage
    }

    fn archive(&self) -> String {
        self.folder
            .path()
            .join("archive")
            .to_string_lossy()
            .into_owned()
    }

    fn produce(&self, sequences: std::ops::RangeInclusive<u64>) {
        let producer = self.topic.producer();
        for sequence in sequences {
            producer.send(
                Some(0),
                "r-odd",
                plain("positions.1", sequence, "kept").as_bytes(),
            );
        }
        producer.flush();
    }

    fn ingest(&self) -> Finished {
        let (source, archive) = (self.topic.source("positions"), self.archive());
        run(
            "holdfast-ingest",
            [
                "run",
                "--source",
                &source,
                "--archive",
                &archive,
                "--until-idle",
            ],
        )
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_offsets_lost_before_they_were_archived_stop_ingest_with_a_hint() {
    let stage = Stage::new().await;
    stage.produce(1..=10);
    assert_eq!(stage.ingest().success().json()["archived"], 10);
    stage.produce(11..=30);
    // Retention took 10 to 19: those events were never archived.
    stage.topic.delete_before(0, 20).await;
    let stopped = stage.ingest();
    assert_eq!(stopped.status.code(), Some(2), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("hint:"), "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("10") && stopped.stderr.contains("19"),
        "names the range: {}",
        stopped.stderr
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_a_recreated_topic_stops_ingest_with_a_hint() {
    let stage = Stage::new().await;
    stage.produce(1..=10);
    assert_eq!(stage.ingest().success().json()["archived"], 10);
    stage.topic.delete().await;
    stage.topic.create().await;
    stage.produce(11..=15);
    let stopped = stage.ingest();
    assert_eq!(stopped.status.code(), Some(2), "{}", stopped.stderr);
    assert!(stopped.stderr.contains("hint:"), "{}", stopped.stderr);
    assert!(
        stopped.stderr.contains("--accept-topic"),
        "says what to do: {}",
        stopped.stderr
    );
}
