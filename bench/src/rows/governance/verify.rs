//! `holdfast verify`, the whole process, against reading every column by the raw library and SHA-256 of each row and file.

use std::path::Path;
use std::process::Command;

use anyhow::Result;
use holdfast_archive::{Archive, Location};

use super::archives;
use super::rate;
use crate::process::{holdfast, median, run};
use crate::table::{Goal, Row};

pub(super) fn measure(folder: &Path, rounds: usize) -> Result<Row> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (files, events) = runtime.block_on(async {
        let archive = Archive::open(&Location::local(folder)).await?;
        let segments = archive.snapshot().await?.segments().await?;
        let events = segments.iter().map(|segment| segment.rows).sum();
        anyhow::Ok((archives::files(&archive, folder).await?, events))
    })?;
    let (mut ours, mut raw) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let verify = run(holdfast("holdfast")
            .args(["verify", "--archive"])
            .arg(folder))?;
        ours.push(verify.seconds);
        let this = std::env::current_exe()?;
        raw.push(run(Command::new(this).arg("raw-verify").args(&files))?.seconds);
    }
    let (ours, raw) = (median(ours), median(raw));
    Ok(Row {
        what: "verify / raw Parquet read and SHA-256".into(),
        ours: rate(events, ours),
        other: rate(events, raw),
        judged: raw / ours,
        goal: Goal::AtLeast(0.5),
    })
}
