//! Asking one segment, and asking many at once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use futures::TryStreamExt;
use futures::stream::FuturesUnordered;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, Segment};
use holdfast_schemas::Row;
use holdfast_schemas::columns::Rows;
use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use super::question::{FindError, Question};
use super::status::Changes;
use super::task::Task;
use super::visible::{Visible, visible};
use crate::error::{SearchError, SplitError};
use crate::split::{ChunkCache, Split, Splits, Wanted};

/// Open splits kept between searches; each is a memory map or some cached pieces.
const SPLITS_KEPT_MAX: usize = 512;
/// Rows judged at a time.
pub(super) const JUDGE_ROWS: usize = 8 * 1024;

/// What all searches of one archive share.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) archive: Archive,
    cache: Arc<ChunkCache>,
    parallelism: usize,
    /// Held by who has work of its own beside a search: the last of `parallelism` workers, if there are several, waits for it.
    busy: tokio::sync::Mutex<()>,
    splits: OnceLock<Splits>,
    open: Mutex<HashMap<String, Arc<Split>>>,
    changes: Mutex<Option<KnownChanges>>,
    /// The version whose segments the cache was last compared with, and one.
    trimmed: AtomicU64,
}

/// The changes of messages, in a snapshot of one version, by rows of another version and before.
type KnownChanges = ((u64, u64), Arc<Changes>);

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
    /// Whether that was because of damage inside a split whose tail is sound.
    pub(crate) damaged: bool,
}

/// Segments that several tasks ask the same, each taking the next one.
struct Round {
    segments: Vec<Arc<Segment>>,
    asked: Asked,
    next: AtomicUsize,
}

impl Round {
    fn new(segments: Vec<Arc<Segment>>, asked: Asked) -> Self {
        Self {
            segments,
            asked,
            next: AtomicUsize::new(0),
        }
    }

    fn next(&self) -> Option<(usize, Arc<Segment>)> {
        // Checked first, so that the number stays where `stop` puts it.
        if self.next.load(Ordering::Relaxed) >= self.segments.len() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some((number, Arc::clone(self.segments.get(number)?)))
    }

    /// Nobody takes another one.
    fn stop(&self) {
        self.next.store(self.segments.len(), Ordering::Relaxed);
    }

    fn path(&self, number: usize) -> String {
        let segment = self.segments.get(number);
        segment.map_or_else(String::new, |segment| segment.path.clone())
    }
}

/// Whoever gives up waiting for a round, or hears of an error, leaves nobody working for nothing.
struct StopOnDrop<'a>(&'a Round);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Engine {
    pub(crate) fn new(archive: Archive, cache: Arc<ChunkCache>, parallelism: usize) -> Self {
        Self {
            archive,
            cache,
            parallelism: parallelism.max(1),
            busy: tokio::sync::Mutex::default(),
            splits: OnceLock::new(),
            open: Mutex::default(),
            changes: Mutex::default(),
            trimmed: AtomicU64::new(0),
        }
    }

    /// Lets go of everything cached of splits whose segments are not there any more. Answers how many pieces went.
    pub(crate) fn trim(&self, version: u64, segments: &[Arc<Segment>]) -> Result<u64, SearchError> {
        if self.trimmed.load(Ordering::Relaxed) == version + 1 {
            return Ok(0);
        }
        let cached = self.cache.names().map_err(SearchError::Cache)?;
        let live: HashSet<&str> = segments.iter().map(|segment| segment.id()).collect();
        let is_live = |name: &str| live.contains(name.split('.').next().unwrap_or_default());
        self.kept()
            .retain(|path, _| is_live(path.rsplit('/').next().unwrap_or_default()));
        let gone: Vec<String> = cached.into_iter().filter(|name| !is_live(name)).collect();
        self.cache.remove(&gone).map_err(SearchError::Cache)?;
        // Not before: what could not be removed is tried again by the next search.
        self.trimmed.store(version + 1, Ordering::Relaxed);
        Ok(gone.len() as u64)
    }

    /// The changes that were last asked for, if they were the same.
    pub(super) fn known_changes(&self, snapshot: u64, version: u64) -> Option<Arc<Changes>> {
        let known = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.as_ref().filter(|(of, _)| *of == (snapshot, version));
        known.map(|(_, changes)| Arc::clone(changes))
    }

    pub(super) fn know_changes(&self, snapshot: u64, version: u64, changes: &Arc<Changes>) {
        let mut known = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(((snapshot, version), Arc::clone(changes)));
    }

