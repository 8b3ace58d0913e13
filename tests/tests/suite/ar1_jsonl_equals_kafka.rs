//! AR-1 across sources: the same events as JSON lines and through Kafka give the same archive, byte for byte in an export.

use std::path::Path;

use holdfast_fixtures::{Generator, Profile};
use holdfast_tests::kafka::Broker;
use holdfast_tests::pipeline::write_lines;
use holdfast_tests::program::run;
use tempfile::TempDir;

const EVENTS: u64 = 5_000;

const QUERIES: &[&str] = &[
    "type:chat.message.posted",
    "type:chat.*",
    "deploy OR 契約 OR договор",
    "room:r-1 AND NOT from:u-1",
    "date>=2026-02-01 AND the NEAR(3) is",
];

fn export(archive: &str, query: &str, out: &Path) -> Vec<u8> {
    let out_argument = out.to_string_lossy().into_owned();
    // The bytes of generated attachments exist nowhere.
    let arguments = [
        "export",
        query,
        "--out",
        &out_argument,
        "--as",
        "jsonl",
        "--allow-missing",
        "--archive",
        archive,
    ];
    let _ = run("holdfast", arguments).success();
    let mut lines = Vec::new();
    let mut files: Vec<_> = std::fs::read_dir(out)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "jsonl"))
    {
        lines.extend(std::fs::read(file).unwrap());
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_events_from_kafka_and_from_a_file_export_to_the_same_bytes() {
    let folder = TempDir::new().unwrap();
    let [from_file, from_kafka] =
        ["file", "kafka"].map(|name| folder.path().join(name).to_string_lossy().into_owned());
    for archive in [&from_file, &from_kafka] {
        let _ = run("holdfast", ["init", "--archive", archive]).success();
    }
    let events: Vec<_> = Generator::new(Profile::new(5, EVENTS)).collect();
    let lines = folder.path().join("events.jsonl");
    write_lines(&lines, events.iter().map(|event| &event.json));
    let source = format!("jsonl:{}", lines.display());
    let report = run(
        "holdfast-ingest",
        [
            "run",
            "--source",
            &source,
            "--archive",
            &from_file,
            "--until-idle",
        ],
    )
    .success()
    .json();
    assert_eq!(report["archived"], EVENTS, "{report}");

    let topic = Broker::shared().topic(4).await;
    let producer = topic.producer();
    for event in &events {
        producer.send(None, &event.key, &event.json);
    }
    producer.flush();
    let source = topic.source("same");
    let report = run(
        "holdfast-ingest",
        [
            "run",
            "--source",
            &source,
            "--archive",
            &from_kafka,
            "--until-idle",
        ],
    )
    .success()
    .json();
    assert_eq!(report["archived"], EVENTS, "{report}");

    for (n, query) in QUERIES.iter().enumerate() {
        let one = export(&from_file, query, &folder.path().join(format!("file-{n}")));
        let other = export(
            &from_kafka,
            query,
            &folder.path().join(format!("kafka-{n}")),
        );
        assert!(!one.is_empty(), "{query} finds something");
        assert!(
            one == other,
            "{query}: {} bytes from the file, {} from Kafka",
            one.len(),
            other.len()
        );
    }
}
