//! The kernel's part: creating the table, turning a planned commit into a log entry's bytes, checkpoints.
//!
//! What a version holds is Holdfast's own state (`log::state`); the kernel is handed that knowledge as a snapshot
//! hint and reads nothing. It contributes what a Delta writer must get right: the protocol's checks, row ids, the
//! actions' shape, and checkpoint files. Everything here blocks and runs in `spawn_blocking`.

use std::sync::{Arc, LazyLock, Mutex};

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, StructArray};
use arrow::datatypes::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use delta_kernel::actions::DomainMetadata;
use delta_kernel::committer::{CommitMetadata, CommitResponse, Committer, PublishMetadata};
use delta_kernel::crc::{Crc, DomainMetadataState, FileStatsState, SetTransactionState};
use delta_kernel::engine::arrow_conversion::TryIntoKernel;
use delta_kernel::engine::arrow_data::ArrowEngineData;
use delta_kernel::engine::arrow_utils::to_json_bytes;
use delta_kernel::schema::StructType;
use delta_kernel::snapshot::{
    PublicationWatermark, Snapshot, SnapshotHint, SnapshotHintFreshness, SnapshotRef,
};
use delta_kernel::transaction::create_table::create_table;
use delta_kernel::transaction::data_layout::DataLayout;
use delta_kernel::transaction::{CommitResult, UpdateTableOperation};
use delta_kernel::{
    Engine, FileMeta, FilteredEngineData, KernelError, KernelResult, KernelResultIterator, LogPath,
};
use delta_kernel_default_engine::executor::tokio::TokioMultiThreadExecutor;
use delta_kernel_default_engine::{DefaultEngine, DefaultEngineBuilder};
use holdfast_schemas::columns;
use object_store::{ObjectStore, PutMode, PutOptions};
use tokio::runtime::{Handle, Runtime};
use url::Url;

use crate::commit::{CommitKind, Counts};
use crate::error::ArchiveError;
use crate::log::paths;
use crate::log::state::{ROW_TRACKING_DOMAIN, State};
use crate::segment::{NewSegment, Segment};
use crate::table_rows;

/// Columns with statistics in the log: those without content. What was disposed of must not live on in the log.
pub(crate) const STATS_COLUMNS: &str = "event_time,ingest_time,origin,origin_seq";
const ENGINE_INFO: &str = concat!("holdfast/", env!("CARGO_PKG_VERSION"));
/// The table's address inside the rooted store. Only its path is ever used.
const TABLE_URL: &str = "holdfast:///events/";

/// The kernel's engine over an archive's store.
#[derive(Clone)]
pub(crate) struct Kernel {
    engine: Arc<DefaultEngine<TokioMultiThreadExecutor>>,
    store: Arc<dyn ObjectStore>,
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
}

