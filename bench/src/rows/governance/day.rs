//! One expired day of 100,000 events among 1,000 days.
//!
//! The other days are of 1,000 events each, so that the archive is built in seconds, and their size cannot matter: while
//! the run is measured their files are not there. Each round lets the next day expire.

use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use holdfast_archive::{Advance, AdvanceOnly, Archive, CommitKind, Counts, Outcome};
use holdfast_fixtures::Profile;
use holdfast_governance::disposition::{plan_file, run};
use holdfast_governance::ledger::Ledger;
use holdfast_schemas::columns::name;
use holdfast_schemas::ledger::disposition::Authority;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use uuid::Uuid;

use super::archives::{self, Builder};
use super::ms;
use crate::process::median;
use crate::table::{Goal, Row};

const DAYS: i64 = 1_000;
const DAY_US: i64 = 86_400_000_000;
/// Events of a day that expires, and of any other.
const EXPIRED: u64 = 100_000;
const OTHER: u64 = 1_000;
/// Repetitions of what it is held against.
const REPEATS: usize = 5;

const IDS: [&str; 5] = [
    name::EVENT_ID,
    name::ROOM_ID,
    name::ACTOR_ID,
    name::TARGET_ID,
    name::MESSAGE_ID,
];

pub(super) async fn measure(folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let begin = Instant::now();
    build(folder, rounds).await?;
    eprintln!("{DAYS} days prepared in {:?}", begin.elapsed());
    let (archive, ledger) = archives::governed(folder).await?;
    let (mut runs, mut limits, mut plans) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        // The oldest day that is left is the only one that has expired.
        let days = DAYS - 1 - i64::try_from(round)?;
        archives::write(&ledger, archives::policy(&[], days)).await?;
        let begin = Instant::now();
        let made = plan_file::make(&ledger, ledger.now_us()).await?;
        let (saved, _) = plan_file::save(&ledger, &archives::by(), &made).await?;
        plans.push(begin.elapsed().as_secs_f64());
        ensure!(
            saved.events == EXPIRED && made.plan.segments.len() == 1,
            "{} events in {} segments have expired",
            saved.events,
            made.plan.segments.len()
        );
        let expired = folder
            .join("events")
            .join(&made.plan.segments[0].segment.path);
        limits.push(limit(&archive, &expired).await?);
        runs.push(alone(folder, &expired, run_it(&ledger, &saved.id)).await?);
    }
    std::fs::remove_dir_all(folder)?;
    let (ours, limit) = (median(runs), median(limits));
    Ok(vec![Row {
        what: format!("dispose of a day of {EXPIRED}, {DAYS} days / ids + commit"),
        ours: ms(ours),
        other: ms(limit),
        judged: ours / limit,
        goal: Goal::AtMost(2.0),
    }])
}

/// Days that end yesterday, the oldest ones full.
async fn build(folder: &Path, rounds: usize) -> Result<()> {
    let today_us = holdfast_archive::clock::system_now_ms() * 1000 / DAY_US * DAY_US;
    let mut builder = Builder::new(folder).await?;
    let mut sequence = 1;
    for day in 0..DAYS {
        let full = usize::try_from(day)? < rounds;
        let events = if full { EXPIRED } else { OTHER };
        let profile = Profile {
            start_us: today_us - (DAYS - day) * DAY_US,
            span_us: DAY_US - 1_000_000,
            first_sequence: sequence,
            ..Profile::messages(day.unsigned_abs(), events)
        };
        builder.segment(profile).await?;
        sequence += events;
    }
    builder.commit().await
}

async fn run_it(ledger: &Ledger, plan: &str) -> Result<f64> {
    let begin = Instant::now();
    let report = run::run(ledger, &archives::by(), plan, Authority::Plan).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let outcome = report.outcome.context("nothing was disposed of")?;
    ensure!(
        outcome.events == EXPIRED,
        "{} events were disposed of",
        outcome.events
    );
    Ok(seconds)
}

/// Does something while no other segment than one can be read.
async fn alone<T>(folder: &Path, keep: &Path, work: impl Future<Output = Result<T>>) -> Result<T> {
    let others: Vec<PathBuf> = segments(&folder.join("events"))?
        .into_iter()
        .filter(|file| file != keep)
        .collect();
    let hidden = |file: &Path| file.with_extension("hidden");
    for file in &others {
        std::fs::rename(file, hidden(file))?;
    }
    let done = work.await;
    for file in &others {
        std::fs::rename(hidden(file), file)?;
    }
    done
}

fn segments(table: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for year in std::fs::read_dir(table)? {
        let year = year?.path();
        if !year.is_dir() || year.ends_with("_delta_log") {
            continue;
        }
        for file in std::fs::read_dir(year)? {
            let file = file?.path();
            if file.extension().is_some_and(|e| e == "parquet") {
                found.push(file);
            }
        }
    }
    Ok(found)
}

/// Seconds to read the id columns of a file by the raw library, and to make a commit that moves a position and nothing
/// else.
async fn limit(archive: &Archive, file: &Path) -> Result<f64> {
    let (mut reads, mut commits) = (Vec::new(), Vec::new());
    for _ in 0..REPEATS {
        let begin = Instant::now();
        let rows = read_ids(file)?;
        reads.push(begin.elapsed().as_secs_f64());
        ensure!(rows as u64 == EXPIRED, "{rows} rows");
        let begin = Instant::now();
        commit(archive).await?;
        commits.push(begin.elapsed().as_secs_f64());
    }
    let (read, commit) = (median(reads), median(commits));
    eprintln!("ids {}, commit {}", ms(read), ms(commit));
    Ok(read + commit)
}

fn read_ids(file: &Path) -> Result<usize> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(std::fs::read(file)?))?;
    let columns = builder.parquet_schema();
    let roots = (0..builder.schema().fields().len())
        .filter(|root| IDS.contains(&builder.schema().field(*root).name().as_str()));
    let mask = ProjectionMask::roots(columns, roots);
    let reader = builder
        .with_projection(mask)
        .with_batch_size(32 * 1024)
        .build()?;
    let mut rows = 0;
    for batch in reader {
        rows += batch?.num_rows();
    }
    Ok(rows)
}

async fn commit(archive: &Archive) -> Result<()> {
    let base = archive.snapshot().await?;
    let from = base.position("bench").await?;
    let advance = AdvanceOnly {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Fence,
        positions: vec![Advance {
            app_id: "bench".to_owned(),
            from,
            to: from.unwrap_or(0) + 1,
        }],
        counts: Counts::default(),
    };
    let outcome = archive.advance(&base, advance).await?;
    ensure!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
    Ok(())
}
