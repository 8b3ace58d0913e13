//! AR-2 against a real Kafka: lost offsets, also those lost before anything of a partition was archived, and a recreated topic stop ingest with an
//! error that says what is lost and what to do.

use std::time::{Duration, Instant};

use holdfast_fixtures::odd::plain;
use holdfast_tests::archived::Archived;
use holdfast_tests::kafka::{Broker, Topic};
use holdfast_tests::program::{Daemon, Finished, run};
use tempfile::TempDir;

struct Stage {
    folder: TempDir,
    topic: Topic,
}

impl Stage {
    async fn new(partitions: i32) -> Self {
        let stage = Self {
            folder: TempDir::new().unwrap(),
            topic: Broker::shared().topic(partitions).await,
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
        self.produce_to(0, sequences);
    }

    fn produce_to(&self, partition: i32, sequences: std::ops::RangeInclusive<u64>) {
        let producer = self.topic.producer();
        for sequence in sequences {
            producer.send(
                Some(partition),
                "r-odd",
                plain("positions.1", sequence, "kept").as_bytes(),
            );
        }
        producer.flush();
    }

    fn ingest(&self) -> Finished {
        self.ingest_accepting(&[])
    }

    fn ingest_accepting(&self, losses: &[&str]) -> Finished {
        run("holdfast-ingest", self.arguments(losses))
    }

    fn arguments(&self, losses: &[&str]) -> Vec<String> {
        let (source, archive) = (self.topic.source("positions"), self.archive());
        let mut arguments = vec!["run", "--source", &source, "--archive", &archive];
        arguments.push("--until-idle");
        arguments.extend(losses.iter().flat_map(|loss| ["--accept-loss", loss]));
        arguments.into_iter().map(str::to_owned).collect()
    }

    fn stopped(&self, losses: &[&str]) -> String {
        let stopped = self.ingest_accepting(losses);
        assert_eq!(stopped.status.code(), Some(2), "{}", stopped.stderr);
        assert!(stopped.stderr.contains("hint:"), "{}", stopped.stderr);
        stopped.stderr
    }

    fn archived(&self, losses: &[&str]) -> u64 {
        let report = self.ingest_accepting(losses).success().json();
        report["archived"].as_u64().unwrap()
    }

    /// Ingest that goes on reading.
    fn reading(&self) -> Daemon {
        let arguments = self.arguments(&[]);
        let arguments = arguments.iter().filter(|text| *text != "--until-idle");
        Daemon::start("holdfast-ingest", arguments)
    }

    /// Waits until the archive holds so many rows.
    async fn holds(&self, rows: usize) {
        let begin = Instant::now();
        while Archived::at(self.archive().as_ref()).await.rows.len() < rows {
            assert!(begin.elapsed() < Duration::from_secs(60), "not archived");
            // Nothing tells another process of a commit.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_offsets_lost_before_they_were_archived_stop_ingest_with_a_hint() {
    let stage = Stage::new(1).await;
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
    let stage = Stage::new(1).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn ar2_a_beginning_lost_before_anything_of_a_partition_was_archived_is_an_error() {
    let stage = Stage::new(2).await;
    stage.produce_to(0, 1..=10);
    // The archive gets to know the topic while partition 1 is empty.
    assert_eq!(stage.archived(&[]), 10);
    stage.produce_to(1, 11..=30);
    stage.topic.delete_before(1, 5).await;
    let said = stage.stopped(&[]);
    assert!(
        said.contains("offsets 0 to 4") && said.contains("--accept-loss 1:0-4"),
        "{said}"
    );
    // A loss of another range than the one accepted is none that was accepted.
    stage.stopped(&["1:0-3"]);
    assert_eq!(stage.archived(&["1:0-4"]), 15);
    assert_eq!(stage.archived(&[]), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_history_from_before_the_archive_is_accepted_once_and_for_every_partition() {
    let stage = Stage::new(3).await;
    stage.produce_to(0, 1..=10);
    stage.produce_to(1, 11..=20);
    stage.produce_to(2, 21..=30);
    stage.topic.delete_before(0, 4).await;
    // Nothing is left of partition 1: no record will ever move its position.
    stage.topic.delete_before(1, 10).await;
    let said = stage.stopped(&[]);
    assert!(
        said.contains("--accept-loss 0:0-3 --accept-loss 1:0-9")
            && !said.contains("--accept-loss 2:"),
        "all of it at once: {said}"
    );
    stage.stopped(&["0:0-3"]);
    // Two processes accept at the same moment: one commit, and the other finds it.
    let both = ["0:0-3", "1:0-9"];
    let members = [(); 2].map(|()| Daemon::start("holdfast-ingest", stage.arguments(&both)));
    let archived: u64 = members
        .into_iter()
        .map(|member| {
            let report = member.finished(Duration::from_secs(120)).success().json();
            report["archived"].as_u64().unwrap()
        })
        .sum();
    assert_eq!(archived, 16);
    assert_eq!(stage.archived(&[]), 0, "the table remembers both losses");
    // What is lost of partition 1 from here on is another matter.
    stage.produce_to(1, 31..=40);
    stage.topic.delete_before(1, 12).await;
    let said = stage.stopped(&both);
    assert!(said.contains("offsets 10 to 11"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_offsets_lost_while_they_are_waited_for_stop_ingest_with_a_hint() {
    let stage = Stage::new(1).await;
    stage.produce(1..=10);
    let reading = stage.reading();
    stage.holds(10).await;
    // It hangs for so long that retention overtakes it.
    reading.pause();
    stage.produce(11..=30);
    stage.topic.delete_before(0, 20).await;
    reading.resume();
    let ended = reading.finished(Duration::from_secs(120));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(
        ended.stderr.contains("offsets 10 to 19")
            && ended.stderr.contains("hint:")
            && ended.stderr.contains("--accept-loss 0:10-19"),
        "{}",
        ended.stderr
    );
    assert_eq!(stage.archived(&["0:10-19"]), 10, "what is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_a_topic_recreated_while_it_is_read_stops_ingest_until_it_is_accepted() {
    let stage = Stage::new(1).await;
    stage.produce(1..=10);
    let reading = stage.reading();
    stage.holds(10).await;
    stage.topic.delete().await;
    stage.topic.create().await;
    // More than the old one held: an offset alone would not tell the two apart.
    stage.produce(6..=30);
    let ended = reading.finished(Duration::from_secs(120));
    assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("hint:"), "{}", ended.stderr);
    let said = stage.stopped(&[]);
    let accept = said.split("--accept-topic ").nth(1).unwrap();
    let id = accept
        .split_whitespace()
        .next()
        .unwrap()
        .trim_end_matches([',', ';']);
    let mut arguments = stage.arguments(&[]);
    arguments.extend(["--accept-topic".to_owned(), id.to_owned()]);
    let _ = run("holdfast-ingest", arguments).success();
    let archived = Archived::at(stage.archive().as_ref()).await;
    let mut sequences: Vec<u64> = archived.rows.iter().map(|row| row.place.1).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (1..=30).collect::<Vec<_>>(), "each once");
}
