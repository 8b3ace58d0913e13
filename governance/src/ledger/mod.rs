//! The ledger: an append-only chain of small objects, and the state that folds out of it.
//!
//! ```text
//!  state known --> judged against exactly that prefix --> params put --> entry put where nothing is --> ours: folded
//!      ^                     | refused: nothing was written                        |
//!      +---- read on <-------+------------ the number is taken by somebody else ---+
//! ```
//! Crash states of an append: (1) before the params, nothing, or the entry without its name; (2) params without an entry, in a folder perhaps a part of
//! them: an orphan, removed by [`Ledger::sweep`]; (3) entry there, answer lost: whoever repeats the command finds it, by its idempotency key or
//! because what it does is done. Of a fenced append also: (4) entry there, fence not: not acknowledged, and the repeated
//! command completes it.

mod append;
mod error;
mod fence;
pub mod intent;
mod load;
mod objects;
mod remove;
mod snapshot;
pub mod state;
pub mod verify;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use holdfast_archive::clock::{Environment, System};
use holdfast_archive::{Archive, LEDGER_APP_ID};
use holdfast_schemas::ledger::{Entry, Params};

pub use append::{Appended, Context, Judged};
pub use error::{LedgerError, Refusal};
pub use fence::Fenced;
pub use objects::Words;
pub use remove::REMOVED;
pub use state::State;

use objects::Objects;
use snapshot::Written;

/// How a ledger is opened.
#[derive(Debug, Clone)]
pub struct LedgerOptions {
    /// Time and chance.
    pub environment: Arc<dyn Environment>,
    /// How long one entry may try before its outcome is reported as unknown.
    pub append_time_max: Duration,
}

impl Default for LedgerOptions {
    fn default() -> Self {
        Self {
            environment: Arc::new(System::default()),
            append_time_max: Duration::from_secs(30),
        }
    }
}

/// The ledger of an archive.
#[derive(Debug)]
pub struct Ledger {
    archive: Archive,
    objects: Objects,
    known: RwLock<Known>,
    /// Appends of one process go one after the other: they would only collide.
    appending: tokio::sync::Mutex<()>,
}

#[derive(Debug, Clone)]
struct Known {
    state: Arc<State>,
    snapshot: Written,
}

/// One entry with what stands behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The entry.
    pub entry: Entry,
    /// Its parameters; nothing when they were removed.
    pub params: Option<Params>,
}

impl Ledger {
    /// Opens the ledger of an archive: the newest snapshot of the fold, and the entries after it.
    ///
    /// # Errors
    /// The store's errors, a chain that does not hold, or one whose fenced tail is missing.
    pub async fn open(archive: &Archive) -> Result<Self, LedgerError> {
        Self::open_with(archive, LedgerOptions::default()).await
    }

    /// [`Ledger::open`] with options.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub async fn open_with(archive: &Archive, options: LedgerOptions) -> Result<Self, LedgerError> {
        let objects = Objects::new(archive, options.environment, options.append_time_max);
        // The fence first: entries only grow, so a head read later cannot be behind it unless the tail was cut.
        let fence = archive.known_snapshot().position(LEDGER_APP_ID).await?;
        let known = load::open(&objects).await?;
        holds_fence(&known.state, fence)?;
        Ok(Self {
            archive: archive.clone(),
            objects,
            known: RwLock::new(known),
            appending: tokio::sync::Mutex::default(),
        })
    }

    /// The state as last read or written by this process.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.known().state)
    }

    /// The state with every entry that is there now.
    ///
    /// # Errors
    /// As [`Ledger::open`].
    pub async fn refresh(&self) -> Result<Arc<State>, LedgerError> {
        let known = load::go_on(&self.objects, self.known()).await?;
        Ok(self.publish(known))
    }

    /// The archive whose ledger this is.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Our clock, UTC microseconds.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.objects.now_us()
    }

    /// One entry, with its parameters; nothing when there is none of this number.
    ///
    /// # Errors
    /// The store's errors, or an entry that was changed.
    pub async fn record(&self, seq: u64) -> Result<Option<Record>, LedgerError> {
        let Some((entry, words)) = self.objects.read(seq, true).await? else {
            return Ok(None);
        };
        let params = match words {
            Words::Params(params) => Some(params),
            Words::NotRead | Words::Missing => None,
        };
        Ok(Some(Record { entry, params }))
    }

    /// Entries from `first` on, at most `most` of them.
    ///
    /// # Errors
    /// As [`Ledger::record`].
    pub async fn records(&self, first: u64, most: u64) -> Result<Vec<Record>, LedgerError> {
        use futures::{StreamExt, TryStreamExt};
        let last = first
            .saturating_add(most)
            .min(self.state().head.seq.saturating_add(1));
        let read = futures::stream::iter(first.max(1)..last).map(|seq| self.record(seq));
        let found: Vec<Option<Record>> = read.buffered(load::READS_AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    /// Compares our clock with the store's, by the time stamp of an entry that was just put. Whatever is disposed of on
    /// the word of `now` is asked for after this.
    ///
    /// # Errors
    /// [`LedgerError::Clock`] when they are more than five minutes apart; the store's errors.
    pub async fn guard_clock(&self, appended: &Appended) -> Result<i64, LedgerError> {
        let store_us = self.objects.written_us(&Entry::path(appended.seq)).await?;
        crate::clock::agree(appended.time_us, store_us)?;
        Ok(appended.time_us)
    }

    fn known(&self) -> Known {
        self.known
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn publish(&self, newer: Known) -> Arc<State> {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if newer.state.head.seq >= known.state.head.seq {
            *known = newer;
        }
        Arc::clone(&known.state)
    }
}

/// Entries that the table says exist must be there.
fn holds_fence(state: &State, fence: Option<i64>) -> Result<(), LedgerError> {
    match fence {
        Some(fence) if i64::try_from(state.head.seq).unwrap_or(i64::MAX) < fence => {
            Err(LedgerError::CutTail {
                head: state.head.seq,
                fence,
            })
        }
        Some(_) | None => Ok(()),
    }
}
