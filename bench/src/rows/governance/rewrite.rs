//! Disposition row by row: about half of every segment goes, the rest is written and indexed anew.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use holdfast_archive::Archive;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_governance::disposition::{plan_file, run};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::ledger::disposition::Authority;
use roaring::RoaringBitmap;

use super::archives;
use super::{rate, raw};
use crate::process::median;
use crate::table::{Goal, Row};

pub(super) async fn measure(archive: &Path, folder: &Path, rounds: usize) -> Result<Row> {
    let (mut ours, mut raws, mut events) = (Vec::new(), Vec::new(), 0);
    let (copy, out) = (folder.join("rewritten"), folder.join("rewritten-raw"));
    for _ in 0..rounds {
        archives::copy(archive, &copy)?;
        let (files, seconds) = ours_once(&copy, &mut events).await?;
        ours.push(seconds);
        let begin = Instant::now();
        raw::rewrite(&files, &out)?;
        raws.push(begin.elapsed().as_secs_f64());
        std::fs::remove_dir_all(&copy)?;
        std::fs::remove_dir_all(&out)?;
    }
    let (ours, raw) = (median(ours), median(raws));
    Ok(Row {
        what: "dispose of half of all rows / raw rewrite and index".into(),
        ours: rate(events, ours),
        other: rate(events, raw),
        judged: raw / ours,
        goal: Goal::AtLeast(0.5),
    })
}

/// Plans, then runs; answers the files with the rows of each that stay, and the seconds of the run. `events`: rows of
/// the segments that are rewritten.
async fn ours_once(
    folder: &Path,
    events: &mut u64,
) -> Result<(Vec<(PathBuf, RoaringBitmap)>, f64)> {
    let (archive, ledger) = archives::governed(folder).await?;
    let rooms = half_of_the_rooms(&archive).await?;
    archives::write(&ledger, archives::policy(&rooms, 1)).await?;
    let made = plan_file::make(&ledger, ledger.now_us()).await?;
    let (saved, _) = plan_file::save(&ledger, &archives::by(), &made).await?;
    let mut files = Vec::new();
    *events = 0;
    for one in &made.plan.segments {
        let mut stays = RoaringBitmap::new();
        stays.insert_range(0..u32::try_from(one.segment.rows)?);
        stays -= &one.rows;
        *events += one.segment.rows;
        files.push((folder.join("events").join(&one.segment.path), stays));
    }
    ensure!(!files.is_empty(), "nothing is to go");
    let begin = Instant::now();
    let report = run::run(&ledger, &archives::by(), &saved.id, Authority::Plan).await?;
    let seconds = begin.elapsed().as_secs_f64();
    let outcome = report.outcome.context("nothing was disposed of")?;
    ensure!(
        outcome.events == saved.events,
        "{} events were disposed of",
        outcome.events
    );
    Ok((files, seconds))
}

/// Rooms with about half of the events.
async fn half_of_the_rooms(archive: &Archive) -> Result<Vec<String>> {
    let mut rooms: BTreeMap<String, u64> = BTreeMap::new();
    let columns = [name::ROOM_ID];
    let options = ReadOptions {
        columns: Some(&columns),
        ..ReadOptions::default()
    };
    for segment in archive.snapshot().await?.segments().await?.iter() {
        let reader = SegmentReader::open(archive, segment).await?;
        for batch in reader.read_blocking(&options)? {
            let batch = batch?;
            let rows = Rows::new(&batch)?;
            for place in 0..rows.len() {
                if let Some(room) = rows.event(place).room.id {
                    *rooms.entry(room.into_owned()).or_default() += 1;
                }
            }
        }
    }
    let total: u64 = rooms.values().sum();
    let mut taken = 0;
    let mut chosen = Vec::new();
    // The busy ones and the quiet ones alike, as their ids come; none that would be too much.
    for (room, events) in rooms {
        if taken + events <= total / 2 {
            taken += events;
            chosen.push(room);
        }
    }
    Ok(chosen)
}
