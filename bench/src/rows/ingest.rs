//! Ingest of JSON lines against the raw libraries and PostgreSQL.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::events::Events;
use crate::postgres::{self, Postgres};
use crate::process::{bytes_below, ingest_watched, median, run};
use crate::table::{Goal, Row};

pub(crate) fn measure(events: &Events, folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let source = format!("jsonl:{}", events.path.display());
    let copies = postgres::prepare(&events.path, events.count, folder)?;
    let (mut ours, mut raw, mut peaks, mut copy) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut our_bytes, mut their_bytes) = (0, 0);
    // Turn by turn, so that a machine that grows slower or faster does so for all.
    for round in 0..rounds {
        let archive = folder.join(format!("ingest-{round}"));
        let (ingested, peak) = ingest_watched(&source, &archive)?;
        ours.push(ingested.seconds);
        peaks.push(peak);
        our_bytes = bytes_below(&archive)?;
        std::fs::remove_dir_all(&archive)?;

        let out = folder.join("raw");
        let this = std::env::current_exe()?;
        raw.push(run(Command::new(this).arg("raw").arg(&events.path).arg(&out))?.seconds);
        std::fs::remove_dir_all(&out)?;

        let server = Postgres::start()?;
        copy.push(server.copy(&copies)?);
        their_bytes = server.bytes()?;
    }
    let rate = |seconds: f64| format!("{:.0} k/s", events.count as f64 / seconds / 1000.0);
    let (ours, raw, copy, peak) = (
        median(ours),
        median(raw),
        median(copy),
        peaks.into_iter().fold(0.0, f64::max),
    );
    let mib = |bytes: u64| format!("{:.0} MiB", bytes as f64 / 1_048_576.0);
    Ok(vec![
        Row {
            what: "jsonl ingest / raw libraries".into(),
            ours: rate(ours),
            other: rate(raw),
            judged: raw / ours,
            goal: Goal::AtLeast(0.7),
        },
        Row {
            what: "jsonl ingest / PostgreSQL COPY with GIN".into(),
            ours: rate(ours),
            other: rate(copy),
            judged: copy / ours,
            goal: Goal::AtLeast(1.5),
        },
        Row {
            what: "bytes on disk / PostgreSQL with its index".into(),
            ours: mib(our_bytes),
            other: mib(their_bytes),
            judged: our_bytes as f64 / their_bytes as f64,
            goal: Goal::AtMost(0.35),
        },
        Row {
            what: "peak memory of ingest, MiB".into(),
            ours: format!("{peak:.0} MiB"),
            other: String::new(),
            judged: peak,
            goal: Goal::AtMost(1024.0),
        },
    ])
}
