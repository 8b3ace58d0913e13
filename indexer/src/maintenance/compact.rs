//! Merging segments: rows in = rows out, row ids and commit versions carried, split built, one replace commit.
//!
//! Outputs are named by the newest snapshot's clock when they are built. When a collection sets a horizon beyond them meanwhile the merge is
//! made again with new names.
//!
//! Crash states: before the commit there are files that nothing names, and garbage collection removes them; after it the inputs are
//! superseded, and garbage collection removes them when readers have had their time.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use futures::TryStreamExt;
use holdfast_archive::lease::{self, Taken};
use holdfast_archive::read::{COMMIT_VERSION, ROW_ID, ReadOptions, SegmentReader};
use holdfast_archive::segment::{self, CarriedRowIds, SegmentFooter};
use holdfast_archive::{
    Archive, CommitKind, Conflict, Counts, EncodedSegment, NewSegment, Outcome, Replace, Snapshot,
};
use holdfast_schemas::columns::{Rows, name, segment_schema};
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{EventHash, merkle};
use uuid::Uuid;

use super::order::{self, Gather, Plan};
use super::policy::{Merge, Policy, Uncompressed, plan_sized};
use super::{ANALYZER_VERSION, MaintenanceError};
use crate::build_split;

/// Name of the lease that one compactor at a time holds.
pub const LEASE: &str = "compactor";
/// Times that a merge is made when horizons overtake it; each takes a garbage collection of its own, an hour apart in general.
const MERGE_ATTEMPTS_MAX: usize = 3;
/// Times that a commit of unknown outcome is asked for: each takes as long as a commit may try, or some refusals that will not change.
const SETTLE_ATTEMPTS_MAX: usize = 5;
/// How long the lease is taken; it is renewed before each merge, each of which takes seconds.
const LEASE_TIME: Duration = Duration::from_secs(300);

/// How to compact.
#[derive(Debug, Clone)]
pub struct CompactOptions {
    /// Which segments to merge.
    pub policy: Policy,
    /// Who asks: host and process, for the lease.
    pub holder: String,
    /// Merges, at most.
    pub merges_max: usize,
}

/// What compaction did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// The merges done.
    pub merges: Vec<MergeReport>,
    /// Merges given up because an input was rewritten by somebody else meanwhile.
    pub skipped: usize,
    /// Who else holds the lease, if that is why nothing was done.
    pub held_by: Option<String>,
}

/// What one merge did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MergeReport {
    /// The year.
    pub event_year: i32,
    /// Segments before.
    pub inputs: usize,
    /// Segments after.
    pub outputs: usize,
    /// Rows, the same before and after.
    pub rows: u64,
}

/// Takes the lease and merges what the policy names, planning anew after each merge.
///
/// # Errors
/// The archive cannot be read or written, or a segment is not what the log says.
pub async fn compact(
    archive: &Archive,
    options: &CompactOptions,
) -> Result<CompactReport, MaintenanceError> {
    let mut report = CompactReport::default();
    let done = merge_due(archive, options, &mut report).await;
    // After a failure too: who compacts next need not wait until the lease runs out.
    let released = lease::release_of(archive, LEASE, &options.holder).await;
    done?;
    released?;
    Ok(report)
}

async fn merge_due(
    archive: &Archive,
    options: &CompactOptions,
    report: &mut CompactReport,
) -> Result<(), MaintenanceError> {
    let mut failed: Vec<String> = Vec::new();
    let mut uncompressed = Uncompressed::new();
    while report.merges.len() < options.merges_max {
        let snapshot = archive.snapshot().await?;
        let segments = snapshot.segments().await?;
        let merges = plan_sized(&segments, &options.policy, &uncompressed);
        let Some(merge) = merges.iter().find(|merge| {
            !merge
                .inputs
                .iter()
                .any(|input| failed.contains(&input.path))
        }) else {
            break;
        };
        if learn_sizes(archive, merge, &mut uncompressed).await? {
            continue;
        }
        match lease::take(archive, LEASE, &options.holder, LEASE_TIME, now_ms()).await? {
            Taken::Ours(_) => {}
            Taken::Theirs(theirs) => {
                report.held_by = Some(theirs.holder);
                break;
            }
        }
        match self::merge(archive, &snapshot, merge).await? {
            Some(done) => report.merges.push(done),
            None => {
                report.skipped += 1;
                failed.extend(merge.inputs.iter().map(|input| input.path.clone()));
            }
        }
    }
    Ok(())
}

/// Reads the inputs' sizes before compression that are not known yet; true when there were any, and the plan may be another one now.
async fn learn_sizes(
    archive: &Archive,
    merge: &Merge,
    uncompressed: &mut Uncompressed,
) -> Result<bool, MaintenanceError> {
    let mut news = false;
    for input in &merge.inputs {
        if !uncompressed.contains_key(&input.path) {
            let reader = SegmentReader::open(archive, input).await?;
            uncompressed.insert(input.path.clone(), reader.uncompressed_bytes());
            news = true;
        }
    }
    Ok(news)
}

