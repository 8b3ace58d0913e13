//! Files that events refer to: copied from the chat nodes' store, verified, and never holding events back.
//!
//! 1. Before an event's commit its attachments that are not stored get a pending marker: whatever happens afterwards, `status` and every
//!    coverage statement count them. The store is asked while the batch's files are put, not when it is the batch's turn to be committed.
//! 2. After that they are copied in the background, in parts; storing one compares its SHA-256 and removes the marker.
//! 3. What cannot be copied yet is tried again, ever more rarely, by this process and, since the markers are in the archive, by the next.
//! 4. A purge deletes what nothing refers to, and may do so between 1 and the commit. So the commit requires that nothing was deleted since the
//!    files were looked for ([`DELETED`]); if something was, they are looked for anew. A purge in turn says so after it has deleted, and looks for
//!    references once more then: one of the two sees the other. What was found is believed until then.
//!
//! A crash between 1 and the commit leaves a marker for a file that no event refers to yet; the event follows with the replay.
//!
//! Several processes copy and mark the same files. Who copies stores first and removes the marker then; who marks looks afterwards whether the
//! file is there, and removes the marker if so. Whatever the order of the four, no marker of a stored file stays. Whoever removed a marker looks
//! for the file once more, since a purge may have taken it: better a marker too many, which the next purge removes, than one too few.
//!
//! An attachment without a digest (or with what is none) has no name here and can never be verified: it is only counted, by a metric and by
//! the position [`UNDIGESTED`], which moves in the commit of the events.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
pub(crate) use holdfast_archive::attachments::{DELETED, UNDIGESTED};
use holdfast_archive::attachments::{Pending, digest};
use holdfast_archive::{Advance, Archive, ArchiveError, Location};
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::sync::Notify;

use crate::metrics::Metrics;
use crate::pipeline::AttachmentRef;
use crate::settings::SettingsError;

/// Questions at a time.
const AT_ONCE: usize = 8;
/// Digests remembered as settled, so that a file shared in many rooms is not asked for each time.
const SETTLED_MAX: usize = 100_000;
/// Time between two looks for markers that others left: processes without a file store, and purges.
const MARKERS_EVERY: Duration = Duration::from_secs(60);
const RETRY_FIRST: Duration = Duration::from_secs(2);
const RETRY_MAX: Duration = Duration::from_secs(3600);

/// The attachments of an archive, and where they come from.
#[derive(Debug)]
pub struct Attachments {
    archive: Archive,
    source: Option<Arc<dyn ObjectStore>>,
    metrics: Arc<Metrics>,
    state: Mutex<State>,
    announced: Notify,
    /// Held while copying: a run's last look would otherwise copy the same files beside the background's.
    copying: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    /// Whose file or marker was there.
    settled: HashSet<String>,
    /// The table's position of [`DELETED`] as of which they were.
    settled_as_of: Option<i64>,
    pending: BTreeMap<String, Pending>,
    not_before: HashMap<String, Instant>,
    /// Whose marker may have gone although somebody needs it: it is put again before anything else.
    unmarked: HashSet<String>,
}

impl State {
    /// What was settled as of another position is not believed any more.
    fn as_of(&mut self, deleted: Option<i64>) {
        if self.settled_as_of != deleted {
            self.settled_as_of = deleted;
            self.settled.clear();
        }
    }

    fn settle(&mut self, sha256: String, as_of: Option<i64>) {
        if self.settled_as_of != as_of {
            return;
        }
        if self.settled.len() >= SETTLED_MAX {
            self.settled.clear();
        }
        self.settled.insert(sha256);
    }
}

/// The chat nodes' file store.
///
/// # Errors
/// The location cannot be understood or opened.
pub fn open_source(text: &str) -> Result<Arc<dyn ObjectStore>, SettingsError> {
    let wrong = |problem: String| {
        SettingsError::Value {
        what: "attachments",
        value: text.to_owned(),
        problem,
        hint: "give the folder or object store in which the chat nodes keep files: DIR, s3://bucket/prefix, gs:// or az://".into(),
    }
    };
    let location = Location::parse(text).map_err(|error| wrong(error.to_string()))?;
    if let Some(path) = location.local_path() {
        let store =
            LocalFileSystem::new_with_prefix(path).map_err(|error| wrong(error.to_string()))?;
        return Ok(Arc::new(store));
    }
    let url = location
        .remote_url()
        .ok_or_else(|| wrong("it is neither a folder nor a URL".into()))?;
    // Keys and regions come from the environment, under the names that the providers' own tools use.
    let environment =
        crate::settings::environment().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, prefix) =
        object_store::parse_url_opts(url, environment).map_err(|error| wrong(error.to_string()))?;
    Ok(Arc::new(object_store::prefix::PrefixStore::new(
        store, prefix,
    )))
}

