//! AR-1 for `--until-idle`: a run that ends by itself has archived what it read, whoever else reads the topic.

use std::time::{Duration, Instant};

use holdfast_fixtures::{Generator, Profile};
use holdfast_tests::kafka::{Broker, Bystander, QUICK_GROUP, Topic};
use holdfast_tests::program::{Daemon, run};
use tempfile::TempDir;

const EVENTS: u64 = 2_000;
const ROUNDS: u64 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn ar1_two_members_until_idle_archive_everything_between_them() {
    for round in 0..ROUNDS {
        let folder = TempDir::new().unwrap();
        let archive = folder.path().join("archive").to_string_lossy().into_owned();
        let _ = run("holdfast", ["init", "--archive", &archive]).success();
        let topic = Broker::shared().topic(2).await;
        let producer = topic.producer();
        for event in Generator::new(Profile::new(7 + round, EVENTS)) {
            producer.send(None, &event.key, &event.json);
        }
        producer.flush();
        let source = topic.source("both");
        let arguments = [
            "run",
            "--source",
            &source,
            "--archive",
            &archive,
            "--until-idle",
        ];
        // Both begin with an archive that knows nothing of the topic: one of the first two commits is refused.
        let members = [(); 2].map(|()| Daemon::start("holdfast-ingest", arguments));
        let archived: u64 = members
            .into_iter()
            .map(|member| {
                let report = member.finished(Duration::from_secs(120)).success().json();
                report["archived"].as_u64().unwrap()
            })
            .sum();
        assert_eq!(archived, EVENTS, "round {round}");
    }
}

struct Shared {
    folder: TempDir,
    topic: Topic,
}

impl Shared {
    /// A topic of two partitions, one of which somebody has who does nothing with it.
    async fn new() -> (Self, Bystander) {
        let folder = TempDir::new().unwrap();
        let archive = folder.path().join("archive");
        let _ = run(
            "holdfast",
            ["init", "--archive", &archive.to_string_lossy()],
        )
        .success();
        std::fs::write(folder.path().join("ingest.toml"), QUICK_GROUP).unwrap();
        let topic = Broker::shared().topic(2).await;
        let producer = topic.producer();
        for event in Generator::new(Profile::new(11, EVENTS)) {
            producer.send(None, &event.key, &event.json);
        }
        producer.flush();
        let bystander = topic.bystander("shared");
        (Self { folder, topic }, bystander)
    }

    fn ingest(&self) -> Daemon {
        let path = |name| self.folder.path().join(name).to_string_lossy().into_owned();
        let (source, archive, config) = (
            self.topic.source("shared"),
            path("archive"),
            path("ingest.toml"),
        );
        let arguments = ["run", "--until-idle", "--source", &source];
        let named = ["--archive", &archive, "--config", &config];
        Daemon::start("holdfast-ingest", arguments.into_iter().chain(named))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_what_another_member_gives_up_is_archived_before_the_run_ends() {
    let (shared, bystander) = Shared::new().await;
    let mut ingest = shared.ingest();
    let begin = Instant::now();
    while !ingest.stderr().contains("waiting for other members") {
        assert!(
            ingest.runs(),
            "it left half of the topic: {}",
            ingest.stderr()
        );
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{}",
            ingest.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(bystander);
    let report = ingest.finished(Duration::from_secs(120)).success().json();
    assert_eq!(report["archived"], EVENTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_what_another_member_keeps_is_left_to_it_and_said() {
    let (shared, bystander) = Shared::new().await;
    let finished = shared.ingest().finished(Duration::from_secs(120)).success();
    let archived = finished.json()["archived"].as_u64().unwrap();
    assert!((1..EVENTS).contains(&archived), "{archived}");
    assert!(
        finished.stderr.contains("left to them"),
        "{}",
        finished.stderr
    );
    drop(bystander);
    let rest = shared.ingest().finished(Duration::from_secs(120)).success();
    assert_eq!(rest.json()["archived"], EVENTS - archived);
}
