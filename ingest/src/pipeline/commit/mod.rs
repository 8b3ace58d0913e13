//! Batches into the table, one after the other in their order, while the next ones are being built.
//!
//! Crash states, and what the next start makes of them:
//!
//! 1. before a put, or between puts: files without a commit; garbage collection removes them, the records are read again
//! 2. after the puts, before the commit: as 1
//! 3. in the commit, its outcome unknown: the table's positions and sets tell; the records are read again or skipped accordingly
//! 4. after the commit, before the source's own bookkeeping (Kafka's offsets): positions come from the table, nothing is read twice

mod append;
mod conflict;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;
use futures::{StreamExt, TryStreamExt};
use holdfast_archive::{Advance, Archive, ArchiveError, Counts, NewSegment, Outcome, Snapshot};
use holdfast_indexer::maintenance::ANALYZER_VERSION;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use uuid::Uuid;

use self::append::{Ready, is_of_attachments};
use super::batch::{Batch, check};
use super::build::{Built, build};
use super::lookup::ArchivedIds;
use super::shared::Shared;
use super::{Gate, Stop};
use crate::attachments::Attachments;
use crate::error::IngestError;
use crate::metrics::Metrics;
use crate::source::Feedback;

/// Files of a segment are put side by side, and so are those of several segments: an object store answers in tens of milliseconds.
const PUTS_AT_ONCE: usize = 8;
/// Shortest and longest time between two attempts at what cannot be done for now. Each wait is shortened by up to a half at random, so that
/// several processes do not try at the same moments.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// The committing stage.
#[derive(Debug)]
pub(super) struct Committer {
    /// The archive.
    pub archive: Archive,
    /// Where its futures run.
    pub runtime: Handle,
    /// Snapshot and batches on their way.
    pub shared: Arc<Shared>,
    /// The publishing barrier.
    pub gate: Arc<Gate>,
    /// News for the source.
    pub feedback: Arc<Feedback>,
    /// Attachments that rows refer to.
    pub attachments: Arc<Attachments>,
    /// The run's metrics.
    pub metrics: Arc<Metrics>,
    /// Ids in the archive.
    pub lookup: ArchivedIds,
    /// Whether the run was told to end.
    pub stop: Arc<Stop>,
}

/// What a run has committed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Committed {
    /// Commits.
    pub commits: u64,
    /// Records, by what became of them.
    pub counts: Counts,
}

/// A built batch whose files are on their way to the store.
struct Putting {
    built: Built,
    /// Answers what the commit has to require of the table, so that the attachments are as they were found.
    puts: JoinHandle<Result<Option<Advance>, ArchiveError>>,
}

/// How an attempt to commit a batch ended.
enum Attempt {
    Committed(Snapshot),
    /// Rows or files have to change; here is the batch to build again.
    Rebuild(Batch),
    /// The source has to start over from the table's positions.
    Reset(Batch, String),
}

impl Committer {
    /// Runs until the builders have ended.
    ///
    /// # Errors
    /// The archive cannot be written, a batch does not add up, or an outcome cannot be learnt before the run ends.
    pub(super) fn run(
        mut self,
        built: &Receiver<Result<Built, IngestError>>,
    ) -> Result<Committed, IngestError> {
        let mut committed = Committed::default();
        let mut early: BTreeMap<u64, Putting> = BTreeMap::new();
        let mut next = 0;
        for result in built {
            let built = result?;
            early.insert(built.batch.number, self.put(built));
            while let Some(putting) = early.remove(&next) {
                next += 1;
                self.settle(putting, &mut committed)?;
            }
            if self.stop.aborted() {
                break;
            }
        }
        Ok(committed)
    }

    /// Begins to put the files, and to mark attachments that are not stored. Neither need wait for the batch's turn: without a commit files mean
    /// nothing, and a marker only that a file is looked for.
    fn put(&self, built: Built) -> Putting {
        let files = built
            .segments
            .iter()
            .map(|segment| (segment.encoded.clone(), segment.split.clone()))
            .collect::<Vec<_>>();
        let wanted = built.batch.attachments().cloned().collect();
        let (archive, attachments) = (self.archive.clone(), Arc::clone(&self.attachments));
        let puts = self.runtime.spawn(async move {
            let put = futures::stream::iter(files)
                .map(|(encoded, split)| {
                    let archive = &archive;
                    async move {
                        let path = encoded.segment.split_path(ANALYZER_VERSION);
                        tokio::try_join!(
                            archive.put_segment(&encoded),
                            archive.put_split(&path, split)
                        )
                        .map(drop)
                    }
                })
                .buffer_unordered(PUTS_AT_ONCE)
                .try_collect::<()>();
            let ((), found) = tokio::try_join!(put, attachments.announce(wanted))?;
            Ok(found)
        });
        Putting { built, puts }
    }

