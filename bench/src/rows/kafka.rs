//! Ingest from Kafka: its rate against JSON lines, and the time from produce to searchable.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use holdfast_archive::{Archive, Location};
use holdfast_fixtures::{Generator, Profile};
use holdfast_schemas::decode::decode;
use holdfast_tests::kafka::{Broker, Topic};
use holdfast_tests::program::Daemon;

use crate::events::Events;
use crate::process::{holdfast, ingest, init, median, quantile, run};
use crate::table::{Goal, Row};

/// Partitions of each topic.
const PARTITIONS: i32 = 4;
/// Rate and length of the latency row.
const EVENTS_PER_SECOND: u64 = 5_000;
const SECONDS: u64 = 60;

pub(crate) fn measure(events: &Events, folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let broker = Broker::shared();
    let topic = runtime.block_on(broker.topic(PARTITIONS));
    produce(&events.path, &topic)?;
    warm_up(&runtime.block_on(broker.topic(1)), folder)?;
    let (mut by_kafka, mut by_file) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let archive = folder.join(format!("kafka-{round}"));
        by_kafka.push(ingest(&topic.source(&format!("bench-{round}")), &archive)?.seconds);
        std::fs::remove_dir_all(&archive)?;
        by_file.push(ingest(&format!("jsonl:{}", events.path.display()), &archive)?.seconds);
        std::fs::remove_dir_all(&archive)?;
    }
    let (by_kafka, by_file) = (median(by_kafka), median(by_file));
    let rate = |seconds: f64| format!("{:.0} k/s", events.count as f64 / seconds / 1000.0);
    let p99 = runtime.block_on(latency(broker, &folder.join("latency")))?;
    Ok(vec![
        Row {
            what: "Kafka ingest / jsonl ingest".into(),
            ours: rate(by_kafka),
            other: rate(by_file),
            judged: by_file / by_kafka,
            goal: Goal::AtLeast(0.6),
        },
        Row {
            what: format!("produce to searchable at {EVENTS_PER_SECOND} events/s, p99 in s"),
            ours: format!("{p99:.2} s"),
            other: String::new(),
            judged: p99,
            goal: Goal::AtMost(3.0),
        },
    ])
}

/// The first group that a broker ever sees has it make the topic of the groups' offsets, which takes seconds, once in a cluster's
/// life: not what is measured.
fn warm_up(empty: &Topic, folder: &Path) -> Result<()> {
    let archive = folder.join("kafka-first-group");
    ingest(&empty.source("first"), &archive)?;
    Ok(std::fs::remove_dir_all(&archive)?)
}

/// Produces a file's events with the room as key.
fn produce(path: &Path, topic: &Topic) -> Result<()> {
    let producer = topic.producer();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut line = Vec::new();
    while reader.read_until(b'\n', &mut line)? > 0 {
        let record = line.trim_ascii_end();
        let event = decode(record)?;
        producer.send(
            None,
            event.room.id.as_deref().unwrap_or(&event.origin),
            record,
        );
        line.clear();
    }
    producer.flush();
    Ok(())
}

/// Produces at a steady rate beside a running ingest, and watches the archive until the last event can be found.
async fn latency(broker: &Broker, folder: &Path) -> Result<f64> {
    init(folder)?;
    let topic = broker.topic(PARTITIONS).await;
    let daemon = Daemon::start(
        "holdfast-ingest",
        [
            "run",
            "--source",
            &topic.source("latency"),
            "--archive",
            &folder.display().to_string(),
        ],
    );
    let produced = Arc::new(Mutex::new(Vec::new()));
    let total = EVENTS_PER_SECOND * SECONDS;
    let profile = Profile::messages(2, total);
    let origin = profile.origin.clone();
    let (at, to) = (Arc::clone(&produced), topic.clone());
    let producer = std::thread::spawn(move || steadily(&to, profile, &at));
    let found = watch(folder, &origin, total).await?;
    producer
        .join()
        .map_err(|_| anyhow::anyhow!("the producer panicked"))?;
    let _ = daemon.terminate(Duration::from_secs(30)).success();
    by_index(folder, total)?;
    let produced = produced
        .lock()
        .map_err(|_| anyhow::anyhow!("the producer panicked"))?;
    ensure!(
        produced.len() == found.len(),
        "{} produced, {} found",
        produced.len(),
        found.len()
    );
    Ok(quantile(
        produced
            .iter()
            .zip(&found)
            .map(|(p, f)| f.duration_since(*p).as_secs_f64())
            .collect(),
        0.99,
    ))
}

/// A search finds all of them, and in the index alone: what was archived could be found.
fn by_index(folder: &Path, total: u64) -> Result<()> {
    let mut search = holdfast("holdfast");
    search.args(["--format", "json", "search", "type:chat.message.posted"]);
    let found = run(search.args(["--limit", "0", "--archive"]).arg(folder))?;
    let found: serde_json::Value = serde_json::from_str(&found.stdout)?;
    ensure!(
        found["total"] == total && found["coverage"]["segments_scanned"] == 0,
        "{found}"
    );
    Ok(())
}

fn steadily(topic: &Topic, profile: Profile, produced: &Mutex<Vec<Instant>>) {
    let producer = topic.producer();
    let begin = Instant::now();
    for (n, event) in (0_u32..).zip(Generator::new(profile)) {
        let due = begin + Duration::from_secs(1) / EVENTS_PER_SECOND as u32 * n;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if let Ok(mut produced) = produced.lock() {
            produced.push(Instant::now());
        }
        producer.send(None, &event.key, &event.json);
    }
    producer.flush();
}

/// For each sequence the first moment at which a snapshot held it. A snapshot's segments have their splits: both are put before
/// the commit that makes either visible.
async fn watch(folder: &Path, origin: &str, total: u64) -> Result<Vec<Instant>> {
    let archive = Archive::open(&Location::local(folder)).await?;
    let mut found: Vec<Option<Instant>> = vec![None; usize::try_from(total)?];
    let (mut seen, mut left) = (roaring::RoaringTreemap::new(), total);
    let give_up = Instant::now() + Duration::from_secs(SECONDS + 120);
    while left > 0 {
        ensure!(
            Instant::now() < give_up,
            "{left} events were never archived"
        );
        let archived = archive.snapshot().await?.origin_set(origin).await?;
        let now = Instant::now();
        for sequence in (&*archived - &seen).iter() {
            found[usize::try_from(sequence - 1)?] = Some(now);
            left -= 1;
        }
        seen = (*archived).clone();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    found
        .into_iter()
        .collect::<Option<_>>()
        .context("an event without its moment")
}
