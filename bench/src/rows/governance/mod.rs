//! Retention, disposition, the ledger and verification, against the raw libraries.
//!
//! | row | what is measured | against |
//! |---|---|---|
//! | one expired day | the run of a saved plan: intent, certificate, commit, outcome | reading the day's id columns, and one commit |
//! | rows of segments | the run of a plan that takes about half of every segment's rows | reading, writing and indexing the same rows by the raw libraries |
//! | plan | the first plan over five million events, with a hold, and the next one | 1 M events/s |
//! | ledger append | 2,000 appends on a local disk, synced | 20 ms at the 99th percentile |
//! | verify | the whole process | reading the same columns, and SHA-256 of each row and file |

mod append;
mod archives;
mod day;
mod plan;
mod raw;
mod rewrite;
mod verify;

use std::path::Path;

use anyhow::Result;

pub(crate) use raw::verify as raw_verify;

use crate::events::Events;
use crate::table::Row;

pub(crate) fn measure(events: &Events, folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let mut rows = runtime.block_on(day::measure(&folder.join("days"), rounds))?;
    rows.push(runtime.block_on(append::measure(&folder.join("ledger")))?);
    let archive = folder.join("governed");
    archives::ingested(&format!("jsonl:{}", events.path.display()), &archive)?;
    rows.push(verify::measure(&archive, rounds)?);
    rows.push(runtime.block_on(rewrite::measure(&archive, folder, rounds))?);
    std::fs::remove_dir_all(&archive)?;
    rows.extend(plan::measure(&runtime, folder, rounds)?);
    Ok(rows)
}

fn ms(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

fn rate(events: u64, seconds: f64) -> String {
    format!("{:.0} k/s", events as f64 / seconds / 1000.0)
}
