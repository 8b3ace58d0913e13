//! Creating and opening an archive.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;
use uuid::Uuid;

use crate::clock::{Environment, System};
use crate::commit::{
    self, AdvanceOnly, Append, CommitKind, Counts, Disposal, Outcome, Plan, Replace, Uncertain,
};
use crate::error::ArchiveError;
use crate::location::Location;
use crate::log::paths;
use crate::log::reader::{LogReader, task};
use crate::segment::EncodedSegment;
use crate::shared::{Given, Shared};
use crate::snapshot::Snapshot;
use crate::store::{self, Staged};
use crate::table::{CommitInfo, Kernel};

/// An archive that was opened. Cheap to clone; clones share caches.
#[derive(Clone, Debug)]
pub struct Archive {
    pub(crate) shared: Arc<Shared>,
}

/// How an archive is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// How long one commit may try before it gives up, or its outcome is reported as unknown.
    pub commit_time_max: Duration,
    /// Local stores: write through to the disk before acknowledging. Off is for benches and tests only.
    pub fsync: bool,
    /// Write checkpoints and remove old log entries after commits, in the background.
    pub maintenance: bool,
    /// Time and chance.
    pub environment: Arc<dyn Environment>,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            commit_time_max: Duration::from_secs(60),
            fsync: true,
            maintenance: true,
            environment: Arc::new(System::default()),
        }
    }
}

impl Archive {
    /// Creates an archive.
    ///
    /// # Errors
    /// [`ArchiveError::AlreadyExists`] when one is there; the store's errors.
    pub async fn create(location: &Location) -> Result<Self, ArchiveError> {
        Self::create_with(location, OpenOptions::default()).await
    }

    /// Opens an archive.
    ///
    /// # Errors
    /// [`ArchiveError::NotFound`] when there is none; the store's errors.
    pub async fn open(location: &Location) -> Result<Self, ArchiveError> {
        Self::open_with(location, OpenOptions::default()).await
    }

    /// [`Archive::create`] with options.
    ///
    /// # Errors
    /// As [`Archive::create`].
    pub async fn create_with(
        location: &Location,
        options: OpenOptions,
    ) -> Result<Self, ArchiveError> {
        let rooted = store::build(location, true, options.fsync)?;
        make(given(
            rooted.store,
            rooted.local,
            location.to_string(),
            options,
        ))
        .await
    }