impl Attachments {
    /// Reads the markers that earlier runs left.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub async fn open(
        archive: Archive,
        source: Option<Arc<dyn ObjectStore>>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, ArchiveError> {
        let pending: BTreeMap<_, _> = archive
            .pending_attachments()
            .await?
            .into_iter()
            .map(|pending| (pending.sha256.clone(), pending))
            .collect();
        metrics.attachments(pending.len());
        let state = Mutex::new(State {
            pending,
            ..State::default()
        });
        Ok(Self {
            archive,
            source,
            metrics,
            state,
            announced: Notify::new(),
            copying: tokio::sync::Mutex::new(()),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks those that are not stored, before the commit of the events that refer to them. Answers what that commit has to require of the table;
    /// nothing without a file that has a name.
    ///
    /// # Errors
    /// The archive cannot be read or written.
    pub async fn announce(
        &self,
        wanted: Vec<AttachmentRef>,
    ) -> Result<Option<Advance>, ArchiveError> {
        let named: BTreeMap<String, Option<u64>> = wanted.iter().filter_map(named).collect();
        if named.is_empty() {
            return Ok(None);
        }
        // As known before any of them is looked for.
        let as_of = self.archive.known_snapshot().position(DELETED).await?;
        let unknown: Vec<_> = {
            let mut state = self.state();
            state.as_of(as_of);
            let new = |(sha256, _): &(String, _)| !state.settled.contains(sha256);
            named.into_iter().filter(new).collect()
        };
        if !unknown.is_empty() {
            futures::stream::iter(unknown)
                .map(|(sha256, size)| self.announce_one(sha256, size, as_of))
                .buffer_unordered(AT_ONCE)
                .try_collect::<()>()
                .await?;
            self.announced.notify_one();
        }
        Ok(Some(Advance {
            app_id: DELETED.to_owned(),
            from: as_of,
            to: as_of.unwrap_or(0),
        }))
    }

    async fn announce_one(
        &self,
        sha256: String,
        size: Option<u64>,
        as_of: Option<i64>,
    ) -> Result<(), ArchiveError> {
        if self.archive.attachment_size(&sha256).await?.is_none() {
            match self.archive.pending_attachment(&sha256).await? {
                Some(marked) => self.adopt(marked),
                None => self.begin(sha256.clone(), size).await?,
            }
        }
        self.state().settle(sha256, as_of);
        Ok(())
    }

    /// Marks one as pending, from now on.
    async fn begin(&self, sha256: String, size: Option<u64>) -> Result<(), ArchiveError> {
        let reason = match &self.source {
            Some(_) => "not copied yet".to_owned(),
            None => "holdfast-ingest runs without --attachments".to_owned(),
        };
        let since = jiff::Timestamp::now().to_string();
        let pending = Pending {
            sha256: sha256.clone(),
            size,
            since,
            attempts: 0,
            reason,
        };
        if self.mark(&pending).await? {
            let mut state = self.state();
            state.pending.insert(sha256, pending);
            self.metrics.attachments(state.pending.len());
        }
        Ok(())
    }

    /// Writes or renews a marker; false when the file is stored after all, and the marker gone.
    async fn mark(&self, pending: &Pending) -> Result<bool, ArchiveError> {
        self.archive.mark_pending(pending).await?;
        // Another process may have stored the file since it was looked for, and removed a marker that was not there yet.
        let stored = self.archive.attachment_size(&pending.sha256).await?;
        if stored.is_none() {
            return Ok(true);
        }
        if self.clear(&pending.sha256).await? {
            self.note_stored(&pending.sha256);
            return Ok(false);
        }
        self.archive.mark_pending(pending).await?;
        Ok(true)
    }

    /// Removes the marker of a stored file; false when the file is gone after all: then the marker was not of before a purge, but of after it.
    async fn clear(&self, sha256: &str) -> Result<bool, ArchiveError> {
        self.archive.clear_pending(sha256).await?;
        Ok(self.archive.attachment_size(sha256).await?.is_some())
    }

    fn note_stored(&self, sha256: &str) {
        let mut state = self.state();
        state.pending.remove(sha256);
        state.not_before.remove(sha256);
        state.unmarked.remove(sha256);
        self.metrics.attachments(state.pending.len());
    }

    /// Takes over a marker that may be another process's.
    fn adopt(&self, marked: Pending) {
        let mut state = self.state();
        state.pending.entry(marked.sha256.clone()).or_insert(marked);
        self.metrics.attachments(state.pending.len());
    }

    /// Takes over the markers that others left since the last look.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub async fn adopt_markers(&self) -> Result<(), ArchiveError> {
        for marked in self.archive.pending_attachments().await? {
            self.adopt(marked);
        }
        Ok(())
    }

    /// Copies what is due until the end of the run; `interval` is the time between two looks without news.
    pub async fn run(&self, interval: Duration) {
        let mut looked_at = Instant::now();
        loop {
            if looked_at.elapsed() >= MARKERS_EVERY {
                looked_at = Instant::now();
                if let Err(error) = self.adopt_markers().await {
                    tracing::warn!(%error, "the markers of pending attachments cannot be read");
                }
            }
            self.copy_due(Instant::now()).await;
            tokio::select! {
                () = self.announced.notified() => {}
                () = tokio::time::sleep(interval.min(RETRY_FIRST)) => {}
            }
        }
    }

    /// Tries every pending one whose time has come. Failures are kept in the markers.
    pub async fn copy_due(&self, now: Instant) {
        let Some(source) = &self.source else { return };
        let _alone = self.copying.lock().await;
        let due: Vec<Pending> = {
            let state = self.state();
            let is_due = |sha256: &str| state.not_before.get(sha256).is_none_or(|at| *at <= now);
            state
                .pending
                .values()
                .filter(|pending| is_due(&pending.sha256))
                .cloned()
                .collect()
        };
        // One at a time: a few parts of it are in memory, and the store's latency matters less here than the pipeline beside it.
        for pending in due {
            if self.is_given_up(&pending).await {
                continue;
            }
            match self.copy(source.as_ref(), &pending).await {
                Ok(()) => self.copied(pending).await,
                Err(reason) => self.failed(pending, reason).await,
            }
        }
    }

    /// Without its marker a file was copied by another process, or its events were disposed of: then its bytes must not come back.
    async fn is_given_up(&self, pending: &Pending) -> bool {
        let sha256 = &pending.sha256;
        if self.state().unmarked.contains(sha256) {
            match self.archive.mark_pending(pending).await {
                Ok(()) => drop(self.state().unmarked.remove(sha256)),
                Err(error) => tracing::warn!(sha256, %error, "its marker could not be renewed"),
            }
            return false;
        }
        let given_up = matches!(self.archive.pending_attachment(sha256).await, Ok(None));
        if given_up {
            self.note_stored(sha256);
        }
        given_up
    }

    async fn copied(&self, pending: Pending) {
        // A purge may have taken it at once, and the marker that went with the copy be of an event that came after the purge.
        let reason = match self.archive.attachment_size(&pending.sha256).await {
            Ok(Some(_)) => {
                tracing::debug!(sha256 = pending.sha256, "attachment stored");
                self.metrics.attachment_copied(true);
                self.note_stored(&pending.sha256);
                return;
            }
            Ok(None) => "it was deleted as soon as it was stored".to_owned(),
            Err(error) => error.to_string(),
        };
        self.note_unmarked(&pending.sha256);
        self.failed(pending, reason).await;
    }

    /// Its marker may be gone, and with it that of an event that came meanwhile.
    fn note_unmarked(&self, sha256: &str) {
        self.state().unmarked.insert(sha256.to_owned());
    }

    async fn copy(&self, source: &dyn ObjectStore, pending: &Pending) -> Result<(), String> {
        let mut missing = String::new();
        for path in places(&pending.sha256) {
            let found = match source.get(&path).await {
                Ok(found) => found,
                Err(object_store::Error::NotFound { .. }) => {
                    missing = "not in the file store yet".to_owned();
                    continue;
                }
                Err(error) => return Err(error.to_string()),
            };
            let copied = self
                .archive
                .copy_attachment(&pending.sha256, found.into_stream())
                .await;
            return copied.map_err(|error| {
                // Stored; what failed is the removal of the marker, whether or not that happened.
                if is_removal(&error) {
                    self.note_unmarked(&pending.sha256);
                }
                error.to_string()
            });
        }
        Err(missing)
    }

    async fn failed(&self, mut pending: Pending, reason: String) {
        self.metrics.attachment_copied(false);
        if self.is_given_up(&pending).await {
            return;
        }
        pending.attempts = pending.attempts.saturating_add(1);
        let wait = RETRY_FIRST
            .saturating_mul(1 << pending.attempts.min(20))
            .min(RETRY_MAX);
        let news = pending.reason != reason;
        pending.reason = reason;
        // Stored all the same, by this process or another: then marking it settles it.
        let stored = self.archive.attachment_size(&pending.sha256).await;
        if news || matches!(stored, Ok(Some(_))) {
            match self.mark(&pending).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    self.note_unmarked(&pending.sha256);
                    tracing::warn!(%error, "its marker could not be renewed");
                }
            }
        }
        if news {
            tracing::warn!(
                sha256 = pending.sha256,
                reason = pending.reason,
                "an attachment stays pending"
            );
        }
        let mut state = self.state();
        state
            .not_before
            .insert(pending.sha256.clone(), Instant::now() + wait);
        state.pending.insert(pending.sha256.clone(), pending);
    }

    /// How many are pending.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.state().pending.len()
    }
}

/// Whether a file was stored and its marker could not be removed.
fn is_removal(error: &ArchiveError) -> bool {
    matches!(
        error,
        ArchiveError::Store {
            operation: "delete",
            ..
        }
    )
}

/// Where a chat node may keep a file: by its digest, in folders of the first two digits or flat.
fn places(sha256: &str) -> [Path; 2] {
    [
        Path::from(format!("{}/{sha256}", &sha256[..2])),
        Path::from(sha256),
    ]
}

/// An attachment's digest and size; nothing when it has no digest.
fn named(wanted: &AttachmentRef) -> Option<(String, Option<u64>)> {
    Some((digest(wanted.sha256.as_deref()?)?, wanted.size))
}

/// How many have no digest.
pub(crate) fn undigested<'a>(wanted: impl Iterator<Item = &'a AttachmentRef>) -> u64 {
    wanted.filter(|wanted| named(wanted).is_none()).count() as u64
}

#[cfg(test)]
mod tests;