/// What commitInfo says besides the kernel's own fields.
#[derive(Debug, Clone)]
pub(crate) struct CommitInfo {
    pub(crate) commit_id: uuid::Uuid,
    pub(crate) kind: CommitKind,
    pub(crate) counts: Counts,
    pub(crate) merkle_root: Option<[u8; 32]>,
    pub(crate) previous_commit_sha256: Option<[u8; 32]>,
}

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
    Failed(String),
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
    /// # Errors
    /// The operating system gives no threads.
    pub(crate) fn new(store: &Arc<dyn ObjectStore>) -> Result<Self, ArchiveError> {
        let runtime = RUNTIME.as_ref().map_err(|e| ArchiveError::Task {
            operation: "start the table's threads",
            problem: e.to_string(),
        })?;
        let runtime = runtime.handle().clone();
        let executor = Arc::new(TokioMultiThreadExecutor::new(runtime.clone()));
        let engine = DefaultEngineBuilder::new(Arc::clone(store))
            .with_task_executor(executor)
            .build();
        Ok(Self {
            engine: Arc::new(engine),
            store: Arc::clone(store),
            runtime,
        })
    }

    /// Makes version 0 and tries to put it.
    pub(crate) fn create(&self, info: &CommitInfo) -> Result<Attempt, ArchiveError> {
        let failed = |source| kernel_error("create the table", source);
        let schema = table_schema().map_err(failed)?;
        let slot = Arc::new(Mutex::new(None));
        let (data, info_schema) = info_row(info).map_err(failed)?;
        let transaction = create_table(TABLE_URL, schema, ENGINE_INFO, true)
            .with_table_properties(PROPERTIES)
            .with_data_layout(DataLayout::partitioned([columns::name::EVENT_YEAR]))
            .with_commit_info(data, info_schema)
            .build(&*self.engine, self.committer(&slot))
            .map_err(failed)?;
        let result = transaction.commit(&*self.engine);
        attempt(&slot, result.map(|_| None), "create the table")
    }

    /// Builds the entry after `state` and tries to put it.
    pub(crate) fn attempt(
        &self,
        state: &State,
        actions: &Actions,
    ) -> Result<Attempt, ArchiveError> {
        let failed = |source| kernel_error("build a commit", source);
        let snapshot = self.snapshot(state)?;
        let slot = Arc::new(Mutex::new(None));
        let (data, info_schema) = info_row(&actions.info).map_err(failed)?;
        let (operation, data_change) = operation(actions.info.kind);
        let mut builder = snapshot
            .update_table(operation, ENGINE_INFO, data_change)
            .with_commit_info(data, info_schema);
        for (app_id, version) in &actions.txns {
            builder = builder.with_transaction_id(app_id, *version);
        }
        for (domain, configuration) in &actions.domains {
            builder = builder.with_domain_metadata(domain, configuration);
        }
        let mut transaction = builder
            .build(&*self.engine, self.committer(&slot))
            .map_err(failed)?;
        if !actions.adds.is_empty() {
            let rows = table_rows::adds(&actions.adds).map_err(|e| failed(e.into()))?;
            transaction.add_files(Box::new(ArrowEngineData::new(rows)));
        }
        if !actions.removes.is_empty() {
            let rows = table_rows::removes(&actions.removes).map_err(failed)?;
            let rows =
                FilteredEngineData::with_all_rows_selected(Box::new(ArrowEngineData::new(rows)));
            transaction.remove_files(rows);
            // Rewritten files carry their rows' ids and versions in the materialised columns (segment::encode).
            transaction.ack_row_tracking_preservation();
        }
        let result = transaction
            .commit(&*self.engine)
            .map(|result| match result {
                CommitResult::Committed(committed) => committed.post_commit_snapshot().cloned(),
                CommitResult::Conflicted(_) | CommitResult::Retryable(_) => None,
            });
        attempt(&slot, result, "build a commit")
    }

    /// Writes the checkpoint of `state`'s version.
    pub(crate) fn checkpoint(&self, state: &State) -> Result<(), ArchiveError> {
        let snapshot = self.snapshot(state)?;
        snapshot
            .checkpoint(&*self.engine, None)
            .map_err(|source| kernel_error("write a checkpoint", source))?;
        Ok(())
    }

    /// The kernel's view of a state, from what the state knows.
    fn snapshot(&self, state: &State) -> Result<SnapshotRef, ArchiveError> {
        if let Some(snapshot) = state.kernel.get() {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = hinted_snapshot(state).and_then(|hint| {
            Snapshot::builder_for(TABLE_URL)
                .with_snapshot_hint(hint)
                .build(&*self.engine)
        });
        let snapshot = snapshot.map_err(|source| kernel_error("look at the table", source))?;
        Ok(Arc::clone(state.kernel.get_or_init(|| snapshot)))
    }

    fn committer(&self, slot: &Slot) -> Box<SlotCommitter> {
        Box::new(SlotCommitter {
            store: Arc::clone(&self.store),
            runtime: self.runtime.clone(),
            slot: Arc::clone(slot),
        })
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
        CommitKind::Create | CommitKind::Append => (UpdateTableOperation::Write, true),
        CommitKind::Compaction => (UpdateTableOperation::Optimize, false),
        CommitKind::Disposition | CommitKind::Erasure => (UpdateTableOperation::Delete, true),
        CommitKind::Fence | CommitKind::Gc | CommitKind::Lease => (
            UpdateTableOperation::Custom(format!("HOLDFAST {}", kind.as_str().to_uppercase())),
            false,
        ),
    }
}

