//! Segments of made-up events, and stores that fail on demand.
#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod clock;
pub mod faulty;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    new_null_array,
};
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use holdfast_archive::read::{ROW_ID, ReadOptions, SegmentReader};
use holdfast_archive::segment::{SegmentFooter, encode, new_id};
use holdfast_archive::{
    Advance, Append, Archive, CommitKind, Conflict, Counts, EncodedSegment, Location, OpenOptions,
    Outcome, Segment, Snapshot,
};
use holdfast_schemas::columns::{name, segment_schema, timestamp};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use ulid::Ulid;
use url::Url;
use uuid::Uuid;

/// 2026-03-01T00:00:00Z in microseconds.
pub const MARCH_US: i64 = 1_772_323_200_000_000;

/// Rows of one origin; sequence n happened n seconds and n microseconds into March 2026.
pub fn rows(origin: &str, sequences: Range<u64>) -> RecordBatch {
    let count = usize::try_from(sequences.end - sequences.start).unwrap();
    let text = |of: &dyn Fn(u64) -> String| {
        Arc::new(
            sequences
                .clone()
                .map(|n| Some(of(n)))
                .collect::<StringArray>(),
        )
    };
    let times = || {
        let times: Vec<i64> = sequences.clone().map(time_of).collect();
        Arc::new(TimestampMicrosecondArray::from(times).with_data_type(timestamp()))
    };
    let schema = segment_schema();
    let columns = schema.fields().iter().map(|field| -> ArrayRef {
        match field.name().as_str() {
            name::EVENT_ID => text(&|n| event_id(origin, n)),
            name::EVENT_TYPE => text(&|_| "chat.message.posted".to_owned()),
            name::EVENT_TIME | name::INGEST_TIME => times(),
            name::ORIGIN => text(&|_| origin.to_owned()),
            name::ORIGIN_SEQ => Arc::new(
                sequences
                    .clone()
                    .map(|n| Some(i64::try_from(n).unwrap()))
                    .collect::<Int64Array>(),
            ),
            name::SOURCE => text(&|_| "/pools/main/nodes/test".to_owned()),
            name::ROOM_ID => text(&|n| format!("r-{}", n % 3)),
            name::MESSAGE_ID => text(&|n| format!("m-{n}")),
            name::BODY => text(&|n| format!("message number {n} of {origin}")),
            _ => new_null_array(field.data_type(), count),
        }
    });
    RecordBatch::try_new(Arc::clone(&schema), columns.collect()).unwrap()
}

pub fn time_of(sequence: u64) -> i64 {
    MARCH_US + i64::try_from(sequence).unwrap() * 1_000_001
}

pub fn event_id(origin: &str, sequence: u64) -> String {
    format!("0197c0de-7a3e-7c51-{:04x}-{sequence:012x}", origin.len())
}

/// A segment file of such rows, not put yet.
pub fn segment(origin: &str, sequences: Range<u64>) -> EncodedSegment {
    segment_named(new_id(), origin, sequences)
}

/// A segment file under a name of its own.
pub fn segment_named(id: Ulid, origin: &str, sequences: Range<u64>) -> EncodedSegment {
    let footer = SegmentFooter {
        commit_id: Uuid::new_v4(),
        positions: vec![(
            format!("outbox/{origin}"),
            i64::try_from(sequences.end).unwrap() - 1,
        )],
        rows: sequences.end - sequences.start,
        merkle_root: [7; 32],
    };
    encode(id, 2026, &rows(origin, sequences), &footer, None).unwrap()
}

/// The plan that appends those sequences after position `from`.
pub fn plan(
    origin: &str,
    sequences: Range<u64>,
    from: Option<i64>,
    segment: &EncodedSegment,
) -> Append {
    let rows = sequences.end - sequences.start;
    let to = i64::try_from(sequences.end).unwrap() - 1;
    Append {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Append,
        segments: vec![segment.segment.clone()],
        positions: vec![Advance {
            app_id: format!("outbox/{origin}"),
            from,
            to,
        }],
        archived: BTreeMap::from([(origin.to_owned(), sequences.collect())]),
        counts: Counts {
            consumed: rows,
            archived: rows,
            ..Counts::default()
        },
        merkle_root: [7; 32],
    }
}

