//! AR-1 for what producers send again: through other partitions, in another order, to several processes; every event is archived once.

use std::path::Path;
use std::time::Duration;

use holdfast_fixtures::{Generator, Profile};
use holdfast_tests::archived::{Archived, expected};
use holdfast_tests::kafka::Broker;
use holdfast_tests::program::{Daemon, run};
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

const EVENTS: u64 = 3_000;
const PARTITIONS: i32 = 3;

#[tokio::test(flavor = "multi_thread")]
async fn ar1_events_sent_again_through_other_partitions_are_archived_once() {
    for seed in holdfast_tests::rounds::seeds(1) {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = TempDir::new().unwrap();
        let archive = folder.path().join("archive").to_string_lossy().into_owned();
        let _ = run("holdfast", ["init", "--archive", &archive]).success();
        let topic = Broker::shared().topic(PARTITIONS).await;
        let producer = topic.producer();
        let events: Vec<_> = Generator::new(Profile::new(seed, EVENTS)).collect();
        for event in &events {
            producer.send(None, &event.key, &event.json);
        }
        // As after a change of the partitions' number, or from a relay that begins anew: every event anywhere, before or after its first sending.
        let mut again: Vec<_> = events.iter().collect();
        again.shuffle(&mut random);
        for event in &again {
            let partition = random.random_range(0..PARTITIONS);
            producer.send(Some(partition), &event.key, &event.json);
        }
        producer.flush();

        let source = topic.source("resends");
        let arguments = [
            "run",
            "--source",
            &source,
            "--archive",
            &archive,
            "--until-idle",
            // Many small commits: the processes find each other's events all the time.
            "--flush-rows",
            "200",
        ];
        let members = [(); 2].map(|()| Daemon::start("holdfast-ingest", arguments));
        for member in members {
            let ended = member.finished(Duration::from_secs(120));
            let report = ended.success().json();
            assert_eq!(report["quarantined"], 0, "seed {seed}: {report}");
        }
        let lines: Vec<_> = events.into_iter().map(|event| event.json).collect();
        let archived = Archived::at(Path::new(&archive)).await;
        archived.assert_exactly_once(&expected(&lines), &format!("seed {seed}"));
        assert_eq!(archived.quarantined().count(), 0, "seed {seed}");
    }
}
