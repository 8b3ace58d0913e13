//! Asking one segment, and asking many at once.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use arrow::array::{Array, AsArray, RecordBatch};
use futures::{StreamExt, TryStreamExt};
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::Row;
use holdfast_schemas::columns::{Rows, name};
use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use super::question::{Answer, FindError, Question};
use super::read;
use super::times::event_time;
use super::visible::{Visible, visible};
use crate::error::{SearchError, SplitError};
use crate::split::{ChunkCache, Split, Splits, Wanted};

/// Open splits kept between searches; each is a memory map or some cached pieces.
const SPLITS_KEPT_MAX: usize = 512;
/// Rows judged at a time.
const JUDGE_ROWS: usize = 8 * 1024;

/// What all searches of one archive share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) archive: Archive,
    cache: Arc<ChunkCache>,
    parallelism: usize,
    splits: OnceLock<Splits>,
    open: Mutex<HashMap<String, Arc<Split>>>,
}

/// What is wanted of each segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// How many rows.
    Count,
    /// Which rows, and when the first of them was.
    Rows,
}

/// A question to segments at a version.
#[derive(Clone)]
pub(crate) struct Asked {
    pub(crate) question: Arc<dyn Question>,
    /// Rows archived by later commits are left out.
    pub(crate) version: u64,
    pub(crate) want: Want,
}

/// What one segment answered.
#[derive(Debug)]
pub(crate) struct Resolved {
    pub(crate) segment: Arc<Segment>,
    pub(crate) count: u64,
    /// Empty when only the count was wanted.
    pub(crate) rows: RoaringBitmap,
    /// No wanted row is earlier.
    pub(crate) from_us: i64,
    /// Rows of the version.
    pub(crate) considered: u64,
    /// Attachments of those rows.
    pub(crate) attachments: u64,
    /// Whether its rows were read because no split could be used.
    pub(crate) scanned: bool,
}

impl Engine {
    pub(crate) fn new(archive: Archive, cache: Arc<ChunkCache>, parallelism: usize) -> Self {
        Self { archive, cache, parallelism: parallelism.max(1), splits: OnceLock::new(), open: Mutex::default() }
    }

    /// Asks every segment, at most `parallelism` at a time; answers come in the order of the segments.
    pub(crate) async fn ask(self: &Arc<Self>, segments: Vec<Arc<Segment>>, asked: Asked) -> Result<Vec<Resolved>, SearchError> {
        let runtime = Handle::current();
        futures::stream::iter(segments)
            .map(|segment| {
                let (engine, asked, runtime) = (Arc::clone(self), asked.clone(), runtime.clone());
                let path = segment.path.clone();
                let task = tokio::task::spawn_blocking(move || engine.ask_one(&runtime, segment, &asked));
                async move {
                    task.await.map_err(|error| SearchError::Worker { segment: path, problem: error.to_string() })?
                }
            })
            .buffered(self.parallelism)
            .try_collect()
            .await
    }

