//! The kernel's part: creating the table, turning a planned commit into a log entry's bytes, checkpoints.
//!
//! What a version holds is Holdfast's own state (`log::state`); the kernel is handed that knowledge as a snapshot
//! hint and reads nothing. It contributes what a Delta writer must get right: the protocol's checks, row ids, the
//! actions' shape, and checkpoint files. Everything here blocks and runs in `spawn_blocking`.

mod hint;
mod info;
mod rows;
mod slot;
mod tags;

use std::num::NonZero;
use std::sync::{Arc, LazyLock, OnceLock};

use arrow::datatypes::{DataType, Field, Schema};
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::schema::StructType;
use delta_kernel::snapshot::{Snapshot, SnapshotRef};
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};
use delta_kernel::{FilteredEngineData, KernelError, KernelResult};
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use holdfast_schemas::columns;
use object_store::ObjectStore;
use tokio::runtime::{Handle, Runtime};

use crate::commit::CommitKind;
use crate::error::ArchiveError;
use crate::log::state::State;
use crate::segment::{NewSegment, Segment};
use crate::table::slot::Slot;
use crate::table::tags::Digests;

pub(crate) use info::CommitInfo;
pub(crate) use slot::{Attempt, Put, is_permanent, put_entry};

/// Log entries asked for at once when a checkpoint is written: each is a request that a commit would have to wait for.
const CHECKPOINT_READ_AHEAD: NonZero<usize> = NonZero::<usize>::MIN.saturating_add(7);
/// Columns with statistics in the log: those without content. What was disposed of must not live on in the log.
pub(crate) const STATS_COLUMNS: &str = "event_time,ingest_time,origin,origin_seq";
const ENGINE_INFO: &str = concat!("holdfast/", env!("CARGO_PKG_VERSION"));
/// The table's address inside the rooted store. Only its path is ever used.
const TABLE_URL: &str = "holdfast:///events/";

/// The kernel's engine over an archive's store, started by the first commit: who only reads needs neither its threads nor
/// the time that starting them takes.
#[derive(Clone)]
pub(crate) struct Kernel {
    store: Arc<dyn ObjectStore>,
    started: Arc<OnceLock<Started>>,
}

struct Started {
    engine: DefaultEngine<TokioMultiThreadExecutor>,
    runtime: Handle,
}

impl std::fmt::Debug for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kernel").finish_non_exhaustive()
    }
}

/// A commit as planned: everything but the version.
#[derive(Debug, Clone)]
pub(crate) struct Actions {
    pub(crate) info: CommitInfo,
    pub(crate) adds: Vec<NewSegment>,
    pub(crate) removes: Vec<Arc<Segment>>,
    pub(crate) txns: Vec<(String, i64)>,
    pub(crate) domains: Vec<(String, String)>,
    /// Domains that go.
    pub(crate) undone: Vec<String>,
}

/// Where the kernel's store requests run. A runtime of its own, that lives as long as the process: a checkpoint may be
/// on its way in the background while the caller's runtime shuts down, and the kernel's executor panics when the
/// runtime under it goes away.
static RUNTIME: LazyLock<std::io::Result<Runtime>> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("holdfast-table")
        .enable_all()
        .build()
});

impl Kernel {
    pub(crate) fn new(store: &Arc<dyn ObjectStore>) -> Self {
        Self {
            store: Arc::clone(store),
            started: Arc::default(),
        }
    }

    /// # Errors
    /// The operating system gives no threads.
    fn started(&self) -> Result<&Started, ArchiveError> {
        if let Some(started) = self.started.get() {
            return Ok(started);
        }
        let runtime = RUNTIME.as_ref().map_err(|e| ArchiveError::Task {
            operation: "start the table's threads",
            problem: e.to_string(),
        })?;
        let runtime = runtime.handle().clone();
        let executor = Arc::new(TokioMultiThreadExecutor::new(runtime.clone()));
        let engine = DefaultEngineBuilder::new(Arc::clone(&self.store))
            .with_task_executor(executor)
            .build();
        Ok(self.started.get_or_init(|| Started { engine, runtime }))
    }

    /// Makes version 0 and tries to put it.
    pub(crate) fn create(&self, info: &CommitInfo) -> Result<Attempt, ArchiveError> {
        let failed = |source| kernel_error("create the table", source);
        let Started { engine, runtime } = self.started()?;
        let schema = table_schema().map_err(failed)?;
        let slot = Slot::default();
        let (data, info_schema) = info::row(info).map_err(failed)?;
        let transaction = create_table(TABLE_URL, schema, ENGINE_INFO, true)
            .with_table_properties(PROPERTIES)
            .with_data_layout(DataLayout::partitioned([columns::name::EVENT_YEAR]))
            .with_commit_info(data, info_schema)
            .build(engine, slot.committer(&self.store, runtime, Digests::new()))
            .map_err(failed)?;
        let result = transaction.commit(engine);
        slot.attempt(result.map(|_| None), "create the table")
    }

