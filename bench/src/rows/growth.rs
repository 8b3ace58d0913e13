//! The rate of ingest over millions of events, and commit time as the table grows.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use holdfast_archive::{Archive, Location};
use serde_json::Value;

use super::scale::{Appender, COMMIT_ROWS};
use crate::events::generate;
use crate::process::{ingest, quantile};
use crate::table::{Goal, Row};

/// Events of the long run.
const EVENTS: u64 = 5_000_000;
/// Events at each end of it that are compared.
const END: u64 = 1_000_000;
/// Commits of the growing table, and how many at each end are compared.
const COMMITS: usize = 5_000;
const COMMITS_END: usize = 500;

pub(crate) fn measure(folder: &Path) -> Result<Vec<Row>> {
    let (first, last) = long_run(folder)?;
    let rate = |r: f64| format!("{:.0} k/s", r / 1000.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (young, old) = runtime.block_on(commits(&folder.join("commits")))?;
    let ms = |s: f64| format!("{:.2} ms", s * 1e3);
    Ok(vec![
        Row {
            what: "rate, last million of 5 M events / first".into(),
            ours: rate(last),
            other: rate(first),
            judged: last / first,
            goal: Goal::AtLeast(0.9),
        },
        Row {
            what: format!("commit p99, last {COMMITS_END} of {COMMITS} commits / first"),
            ours: ms(old),
            other: ms(young),
            judged: old / young,
            goal: Goal::AtMost(1.5),
        },
    ])
}

/// Rates over the first and the last million, by the times and counts that the table's own log holds.
fn long_run(folder: &Path) -> Result<(f64, f64)> {
    let events = generate(EVENTS, &folder.join("long.jsonl"))?;
    let archive = folder.join("long");
    ingest(&format!("jsonl:{}", events.display()), &archive)?;
    std::fs::remove_file(&events)?;
    let mut commits = Vec::new();
    for entry in std::fs::read_dir(archive.join("events/_delta_log"))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json")
            && path.file_stem().is_some_and(|s| s.len() == 20)
        {
            commits.extend(commit_info(&path)?);
        }
    }
    commits.sort_unstable();
    let total: u64 = commits.iter().map(|(_, archived)| archived).sum();
    ensure!(total == EVENTS, "{total} events in the log");
    // Each commit's events took the time since the commit before; the first has none before it.
    let ends = |commits: &mut dyn Iterator<Item = ((i64, u64), (i64, u64))>| {
        let (mut events, mut ms) = (0, 0);
        for ((before, _), (at, archived)) in commits {
            (events, ms) = (events + archived, ms + (at - before));
            if events >= END {
                break;
            }
        }
        events as f64 / (ms as f64 / 1000.0)
    };
    let pairs: Vec<_> = commits
        .iter()
        .copied()
        .zip(commits.iter().copied().skip(1))
        .collect();
    let rates = (
        ends(&mut pairs.iter().copied()),
        ends(&mut pairs.iter().rev().copied()),
    );
    std::fs::remove_dir_all(&archive)?;
    Ok(rates)
}

/// Time in milliseconds and events archived, of an appending commit.
fn commit_info(path: &Path) -> Result<Option<(i64, u64)>> {
    let text = std::fs::read_to_string(path)?;
    let line = text
        .lines()
        .find(|line| line.starts_with("{\"commitInfo\""))
        .context("a commit without commitInfo")?;
    let value: Value = serde_json::from_str(line)?;
    let info = &value["commitInfo"];
    let archived = find_number(info, "archived").filter(|n| *n > 0);
    Ok(archived
        .zip(info["timestamp"].as_i64())
        .map(|(archived, at)| (at, archived)))
}

/// The number of that name, wherever it is nested; numbers may stand as text.
fn find_number(value: &Value, name: &str) -> Option<u64> {
    let Value::Object(members) = value else {
        return None;
    };
    members.iter().find_map(|(n, v)| {
        let here = (n == name)
            .then(|| v.as_u64().or_else(|| v.as_str()?.parse().ok()))
            .flatten();
        here.or_else(|| find_number(v, name))
    })
}

async fn commits(folder: &Path) -> Result<(f64, f64)> {
    let archive = Archive::create(&Location::local(folder)).await?;
    let mut appender = Appender::new(archive).await?;
    let mut seconds = Vec::with_capacity(COMMITS);
    for _ in 0..COMMITS {
        let begin = Instant::now();
        appender.commit().await?;
        seconds.push(begin.elapsed().as_secs_f64());
    }
    let span = Duration::from_secs_f64(seconds.iter().sum());
    ensure!(
        appender.rows() == (COMMITS * COMMIT_ROWS) as u64,
        "{span:?}: rows are missing"
    );
    Ok((
        quantile(seconds[..COMMITS_END].to_vec(), 0.99),
        quantile(seconds[COMMITS - COMMITS_END..].to_vec(), 0.99),
    ))
}
