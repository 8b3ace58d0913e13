//! Runs over JSON lines, end to end into a local archive.
use crate::common::{Bench, at, event};
use holdfast_fixtures::generator::{Generator, Profile};
use holdfast_fixtures::odd::{Fate, odd_records};
use holdfast_ingest::IngestError;
use std::time::Duration;

fn counts(report: &holdfast_ingest::Report) -> (u64, u64, u64, u64) {
    (
        report.consumed,
        report.archived,
        report.quarantined,
        report.duplicates,
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_file_is_archived_once_however_often_it_is_read() {
    let bench = Bench::new().await;
    let lines: Vec<_> = (1..=5000).map(|n| event("o", n, 0)).collect();
    let file = bench.write("a.jsonl", &lines);
    assert_eq!(counts(&bench.ingest(&file).await), (5000, 5000, 0, 0));
    let again = bench.ingest(&file).await;
    assert_eq!((counts(&again), again.commits), ((5000, 0, 0, 5000), 0));
    assert_eq!(bench.by_sequence().await.len(), 5000);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_files_in_the_wrong_order_overlapping_and_again() {
    let bench = Bench::new().await;
    let lines =
        |range: std::ops::RangeInclusive<u64>| range.map(|n| event("o", n, 0)).collect::<Vec<_>>();
    let (late, early, across) = (
        bench.write("late.jsonl", &lines(501..=900)),
        bench.write("early.jsonl", &lines(1..=500)),
        bench.write("across.jsonl", &lines(400..=1000)),
    );
    assert_eq!(counts(&bench.ingest(&late).await), (400, 400, 0, 0));
    assert_eq!(counts(&bench.ingest(&early).await), (500, 500, 0, 0));
    assert_eq!(counts(&bench.ingest(&across).await), (601, 100, 0, 501));
    for file in [&early, &late, &across] {
        let report = bench.ingest(file).await;
        assert_eq!((report.archived, report.quarantined), (0, 0));
    }
    let rows = bench.by_sequence().await;
    assert!(rows.keys().map(|key| key.1).eq(1..=1000));
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_records_repeated_within_and_across_batches_are_taken_once() {
    let bench = Bench::new().await;
    // Every record three times, in an order that puts copies into the same chunk, the open batch, and batches on their way.
    let mut lines = Vec::new();
    for n in 1..=30_000u64 {
        lines.push(event("o", n, 0));
        lines.push(event("o", n.saturating_sub(17).max(1), 0));
        lines.push(event("o", n.saturating_sub(9000).max(1), 0));
    }
    let file = bench.write("a.jsonl", &lines);
    let report = bench
        .try_ingest(&file, |settings| settings.flush.rows = 2000)
        .await
        .unwrap();
    assert_eq!(counts(&report), (90_000, 30_000, 0, 60_000));
    assert!(report.commits > 1);
    assert_eq!(bench.by_sequence().await.len(), 30_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_another_event_under_the_same_sequence_is_quarantined_once() {
    let bench = Bench::new().await;
    let file = bench.write(
        "a.jsonl",
        &[event("o", 1, 0), event("o", 2, 0), event("o", 2, 5)],
    );
    assert_eq!(counts(&bench.ingest(&file).await), (3, 2, 1, 0));
    let other = bench.write("b.jsonl", &[event("o", 1, 7), event("o", 3, 0)]);
    assert_eq!(counts(&bench.ingest(&other).await), (2, 1, 1, 0));
    // Read again, the conflicts are known too.
    assert_eq!(counts(&bench.ingest(&file).await), (3, 0, 0, 3));
    assert_eq!(counts(&bench.ingest(&other).await), (2, 0, 0, 2));
    let rows = bench.rows().await;
    let quarantined: Vec<_> = rows
        .iter()
        .filter(|row| row.event_type == "holdfast.quarantined")
        .collect();
    assert_eq!((rows.len(), quarantined.len()), (5, 2));
    assert!(
        quarantined
            .iter()
            .any(|row| row.raw.as_deref() == Some(&event("o", 2, 5)[..]))
    );
    let reason = quarantined[0].extra.as_deref().unwrap();
    assert!(
        reason.contains("of origin o belongs to event") && reason.contains("jsonl"),
        "{reason}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_every_odd_record_meets_its_fate() {
    let bench = Bench::new().await;
    let odd = odd_records("odd.1");
    let file = bench.write(
        "odd.jsonl",
        &odd.iter()
            .map(|record| record.bytes.clone())
            .collect::<Vec<_>>(),
    );
    let report = bench.ingest(&file).await;
    let fates = |fate: Fate| odd.iter().filter(|record| record.fate == fate).count() as u64;
    assert_eq!(
        counts(&report),
        (
            odd.len() as u64,
            fates(Fate::Archived),
            fates(Fate::Quarantined),
            fates(Fate::Duplicate)
        )
    );
    let rows = bench.rows().await;
    let own: Vec<_> = rows
        .iter()
        .filter(|row| row.origin == "odd.1")
        .map(|row| row.sequence)
        .collect();
    assert_eq!(own.len() as u64, fates(Fate::Archived));
    for (line, record) in odd
        .iter()
        .enumerate()
        .filter(|(_, record)| record.fate == Fate::Quarantined)
    {
        let place = format!("odd.jsonl line {}", line + 1);
        let row = rows.iter().find(|row| {
            // Of an oversized one the length is said as well.
            let ends = [format!("{place}\""), format!("{place} of ")];
            row.extra
                .as_deref()
                .is_some_and(|extra| ends.iter().any(|end| extra.contains(end)))
        });
        let row =
            row.unwrap_or_else(|| panic!("{}: nothing quarantined from {place}", record.name));
        assert_eq!(row.event_type, "holdfast.quarantined", "{}", record.name);
        let raw = row.raw.as_deref().unwrap();
        assert!(record.bytes == raw, "{}", record.name);
    }
    // All of it again: nothing new, nothing quarantined twice.
    let again = bench.ingest(&file).await;
    assert_eq!(counts(&again), (odd.len() as u64, 0, 0, odd.len() as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_any_time_go_to_their_own_year() {
    let bench = Bench::new().await;
    let times = [
        "1970-01-01T00:00:00Z",
        "2026-12-31T23:59:59.999999Z",
        "2027-01-01T00:00:00Z",
        "9999-12-31T23:59:59Z",
    ];
    let lines: Vec<_> = (1u64..)
        .zip(times)
        .map(|(n, time)| at("o", n, 0, time))
        .collect();
    let file = bench.write("a.jsonl", &lines);
    assert_eq!(bench.ingest(&file).await.archived, 4);
    let years: Vec<_> = bench.rows().await.iter().map(|row| row.year).collect();
    let mut sorted = years.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [1970, 2026, 2027, 9999]);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_the_contract_is_archived_with_its_hash() {
    let bench = Bench::new().await;
    let mut generator = Generator::new(Profile::new(7, 3000));
    let mut bytes = Vec::new();
    while generator.write_next(&mut bytes).is_some() {
        if bytes.last() != Some(&b'\n') {
            bytes.push(b'\n');
        }
    }
    let path = bench.path("g.jsonl");
    std::fs::write(&path, &bytes).unwrap();
    assert_eq!(counts(&bench.ingest(&path).await), (3000, 3000, 0, 0));
    let rows = bench.by_sequence().await;
    let mut scratch = Vec::new();
    for line in bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let event = holdfast_schemas::decode::decode(line).unwrap();
        let row = &rows[&(event.origin.clone().into_owned(), event.sequence)];
        assert_eq!(
            row.hash,
            holdfast_schemas::hash::event_hash(&event, &mut scratch)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_two_processes_with_the_same_file_archive_it_once() {
    let bench = Bench::new().await;
    let lines: Vec<_> = (1..=20_000).map(|n| event("o", n, 0)).collect();
    let file = bench.write("a.jsonl", &lines);
    let small = |settings: &mut holdfast_ingest::settings::Settings| settings.flush.rows = 1500;
    let (first, second) = tokio::join!(
        bench.try_ingest(&file, small),
        bench.try_ingest(&file, small)
    );
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!(first.archived + second.archived, 20_000);
    assert_eq!(first.duplicates + second.duplicates, 20_000);
    assert_eq!(bench.by_sequence().await.len(), 20_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_two_processes_with_conflicting_events_archive_one_and_quarantine_the_other() {
    let bench = Bench::new().await;
    let lines = |seed| (1..=3000).map(|n| event("o", n, seed)).collect::<Vec<_>>();
    let (a, b) = (
        bench.write("a.jsonl", &lines(0)),
        bench.write("b.jsonl", &lines(9)),
    );
    let small = |settings: &mut holdfast_ingest::settings::Settings| settings.flush.rows = 500;
    let (first, second) = tokio::join!(bench.try_ingest(&a, small), bench.try_ingest(&b, small));
    first.unwrap();
    second.unwrap();
    let rows = bench.rows().await;
    let own = rows.iter().filter(|row| row.origin == "o").count();
    let quarantined = rows
        .iter()
        .filter(|row| row.event_type == "holdfast.quarantined")
        .count();
    assert_eq!((own, quarantined), (3000, 3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_file_or_archive_is_said_with_what_to_do() {
    let bench = Bench::new().await;
    let error = bench
        .try_ingest(&bench.path("none.jsonl"), |_| {})
        .await
        .unwrap_err();
    assert!(
        matches!(&error, IngestError::Source(_)) && error.to_string().contains("none.jsonl"),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tiny_memory_bound_slows_down_and_loses_nothing() {
    let bench = Bench::new().await;
    let lines: Vec<_> = (1..=20_000).map(|n| event("o", n, 0)).collect();
    let file = bench.write("a.jsonl", &lines);
    let report = bench
        .try_ingest(&file, |settings| {
            settings.in_flight_bytes_max = 1;
            settings.flush.age = Duration::from_secs(3600);
        })
        .await
        .unwrap();
    assert_eq!(report.archived, 20_000);
    assert_eq!(bench.by_sequence().await.len(), 20_000);
}