    /// Commits a batch, or drops it when its generation is over.
    fn settle(
        &mut self,
        mut putting: Putting,
        committed: &mut Committed,
    ) -> Result<(), IngestError> {
        loop {
            let (number, chunks, generation) = (
                putting.built.batch.number,
                putting.built.batch.chunks,
                putting.built.batch.generation,
            );
            let gate = Arc::clone(&self.gate);
            let Some(pass) = gate.pass(generation) else {
                tracing::info!(
                    batch = number,
                    "dropped: its partitions were lost before its commit"
                );
                putting.puts.abort();
                self.shared.arrive(number, None);
                self.feedback.settle(chunks);
                return Ok(());
            };
            let (positions, counts, newest) = (
                putting.built.batch.positions.clone(),
                putting.built.batch.counts,
                putting.built.batch.first_at,
            );
            let undigested = putting.built.batch.undigested();
            match self.attempt(putting)? {
                Attempt::Committed(snapshot) => {
                    drop(pass);
                    committed.commits += 1;
                    add(&mut committed.counts, &counts);
                    self.metrics
                        .committed(&counts, newest.elapsed(), snapshot.version());
                    self.metrics.undigested(undigested);
                    self.shared.arrive(number, Some(snapshot));
                    self.feedback
                        .commit(positions.into_iter().map(|(app_id, (_, to))| (app_id, to)));
                    self.feedback.settle(chunks);
                    return Ok(());
                }
                Attempt::Rebuild(batch) => {
                    drop(pass);
                    putting = self.put(build(batch, &self.shared.snapshot())?);
                }
                Attempt::Reset(batch, reason) => {
                    drop(pass);
                    // Closing the gate refuses what is behind this batch too: it continues a position that is not the table's.
                    self.gate.close();
                    self.metrics.reset();
                    self.shared.arrive(batch.number, None);
                    self.feedback.reset(reason);
                    self.feedback.settle(chunks);
                    return Ok(());
                }
            }
        }
    }

    fn attempt(&mut self, putting: Putting) -> Result<Attempt, IngestError> {
        let Putting { built, puts } = putting;
        let Built {
            batch,
            segments,
            merkle_root,
        } = built;
        check(&batch.counts)?;
        let runtime = self.runtime.clone();
        let files = runtime
            .block_on(puts)
            .map_err(|error| IngestError::Machine {
                what: "putting files",
                problem: error.to_string(),
            })??;
        // The files are in the store; from here on their names are enough.
        let segments: Vec<NewSegment> = segments
            .into_iter()
            .map(|segment| segment.encoded.segment)
            .collect();
        let started = std::time::Instant::now();
        let mut ready = Ready {
            batch: &batch,
            segments,
            merkle_root,
            files,
        };
        let mut outcome = self.append_patiently(&ready)?;
        let mut pause = PAUSES.0;
        loop {
            match outcome {
                Outcome::Committed(snapshot) => {
                    self.metrics.commit_took(started.elapsed());
                    return Ok(Attempt::Committed(snapshot));
                }
                Outcome::Conflicted(conflict) if is_of_attachments(&conflict) => {
                    self.renew()?;
                    let wanted = batch.attachments().cloned().collect();
                    ready.files = runtime.block_on(self.attachments.announce(wanted))?;
                    outcome = self.append_patiently(&ready)?;
                }
                Outcome::Conflicted(conflict) => return self.conflict(batch, conflict),
                Outcome::Unknown(uncertain) => {
                    tracing::error!(commit_id = %uncertain.commit_id, version = uncertain.version, reason = uncertain.reason,
                        "the outcome of a commit is unknown; nothing goes on until it is known");
                    let ending = self.stop.wait(jittered(pause));
                    pause = (pause * 2).min(PAUSES.1);
                    if ending {
                        return Err(IngestError::Unsettled {
                            commit_id: uncertain.commit_id,
                            reason: uncertain.reason,
                        });
                    }
                    outcome = runtime.block_on(self.archive.settle(uncertain))?;
                }
            }
        }
    }
}

fn jittered(pause: Duration) -> Duration {
    let share = u32::from(Uuid::new_v4().as_bytes()[0]);
    pause - pause * share / 512
}

fn add(sum: &mut Counts, counts: &Counts) {
    sum.consumed += counts.consumed;
    sum.archived += counts.archived;
    sum.quarantined += counts.quarantined;
    sum.duplicates += counts.duplicates;
}
