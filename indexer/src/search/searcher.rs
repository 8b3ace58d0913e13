//! The searcher: what commands, holds and exports ask.

use std::path::PathBuf;
use std::sync::Arc;

use arrow::compute::concat_batches;
use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::Row;
use holdfast_schemas::columns::segment_schema;

use super::engine::{Asked, Engine, Resolved, Want};
use super::hits::{Found, HitBatch, Hits, Merge};
use super::prune::may_hold_sequence;
use super::question::{AtSequence, CHANGES, OfMessage, Question, WithId};
use super::request::version;
use super::status::Changes;
use crate::error::SearchError;
use crate::split::{CacheOptions, ChunkCache};

/// How a searcher works.
#[derive(Debug, Clone)]
pub struct SearchOptions {
    /// Where pieces of splits from object stores are kept, 256 MiB at the most; in memory when nothing is said. Local
    /// archives are mapped and need none.
    pub cache_dir: Option<PathBuf>,
    /// Segments searched at the same time.
    pub parallelism: usize,
}

/// Searches an archive. Cheap to clone; clones share open splits. All methods need a tokio runtime with time and I/O.
#[derive(Debug, Clone)]
pub struct Searcher {
    pub(super) engine: Arc<Engine>,
}

impl Searcher {
    /// A searcher over an archive.
    #[must_use]
    pub fn new(archive: Archive, options: SearchOptions) -> Self {
        // A folder an archive: what is cached of one is judged by what that archive still has.
        let dir = options.cache_dir.map(|dir| dir.join(folder_of(&archive)));
        let cache = ChunkCache::new(CacheOptions {
            dir,
            ..CacheOptions::default()
        });
        Self {
            engine: Arc::new(Engine::new(archive, Arc::new(cache), options.parallelism)),
        }
    }