fn now_ms() -> i64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Merges exactly these segments; nothing when one of them was rewritten by somebody else meanwhile.
///
/// # Errors
/// As [`compact`].
pub async fn merge(
    archive: &Archive,
    snapshot: &Snapshot,
    merge: &Merge,
) -> Result<Option<MergeReport>, MaintenanceError> {
    let mut snapshot = snapshot.clone();
    for _ in 0..MERGE_ATTEMPTS_MAX {
        match attempt(archive, &snapshot, merge).await? {
            Attempt::Merged(done) => return Ok(Some(done)),
            Attempt::Superseded => return Ok(None),
            Attempt::TooOld => snapshot = archive.snapshot().await?,
        }
    }
    Ok(None)
}

/// How an attempt at a merge ended.
enum Attempt {
    Merged(MergeReport),
    /// Somebody else rewrote an input.
    Superseded,
    /// The outputs' names are older than a horizon that was set meanwhile.
    TooOld,
}

async fn attempt(
    archive: &Archive,
    snapshot: &Snapshot,
    merge: &Merge,
) -> Result<Attempt, MaintenanceError> {
    let mut inputs = Vec::with_capacity(merge.inputs.len());
    for input in &merge.inputs {
        inputs.push(SegmentReader::open(archive, input).await?);
    }
    let year = || format!("event_year={}", merge.event_year);
    let plans = {
        let keys = read_all(&inputs, &[name::EVENT_TIME, name::EVENT_ID], false, &year).await?;
        let keys: Vec<_> = keys.iter().collect();
        order::plan(&keys).map_err(|source| MaintenanceError::Arrow {
            operation: "sorting",
            path: year(),
            source,
        })?
    };
    let (rows_in, rows_out) = (
        merge.rows(),
        plans.iter().map(|plan| plan.rows.len() as u64).sum(),
    );
    if rows_in != rows_out || plans.iter().any(|plan| plan.event_year != merge.event_year) {
        return Err(MaintenanceError::RowsDiffer {
            year: merge.event_year,
            inputs: merge.inputs.len(),
            rows_in,
            rows_out,
        });
    }
    let commit_id = Uuid::new_v4();
    let tracking = snapshot.row_tracking_columns();
    let tracking = (tracking.0.to_owned(), tracking.1.to_owned());
    let mut segments: Vec<NewSegment> = Vec::with_capacity(plans.len());
    let mut hashes: Vec<(Arc<str>, u64, EventHash)> = Vec::new();
    // One output after the other: memory holds one of them and one column of its inputs.
    for plan in &plans {
        let gathered = gather(&inputs, plan, &year).await?;
        let (commit, tracking) = (commit_id, tracking.clone());
        let newest = archive.known_snapshot();
        let output =
            tokio::task::spawn_blocking(move || build(gathered, &newest, commit, tracking))
                .await
                .map_err(|error| MaintenanceError::Task(error.to_string()))??;
        let path = output.encoded.segment.split_path(ANALYZER_VERSION);
        archive.put_segment(&output.encoded).await?;
        archive.put_split(&path, output.split).await?;
        segments.push(output.encoded.segment);
        hashes.extend(output.hashes);
    }
    let merkle_root = merkle::rows_root(
        hashes
            .iter()
            .map(|(origin, sequence, hash)| (&**origin, *sequence, *hash)),
    );
    let outputs = segments.len();
    let replace = Replace {
        commit_id,
        kind: CommitKind::Compaction,
        inputs: merge
            .inputs
            .iter()
            .map(|input| input.path.clone())
            .collect(),
        segments,
        ledger: None,
        recheck: None,
        counts: Counts::default(),
        merkle_root,
    };
    let done = MergeReport {
        event_year: merge.event_year,
        inputs: merge.inputs.len(),
        outputs,
        rows: rows_in,
    };
    let mut outcome = archive.replace(snapshot, replace).await?;
    let mut settled = 0;
    loop {
        match outcome {
            Outcome::Committed(_) => return Ok(Attempt::Merged(done)),
            Outcome::Conflicted(Conflict::InputGone { .. }) => return Ok(Attempt::Superseded),
            Outcome::Conflicted(Conflict::BelowHorizon { .. }) => return Ok(Attempt::TooOld),
            Outcome::Conflicted(
                conflict @ (Conflict::PositionMoved { .. }
                | Conflict::AlreadyArchived { .. }
                | Conflict::LedgerMoved { .. }
                | Conflict::DecisionChanged { .. }
                | Conflict::KeptChanged { .. }
                | Conflict::LeaseHeld { .. }),
            ) => return Err(MaintenanceError::Refused(conflict)),
            Outcome::Unknown(uncertain) if settled < SETTLE_ATTEMPTS_MAX => {
                settled += 1;
                outcome = archive.settle(uncertain).await?;
            }
            Outcome::Unknown(uncertain) => {
                return Err(MaintenanceError::Unsettled {
                    commit_id,
                    reason: uncertain.reason,
                });
            }
        }
    }
}