/// Puts and appends those sequences on the newest snapshot.
pub async fn append(archive: &Archive, origin: &str, sequences: Range<u64>) -> Snapshot {
    let base = archive.snapshot().await.unwrap();
    let from = base.position(&format!("outbox/{origin}")).await.unwrap();
    // Where a horizon lies a little ahead, a name of this moment would be below it.
    let segment = segment_named(base.new_id(), origin, sequences.clone());
    archive.put_segment(&segment).await.unwrap();
    committed(
        archive
            .append(&base, plan(origin, sequences, from, &segment))
            .await
            .unwrap(),
    )
}

pub fn committed(outcome: Outcome) -> Snapshot {
    match outcome {
        Outcome::Committed(snapshot) => snapshot,
        other => panic!("not committed: {other:?}"),
    }
}

pub fn conflicted(outcome: Outcome) -> Conflict {
    match outcome {
        Outcome::Conflicted(conflict) => conflict,
        other => panic!("no conflict: {other:?}"),
    }
}

pub fn memory() -> (Arc<dyn ObjectStore>, Url) {
    (Arc::new(InMemory::new()), Url::parse("memory:///").unwrap())
}

/// Commits that give up soon: for tests of stores that never recover.
pub fn hasty() -> OpenOptions {
    OpenOptions {
        commit_time_max: Duration::from_millis(200),
        maintenance: false,
        ..OpenOptions::default()
    }
}

pub async fn local(folder: &std::path::Path) -> Archive {
    let options = OpenOptions {
        fsync: false,
        ..OpenOptions::default()
    };
    Archive::create_with(&Location::local(folder), options)
        .await
        .unwrap()
}

/// All rows of a segment with row ids and commit versions.
pub async fn read_all(archive: &Archive, segment: &Segment) -> Vec<RecordBatch> {
    let reader = SegmentReader::open(archive, segment).await.unwrap();
    let options = ReadOptions {
        with_row_versions: true,
        batch_rows: 1000,
        ..ReadOptions::default()
    };
    reader.read(&options).unwrap().try_collect().await.unwrap()
}

/// (origin, sequence) of every live row, sorted; with repeats, if there are any.
pub async fn archived(archive: &Archive) -> Vec<(String, i64)> {
    let snapshot = archive.snapshot().await.unwrap();
    let mut found = Vec::new();
    for segment in snapshot.segments().await.unwrap().iter() {
        for batch in read_all(archive, segment).await {
            let origins = batch
                .column_by_name(name::ORIGIN)
                .unwrap()
                .as_string::<i32>()
                .clone();
            let sequences = batch
                .column_by_name(name::ORIGIN_SEQ)
                .unwrap()
                .as_primitive::<Int64Type>()
                .clone();
            for row in 0..batch.num_rows() {
                found.push((origins.value(row).to_owned(), sequences.value(row)));
            }
        }
    }
    found.sort();
    found
}

/// Asserts that exactly these sequences of one origin are archived, once each, and that its set and position agree.
pub async fn assert_archived(archive: &Archive, origin: &str, sequences: Range<u64>) {
    let expected: Vec<_> = sequences
        .clone()
        .map(|n| (origin.to_owned(), i64::try_from(n).unwrap()))
        .collect();
    let found: Vec<_> = archived(archive)
        .await
        .into_iter()
        .filter(|(o, _)| o == origin)
        .collect();
    assert_eq!(found, expected);
    let snapshot = archive.snapshot().await.unwrap();
    assert_eq!(
        *snapshot.origin_set(origin).await.unwrap(),
        sequences.collect()
    );
}

/// Row ids of all live rows, sorted.
pub async fn row_ids(archive: &Archive) -> Vec<i64> {
    let mut ids = Vec::new();
    for segment in archive
        .snapshot()
        .await
        .unwrap()
        .segments()
        .await
        .unwrap()
        .iter()
    {
        for batch in read_all(archive, segment).await {
            ids.extend(
                batch
                    .column_by_name(ROW_ID)
                    .unwrap()
                    .as_primitive::<Int64Type>()
                    .values(),
            );
        }
    }
    ids.sort_unstable();
    ids
}