    /// Says that the caller's thread has work of its own beside a search: until the answer is dropped, the last of `parallelism` workers, if there are
    /// several, does not begin. With as many workers as cores the caller would get nowhere before they have ended. Nothing if somebody is busy already,
    /// and for archives on object stores, where it is the network that is waited for.
    #[must_use]
    pub fn busy(&self) -> Option<impl Drop + use<'_>> {
        self.engine.busy()
    }

    /// Empties the cache of what this archive no longer has: the words of what was disposed of must not outlive it here.
    /// Every search does it, too. Answers how many pieces went.
    ///
    /// # Errors
    /// The log cannot be read, or a piece not be removed.
    pub async fn trim_cache(&self, snapshot: &Snapshot) -> Result<u64, SearchError> {
        let segments = snapshot.segments().await?;
        self.engine.trim(snapshot.version(), &segments)
    }

    /// The event with an id (ignoring case), with its standing; more than one row if the archive holds it more than once.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn lookup(
        &self,
        snapshot: &Snapshot,
        event_id: &str,
    ) -> Result<Option<HitBatch>, SearchError> {
        let question = WithId {
            id: fold_keyword(event_id).into_owned(),
        };
        let segments = snapshot.segments().await?.to_vec();
        self.rows(snapshot, snapshot.version(), segments, Arc::new(question))
            .await
    }

    /// The event with a place in its origin. Segments are chosen by their statistics; no split is needed.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn lookup_sequence(
        &self,
        snapshot: &Snapshot,
        origin: &str,
        sequence: u64,
    ) -> Result<Option<HitBatch>, SearchError> {
        let segments = snapshot.segments().await?;
        let segments = segments
            .iter()
            .filter(|segment| may_hold_sequence(segment, origin, sequence))
            .cloned()
            .collect();
        let question = AtSequence {
            origin: origin.to_owned(),
            sequence,
        };
        self.rows(snapshot, snapshot.version(), segments, Arc::new(question))
            .await
    }

    /// Every event that names a message of a room (posting, edits, deletion, replacements, reactions), in order; of a version
    /// of the archive, the snapshot's own when nothing is said.
    ///
    /// # Errors
    /// A segment cannot be read, or the version is not there yet.
    pub async fn message_events(
        &self,
        snapshot: &Snapshot,
        as_of: Option<u64>,
        room_id: Option<&str>,
        message_id: &str,
    ) -> Result<Option<HitBatch>, SearchError> {
        let room = fold_keyword(room_id.unwrap_or_default()).into_owned();
        let question = OfMessage {
            room,
            message: fold_keyword(message_id).into_owned(),
        };
        let version = version(snapshot, as_of)?;
        let segments = snapshot.segments().await?.to_vec();
        self.rows(snapshot, version, segments, Arc::new(question))
            .await
    }

    /// All rows that a question finds, in order: for questions with few.
    async fn rows(
        &self,
        snapshot: &Snapshot,
        version: u64,
        segments: Vec<Arc<Segment>>,
        question: Arc<dyn Question>,
    ) -> Result<Option<HitBatch>, SearchError> {
        let found = self
            .engine
            .ask(
                segments,
                Asked {
                    question,
                    version,
                    want: Want::Rows,
                },
            )
            .await?;
        let mut hits = self
            .hits(
                snapshot,
                version,
                found,
                None,
                super::Coverage::of_lookup(version),
            )
            .await?;
        let mut all: Option<HitBatch> = None;
        while let Some(next) = hits.next().await? {
            all = Some(match all {
                None => next,
                Some(mut before) => {
                    before.rows = concat_batches(&segment_schema(), [&before.rows, &next.rows])?;
                    before.status.extend(next.status);
                    before
                }
            });
        }
        Ok(all)
    }

    /// Makes a stream of what segments answered.
    pub(super) async fn hits(
        &self,
        snapshot: &Snapshot,
        version: u64,
        found: Vec<Resolved>,
        limit: Option<usize>,
        coverage: super::Coverage,
    ) -> Result<Hits, SearchError> {
        let found: Vec<Found> = found
            .into_iter()
            .map(|one| Found {
                segment: one.segment,
                rows: one.rows,
                from_us: one.from_us,
            })
            .collect();
        let any = found.iter().any(|found| !found.rows.is_empty());
        let changes = if any {
            self.changes(snapshot, version).await?
        } else {
            Arc::default()
        };
        let merge = Merge::new(self.engine.archive.clone(), found, limit);
        Ok(Hits::new(coverage, limit, merge, changes))
    }

    /// Every change of a message up to a version: one pass over the postings of edits, deletions and replacements. The
    /// last ones are kept: contexts and histories ask for them room by room, message by message.
    async fn changes(
        &self,
        snapshot: &Snapshot,
        version: u64,
    ) -> Result<Arc<Changes>, SearchError> {
        if let Some(known) = self.engine.known_changes(snapshot.version(), version) {
            return Ok(known);
        }
        let segments = snapshot.segments().await?.to_vec();
        let asked = Asked {
            question: Arc::new(CHANGES),
            version,
            want: Want::Rows,
        };
        let found = self.engine.ask(segments, asked).await?;
        let mut changes = Changes::default();
        for one in found.into_iter().filter(|one| !one.rows.is_empty()) {
            let mut note = |row: &Row<'_>| changes.note(&row.event);
            self.engine
                .each_row(&one.segment, &one.rows, Changes::COLUMNS, &mut note)
                .await?;
        }
        let changes = Arc::new(changes);
        self.engine
            .know_changes(snapshot.version(), version, &changes);
        Ok(changes)
    }
}

/// Name of an archive's folder in the cache. Two archives that share one only cost each other what is cached.
fn folder_of(archive: &Archive) -> String {
    let plain = |letter: char| match letter {
        letter if letter.is_ascii_alphanumeric() => letter,
        _ => '_',
    };
    let all: String = archive.url().chars().map(plain).collect();
    // The end tells archives apart; names of files are bounded.
    all[all.len().saturating_sub(200)..].to_owned()
}
