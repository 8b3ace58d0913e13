//! AR-1 for `--until-idle`: a run that ends by itself has archived what it read, whoever else reads the topic.

// Helpers of tests: what goes wrong in them fails the test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::time::Duration;

use holdfast_fixtures::{Generator, Profile};
use holdfast_tests::kafka::Broker;
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
