//! AR-1 for a store that hangs: partitions are paused while the pipeline is full, so that the group keeps its member, and nothing is lost. What waits
//! meanwhile shows as lag.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use holdfast_archive::Archive;
use holdfast_fixtures::endpoint::{free_address, get, metric};
use holdfast_fixtures::{Fault, FaultyStore, Generator, Operation, Plan, Profile, eventually};
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::run_in;
use holdfast_ingest::settings::{FileSettings, RunFlags, Settings};
use holdfast_tests::archived::{Archived, expected};
use holdfast_tests::kafka::Broker;
use object_store::memory::InMemory;
use url::Url;

const EVENTS: u64 = 20_000;
const PARTITIONS: i32 = 2;
/// A member that does not poll for so long is thrown out of its group; the least that Kafka allows.
const POLL_INTERVAL: Duration = Duration::from_secs(6);

/// Ends the run when the test fails, which would wait for it for ever.
struct Ends(Arc<Stop>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.ask();
    }
}

/// A metric that is there.
fn value(text: &str, name: &str) -> f64 {
    metric(text, name).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// Of each partition a lag: in records, or in seconds.
fn lags(text: &str, unit: &str) -> Vec<f64> {
    let of = |partition| {
        let name = format!("holdfast_ingest_lag_{unit}{{partition=\"{partition}\"}}");
        value(text, &name)
    };
    (0..PARTITIONS).map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_store_that_hangs_pauses_partitions_and_the_group_keeps_its_member() {
    let url = Url::parse("memory:///archive").unwrap();
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let archive = Archive::create_in(store.clone(), url).await.unwrap();
    let topic = Broker::shared().topic(PARTITIONS).await;
    let producer = topic.producer();
    let mut lines = Vec::new();
    for event in Generator::new(Profile::new(3, EVENTS)) {
        producer.send(None, &event.key, &event.json);
        lines.push(event.json);
    }
    producer.flush();

    let address = free_address();
    let flags = RunFlags {
        source: Some(topic.source("pause")),
        archive: Some("given".to_owned()),
        metrics: Some(address),
        flush_rows: Some(1_000),
        // Far less than there is to read.
        in_flight_mib: Some(6),
        threads: Some(2),
        no_upkeep: true,
        ..RunFlags::default()
    };
    let file = "[kafka]\n'session.timeout.ms' = 6000\n'max.poll.interval.ms' = 6000\n";
    let file = FileSettings::parse(file, Path::new("test.toml")).unwrap();
    let settings = Settings::resolve(flags, file, &[]).unwrap();
    let faults = store.faults();
    let put = Plan::nth(1, Fault::PauseBefore).on(&[Operation::Put]);
    faults.plan(put.path("event_year"));
    let stop = Arc::<Stop>::default();
    let _ends = Ends(Arc::clone(&stop));
    let run = tokio::spawn(run_in(settings, archive.clone(), Arc::clone(&stop)));
    faults.paused(1).await;
    // Time itself is what is waited for: longer than a member may be silent.
    tokio::time::sleep(POLL_INTERVAL * 2).await;
    let (_, stuck) = get(address, "/metrics").unwrap();
    let seen = ["holdfast_ingest_paused", "holdfast_ingest_rebalances_total"];
    let seen = seen.map(|name| value(&stuck, name));
    assert_eq!(seen, [1.0, 1.0], "paused, and never revoked");
    let (records, seconds) = (lags(&stuck, "records"), lags(&stuck, "seconds"));
    let all = f64::from(u32::try_from(EVENTS).unwrap());
    assert_eq!(records.iter().sum::<f64>(), all, "nothing is committed");
    let wait = |lag: &f64| *lag > 0.0;
    assert!(records.iter().all(wait), "{records:?} records");
    assert!(seconds.iter().all(wait), "{seconds:?} seconds");
    let (ready, _) = get(address, "/readyz").unwrap();
    assert_eq!(ready, 200);
    faults.release();
    eventually("no record waits", async || {
        let (_, text) = get(address, "/metrics")?;
        let lags = [lags(&text, "records"), lags(&text, "seconds")].concat();
        lags.iter().all(|lag| *lag == 0.0).then_some(())
    })
    .await;
    stop.ask();
    let report = run.await.unwrap().unwrap();
    assert_eq!((report.archived, report.duplicates), (EVENTS, 0));
    let archived = Archived::read(&archive).await;
    archived.assert_exactly_once(&expected(&lines), "after the pause");
}