    /// Asks every segment, at most `parallelism` at a time; answers come in the order of the segments. As many tasks as
    /// work at a time share the segments: one for each would start a thread for each, and most answer within the time
    /// that takes.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        segments: Vec<Arc<Segment>>,
        asked: Asked,
    ) -> Result<Vec<Resolved>, SearchError> {
        let count = segments.len();
        tracing::info!(segments = count, "looking");
        let round = Arc::new(Round::new(segments, asked));
        let _stop = StopOnDrop(&round);
        let mut workers: FuturesUnordered<_> = (0..self.parallelism.min(count))
            .map(|number| self.worker(&round, number))
            .collect();
        let mut answers = Vec::with_capacity(count);
        // Not until every worker has ended: one that still waits for its core is not needed any more.
        while answers.len() < count
            && let Some(answered) = workers.try_next().await?
        {
            answers.extend(answered);
        }
        answers.sort_unstable_by_key(|(at, _)| *at);
        Ok(answers.into_iter().map(|(_, answer)| answer).collect())
    }

    /// One task's share of a round.
    async fn worker(
        self: &Arc<Self>,
        round: &Arc<Round>,
        number: usize,
    ) -> Result<Vec<(usize, Resolved)>, SearchError> {
        if number > 0 && number + 1 == self.parallelism {
            drop(self.busy.lock().await);
        }
        let at = Arc::new(AtomicUsize::new(0));
        let (engine, round, runtime) = (Arc::clone(self), Arc::clone(round), Handle::current());
        let (worker_round, worker_at) = (Arc::clone(&round), Arc::clone(&at));
        let task = move || engine.work(&runtime, &worker_round, &worker_at);
        let answered = tokio::task::spawn_blocking(task).await;
        answered.map_err(|error| SearchError::Worker {
            segment: round.path(at.load(Ordering::Relaxed)),
            problem: error.to_string(),
        })?
    }

    /// As [`super::Searcher::busy`].
    pub(super) fn busy(&self) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        self.archive.local_root()?;
        self.busy.try_lock().ok()
    }

    /// Asks one segment after another until none is left; `at` tells which one it is at. Blocks.
    fn work(
        &self,
        runtime: &Handle,
        round: &Round,
        at: &AtomicUsize,
    ) -> Result<Vec<(usize, Resolved)>, SearchError> {
        let mut answers = Vec::new();
        while let Some((number, segment)) = round.next() {
            at.store(number, Ordering::Relaxed);
            match self.ask_one(runtime, segment, &round.asked) {
                Ok(answer) => answers.push((number, answer)),
                Err(error) => {
                    round.stop();
                    return Err(error);
                }
            }
        }
        Ok(answers)
    }

    /// Rows of a version in one segment.
    pub(crate) async fn visible_rows(
        self: &Arc<Self>,
        segment: &Arc<Segment>,
        version: u64,
    ) -> Result<u64, SearchError> {
        let (engine, segment, runtime) = (Arc::clone(self), Arc::clone(segment), Handle::current());
        let path = segment.path.clone();
        let task = tokio::task::spawn_blocking(move || {
            visible(&engine.archive, &segment, version, &runtime)
                .map(|visible| visible.count(segment.rows))
        });
        task.await.map_err(|error| SearchError::Worker {
            segment: path,
            problem: error.to_string(),
        })?
    }

    /// Asks one segment. Blocks.
    fn ask_one(
        &self,
        runtime: &Handle,
        segment: Arc<Segment>,
        asked: &Asked,
    ) -> Result<Resolved, SearchError> {
        let visible = if segment.commit_version <= asked.version {
            Visible::All
        } else {
            visible(&self.archive, &segment, asked.version, runtime)?
        };
        let task = Task {
            engine: self,
            runtime,
            segment: &segment,
            asked,
            visible: &visible,
        };
        let mut damaged = false;
        let found = match task.by_split() {
            Ok(found) => found,
            Err(FindError::Search(error)) => return Err(error),
            Err(FindError::Split(error)) => {
                match &error {
                    SplitError::Missing => {
                        tracing::debug!(segment = segment.path, "no split, scanning");
                    }
                    other => {
                        tracing::warn!(segment = segment.path, problem = %other, "split unusable, scanning");
                    }
                }
                // What is kept was opened: it is not its tail.
                damaged = self.forget(&segment) && error.is_mended_by_building();
                task.by_scan()?
            }
        };
        let (hits, scanned) = (found.count, found.scanned);
        tracing::debug!(segment = segment.path, hits, scanned, "answered");
        Ok(Resolved {
            count: found.count,
            rows: found.rows,
            from_us: found.from_us.unwrap_or(segment.stats.event_time_us.0),
            considered: visible.count(segment.rows),
            attachments: found.attachments,
            scanned: found.scanned,
            damaged,
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

    pub(super) fn split(
        &self,
        runtime: &Handle,
        segment: &Segment,
    ) -> Result<Arc<Split>, SplitError> {
        let wanted = Wanted::of(segment);
        if let Some(split) = self.kept().get(&wanted.path) {
            return Ok(Arc::clone(split));
        }
        let splits = self.splits.get_or_init(|| {
            Splits::new(
                self.archive.clone(),
                Arc::clone(&self.cache),
                runtime.clone(),
            )
        });
        let split = Arc::new(splits.open(&wanted)?);
        let mut kept = self.kept();
        if kept.len() >= SPLITS_KEPT_MAX {
            kept.clear();
        }
        kept.insert(wanted.path, Arc::clone(&split));
        Ok(split)
    }

    /// A split that failed is opened anew next time: it may have been rebuilt by then. Answers whether it was open.
    fn forget(&self, segment: &Segment) -> bool {
        self.kept().remove(&Wanted::of(segment).path).is_some()
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Split>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::split::CacheOptions;

    #[tokio::test]
    async fn what_could_not_be_let_go_of_is_tried_again_by_the_next_search() {
        let folder = tempfile::tempdir().unwrap();
        let (home, dir) = (folder.path().join("archive"), folder.path().join("cache"));
        let location = holdfast_archive::Location::local(&home);
        let archive = Archive::create(&location).await.unwrap();
        let cache = Arc::new(ChunkCache::new(CacheOptions {
            dir: Some(dir.clone()),
            bytes_max: u64::MAX,
        }));
        let engine = Engine::new(archive, cache, 1);
        // A piece of a split whose segment is gone; a folder in its place cannot be removed as a file.
        let piece = dir.join("gone-1.0.splitchunk");
        std::fs::create_dir_all(&piece).unwrap();
        assert!(matches!(engine.trim(7, &[]), Err(SearchError::Cache(_))));
        std::fs::remove_dir(&piece).unwrap();
        std::fs::write(&piece, "words").unwrap();
        assert_eq!(engine.trim(7, &[]).unwrap(), 1);
        assert!(!piece.exists());
        // After that the version is not looked at again.
        std::fs::write(&piece, "words").unwrap();
        assert_eq!(engine.trim(7, &[]).unwrap(), 0);
    }
}
