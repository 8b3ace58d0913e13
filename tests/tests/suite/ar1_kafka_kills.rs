//! AR-1 and AR-2 against a real Kafka: two ingest processes share a topic of four partitions, are killed in every round, before that in some
//! stopped in their tracks or told to end, all at random moments, and lose and win partitions all the time. Afterwards every event is archived
//! exactly once.

use std::path::{Path, PathBuf};
use std::time::Duration;

use holdfast_fixtures::{Generator, Profile};
use holdfast_tests::archived::{Archived, expected};
use holdfast_tests::kafka::{Broker, QUICK_GROUP, Records, Topic};
use holdfast_tests::program::{Daemon, run};
use holdfast_tests::rounds::rounds;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

const EVENTS_PER_ROUND: usize = 2_000;
const PARTITIONS: i32 = 4;

const SETTINGS: &str = "
[flush]
ms = 150
[upkeep]
seconds = 1
";

struct Stage {
    archive: PathBuf,
    settings: PathBuf,
    source: String,
    topic: Topic,
    _folder: TempDir,
}

impl Stage {
    async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let (archive, settings) = (
            folder.path().join("archive"),
            folder.path().join("ingest.toml"),
        );
        std::fs::write(&settings, format!("{SETTINGS}{QUICK_GROUP}")).unwrap();
        let _ = run(
            "holdfast",
            ["init", "--archive", &archive.to_string_lossy()],
        )
        .success();
        let topic = Broker::shared().topic(PARTITIONS).await;
        Self {
            archive,
            settings,
            source: topic.source("kills"),
            topic,
            _folder: folder,
        }
    }

    fn arguments(&self) -> Vec<String> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        let (archive, settings) = (path(&self.archive), path(&self.settings));
        [
            "run",
            "--source",
            &self.source,
            "--archive",
            &archive,
            "--config",
            &settings,
        ]
        .map(str::to_owned)
        .to_vec()
    }

    fn start(&self) -> Daemon {
        Daemon::start("holdfast-ingest", self.arguments())
    }

    /// One process takes what is left, in peace, and ends.
    fn drain(&self) -> serde_json::Value {
        let mut arguments = self.arguments();
        arguments.push("--until-idle".to_owned());
        Daemon::start("holdfast-ingest", arguments)
            .finished(Duration::from_secs(180))
            .success()
            .json()
    }

    async fn check(&self, sent: &[Vec<u8>], context: &str) {
        let archived = Archived::at(&self.archive).await;
        archived.assert_exactly_once(&expected(sent), context);
        assert_eq!(archived.quarantined().count(), 0, "{context}");
        let _ = run(
            "holdfast",
            [
                "verify",
                "--completeness",
                "--archive",
                &self.archive.to_string_lossy(),
            ],
        )
        .success();
    }
}

fn send(producer: &Records, events: &mut Generator, count: usize, sent: &mut Vec<Vec<u8>>) {
    for event in events.take(count) {
        producer.send(None, &event.key, &event.json);
        sent.push(event.json);
    }
    producer.flush();
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_two_processes_killed_at_random_moments_archive_every_event_once() {
    let seed = holdfast_tests::rounds::seeds(1).next().unwrap();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let rounds = rounds(6);
    let stage = Stage::new().await;
    let producer = stage.topic.producer();
    let mut events = Generator::new(Profile::new(
        seed,
        u64::from(rounds) * EVENTS_PER_ROUND as u64 * 2,
    ));
    let mut sent = Vec::new();
    let mut members = vec![stage.start(), stage.start()];
    for round in 0..rounds {
        send(&producer, &mut events, EVENTS_PER_ROUND, &mut sent);
        if random.random_bool(0.5) {
            let victim = random.random_range(0..members.len());
            if random.random_bool(0.5) {
                // It hangs until the group has given its partitions away, and then goes on as if nothing were.
                members[victim].pause();
                send(&producer, &mut events, EVENTS_PER_ROUND / 2, &mut sent);
                tokio::time::sleep(Duration::from_millis(random.random_range(0..4_000))).await;
                members[victim].resume();
            } else {
                let told = members.swap_remove(victim);
                let _ = told.terminate(Duration::from_secs(60)).success();
                members.push(stage.start());
            }
        }
        // The moment of the kill is what is random here; nothing is waited for.
        tokio::time::sleep(Duration::from_millis(random.random_range(0..2_500))).await;
        for member in &mut members {
            assert!(
                member.runs(),
                "seed {seed}, round {round}: an ingest ended by itself: {}",
                member.stderr()
            );
        }
        let victims = if random.random_bool(0.5) {
            members.split_off(0)
        } else {
            vec![members.swap_remove(random.random_range(0..members.len()))]
        };
        for victim in victims {
            let _ = victim.kill();
            members.push(stage.start());
        }
    }
    for member in members {
        let _ = member.kill();
    }
    stage.drain();
    stage
        .check(&sent, &format!("seed {seed}, after {rounds} rounds"))
        .await;
    let report = stage.drain();
    assert_eq!(
        report["consumed"], 0,
        "AR-2: positions are where the files are: {report}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_compaction_beside_a_committing_ingest_neither_loses_nor_doubles() {
    let stage = Stage::new().await;
    let producer = stage.topic.producer();
    let mut events = Generator::new(Profile::new(8, 1_000_000));
    let (mut sent, mut compactions) = (Vec::new(), 0);
    let mut ingest = stage.start();
    let archive = stage.archive.to_string_lossy().into_owned();
    for _ in 0..rounds(6) {
        send(&producer, &mut events, EVENTS_PER_ROUND, &mut sent);
        let compaction = Daemon::start("holdfast", ["compact", "--archive", &archive]);
        send(&producer, &mut events, EVENTS_PER_ROUND, &mut sent);
        let finished = compaction.finished(Duration::from_secs(120));
        // Another compactor may hold the lease: that is said, and is no harm.
        compactions += u32::from(finished.status.success());
        assert!(ingest.runs(), "{}", ingest.stderr());
    }
    assert!(compactions > 0, "no compaction got through");
    let _ = ingest.terminate(Duration::from_secs(60)).success();
    stage.drain();
    stage.check(&sent, "after compactions").await;
    let _ = run("holdfast", ["compact", "--archive", &archive]).success();
    stage.check(&sent, "after one more, in peace").await;
}