/// Some columns of every input, one batch an input.
pub(super) async fn read_all(
    inputs: &[SegmentReader],
    columns: &[&str],
    with_row_versions: bool,
    path: &impl Fn() -> String,
) -> Result<Vec<RecordBatch>, MaintenanceError> {
    let options = ReadOptions {
        columns: Some(columns),
        with_row_versions,
        batch_rows: 64 * 1024,
        ..ReadOptions::default()
    };
    let mut read = Vec::with_capacity(inputs.len());
    for input in inputs {
        let batches: Vec<RecordBatch> = input.read(&options)?.try_collect().await?;
        let batch = concat_batches(&input.schema(&options)?, &batches).map_err(|source| {
            MaintenanceError::Arrow {
                operation: "reading",
                path: path(),
                source,
            }
        })?;
        read.push(batch);
    }
    Ok(read)
}

/// An output's rows, not encoded yet.
struct Gathered {
    event_year: i32,
    rows: RecordBatch,
    row_ids: Vec<i64>,
    commit_versions: Vec<i64>,
}

/// Gathers an output column by column, so that the inputs are never in memory as a whole.
async fn gather(
    inputs: &[SegmentReader],
    plan: &Plan,
    path: &impl Fn() -> String,
) -> Result<Gathered, MaintenanceError> {
    let failed = |source| MaintenanceError::Arrow {
        operation: "merging",
        path: path(),
        source,
    };
    let gather = Gather::new(&plan.rows);
    let schema = segment_schema();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let read = read_all(inputs, &[field.name()], false, path).await?;
        columns.push(gathered(&gather, &read, field.name(), field.data_type()).map_err(failed)?);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(plan.rows.len()));
    let rows = RecordBatch::try_new_with_options(schema, columns, &options).map_err(failed)?;
    let versions = read_all(inputs, &[name::ORIGIN_SEQ], true, path).await?;
    let numbers = |column: &str| {
        let column = gathered(&gather, &versions, column, &DataType::Int64)?;
        let column = column.as_any().downcast_ref::<Int64Array>();
        column
            .map(|column| column.values().to_vec())
            .ok_or_else(|| ArrowError::SchemaError("a row id is no 64-bit integer".into()))
    };
    let (row_ids, commit_versions) = (
        numbers(ROW_ID).map_err(failed)?,
        numbers(COMMIT_VERSION).map_err(failed)?,
    );
    Ok(Gathered {
        event_year: plan.event_year,
        rows,
        row_ids,
        commit_versions,
    })
}

fn gathered(
    gather: &Gather<'_>,
    read: &[RecordBatch],
    column: &str,
    data_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let missing = || ArrowError::SchemaError(format!("{column} was not read"));
    let sources = read
        .iter()
        .map(|batch| batch.column_by_name(column).ok_or_else(missing))
        .collect::<Result<Vec<_>, _>>()?;
    gather.column(&sources, data_type)
}

struct Output {
    encoded: EncodedSegment,
    split: bytes::Bytes,
    hashes: Vec<(Arc<str>, u64, EventHash)>,
}

/// Hashes the rows anew, and builds both files.
fn build(
    gathered: Gathered,
    newest: &Snapshot,
    commit_id: Uuid,
    columns: (String, String),
) -> Result<Output, MaintenanceError> {
    let Gathered {
        event_year,
        rows,
        row_ids,
        commit_versions,
    } = gathered;
    let view = Rows::new(&rows).map_err(|error| MaintenanceError::Arrow {
        operation: "hashing",
        path: format!("event_year={event_year}"),
        source: ArrowError::SchemaError(error.to_string()),
    })?;
    let mut scratch = Vec::new();
    let mut hashes: Vec<(Arc<str>, u64, EventHash)> = Vec::with_capacity(rows.num_rows());
    for row in 0..rows.num_rows() {
        let event = view.event(row);
        let hash = event_hash(&event, &mut scratch);
        // Neighbours mostly share their origin, and then its text.
        let origin = match hashes.last() {
            Some((last, _, _)) if **last == *event.origin => Arc::clone(last),
            _ => Arc::from(&*event.origin),
        };
        hashes.push((origin, event.sequence, hash));
    }
    let footer = SegmentFooter {
        commit_id,
        positions: Vec::new(),
        rows: rows.num_rows() as u64,
        merkle_root: merkle::rows_root(
            hashes
                .iter()
                .map(|(origin, sequence, hash)| (&**origin, *sequence, *hash)),
        ),
    };
    let id = newest.new_id();
    let carried = CarriedRowIds {
        columns,
        row_ids,
        commit_versions,
    };
    let encoded = segment::encode(id, event_year, &rows, &footer, Some(&carried))?;
    drop(carried);
    let split = build_split(&rows, &id.to_string())?;
    Ok(Output {
        encoded,
        split,
        hashes,
    })
}
