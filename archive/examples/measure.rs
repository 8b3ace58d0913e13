//! Measures encoding, reading and commits on this machine.
//!
//! ```text
//! cargo run --release -p holdfast-archive --example measure -- encode EVENTS.jsonl
//! cargo run --release -p holdfast-archive --example measure -- commits COUNT FOLDER [nosync]
//! cargo run --release -p holdfast-archive --example measure -- archive EVENTS.jsonl PLACE
//! ```
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::Path;
use std::time::Instant;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};
use bytes::Bytes;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::segment::{CarriedRowIds, SegmentFooter, encode, new_id};
use holdfast_archive::{
    Advance, Append, Archive, CommitKind, Counts, Location, OpenOptions, Outcome, Replace, cut,
};
use holdfast_schemas::columns::{self, RowBuilder, name};
use holdfast_schemas::event::{Intake, Row};
use parquet::file::reader::{FileReader, SerializedFileReader};
use uuid::Uuid;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["encode", events] => encode_events(Path::new(events)),
        ["commits", count, folder] => commits(count.parse().unwrap(), Path::new(folder), true),
        ["commits", count, folder, "nosync"] => {
            commits(count.parse().unwrap(), Path::new(folder), false);
        }
        ["archive", events, place] => archive(Path::new(events), place),
        _ => panic!(
            "archive EVENTS.jsonl PLACE | encode EVENTS.jsonl | commits COUNT FOLDER [nosync]"
        ),
    }
}

fn batch_of(path: &Path) -> RecordBatch {
    let mut builder = RowBuilder::with_capacity(1 << 20);
    for (line, offset) in std::io::BufReader::new(std::fs::File::open(path).unwrap())
        .lines()
        .zip(0i64..)
    {
        let line = line.unwrap();
        let event = holdfast_schemas::decode::decode(line.as_bytes()).unwrap();
        let intake = Intake {
            ingest_time_us: 1_790_000_000_000_000 + offset,
            kafka_topic: Some("compliance.events".into()),
            kafka_partition: Some(0),
            kafka_offset: Some(offset),
        };
        builder.append(&Row { event, intake });
    }
    builder.finish().unwrap()
}

fn by_year(batch: &RecordBatch) -> Vec<(i32, RecordBatch)> {
    let times = batch
        .column_by_name(name::EVENT_TIME)
        .unwrap()
        .as_primitive::<TimestampMicrosecondType>();
    let years: Vec<i32> = times
        .values()
        .iter()
        .map(|us| columns::event_year(*us))
        .collect();
    cut::by_year(&years)
        .into_iter()
        .map(|(year, rows)| {
            (
                year,
                arrow::compute::take_record_batch(batch, &arrow::array::UInt32Array::from(rows))
                    .unwrap(),
            )
        })
        .collect()
}

fn encode_events(path: &Path) {
    let batch = batch_of(path);
    let years = by_year(&batch);
    let mut sizes: BTreeMap<String, i64> = BTreeMap::new();
    for round in 0..3 {
        sizes.clear();
        let (mut bytes, start) = (0u64, Instant::now());
        let mut files = Vec::new();
        for (year, batch) in &years {
            let footer = footer(batch.num_rows() as u64);
            let file = encode(new_id(), *year, batch, &footer, None).unwrap();
            bytes += file.segment.bytes;
            files.push(file);
        }
        let seconds = start.elapsed().as_secs_f64();
        let rows = batch.num_rows() as f64;
        println!(
            "round {round}: {rows} rows, {} files, {:.2} us a row, {:.0} rows/s, {:.1} bytes a row",
            files.len(),
            seconds / rows * 1e6,
            rows / seconds,
            bytes as f64 / rows
        );
        for file in files {
            column_sizes(file.bytes, &mut sizes);
        }
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, bytes)| -bytes);
    for (column, bytes) in sizes {
        println!(
            "{:8.3} bytes a row  {column}",
            bytes as f64 / batch.num_rows() as f64
        );
    }
    one_column_at_a_time(&years);
}

