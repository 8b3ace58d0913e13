//! AR-1 for what is odd: each record through a real Kafka becomes what the contract says, is counted, and is found again.

use std::collections::BTreeMap;

use holdfast_fixtures::odd::{Fate, odd_records, plain};
use holdfast_schemas::decode::decode;
use holdfast_tests::archived::Archived;
use holdfast_tests::kafka::Broker;
use holdfast_tests::program::run;
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn ar1_odd_records_through_kafka_are_archived_dropped_or_quarantined() {
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive");
    let archive_argument = archive.to_string_lossy().into_owned();
    let mut records: Vec<_> = odd_records("odd.1")
        .into_iter()
        .map(|odd| (odd.name, odd.bytes, odd.fate))
        .collect();
    // A record without any bytes; and a good one, for the pipeline goes on.
    records.push(("no bytes at all", Vec::new(), Fate::Quarantined));
    let archived_before = records
        .iter()
        .filter(|(_, _, fate)| *fate == Fate::Archived)
        .count() as u64;
    records.push((
        "a good one at the end",
        plain("odd.1", archived_before + 1, "still here").into_bytes(),
        Fate::Archived,
    ));

    // One partition: the order decides which of two records with one sequence came first.
    let topic = Broker::shared().topic(1).await;
    let producer = topic.producer();
    for (_, bytes, _) in &records {
        producer.send(Some(0), "r-odd", bytes);
    }
    producer.flush();

    let _ = run("holdfast", ["init", "--archive", &archive_argument]).success();
    let source = topic.source("odd");
    let ingest = [
        "run",
        "--source",
        &source,
        "--archive",
        &archive_argument,
        "--until-idle",
    ];
    let report = run("holdfast-ingest", ingest).success().json();
    let count = |wanted| {
        records
            .iter()
            .filter(|(_, _, fate)| *fate == wanted)
            .count() as u64
    };
    assert_eq!(report["consumed"], records.len() as u64, "{report}");
    assert_eq!(report["archived"], count(Fate::Archived), "{report}");
    assert_eq!(report["quarantined"], count(Fate::Quarantined), "{report}");
    assert_eq!(report["duplicates"], count(Fate::Duplicate), "{report}");

    let archived = Archived::at(&archive).await;
    assert_eq!(
        archived.rows.len() as u64,
        count(Fate::Archived) + count(Fate::Quarantined)
    );
    let mut raw: BTreeMap<Vec<u8>, usize> = BTreeMap::new();
    for row in archived.quarantined() {
        *raw.entry(row.raw.clone().unwrap_or_default()).or_default() += 1;
    }
    for (name, bytes, fate) in &records {
        match fate {
            Fate::Quarantined => assert_eq!(
                raw.get(bytes),
                Some(&1),
                "{name}: quarantined once, with its bytes"
            ),
            Fate::Archived => {
                let id = decode(bytes).unwrap().id.to_string();
                let found = archived.rows.iter().filter(|row| row.id == id).count();
                assert_eq!(found, 1, "{name}: archived once");
            }
            Fate::Duplicate => {}
        }
    }

    let search = |query: &str| {
        let found = run(
            "holdfast",
            ["search", query, "--count", "--archive", &archive_argument],
        )
        .success();
        found.stdout.trim().parse::<u64>().unwrap()
    };
    assert_eq!(
        search("type:holdfast.quarantined"),
        count(Fate::Quarantined)
    );
    assert_eq!(search("body:\"still here\""), 1);
    assert_eq!(
        search("date<1971-01-01 AND NOT type:holdfast.quarantined"),
        2,
        "1970 and before"
    );
    assert_eq!(search("date>=9999-01-01"), 1, "the far future");
    let _ = run("holdfast", ["verify", "--archive", &archive_argument]).success();

    // The same topic again: positions are in the archive, so that there is nothing to consume.
    let report = run("holdfast-ingest", ingest).success().json();
    assert_eq!(report["consumed"], 0, "{report}");
}