    /// Rows of a version in one segment.
    pub(crate) async fn visible_rows(self: &Arc<Self>, segment: &Arc<Segment>, version: u64) -> Result<u64, SearchError> {
        let (engine, segment, runtime) = (Arc::clone(self), Arc::clone(segment), Handle::current());
        let path = segment.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            visible(&engine.archive, &segment, version, &runtime).map(|visible| visible.count(segment.rows))
        });
        task.await.map_err(|error| SearchError::Worker { segment: path, problem: error.to_string() })?
    }

    /// Asks one segment. Blocks.
    fn ask_one(&self, runtime: &Handle, segment: Arc<Segment>, asked: &Asked) -> Result<Resolved, SearchError> {
        let visible = if segment.commit_version <= asked.version {
            Visible::All
        } else {
            visible(&self.archive, &segment, asked.version, runtime)?
        };
        let task = Task { engine: self, runtime, segment: &segment, asked, visible: &visible };
        let found = match task.by_split() {
            Ok(found) => found,
            Err(FindError::Search(error)) => return Err(error),
            Err(FindError::Split(error)) => {
                match &error {
                    SplitError::Missing => tracing::debug!(segment = segment.path, "no split, scanning"),
                    other => tracing::warn!(segment = segment.path, problem = %other, "split unusable, scanning"),
                }
                self.forget(&segment);
                task.by_scan()?
            }
        };
        Ok(Resolved {
            count: found.count,
            rows: found.rows,
            from_us: found.from_us.unwrap_or(segment.stats.event_time_us.0),
            considered: visible.count(segment.rows),
            attachments: found.attachments,
            scanned: found.scanned,
            segment,
        })
    }

    /// Reads some columns of some rows of a segment.
    pub(crate) async fn each_row(
        &self,
        segment: &Segment,
        rows: &RoaringBitmap,
        columns: &[&str],
        each: &mut impl FnMut(&Row<'_>),
    ) -> Result<(), SearchError> {
        let numbers: Vec<u32> = rows.iter().collect();
        let reader = SegmentReader::open(&self.archive, segment).await?;
        let options = ReadOptions {
            columns: Some(columns),
            rows: Some(&numbers),
            batch_rows: JUDGE_ROWS,
            ..ReadOptions::default()
        };
        let mut batches = reader.read(&options)?;
        while let Some(batch) = batches.try_next().await? {
            let rows = Rows::new(&batch)?;
            (0..rows.len()).for_each(|row| each(&rows.row(row)));
        }
        Ok(())
    }

    pub(super) fn split(&self, runtime: &Handle, segment: &Segment) -> Result<Arc<Split>, SplitError> {
        let wanted = Wanted::of(segment);
        if let Some(split) = self.kept().get(&wanted.path) {
            return Ok(Arc::clone(split));
        }
        let splits =
            self.splits.get_or_init(|| Splits::new(self.archive.clone(), Arc::clone(&self.cache), runtime.clone()));
        let split = Arc::new(splits.open(&wanted)?);
        let mut kept = self.kept();
        if kept.len() >= SPLITS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(wanted.path, Arc::clone(&split));
        Ok(split)
    }

    /// A split that failed is opened anew next time: it may have been rebuilt by then.
    fn forget(&self, segment: &Segment) {
        self.kept().remove(&Wanted::of(segment).path);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Split>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Found {
    count: u64,
    rows: RoaringBitmap,
    from_us: Option<i64>,
    attachments: u64,
    scanned: bool,
}

/// One segment being asked.
struct Task<'a> {
    engine: &'a Engine,
    runtime: &'a Handle,
    segment: &'a Segment,
    asked: &'a Asked,
    visible: &'a Visible,
}

impl Task<'_> {
    fn by_split(&self) -> Result<Found, FindError> {
        let split = self.engine.split(self.runtime, self.segment)?;
        let attachments = match self.visible {
            Visible::All => split.attachments(),
            Visible::None => 0,
            Visible::Some(rows) if split.attachments() > 0 => self.attachments(Some(rows))?,
            Visible::Some(_) => 0,
        };
        let found = |count, rows: RoaringBitmap, from_us| Found { count, rows, from_us, attachments, scanned: false };
        if *self.visible == Visible::None {
            return Ok(found(0, RoaringBitmap::new(), None));
        }
        let Answer { within, certain } = self.asked.question.find(&split)?;
        if self.asked.want == Want::Count && certain.is_none() && *self.visible == Visible::All {
            return Ok(found(within.count(split.rows())?, RoaringBitmap::new(), None));
        }
        let mut rows = within.collect(split.rows())?;
        self.visible.restrict(&mut rows);
        if let Some(certain) = certain {
            let certain = certain.collect(split.rows())?;
            let doubtful = &rows - &certain;
            if !doubtful.is_empty() {
                let refused = &doubtful - &self.judge(Some(&doubtful))?.0;
                rows -= refused;
            }
        }
        let from_us = match rows.min() {
            Some(first) if self.asked.want == Want::Rows => Some(event_time(&split, first)?),
            _ => None,
        };
        Ok(found(rows.len(), rows, from_us))
    }

    fn by_scan(&self) -> Result<Found, SearchError> {
        let visible = match self.visible {
            Visible::All => None,
            Visible::None => {
                let rows = RoaringBitmap::new();
                return Ok(Found { count: 0, rows, from_us: None, attachments: 0, scanned: true });
            }
            Visible::Some(rows) => Some(rows),
        };
        let (rows, attachments) = self.judge(visible)?;
        Ok(Found { count: rows.len(), rows, from_us: None, attachments, scanned: true })
    }

    /// Judges some rows, or all: the wanted ones, and the number of attachments of all judged.
    fn judge(&self, rows: Option<&RoaringBitmap>) -> Result<(RoaringBitmap, u64), SearchError> {
        let mut columns = self.asked.question.columns();
        if let Some(columns) = columns.as_mut().filter(|columns| !columns.contains(&name::ATTACHMENTS)) {
            columns.push(name::ATTACHMENTS);
        }
        let mut judge = self.asked.question.judge();
        let mut wanted = RoaringBitmap::new();
        let mut attachments = 0;
        self.each_batch(columns.as_deref(), rows, |numbers, batch| {
            attachments += attachments_of(batch);
            let rows = Rows::new(batch)?;
            for (at, row) in numbers.iter().enumerate() {
                if judge(&rows.row(at)) {
                    wanted.insert(*row);
                }
            }
            Ok(())
        })?;
        Ok((wanted, attachments))
    }

    fn attachments(&self, rows: Option<&RoaringBitmap>) -> Result<u64, SearchError> {
        let mut attachments = 0;
        self.each_batch(Some(&[name::ATTACHMENTS]), rows, |_, batch| {
            attachments += attachments_of(batch);
            Ok(())
        })?;
        Ok(attachments)
    }

    /// Reads rows, all or some, and calls `each` with their numbers and columns.
    fn each_batch(
        &self,
        columns: Option<&[&str]>,
        rows: Option<&RoaringBitmap>,
        mut each: impl FnMut(&[u32], &RecordBatch) -> Result<(), SearchError>,
    ) -> Result<(), SearchError> {
        let numbers: Vec<u32> = match rows {
            Some(rows) => rows.iter().collect(),
            None => (0..self.segment.rows as u32).collect(),
        };
        let reader = read::open(&self.engine.archive, self.segment, self.runtime)?;
        let rows = rows.map(|_| numbers.as_slice());
        let options = ReadOptions { columns, rows, batch_rows: JUDGE_ROWS, ..ReadOptions::default() };
        let mut numbers = numbers.as_slice();
        for batch in read::read(&self.engine.archive, &reader, &options, self.runtime)? {
            let batch = batch?;
            let (here, rest) = numbers.split_at_checked(batch.num_rows()).ok_or_else(|| self.rows_differ())?;
            each(here, &batch)?;
            numbers = rest;
        }
        if numbers.is_empty() { Ok(()) } else { Err(self.rows_differ()) }
    }

    fn rows_differ(&self) -> SearchError {
        let problem = "it has another number of rows than its log entry says".to_owned();
        SearchError::Segment { segment: self.segment.path.clone(), problem }
    }
}

fn attachments_of(batch: &RecordBatch) -> u64 {
    let list = batch.column_by_name(name::ATTACHMENTS).and_then(|array| array.as_list_opt::<i32>());
    list.map_or(0, |list| (0..list.len()).filter(|row| list.is_valid(*row)).map(|row| list.value_length(row) as u64).sum())
}
