//! A table of 100,000 commits against one of 1,000: opening it, listing it, committing to it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, bail};
use holdfast_archive::clock::system_now_ms;
use holdfast_archive::segment::{self, SegmentFooter};
use holdfast_archive::{
    Append, Archive, CommitKind, Counts, EncodedSegment, Location, OpenOptions, Outcome, Snapshot,
    maintain,
};
use holdfast_fixtures::{Generator, Profile};
use holdfast_schemas::columns::{RowBuilder, event_year};
use holdfast_schemas::decode::decode;
use holdfast_schemas::{Intake, Row as EventRow};
use roaring::RoaringTreemap;
use uuid::Uuid;

use crate::process::median;
use crate::table::{Goal, Row};

/// Rows of each commit: as few as can be, so that the log is what is measured.
pub(crate) const COMMIT_ROWS: usize = 2;
const SMALL: usize = 1_000;
const LARGE: usize = 100_000;
/// Repetitions of each figure.
const RUNS: usize = 21;
/// Slower by more than this is no longer "as fast".
const TOLERANCE: f64 = 1.5;

pub(crate) fn measure(folder: &Path) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let small = runtime.block_on(figures(&folder.join("small"), SMALL))?;
    let large = runtime.block_on(figures(&folder.join("large"), LARGE))?;
    let ms = |s: f64| format!("{:.2} ms", s * 1e3);
    let names = ["open", "commit"];
    let rows = names
        .iter()
        .zip(small.iter().zip(&large))
        .map(|(name, (small, large))| Row {
            what: format!("{name}: {LARGE} commits / {SMALL}"),
            ours: ms(*large),
            other: ms(*small),
            judged: large / small,
            goal: Goal::AtMost(TOLERANCE),
        });
    Ok(rows.collect())
}

/// Seconds to open and to commit, after so many commits.
async fn figures(folder: &Path, commits: usize) -> Result<[f64; 2]> {
    let location = Location::local(folder);
    prepare(&location, commits).await?;
    let mut appender = Appender::new(Archive::open(&location).await?).await?;
    let (mut open, mut commit) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        let begin = Instant::now();
        let archive = Archive::open(&location).await?;
        archive.snapshot().await?;
        open.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        appender.commit().await?;
        commit.push(begin.elapsed().as_secs_f64());
    }
    Ok([median(open), median(commit)])
}

/// A table of so many commits, made as fast as it can be: one file under many names, and nothing synced. What is
/// measured afterwards is synced as ever.
async fn prepare(location: &Location, commits: usize) -> Result<()> {
    let begin = Instant::now();
    let quick = OpenOptions {
        fsync: false,
        ..OpenOptions::default()
    };
    let archive = Archive::create_with(location, quick).await?;
    let mut appender = Appender::new(archive.clone()).await?;
    let (encoded, _, _) = appender.encode(Uuid::now_v7())?;
    let rows = COMMIT_ROWS as u64;
    for n in 0..commits as u64 {
        let mut encoded = encoded.clone();
        let year = encoded.segment.event_year;
        encoded.segment.path = format!("event_year={year}/{}.parquet", segment::new_id());
        let sequences = (n * rows + 1..=(n + 1) * rows).collect();
        let prepared = ("prepared.1".to_owned(), sequences);
        appender.append(Uuid::now_v7(), encoded, prepared).await?;
        if n % 10_000 == 9_999 {
            eprintln!("{} of {commits} commits after {:?}", n + 1, begin.elapsed());
        }
    }
    // The checkpoint that the background may have fallen behind with.
    maintain::run(&archive, system_now_ms()).await?;
    eprintln!("{commits} commits prepared in {:?}", begin.elapsed());
    Ok(())
}

/// Appends small commits, one after another.
pub(crate) struct Appender {
    archive: Archive,
    snapshot: Snapshot,
    events: Generator,
    rows: u64,
}

impl Appender {
    pub(crate) async fn new(archive: Archive) -> Result<Self> {
        let snapshot = archive.snapshot().await?;
        let mut profile = Profile::messages(3, u64::MAX);
        // All within one year, whatever the number of commits.
        profile.span_us = 3600 * 1_000_000;
        Ok(Self {
            archive,
            snapshot,
            events: Generator::new(profile),
            rows: 0,
        })
    }

    /// Rows committed so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Encodes, puts and commits one segment.
    pub(crate) async fn commit(&mut self) -> Result<()> {
        let commit_id = Uuid::now_v7();
        let (encoded, origin, sequences) = self.encode(commit_id)?;
        self.append(commit_id, encoded, (origin, sequences)).await
    }

    /// The next rows as a segment, their origin and sequences.
    fn encode(&mut self, commit_id: Uuid) -> Result<(EncodedSegment, String, RoaringTreemap)> {
        let (mut builder, mut sequences) = (
            RowBuilder::with_capacity(COMMIT_ROWS),
            RoaringTreemap::new(),
        );
        let (mut origin, mut year) = (String::new(), 0);
        for generated in self.events.by_ref().take(COMMIT_ROWS) {
            let event = decode(&generated.json)?;
            (origin, year) = (event.origin.clone().into_owned(), event_year(event.time_us));
            sequences.insert(generated.sequence);
            builder.append(&EventRow {
                event,
                intake: Intake::default(),
            });
        }
        let footer = SegmentFooter {
            commit_id,
            positions: Vec::new(),
            rows: COMMIT_ROWS as u64,
            merkle_root: [0; 32],
        };
        let encoded = segment::encode(segment::new_id(), year, &builder.finish()?, &footer, None)?;
        Ok((encoded, origin, sequences))
    }

    /// Puts and commits a segment of those sequences of that origin.
    async fn append(
        &mut self,
        commit_id: Uuid,
        encoded: EncodedSegment,
        archived: (String, RoaringTreemap),
    ) -> Result<()> {
        self.archive.put_segment(&encoded).await?;
        let append = Append {
            commit_id,
            kind: CommitKind::Append,
            segments: vec![encoded.segment],
            positions: Vec::new(),
            archived: BTreeMap::from([archived]),
            counts: Counts {
                consumed: COMMIT_ROWS as u64,
                archived: COMMIT_ROWS as u64,
                ..Counts::default()
            },
            merkle_root: [0; 32],
        };
        match self.archive.append(&self.snapshot, append).await? {
            Outcome::Committed(snapshot) => self.snapshot = snapshot,
            Outcome::Conflicted(conflict) => bail!("{conflict:?}"),
            Outcome::Unknown(uncertain) => bail!("{uncertain:?}"),
        }
        self.rows += COMMIT_ROWS as u64;
        Ok(())
    }
}
