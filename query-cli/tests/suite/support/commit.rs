//! Commits as ingest makes them.

use std::collections::BTreeMap;

use holdfast_archive::segment::{SegmentFooter, encode};
use holdfast_archive::{Advance, Append, Archive, CommitKind, Counts, Outcome};
use holdfast_indexer::build_split;
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_schemas::columns::{RowBuilder, event_year};
use holdfast_schemas::decode::decode;
use holdfast_schemas::event_type::QUARANTINED;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::quarantine::{Position, quarantined};
use holdfast_schemas::{Intake, Row, merkle};
use serde_json::Value;
use ulid::Ulid;
use uuid::Uuid;

use super::INGESTED_US;

pub(crate) fn lines(events: &[Value]) -> Vec<String> {
    events.iter().map(Value::to_string).collect()
}

/// Appends events, and perhaps an undecodable record, in one commit with segments and splits.
pub(crate) async fn append(archive: &Archive, number: u128, lines: &[String], odd: Option<&[u8]>) {
    append_forged(archive, number, lines, odd, |_| ()).await;
}

/// As [`append`], with rows changed after their hashes were taken.
pub(crate) async fn append_forged(
    archive: &Archive,
    number: u128,
    lines: &[String],
    odd: Option<&[u8]>,
    forge: impl Fn(&mut Row<'_>),
) {
    let intake = Intake {
        ingest_time_us: INGESTED_US,
        kafka_topic: Some("compliance.events".into()),
        kafka_partition: Some(0),
        ..Intake::default()
    };
    let base = archive.snapshot().await.unwrap();
    let position = base.position("kafka/c/t/0").await.unwrap();
    let first = position.map_or(0, |p| p + 1);
    let mut rows: Vec<Row<'_>> = lines
        .iter()
        .enumerate()
        .map(|(n, line)| Row {
            event: decode(line.as_bytes()).unwrap(),
            intake: Intake {
                kafka_offset: Some(first + n as i64),
                ..intake.clone()
            },
        })
        .collect();
    if let Some(raw) = odd {
        let at = Position {
            source: "kafka/c/t/0".into(),
            place: "offset 99".into(),
            number: Some(99),
        };
        rows.push(quarantined(
            raw,
            "not JSON: expected a value",
            &at,
            intake.clone(),
        ));
    }
    rows.sort_by(|a, b| (a.event.time_us, &a.event.id).cmp(&(b.event.time_us, &b.event.id)));
    let mut scratch = Vec::new();
    let hashes = rows.iter().map(|r| {
        (
            &*r.event.origin,
            r.event.sequence,
            event_hash(&r.event, &mut scratch),
        )
    });
    let root = merkle::rows_root(hashes.collect::<Vec<_>>());
    let year = event_year(rows[0].event.time_us);
    assert!(
        rows.iter().all(|r| event_year(r.event.time_us) == year),
        "one year a test commit"
    );
    rows.iter_mut().for_each(forge);
    let mut builder = RowBuilder::with_capacity(rows.len());
    rows.iter().for_each(|row| builder.append(row));
    let batch = builder.finish().unwrap();
    let to = first + lines.len() as i64 - 1;
    let commit_id = Uuid::from_u128(number);
    let footer = SegmentFooter {
        commit_id,
        positions: vec![("kafka/c/t/0".into(), to)],
        rows: rows.len() as u64,
        merkle_root: root,
    };
    // Now, so that garbage collection's horizon never lies above it, but distinct.
    let name = Ulid::from_parts(holdfast_archive::segment::new_id().timestamp_ms(), number);
    let encoded = encode(name, year, &batch, &footer, None).unwrap();
    archive.put_segment(&encoded).await.unwrap();
    let split = build_split(&batch, encoded.segment.id()).unwrap();
    archive
        .put_split(&encoded.segment.split_path(ANALYZER_VERSION), split)
        .await
        .unwrap();
    let mut archived: BTreeMap<String, roaring::RoaringTreemap> = BTreeMap::new();
    for row in &rows {
        archived
            .entry(row.event.origin.to_string())
            .or_default()
            .insert(row.event.sequence);
    }
    let odd_count = rows
        .iter()
        .filter(|r| r.event.event_type == QUARANTINED)
        .count() as u64;
    let counts = Counts {
        consumed: rows.len() as u64,
        archived: rows.len() as u64 - odd_count,
        quarantined: odd_count,
        duplicates: 0,
    };
    let append = Append {
        commit_id,
        kind: CommitKind::Append,
        segments: vec![encoded.segment.clone()],
        positions: vec![Advance {
            app_id: "kafka/c/t/0".into(),
            from: position,
            to,
        }],
        archived,
        counts,
        merkle_root: root,
    };
    match archive.append(&base, append).await.unwrap() {
        Outcome::Committed(_) => {}
        other => panic!("{other:?}"),
    }
}
