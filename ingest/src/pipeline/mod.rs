//! The chain from a source to the table.
//!
//! ```text
//!  source ──chunks──▶ decode × threads ──decoded──▶ batcher ──batches──▶ build (pool of threads) ──built──▶ committer
//!  1 thread   [4]     parse, hash, columns   [4]    judge,      [1]      sort, Parquet ∥ split      [2]     puts, one commit
//!     ▲                                             close                                                     after the other
//!     └────────────── feedback: positions committed, chunks settled, start over ◀────────────────────────────────────┘
//! ```
//!
//! The numbers are the channels' capacities. What bounds memory is the budget ([`Budget`]): a chunk pays for its bytes when it is
//! admitted, for its columns once it is decoded, and gives them back after its commit. When budget or channel is full the source
//! waits (JSON lines) or pauses its partitions and keeps polling (Kafka).
//!
//! A chunk is about 2 MiB of records. Chunks are decoded out of order, put back into order by the batcher, and judged there on whole
//! sets of sequences. A batch is closed by rows, bytes or age; also when the builders have nothing to do and it is worth a segment,
//! which keeps every core busy when there is much to do; and when the source waits for memory that only a commit gives back. The
//! commit of a batch overlaps the building of the next. Commits keep the batches' order, since each continues the positions of the one before.

mod batch;
mod batcher;
mod budget;
mod build;
mod commit;
mod decode;
mod gate;
mod judge;
mod lookup;
mod rows;
mod shared;
mod stop;

use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use holdfast_archive::Archive;
use tokio::runtime::Handle;

pub use batch::{Batch, Cause, IDLE_ROWS_MIN};
pub use batcher::Totals;
pub use budget::{Budget, Grant};
pub use commit::Committed;
pub use gate::{Gate, Pass};
pub use judge::Verdict;
pub use rows::AttachmentRef;
pub use stop::Stop;

use self::batcher::{Batcher, Parts};
use self::build::{Built, build};
use self::commit::Committer;
use self::decode::{Decoded, Decoder};
use self::lookup::ArchivedIds;
use self::shared::Shared;
use crate::attachments::Attachments;
use crate::error::IngestError;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::source::{Chunk, Feed, Feedback, Source};

const CHUNKS: usize = 4;
const DECODED: usize = 4;
const BATCHES: usize = 1;
const BUILT: usize = 2;

/// What a run works with.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The archive.
    pub archive: Archive,
    /// Where its futures run.
    pub runtime: Handle,
    /// Attachments that rows refer to.
    pub attachments: Arc<Attachments>,
    /// The run's metrics.
    pub metrics: Arc<Metrics>,
    /// Asking for the end, and the first failure.
    pub stop: Arc<Stop>,
    /// The memory budget.
    pub budget: Arc<Budget>,
}

/// What a run did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Done {
    /// Commits and their counts.
    pub committed: Committed,
    /// Counts of batches that changed nothing.
    pub void: Totals,
}

