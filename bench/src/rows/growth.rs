//! The rate of ingest over millions of events, its memory with merges beside, and commit time as the table grows.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use holdfast_archive::{Archive, Location};
use serde_json::Value;

use super::scale::{Appender, COMMIT_ROWS};
use crate::events::generate;
use crate::process::{ingest, ingest_merging, median, quantile};
use crate::table::{Goal, Row};

/// Events of the long run.
const EVENTS: u64 = 5_000_000;
/// Events at each end of it that are compared.
const END: u64 = 1_000_000;
/// Commits of the table that has grown, and how many of it and of a young one are compared.
const COMMITS: usize = 5_000;
const COMMITS_END: usize = 500;

pub(crate) fn measure(folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let events = generate(EVENTS, &folder.join("long.jsonl"))?;
    let source = format!("jsonl:{}", events.display());
    let runs = (0..rounds).map(|round| long_run(&source, &folder.join(format!("long-{round}"))));
    let (firsts, lasts) = runs.collect::<Result<(Vec<_>, Vec<_>)>>()?;
    let ratios = firsts.iter().zip(&lasts).map(|(first, last)| last / first);
    let flatness = median(ratios.collect());
    let (first, last) = (median(firsts), median(lasts));
    let (peak_mib, merges) = merging_run(&source, &folder.join("merging"))?;
    std::fs::remove_file(&events)?;
    let per_second = |r: f64| format!("{:.0} k/s", r / 1000.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let (young, old) = runtime.block_on(commits(&folder.join("commits")))?;
    let ms = |s: f64| format!("{:.2} ms", s * 1e3);
    Ok(vec![
        Row {
            what: "rate, last million of 5 M events / first, median of the ratios".into(),
            ours: per_second(last),
            other: per_second(first),
            judged: flatness,
            goal: Goal::AtLeast(0.9),
        },
        Row {
            what: format!("peak memory of small batches, {merges} merges beside, MiB"),
            ours: format!("{peak_mib:.0} MiB"),
            other: String::new(),
            judged: peak_mib,
            goal: Goal::AtMost(1024.0),
        },
        Row {
            what: format!("commit p99, after {COMMITS} commits / the first {COMMITS_END}"),
            ours: ms(old),
            other: ms(young),
            judged: old / young,
            goal: Goal::AtMost(1.5),
        },
    ])
}

/// Rates over the first and the last million, by the times and counts that the table's own log holds.
fn long_run(source: &str, archive: &Path) -> Result<(f64, f64)> {
    ingest(source, archive)?;
    let commits = commits_of(archive)?;
    let appends: Vec<_> = commits.into_iter().filter(|c| c.archived > 0).collect();
    let total: u64 = appends.iter().map(|commit| commit.archived).sum();
    ensure!(total == EVENTS, "{total} events in the log");
    // Each commit's events took the time since the commit before; the first has none before it.
    let pairs = appends.iter().zip(appends.iter().skip(1));
    std::fs::remove_dir_all(archive)?;
    Ok((rate(pairs.clone()), rate(pairs.rev())))
}

/// Peak of resident memory in MiB of an ingest beside which segments are merged from the beginning, and how often they were.
fn merging_run(source: &str, archive: &Path) -> Result<(f64, usize)> {
    let (_, peak_mib) = ingest_merging(source, archive)?;
    let commits = commits_of(archive)?;
    let merges = commits.iter().filter(|commit| commit.merges).count();
    ensure!(merges > 0, "nothing was merged");
    std::fs::remove_dir_all(archive)?;
    Ok((peak_mib, merges))
}

/// Events a second over the first [`END`] events of commits, each with the one before it.
fn rate<'a>(pairs: impl Iterator<Item = (&'a Commit, &'a Commit)>) -> f64 {
    let (mut events, mut ms) = (0, 0);
    for (before, commit) in pairs {
        events += commit.archived;
        ms += commit.at_ms - before.at_ms;
        if events >= END {
            break;
        }
    }
    events as f64 / (ms as f64 / 1000.0)
}

/// A commit, by its entry in the log.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Commit {
    at_ms: i64,
    /// Events it added.
    archived: u64,
    /// Whether it only put segments together.
    merges: bool,
}

/// An archive's commits in the order of time.
fn commits_of(archive: &Path) -> Result<Vec<Commit>> {
    let mut commits = Vec::new();
    for entry in std::fs::read_dir(archive.join("events/_delta_log"))? {
        let path = entry?.path();
        let is_entry = path.extension().is_some_and(|e| e == "json")
            && path.file_stem().is_some_and(|s| s.len() == 20);
        if is_entry {
            commits.push(commit(&path)?);
        }
    }
    commits.sort_unstable();
    Ok(commits)
}

fn commit(path: &Path) -> Result<Commit> {
    let text = std::fs::read_to_string(path)?;
    let line = text
        .lines()
        .find(|line| line.starts_with("{\"commitInfo\""))
        .context("a commit without commitInfo")?;
    let value: Value = serde_json::from_str(line)?;
    let info = &value["commitInfo"];
    Ok(Commit {
        at_ms: info["timestamp"]
            .as_i64()
            .context("a commit without its time")?,
        archived: find_number(info, "archived").unwrap_or(0),
        merges: info["operation"] == "OPTIMIZE",
    })
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

/// 99th percentiles in seconds of commits to a young table and to one of [`COMMITS`], in turn, so that what the disk does meanwhile it does to both.
async fn commits(folder: &Path) -> Result<(f64, f64)> {
    let mut old = appender(&folder.join("old")).await?;
    for _ in 0..COMMITS {
        old.commit().await?;
    }
    let mut young = appender(&folder.join("young")).await?;
    let (mut of_young, mut of_old) = (Vec::new(), Vec::new());
    for _ in 0..COMMITS_END {
        for (table, seconds) in [(&mut young, &mut of_young), (&mut old, &mut of_old)] {
            let begin = Instant::now();
            table.commit().await?;
            seconds.push(begin.elapsed().as_secs_f64());
        }
    }
    ensure!(
        old.rows() == ((COMMITS + COMMITS_END) * COMMIT_ROWS) as u64,
        "rows are missing"
    );
    Ok((quantile(of_young, 0.99), quantile(of_old, 0.99)))
}

async fn appender(folder: &Path) -> Result<Appender> {
    Appender::new(Archive::create(&Location::local(folder)).await?).await
}