    /// [`Archive::open`] with options.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub async fn open_with(
        location: &Location,
        options: OpenOptions,
    ) -> Result<Self, ArchiveError> {
        let rooted = store::build(location, false, options.fsync)?;
        open(given(
            rooted.store,
            rooted.local,
            location.to_string(),
            options,
        ))
        .await
    }

    /// Creates an archive in any store whose root is the archive's root; `url` is for messages only.
    ///
    /// # Errors
    /// As [`Archive::create`].
    pub async fn create_in(store: Arc<dyn ObjectStore>, url: Url) -> Result<Self, ArchiveError> {
        make(given(store, None, url.to_string(), OpenOptions::default())).await
    }

    /// Opens an archive in any store whose root is the archive's root; `url` is for messages only.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub async fn open_in(store: Arc<dyn ObjectStore>, url: Url) -> Result<Self, ArchiveError> {
        Self::open_in_with(store, url, OpenOptions::default()).await
    }

    /// [`Archive::open_in`] with options.
    ///
    /// # Errors
    /// As [`Archive::open`].
    pub async fn open_in_with(
        store: Arc<dyn ObjectStore>,
        url: Url,
        options: OpenOptions,
    ) -> Result<Self, ArchiveError> {
        open(given(store, None, url.to_string(), options)).await
    }

    /// The store, rooted at the archive: `events/…`, `index/…`, `attachments/…`, `ledger/…`.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.shared.store
    }

    /// The folder of a local archive: for memory maps.
    #[must_use]
    pub fn local_root(&self) -> Option<&Path> {
        self.shared.local.as_deref()
    }

    /// Writes a new object of a local archive and sends it on its way to the disk, without its name: [`Staged::create`] then has little to wait for.
    /// Nothing where a put is as good: on an object store, or in a runtime with several threads.
    #[must_use]
    pub fn stage(&self, path: &str, bytes: &Bytes) -> Option<Staged> {
        let root = self.shared.local.as_ref()?;
        store::stage_early(root.join(path), bytes, self.shared.fsync)
    }

    /// Where the archive is, for messages and manifests.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.shared.url
    }

    /// The newest version, incremental from the last one seen by any clone.
    ///
    /// # Errors
    /// The store's errors, or a log that is not as it must be.
    pub async fn snapshot(&self) -> Result<Snapshot, ArchiveError> {
        let state = self.shared.refresh().await?;
        Ok(Snapshot::new(&self.shared, state))
    }

    /// The newest version that any clone has seen, without asking the store.
    #[must_use]
    pub fn known_snapshot(&self) -> Snapshot {
        Snapshot::new(&self.shared, self.shared.latest())
    }

    /// Adds segments and moves positions in one commit. The files were put before.
    ///
    /// # Errors
    /// The store's errors, [`ArchiveError::Invalid`] for a plan that contradicts itself, [`ArchiveError::Busy`] when
    /// every attempt lost to another writer. After any error nothing of it is in the archive.
    pub async fn append(&self, base: &Snapshot, append: Append) -> Result<Outcome, ArchiveError> {
        commit::run(&self.shared, base, Plan::Append(append)).await
    }

    /// Replaces exact segments by others in one commit. The files were put before.
    ///
    /// # Errors
    /// As [`Archive::append`].
    pub async fn replace(
        &self,
        base: &Snapshot,
        replace: Replace,
    ) -> Result<Outcome, ArchiveError> {
        commit::run(&self.shared, base, Plan::Replace(replace)).await
    }

    /// Takes rows out of the table and keeps their files, puts them back, or gives them up, in one commit.
    ///
    /// # Errors
    /// As [`Archive::append`].
    pub async fn dispose(
        &self,
        base: &Snapshot,
        disposal: Disposal,
    ) -> Result<Outcome, ArchiveError> {
        commit::run(&self.shared, base, Plan::Dispose(disposal)).await
    }

    /// Commits moved positions alone: a ledger fence, duplicates only, a horizon.
    ///
    /// # Errors
    /// As [`Archive::append`].
    pub async fn advance(
        &self,
        base: &Snapshot,
        advance: AdvanceOnly,
    ) -> Result<Outcome, ArchiveError> {
        commit::run(&self.shared, base, Plan::Advance(advance)).await
    }

    /// Goes on trying to learn what became of a commit whose outcome was unknown.
    ///
    /// # Errors
    /// As [`Archive::append`].
    pub async fn settle(&self, uncertain: Uncertain) -> Result<Outcome, ArchiveError> {
        commit::resume(&self.shared, uncertain).await
    }

    /// Puts a segment's file (fsynced, private); answers only when it is durable.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn put_segment(&self, segment: &EncodedSegment) -> Result<(), ArchiveError> {
        let path = format!("{}/{}", paths::TABLE, segment.segment.path);
        self.put(&path, segment.bytes.clone()).await
    }

    /// Puts a split at the path that [`crate::Segment::split_path`] named, replacing what was there.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn put_split(&self, path: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        self.put(path, bytes).await
    }

    /// Bytes of a split's file, or nothing when there is none.
    ///
    /// # Errors
    /// The store's errors.
    pub async fn split_bytes(&self, path: &str) -> Result<Option<u64>, ArchiveError> {
        self.size(path).await
    }

    pub(crate) async fn put(&self, path: &str, bytes: Bytes) -> Result<(), ArchiveError> {
        let put = self
            .store()
            .put(&object_store::path::Path::from(path), bytes.into())
            .await;
        put.map(|_| ()).map_err(|source| ArchiveError::Store {
            operation: "write",
            path: path.to_owned(),
            source,
        })
    }

    pub(crate) async fn size(&self, path: &str) -> Result<Option<u64>, ArchiveError> {
        match self
            .store()
            .head(&object_store::path::Path::from(path))
            .await
        {
            Ok(meta) => Ok(Some(meta.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(ArchiveError::Store {
                operation: "look for",
                path: path.to_owned(),
                source,
            }),
        }
    }
}

fn given(
    store: Arc<dyn ObjectStore>,
    local: Option<std::path::PathBuf>,
    url: String,
    options: OpenOptions,
) -> Given {
    let OpenOptions {
        commit_time_max,
        fsync,
        maintenance,
        environment,
    } = options;
    Given {
        store,
        local,
        fsync,
        url,
        environment,
        commit_time_max,
        maintenance,
    }
}

async fn open(given: Given) -> Result<Archive, ArchiveError> {
    let reader = LogReader::new(Arc::clone(&given.store), Arc::clone(&given.environment));
    let kernel = Kernel::new(&given.store);
    let Some(state) = reader.open().await? else {
        return Err(ArchiveError::NotFound {
            location: given.url,
        });
    };
    Ok(Archive {
        shared: Arc::new(Shared::new(given, reader, kernel, state)),
    })
}

async fn make(given: Given) -> Result<Archive, ArchiveError> {
    let reader = LogReader::new(Arc::clone(&given.store), Arc::clone(&given.environment));
    let kernel = Kernel::new(&given.store);
    if reader.open().await?.is_some() {
        return Err(ArchiveError::AlreadyExists {
            location: given.url,
        });
    }
    let info = CommitInfo {
        commit_id: Uuid::new_v4(),
        kind: CommitKind::Create,
        counts: Counts::default(),
        merkle_root: None,
        previous_commit_sha256: None,
    };
    let maker = kernel.clone();
    let made = tokio::task::spawn_blocking(move || maker.create(&info)).await;
    let attempt = made.map_err(|e| task("create the table", &e))??;
    // Two processes may create at once, and the put's answer may get lost: who is in slot 0 decides.
    let ours = commit::settle_slot(
        &given.store,
        given.local.as_deref(),
        &given.environment,
        &attempt,
        given.commit_time_max,
    )
    .await?;
    match ours {
        commit::Settled::Ours => open(given).await,
        commit::Settled::Theirs => Err(ArchiveError::AlreadyExists {
            location: given.url,
        }),
        commit::Settled::Unknown(problem) => Err(ArchiveError::NotCreated {
            location: given.url,
            problem,
        }),
    }
}
