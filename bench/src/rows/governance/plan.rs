//! A plan over five million events: postings only, and every type of the contract.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use holdfast_fixtures::{Generator, Profile};
use holdfast_governance::disposition::plan_file;
use holdfast_governance::ledger::Ledger;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::hold::{HoldPlace, HoldScope, RoomRef};
use holdfast_schemas::ledger::matter::MatterOpen;
use tokio::runtime::Runtime;

use super::archives;
use super::rate;
use crate::process::median;
use crate::table::{Goal, Row};

const EVENTS: u64 = 5_000_000;
const SEED: u64 = 3;

pub(super) fn measure(runtime: &Runtime, folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let profiles = [
        ("postings", Profile::messages(SEED, EVENTS)),
        ("every type", Profile::new(SEED, EVENTS)),
    ];
    let mut rows = Vec::new();
    for (name, profile) in profiles {
        let archive = folder.join("planned");
        ingest(profile, &folder.join("planned.jsonl"), &archive)?;
        rows.push(runtime.block_on(one(name, &archive, rounds))?);
        std::fs::remove_dir_all(&archive)?;
    }
    Ok(rows)
}

fn ingest(profile: Profile, events: &Path, archive: &Path) -> Result<()> {
    let mut generator = Generator::new(profile);
    let mut out = BufWriter::with_capacity(1 << 20, File::create(events)?);
    let mut line = Vec::new();
    while generator.write_next(&mut line).is_some() {
        line.push(b'\n');
        out.write_all(&line)?;
        line.clear();
    }
    out.flush()?;
    archives::ingested(&format!("jsonl:{}", events.display()), archive)?;
    std::fs::remove_file(events)?;
    Ok(())
}

/// A policy that lets about half of the events go, and a hold on one room.
async fn one(name: &str, folder: &Path, rounds: usize) -> Result<Row> {
    let (archive, ledger) = archives::governed(folder).await?;
    let segments = archive.snapshot().await?.segments().await?;
    let first = segments.iter().map(|one| one.stats.event_time_us.0).min();
    let last = segments.iter().map(|one| one.stats.event_time_us.1).max();
    let middle_us = first.unwrap_or(0) / 2 + last.unwrap_or(0) / 2;
    let days = (ledger.now_us() - middle_us) / 86_400_000_000;
    archives::write(&ledger, archives::policy(&[], days)).await?;
    let matter = MatterOpen {
        name: "m".to_owned(),
        title: None,
    };
    archives::write(&ledger, Act::MatterOpen(matter)).await?;
    let room = RoomRef {
        id: "r-1".to_owned(),
        name: None,
    };
    let place = HoldPlace {
        name: "h".to_owned(),
        matter: "m".to_owned(),
        scope: HoldScope {
            rooms: vec![room],
            ..HoldScope::default()
        },
        reason: "a bench".to_owned(),
        table_version: 0,
    };
    archives::write(&ledger, Act::HoldPlace(place)).await?;
    let (mut cold, mut warm) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        forget(&folder.join("index"))?;
        cold.push(seconds(&ledger).await?);
        warm.push(seconds(&ledger).await?);
    }
    let (cold, warm) = (median(cold), median(warm));
    Ok(Row {
        what: format!("first plan over {EVENTS} events, {name} (other: next)"),
        ours: rate(EVENTS, cold),
        other: rate(EVENTS, warm),
        judged: EVENTS as f64 / cold / 1e6,
        goal: Goal::AtLeast(1.0),
    })
}

/// Seconds that a plan takes.
async fn seconds(ledger: &Ledger) -> Result<f64> {
    let begin = Instant::now();
    let made = plan_file::make(ledger, ledger.now_us()).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let goes = made.plan.tally.events;
    ensure!(goes > EVENTS / 4 && goes < EVENTS, "{goes} events go");
    Ok(seconds)
}

/// Removes what plans remember.
fn forget(index: &Path) -> Result<()> {
    for entry in std::fs::read_dir(index)? {
        let path = entry?.path();
        if path.is_dir() {
            forget(&path)?;
        } else if path.extension().is_some_and(|e| e == "memory") {
            std::fs::remove_file(path)?;
        }
    }
    Ok(())
}