/// Encoding time of each column alone: what it would save to leave it out.
fn one_column_at_a_time(years: &[(i32, RecordBatch)]) {
    let schema = columns::segment_schema();
    let rows: usize = years.iter().map(|(_, batch)| batch.num_rows()).sum();
    for (index, field) in schema.fields().iter().enumerate() {
        let start = Instant::now();
        for (year, batch) in years {
            let mut columns = batch.columns().to_vec();
            for (other, column) in columns.iter_mut().enumerate() {
                if other != index && schema.field(other).is_nullable() {
                    *column = arrow::array::new_null_array(
                        schema.field(other).data_type(),
                        batch.num_rows(),
                    );
                }
            }
            let batch = RecordBatch::try_new(schema.clone(), columns).unwrap();
            encode(
                new_id(),
                *year,
                &batch,
                &footer(batch.num_rows() as u64),
                None,
            )
            .unwrap();
        }
        println!(
            "{:8.3} us a row with the required columns and {}",
            start.elapsed().as_secs_f64() / rows as f64 * 1e6,
            field.name()
        );
    }
}

fn column_sizes(bytes: Bytes, sizes: &mut BTreeMap<String, i64>) {
    let reader = SerializedFileReader::new(bytes).unwrap();
    for group in reader.metadata().row_groups() {
        for column in group.columns() {
            *sizes.entry(column.column_path().string()).or_default() += column.compressed_size();
        }
    }
}

fn footer(rows: u64) -> SegmentFooter {
    SegmentFooter {
        commit_id: Uuid::new_v4(),
        positions: vec![],
        rows,
        merkle_root: [0; 32],
    }
}

#[tokio::main]
async fn commits(count: u64, folder: &Path, fsync: bool) {
    let options = OpenOptions {
        fsync,
        ..OpenOptions::default()
    };
    let archive = Archive::create_with(&Location::local(folder), options)
        .await
        .unwrap();
    let mut base = archive.snapshot().await.unwrap();
    let mut times = Vec::new();
    for n in 1..=count {
        let segment = {
            let mut segment = holdfast_archive::NewSegment {
                path: format!("event_year=2026/{}.parquet", new_id()),
                event_year: 2026,
                rows: 1,
                bytes: 1,
                sha256: [0; 32],
                stats: holdfast_archive::SegmentStats::default(),
            };
            segment.stats.origin = ("main".into(), "main".into());
            segment.stats.origin_seq = (n, n);
            segment
        };
        let at = i64::try_from(n).unwrap();
        let append = Append {
            commit_id: Uuid::new_v4(),
            kind: CommitKind::Append,
            segments: vec![segment],
            positions: vec![Advance {
                app_id: "outbox/main".into(),
                from: (n > 1).then_some(at - 1),
                to: at,
            }],
            archived: BTreeMap::from([("main".to_owned(), (n..=n).collect())]),
            counts: Counts {
                consumed: 1,
                archived: 1,
                ..Counts::default()
            },
            merkle_root: [0; 32],
        };
        let start = Instant::now();
        let Outcome::Committed(snapshot) = archive.append(&base, append).await.unwrap() else {
            panic!()
        };
        times.push(start.elapsed().as_secs_f64() * 1e3);
        base = snapshot;
        let step = (count / 10).max(1);
        if n % step == 0 {
            let mut last = times.split_off(0);
            last.sort_by(f64::total_cmp);
            let at = |p: f64| last[((last.len() - 1) as f64 * p) as usize];
            println!(
                "{n:>8} commits: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
                at(0.5),
                at(0.99),
                at(1.0)
            );
        }
    }
    drop(archive);
    let start = Instant::now();
    let archive = Archive::open(&Location::local(folder)).await.unwrap();
    let opened = start.elapsed();
    let segments = archive.known_snapshot().segments().await.unwrap().len();
    println!(
        "cold open {:.1} ms; {segments} files listed after {:.1} ms",
        ms(opened),
        ms(start.elapsed())
    );
}