/// Runs a source into an archive until the source ends. Blocks; not to be called on the runtime's own threads.
///
/// # Errors
/// The first failure of any stage. What was committed until then stays.
pub fn run(
    settings: &Settings,
    around: &Surroundings,
    source: Box<dyn Source>,
) -> Result<Done, IngestError> {
    let Surroundings {
        archive,
        runtime,
        attachments,
        metrics,
        stop,
        budget,
    } = around.clone();
    let shared = Arc::new(Shared::new(runtime.block_on(archive.snapshot())?));
    let (gate, feedback) = (Arc::new(Gate::default()), Arc::new(Feedback::default()));
    let (chunk_sender, chunks) = bounded::<Chunk>(CHUNKS);
    let (decoded_sender, decoded) = bounded::<Decoded>(DECODED);
    let (batch_sender, batches) = bounded::<Batch>(BATCHES);
    let (built_sender, built) = bounded::<Result<Built, IngestError>>(BUILT);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(settings.threads)
        .thread_name(|n| format!("build-{n}"))
        .build()
        .map_err(|error| IngestError::Machine {
            what: "starting the builders",
            problem: error.to_string(),
        })?;
    let feed = Feed {
        chunks: chunk_sender,
        budget: Arc::clone(&budget),
        gate: Arc::clone(&gate),
        feedback: Arc::clone(&feedback),
        stop: Arc::clone(&stop),
        metrics: Arc::clone(&metrics),
        archive: archive.clone(),
        runtime: runtime.clone(),
        next_number: 0,
        paid: None,
    };
    let batcher = Batcher::new(Parts {
        flush: settings.flush,
        building_max: building_max(settings.threads),
        shared: Arc::clone(&shared),
        budget,
        gate: Arc::clone(&gate),
        feedback: Arc::clone(&feedback),
        metrics: Arc::clone(&metrics),
        archive: archive.clone(),
        runtime: runtime.clone(),
    });
    let lookup = ArchivedIds::new(archive.clone(), runtime.clone());
    let building = Arc::clone(&shared);
    let committer = Committer {
        archive,
        runtime,
        shared,
        gate,
        feedback,
        attachments,
        metrics,
        lookup,
        stop: Arc::clone(&stop),
    };
    let mut done = Done::default();
    let threads = settings.threads;
    thread::scope(|scope| {
        let stop = &*stop;
        let stage = |name: &'static str| thread::Builder::new().name(name.to_owned());
        let spawned = (|| {
            stage("source").spawn_scoped(scope, move || {
                guarded(stop, "the source", || Ok(source.run(feed)?));
            })?;
            for _ in 0..threads {
                let (chunks, sender) = (chunks.clone(), decoded_sender.clone());
                stage("decode").spawn_scoped(scope, move || {
                    guarded(stop, "decoding", || decode_all(&chunks, &sender));
                })?;
            }
            drop((chunks, decoded_sender));
            let batching = stage("batch").spawn_scoped(scope, move || {
                guarded(stop, "batching", || {
                    batcher.run(&decoded, &batch_sender, stop)
                })
            })?;
            stage("build").spawn_scoped(scope, move || {
                guarded(stop, "building", || {
                    let at_once = building_max(threads);
                    build_all(&pool, &batches, &built_sender, &building, at_once);
                    Ok(())
                });
            })?;
            let committing = stage("commit").spawn_scoped(scope, move || {
                guarded(stop, "committing", || committer.run(&built))
            })?;
            Ok::<_, std::io::Error>((batching, committing))
        })();
        match spawned {
            // Which is joined first does not matter: when one stage ends its channels do, and with them its neighbours.
            Ok((batching, committing)) => {
                done.committed = committing.join().unwrap_or_default();
                done.void = batching.join().unwrap_or_default();
            }
            Err(error) => stop.fail(IngestError::Machine {
                what: "starting a thread",
                problem: error.to_string(),
            }),
        }
    });
    match stop.take_error() {
        Some(error) => Err(error),
        None => Ok(done),
    }
}

/// Runs a stage; its failure, or its panic, ends the run. A stage that vanished silently would leave the others waiting for a chunk or batch that
/// never comes.
fn guarded<T: Default>(
    stop: &Stop,
    what: &'static str,
    stage: impl FnOnce() -> Result<T, IngestError>,
) -> T {
    match catch(what, stage) {
        Ok(value) => value,
        Err(error) => {
            stop.fail(error);
            T::default()
        }
    }
}

fn catch<T>(
    what: &'static str,
    work: impl FnOnce() -> Result<T, IngestError>,
) -> Result<T, IngestError> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(IngestError::Machine {
            what,
            problem: "it panicked; see the message above".into(),
        })
    })
}

/// Batches being built at a time: with two cores one batch keeps them busy beside decoding, with many it takes several.
fn building_max(threads: usize) -> usize {
    (threads / 2).max(1)
}

fn decode_all(chunks: &Receiver<Chunk>, decoded: &Sender<Decoded>) -> Result<(), IngestError> {
    let mut decoder = Decoder::default();
    for chunk in chunks {
        if decoded.send(decoder.decode(chunk)?).is_err() {
            break;
        }
    }
    Ok(())
}

/// Hands batches to the pool, so many at a time.
fn build_all(
    pool: &rayon::ThreadPool,
    batches: &Receiver<Batch>,
    built: &Sender<Result<Built, IngestError>>,
    shared: &Shared,
    at_once: usize,
) {
    let (taken, places) = bounded::<()>(at_once);
    pool.in_place_scope(|scope| {
        for batch in batches {
            if taken.send(()).is_err() {
                break;
            }
            let (places, built) = (places.clone(), built.clone());
            scope.spawn(move |_| {
                let result = catch("building a batch", || build(batch, &shared.snapshot()));
                // Never fails: both ends of the channel are in this function.
                let _place = places.recv();
                // Whoever receives has ended only when the run is aborted.
                drop(built.send(result));
            });
        }
    });
}