    /// Builds the entry after `state` and tries to put it.
    pub(crate) fn attempt(
        &self,
        state: &State,
        actions: &Actions,
    ) -> Result<Attempt, ArchiveError> {
        let failed = |source| kernel_error("build a commit", source);
        let Started { engine, runtime } = self.started()?;
        let snapshot = self.snapshot(state)?;
        let slot = Slot::default();
        let (data, info_schema) = info::row(&actions.info).map_err(failed)?;
        let (operation, data_change) = operation(actions.info.kind);
        let mut builder = snapshot
            .update_table(operation, ENGINE_INFO, data_change)
            .with_commit_info(data, info_schema);
        let digests = actions
            .adds
            .iter()
            .map(|segment| (segment.path.clone(), segment.sha256))
            .collect();
        for (app_id, version) in &actions.txns {
            builder = builder.with_transaction_id(app_id, *version);
        }
        for (domain, configuration) in &actions.domains {
            builder = builder.with_domain_metadata(domain, configuration);
        }
        for domain in &actions.undone {
            builder = builder.with_domain_metadata_removed(domain);
        }
        let mut transaction = builder
            .build(engine, slot.committer(&self.store, runtime, digests))
            .map_err(failed)?;
        if !actions.adds.is_empty() {
            let rows = rows::adds(&actions.adds).map_err(|e| failed(e.into()))?;
            transaction.add_files(Box::new(ArrowEngineData::new(rows)));
        }
        if !actions.removes.is_empty() {
            let rows = rows::removes(&actions.removes).map_err(failed)?;
            let rows =
                FilteredEngineData::with_all_rows_selected(Box::new(ArrowEngineData::new(rows)));
            transaction.remove_files(rows);
            // Rewritten files carry their rows' ids and versions in the materialised columns (segment::encode).
            transaction.ack_row_tracking_preservation();
        }
        let result = transaction.commit(engine).map(|result| match result {
            CommitResult::Committed(committed) => committed.post_commit_snapshot().cloned(),
            CommitResult::Conflicted(_) | CommitResult::Retryable(_) => None,
        });
        slot.attempt(result, "build a commit")
    }

    /// Writes the checkpoint of `state`'s version, with the threads of `background` for what it reads and writes.
    pub(crate) fn checkpoint(&self, state: &State, background: Handle) -> Result<(), ArchiveError> {
        let snapshot = self.snapshot(state)?;
        let executor = Arc::new(TokioMultiThreadExecutor::new(background));
        let engine = DefaultEngineBuilder::new(Arc::clone(&self.store))
            .with_task_executor(executor)
            .with_buffer_size(CHECKPOINT_READ_AHEAD)
            .build();
        snapshot
            .checkpoint(&engine, None)
            .map_err(|source| kernel_error("write a checkpoint", source))?;
        Ok(())
    }

    /// The kernel's view of a state, from what the state knows.
    fn snapshot(&self, state: &State) -> Result<SnapshotRef, ArchiveError> {
        if let Some(snapshot) = state.kernel.get() {
            return Ok(Arc::clone(snapshot));
        }
        let engine = &self.started()?.engine;
        let snapshot = hint::of(state).and_then(|hint| {
            Snapshot::builder_for(TABLE_URL)
                .with_snapshot_hint(hint)
                .build(engine)
        });
        let snapshot = snapshot.map_err(|source| kernel_error("look at the table", source))?;
        Ok(Arc::clone(state.kernel.get_or_init(|| snapshot)))
    }
}

const PROPERTIES: [(&str, &str); 7] = [
    ("delta.enableRowTracking", "true"),
    ("delta.feature.domainMetadata", "supported"),
    ("delta.dataSkippingStatsColumns", STATS_COLUMNS),
    // Holdfast keeps the log short by itself; other programs must not.
    ("delta.logRetentionDuration", "interval 10000 days"),
    ("delta.enableExpiredLogCleanup", "false"),
    // Tombstones live as long as superseded files may be kept (gc::GRACE_MAX).
    ("delta.deletedFileRetentionDuration", "interval 7 days"),
    ("delta.checkpointInterval", "1000000"),
];

/// Segment columns plus the partition column.
fn table_schema() -> KernelResult<Arc<StructType>> {
    let segment = columns::segment_schema();
    let year = Field::new(columns::name::EVENT_YEAR, DataType::Int32, false);
    let fields: Vec<_> = segment
        .fields()
        .iter()
        .cloned()
        .chain([Arc::new(year)])
        .collect();
    let schema: StructType = (&Schema::new(fields)).try_into_kernel()?;
    Ok(Arc::new(schema))
}

/// The operation's name in the table's history, and whether rows change for other readers.
fn operation(kind: CommitKind) -> (UpdateTableOperation, bool) {
    match kind {
        CommitKind::Create | CommitKind::Append | CommitKind::Restore => {
            (UpdateTableOperation::Write, true)
        }
        CommitKind::Compaction => (UpdateTableOperation::Optimize, false),
        CommitKind::Disposition | CommitKind::Erasure => (UpdateTableOperation::Delete, true),
        CommitKind::Fence | CommitKind::Gc | CommitKind::Lease | CommitKind::Purge => (
            UpdateTableOperation::Custom(format!("HOLDFAST {}", kind.as_str().to_uppercase())),
            false,
        ),
    }
}

fn kernel_error(operation: &'static str, source: KernelError) -> ArchiveError {
    ArchiveError::Kernel {
        operation,
        source: Box::new(source),
    }
}
