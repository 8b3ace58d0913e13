//! Putting an entry into its slot of the log.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use delta_kernel::committer::{CommitMetadata, CommitResponse, Committer, PublishMetadata};
use delta_kernel::engine::arrow_utils::to_json_bytes;
use delta_kernel::snapshot::SnapshotRef;
use delta_kernel::{
    Engine, FileMeta, FilteredEngineData, KernelError, KernelResult, KernelResultIterator,
};
use object_store::{ObjectStore, PutMode, PutOptions};
use tokio::runtime::Handle;

use crate::error::ArchiveError;
use crate::log::paths;
use crate::table::kernel_error;
use crate::table::tags::{Digests, tag};

/// One try to take a slot of the log.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) version: u64,
    pub(crate) bytes: Bytes,
    pub(crate) put: Put,
    /// The kernel's view of the new version, when the put was acknowledged.
    pub(crate) snapshot: Option<SnapshotRef>,
}

/// What the store said to a put.
#[derive(Debug)]
pub(crate) enum Put {
    Acknowledged,
    /// Somebody's entry is there: another writer's, or ours from a request that the store repeated.
    Occupied,
    /// `permanent`: the store refused, and asking again will not help (no permission, no bucket).
    Failed {
        problem: String,
        permanent: bool,
    },
}

/// What the committer saw: version, bytes, the store's answer.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<(u64, Bytes, Put)>>>);

impl Slot {
    /// A committer that leaves here what it saw.
    pub(super) fn committer(
        &self,
        store: &Arc<dyn ObjectStore>,
        runtime: &Handle,
        digests: Digests,
    ) -> Box<dyn Committer> {
        Box::new(SlotCommitter {
            store: Arc::clone(store),
            runtime: runtime.clone(),
            digests,
            slot: self.clone(),
        })
    }

    /// Turns the kernel's result and what the committer saw into an attempt. Only what the store said counts: an error
    /// of the kernel after an acknowledged put does not undo the commit.
    pub(super) fn attempt(
        &self,
        result: KernelResult<Option<SnapshotRef>>,
        operation: &'static str,
    ) -> Result<Attempt, ArchiveError> {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (seen, result) {
            (Some((version, bytes, put)), result) => Ok(Attempt {
                version,
                bytes,
                put,
                snapshot: result.ok().flatten(),
            }),
            (None, Err(source)) => Err(kernel_error(operation, source)),
            (None, Ok(_)) => Err(ArchiveError::Invalid(format!(
                "{operation}: nothing was put"
            ))),
        }
    }
}

/// Puts the entry and remembers what it put and what the store said: the caller needs the bytes to learn what became
/// of an uncertain put, and the kernel would map different answers to one error.
struct SlotCommitter {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
    digests: Digests,
    slot: Slot,
}

impl Committer for SlotCommitter {
    fn commit(
        &self,
        _engine: &dyn Engine,
        actions: KernelResultIterator<'_, FilteredEngineData>,
        metadata: CommitMetadata,
    ) -> KernelResult<CommitResponse> {
        let version = metadata.version();
        let bytes = tag(&to_json_bytes(actions)?, &self.digests).map_err(KernelError::generic)?;
        let bytes = Bytes::from(bytes);
        let put = self
            .runtime
            .block_on(put_entry(&self.store, version, &bytes));
        let response = match &put {
            Put::Acknowledged => Ok(CommitResponse::Committed {
                file_meta: FileMeta::new(
                    metadata.published_commit_path()?,
                    metadata.in_commit_timestamp(),
                    bytes.len() as u64,
                ),
            }),
            Put::Occupied => Ok(CommitResponse::Conflict { version }),
            Put::Failed { problem, .. } => Err(KernelError::generic(problem)),
        };
        *self.slot.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((version, bytes, put));
        response
    }

    fn is_catalog_committer(&self) -> bool {
        false
    }

    fn publish(&self, _engine: &dyn Engine, _metadata: PublishMetadata) -> KernelResult<()> {
        Err(KernelError::generic(
            "entries are published by their commit",
        ))
    }
}

/// Puts a log entry where none is.
pub(crate) async fn put_entry(store: &Arc<dyn ObjectStore>, version: u64, bytes: &Bytes) -> Put {
    let options = PutOptions::from(PutMode::Create);
    match store
        .put_opts(&paths::entry(version), bytes.clone().into(), options)
        .await
    {
        Ok(_) => Put::Acknowledged,
        Err(
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. },
        ) => Put::Occupied,
        Err(error) => Put::Failed {
            permanent: is_permanent(&error),
            problem: error.to_string(),
        },
    }
}

/// Whether the store will say the same next time.
pub(crate) fn is_permanent(error: &object_store::Error) -> bool {
    use object_store::Error;
    matches!(
        error,
        Error::PermissionDenied { .. }
            | Error::Unauthenticated { .. }
            | Error::NotFound { .. }
            | Error::NotImplemented { .. }
            | Error::NotSupported { .. }
            | Error::InvalidPath { .. }
            | Error::UnknownConfigurationKey { .. }
    ) || crate::is_disk_full(error)
}
