//! A table of 100,000 commits against one of 1,000: opening it, listing it, committing to it.
//!
//! Both are kept as ingest keeps them: small segments are merged as they pile up. So what differs between the two is the log's
//! length and what it remembers of segments that went, not the number of live ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Result, bail, ensure};
use holdfast_archive::clock::system_now_ms;
use holdfast_archive::segment::{self, SegmentFooter};
use holdfast_archive::{
    Append, Archive, CommitKind, Counts, EncodedSegment, Location, OpenOptions, Outcome, Snapshot,
    maintain,
};
use holdfast_fixtures::{Generator, Profile};
use holdfast_indexer::maintenance::policy::Policy;
use holdfast_indexer::maintenance::{CompactOptions, compact};
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
/// Commits between two merges. Half of them lie behind the last one when a table is measured.
const MERGE_EVERY: usize = 500;
/// Repetitions of each figure.
const RUNS: usize = 21;
/// Slower by more than this is no longer "as fast".
const TOLERANCE: f64 = 1.5;

/// What is measured of a table, in seconds.
#[derive(Default)]
struct Figures {
    open: Vec<f64>,
    list: Vec<f64>,
    commit: Vec<f64>,
}

pub(crate) fn measure(tables: &Path) -> Result<Vec<Row>> {
    prepare(tables)?;
    let runtime = runtime()?;
    let (small, large) = runtime.block_on(figures(&table(tables, SMALL), &table(tables, LARGE)))?;
    let ms = |s: f64| format!("{:.3} ms", s * 1e3);
    let pairs = [
        ("open", small.open, large.open),
        ("list segments", small.list, large.list),
        ("commit", small.commit, large.commit),
    ];
    let rows = pairs.into_iter().map(|(name, small, large)| {
        let (small, large) = (median(small), median(large));
        Row {
            what: format!("{name}: {LARGE} commits / {SMALL}"),
            ours: ms(large),
            other: ms(small),
            judged: large / small,
            goal: Goal::AtMost(TOLERANCE),
        }
    });
    Ok(rows.collect())
}

/// Makes the tables that are not there yet: minutes.
pub(crate) fn prepare(tables: &Path) -> Result<()> {
    for commits in [SMALL, LARGE] {
        let (folder, done) = (
            table(tables, commits),
            tables.join(format!("{commits}.complete")),
        );
        if done.exists() {
            continue;
        }
        ensure!(
            !folder.exists(),
            "{} is not complete: remove it",
            folder.display()
        );
        runtime()?.block_on(make(&Location::local(&folder), commits))?;
        std::fs::write(done, "")?;
    }
    Ok(())
}

fn table(tables: &Path, commits: usize) -> PathBuf {
    tables.join(commits.to_string())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?)
}

/// Both tables in turn, so that a machine that becomes slower does so for both, and each from a checkpoint on.
async fn figures(small: &Path, large: &Path) -> Result<(Figures, Figures)> {
    let mut tables = Vec::new();
    for folder in [small, large] {
        let location = Location::local(folder);
        let options = OpenOptions {
            // The checkpoints are those of `reach_checkpoint`.
            maintenance: false,
            ..OpenOptions::default()
        };
        let mut appender = Appender::new(Archive::open_with(&location, options).await?).await?;
        appender.reach_checkpoint().await?;
        tables.push((location, appender, Figures::default()));
    }
    for _ in 0..RUNS {
        for (location, appender, figures) in &mut tables {
            figures.once(location, appender).await?;
        }
    }
    let mut figures = tables.into_iter().map(|(_, _, figures)| figures);
    Ok((
        figures.next().unwrap_or_default(),
        figures.next().unwrap_or_default(),
    ))
}

impl Figures {
    async fn once(&mut self, location: &Location, appender: &mut Appender) -> Result<()> {
        let begin = Instant::now();
        let archive = Archive::open(location).await?;
        let snapshot = archive.snapshot().await?;
        self.open.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        ensure!(
            !snapshot.segments().await?.is_empty(),
            "a table without segments"
        );
        self.list.push(begin.elapsed().as_secs_f64());
        let begin = Instant::now();
        appender.commit().await?;
        self.commit.push(begin.elapsed().as_secs_f64());
        Ok(())
    }
}

/// A table of so many commits, merged on the way. Nothing is synced; what is measured afterwards is, as ever.
async fn make(location: &Location, commits: usize) -> Result<()> {
    let begin = Instant::now();
    let quick = OpenOptions {
        fsync: false,
        ..OpenOptions::default()
    };
    let archive = Archive::create_with(location, quick).await?;
    let mut appender = Appender::new(archive.clone()).await?;
    let merging = CompactOptions {
        policy: Policy {
            inputs_max: MERGE_EVERY + 1,
            ..Policy::everything()
        },
        holder: "bench".to_owned(),
        merges_max: 1,
    };
    for n in 1..=commits {
        appender.commit().await?;
        if n % MERGE_EVERY == MERGE_EVERY / 2 {
            compact(&archive, &merging).await?;
        }
        if n % 10_000 == 0 {
            eprintln!("{n} of {commits} commits after {:?}", begin.elapsed());
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
        let mut events = Generator::new(profile);
        // What a table that was prepared before has already.
        let segments = snapshot.segments().await?;
        let archived: u64 = segments.iter().map(|segment| segment.rows).sum();
        (0..archived).for_each(|_| drop(events.next()));
        Ok(Self {
            archive,
            snapshot,
            events,
            rows: 0,
        })
    }

    /// Rows committed so far.
    pub(crate) fn rows(&self) -> u64 {
        self.rows
    }

    /// Commits until there is a new checkpoint: from here on, tables have as many entries after it as commits were measured.
    async fn reach_checkpoint(&mut self) -> Result<()> {
        while maintain::run(&self.archive, system_now_ms())
            .await?
            .checkpoint
            .is_none()
        {
            self.commit().await?;
        }
        Ok(())
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