fn hinted_snapshot(state: &State) -> KernelResult<SnapshotHint> {
    let mut files = Vec::with_capacity(state.tail.len() + 1);
    if let Some(checkpoint) = state.checkpoint {
        files.push(log_path(
            &paths::checkpoint(checkpoint.version),
            checkpoint.bytes,
        )?);
    }
    for file in state.tail.iter() {
        files.push(log_path(&paths::entry(file.version), file.bytes)?);
    }
    // Partial knowledge is enough: the kernel asks for the highest row id alone, and would replay the log for it.
    let row_tracking = state.domains.get(ROW_TRACKING_DOMAIN).map(|configuration| {
        DomainMetadata::new(ROW_TRACKING_DOMAIN.to_owned(), configuration.clone())
    });
    let table = &state.table;
    let crc = Crc::try_from_parts(
        state.version,
        table.metadata.clone(),
        table.protocol.clone(),
        FileStatsState::Indeterminate,
        None,
        SetTransactionState::default(),
        DomainMetadataState::try_partial(row_tracking)?,
        None,
        None,
        None,
        None,
        None,
    )?;
    SnapshotHint::try_new(
        TABLE_URL,
        state.version,
        PublicationWatermark::PublishedThrough(state.version),
        files,
        table.protocol.clone(),
        table.metadata.clone(),
        None,
        Some(Arc::new(crc)),
        SnapshotHintFreshness::Latest,
    )
}

fn log_path(path: &object_store::path::Path, bytes: u64) -> KernelResult<LogPath> {
    let location = Url::parse(&format!("holdfast:///{path}"))
        .map_err(|e| KernelError::generic(e.to_string()))?;
    LogPath::try_new(FileMeta {
        location,
        last_modified: 0,
        size: bytes,
    })
}

/// The row that the kernel merges into commitInfo.
fn info_row(info: &CommitInfo) -> KernelResult<(Box<ArrowEngineData>, Arc<StructType>)> {
    let text = |value: Option<String>| Arc::new(StringArray::from(vec![value])) as ArrayRef;
    let count =
        |value: u64| Arc::new(Int64Array::from(vec![i64::try_from(value).ok()])) as ArrayRef;
    let count_names = ["consumed", "archived", "quarantined", "duplicates"];
    let count_fields: Fields = count_names
        .iter()
        .map(|name| Field::new(*name, DataType::Int64, true))
        .collect();
    let Counts {
        consumed,
        archived,
        quarantined,
        duplicates,
    } = info.counts;
    let counts = StructArray::new(
        count_fields.clone(),
        vec![
            count(consumed),
            count(archived),
            count(quarantined),
            count(duplicates),
        ],
        None,
    );
    let schema = Schema::new(vec![
        Field::new("commit_id", DataType::Utf8, true),
        Field::new("kind", DataType::Utf8, true),
        Field::new("counts", DataType::Struct(count_fields), true),
        Field::new("merkle_root", DataType::Utf8, true),
        Field::new("previous_commit_sha256", DataType::Utf8, true),
    ]);
    let kernel_schema: StructType = (&schema).try_into_kernel()?;
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            text(Some(info.commit_id.to_string())),
            text(Some(info.kind.as_str().to_owned())),
            Arc::new(counts),
            text(info.merkle_root.map(hex::encode)),
            text(info.previous_commit_sha256.map(hex::encode)),
        ],
    )?;
    Ok((
        Box::new(ArrowEngineData::new(batch)),
        Arc::new(kernel_schema),
    ))
}

type Slot = Arc<Mutex<Option<(u64, Bytes, Put)>>>;

/// Turns the kernel's result and what the committer saw into an attempt. Only what the store said counts: an error of
/// the kernel after an acknowledged put does not undo the commit.
fn attempt(
    slot: &Slot,
    result: KernelResult<Option<SnapshotRef>>,
    operation: &'static str,
) -> Result<Attempt, ArchiveError> {
    let seen = slot
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .take();
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

/// Puts the entry and remembers what it put and what the store said: the caller needs the bytes to learn what became
/// of an uncertain put, and the kernel would map different answers to one error.
struct SlotCommitter {
    store: Arc<dyn ObjectStore>,
    runtime: Handle,
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
        let bytes = Bytes::from(to_json_bytes(actions)?);
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
            Put::Failed(problem) => Err(KernelError::generic(problem)),
        };
        *self
            .slot
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = Some((version, bytes, put));
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
        Err(error) => Put::Failed(error.to_string()),
    }
}

fn kernel_error(operation: &'static str, source: KernelError) -> ArchiveError {
    ArchiveError::Kernel {
        operation,
        source: Box::new(source),
    }
}