/// Archives the events in slices and merges the last year's, row ids carried: a folder for other Delta readers to read.
#[tokio::main]
async fn archive(events: &Path, place: &str) {
    let archive = Archive::create(&Location::parse(place).unwrap())
        .await
        .unwrap();
    let mut base = archive.snapshot().await.unwrap();
    for (year, rows) in by_year(&batch_of(events)) {
        for start in (0..rows.num_rows()).step_by(50_000) {
            let slice = rows.slice(start, 50_000.min(rows.num_rows() - start));
            let file = encode(
                new_id(),
                year,
                &slice,
                &footer(slice.num_rows() as u64),
                None,
            )
            .unwrap();
            archive.put_segment(&file).await.unwrap();
            let sequences = slice
                .column_by_name(name::ORIGIN_SEQ)
                .unwrap()
                .as_primitive::<Int64Type>();
            let append = Append {
                commit_id: Uuid::new_v4(),
                kind: CommitKind::Append,
                segments: vec![file.segment],
                positions: vec![],
                archived: BTreeMap::from([(
                    "corpus".to_owned(),
                    sequences
                        .values()
                        .iter()
                        .map(|n| u64::try_from(*n).unwrap())
                        .collect(),
                )]),
                counts: Counts::default(),
                merkle_root: [0; 32],
            };
            let Outcome::Committed(snapshot) = archive.append(&base, append).await.unwrap() else {
                panic!()
            };
            base = snapshot;
        }
    }
    let segments = base.segments().await.unwrap();
    let year = segments.last().unwrap().event_year;
    let inputs: Vec<_> = segments
        .iter()
        .filter(|segment| segment.event_year == year)
        .collect();
    let mut batches = Vec::new();
    for input in &inputs {
        let options = ReadOptions {
            with_row_versions: true,
            ..ReadOptions::default()
        };
        let reader = SegmentReader::open(&archive, input).await.unwrap();
        let read = reader.read(&options).unwrap();
        batches.extend(read.try_collect::<Vec<_>>().await.unwrap());
    }
    let all = arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap();
    let order =
        arrow::compute::sort_to_indices(all.column_by_name(name::EVENT_TIME).unwrap(), None, None)
            .unwrap();
    let all = arrow::compute::take_record_batch(&all, &order).unwrap();
    let numbers = |at: usize| all.column(at).as_primitive::<Int64Type>().values().to_vec();
    let (id, version) = base.row_tracking_columns();
    let width = all.num_columns();
    let carried = CarriedRowIds {
        columns: (id.to_owned(), version.to_owned()),
        row_ids: numbers(width - 2),
        commit_versions: numbers(width - 1),
    };
    let rows = all.project(&(0..width - 2).collect::<Vec<_>>()).unwrap();
    let file = encode(
        new_id(),
        year,
        &rows,
        &footer(rows.num_rows() as u64),
        Some(&carried),
    )
    .unwrap();
    archive.put_segment(&file).await.unwrap();
    let replace = Replace {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Compaction,
        inputs: inputs.iter().map(|segment| segment.path.clone()).collect(),
        segments: vec![file.segment],
        ledger: None,
        recheck: None,
        counts: Counts::default(),
        merkle_root: [0; 32],
    };
    let Outcome::Committed(snapshot) = archive.replace(&base, replace).await.unwrap() else {
        panic!()
    };
    println!(
        "version {}, {} segments",
        snapshot.version(),
        snapshot.segments().await.unwrap().len()
    );
    random_reads(&archive).await;
}

/// Fifty rows scattered over every segment.
async fn random_reads(archive: &Archive) {
    for round in 0..3 {
        let start = Instant::now();
        let segments = archive.snapshot().await.unwrap().segments().await.unwrap();
        let total: u64 = segments.iter().map(|segment| segment.rows).sum();
        let mut read = 0;
        let mut before = 0;
        for segment in segments.iter() {
            // Every fiftieth of the whole archive.
            let rows: Vec<u32> = (0..50u64)
                .map(|n| n * total / 50 + round)
                .filter_map(|row| row.checked_sub(before).filter(|row| *row < segment.rows))
                .map(|row| u32::try_from(row).unwrap())
                .collect();
            before += segment.rows;
            if rows.is_empty() {
                continue;
            }
            let reader = SegmentReader::open(archive, segment).await.unwrap();
            let options = ReadOptions {
                rows: Some(&rows),
                ..ReadOptions::default()
            };
            let batches = reader
                .read(&options)
                .unwrap()
                .try_collect::<Vec<_>>()
                .await
                .unwrap();
            read += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
        }
        println!(
            "{read} scattered rows of {total} in {:.1} ms",
            ms(start.elapsed())
        );
    }
}

fn ms(duration: std::time::Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
