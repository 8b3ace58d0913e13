//! Segments: every file's digest compared with the one that its commit names, every row hashed anew and compared with
//! the footer, the file with the log.
//!
//! The rows' hashes tell what was changed in the events; the file's digest also covers what no event holds: when ingest
//! took a record and where it lay, page headers, padding. A file that was added by a Holdfast which named no digest yet,
//! or by another program, is checked by its rows' hashes only, and counted.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use futures::StreamExt;
use holdfast_archive::attachments::digest;
use holdfast_archive::read::{COMMIT_VERSION, ReadOptions, SegmentReader, whole_file};
use holdfast_archive::segment::SegmentFooter;
use holdfast_archive::{Archive, ArchiveError, Segment};
use holdfast_schemas::EventHash;
use holdfast_schemas::columns::{self, Rows};
use holdfast_schemas::hash::event_hash;
use sha2::{Digest, Sha256};

use super::origins::{Present, present};
use super::report::Problem;
use super::rows::{Marks, Origins, RowMark, root};
use crate::failure::Failure;
use crate::output::progress::Progress;

/// The name of the check.
pub const CHECK: &str = "segments";

/// What one segment proves.
#[derive(Debug, Default)]
pub struct Proof {
    /// Its rows.
    pub marks: Marks,
    /// Their sequences.
    pub present: Present,
    /// Their Merkle root and the commit that archived them, if one archived all of them.
    pub root: Option<(u64, EventHash)>,
    /// Its footer, if it can be read.
    pub footer: Option<SegmentFooter>,
    /// SHA-256 digests of the files that its events refer to.
    pub digests: BTreeSet<String>,
    /// What is wrong with it.
    pub problems: Vec<Problem>,
}

/// Names of the origins of all segments: those who prove them number them together.
type SharedOrigins = Arc<Mutex<Origins>>;

/// Proves every segment, as many at a time as there are cores. Answers also whose numbers the rows' origins are.
///
/// # Errors
/// The archive cannot be read at all; a damaged segment is a problem in its proof, not an error.
pub async fn prove_all(
    archive: &Archive,
    segments: &[Arc<Segment>],
    progress: &mut Progress,
) -> Result<(Vec<Proof>, Origins), Failure> {
    let origins = SharedOrigins::default();
    let handle = tokio::runtime::Handle::current();
    // The largest first: a large one that begins last is alone on one core. Problems come in the order of the segments.
    let mut order: Vec<usize> = (0..segments.len()).collect();
    order.sort_by_key(|place| Reverse(segments[*place].rows));
    let jobs = order.into_iter().map(|place| {
        let (archive, segment, origins, handle) = (
            archive.clone(),
            Arc::clone(&segments[place]),
            Arc::clone(&origins),
            handle.clone(),
        );
        async move {
            // Decoding and hashing fill a core: a thread each, so that they do not take turns on this one.
            let proof = tokio::task::spawn_blocking(move || {
                handle.block_on(prove(&archive, &segment, &origins))
            })
            .await;
            (place, proof)
        }
    });
    let mut running = futures::stream::iter(jobs).buffer_unordered(crate::open::cores());
    let mut proofs = Vec::with_capacity(segments.len());
    while let Some((place, proof)) = running.next().await {
        let proof = proof.map_err(|e| Failure::Output(std::io::Error::other(e)))?;
        proofs.push((place, proof));
        progress.add(segments[place].rows);
    }
    proofs.sort_unstable_by_key(|(place, _)| *place);
    let proofs = proofs.into_iter().map(|(_, proof)| proof).collect();
    let mut origins = origins.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((proofs, std::mem::take(&mut origins)))
}

/// Proves one segment.
async fn prove(archive: &Archive, segment: &Segment, origins: &SharedOrigins) -> Proof {
    let mut proof = Proof::default();
    if let Err(error) = read(archive, segment, origins, &mut proof).await {
        proof.forget_rows();
        proof.problem(segment, &format!("cannot be read: {error}"));
    }
    proof
}

impl Proof {
    /// What was read of a segment that cannot be read to its end proves nothing.
    fn forget_rows(&mut self) {
        self.marks = Marks::default();
        self.present = Present::default();
        self.root = None;
    }

    fn problem(&mut self, segment: &Segment, message: &str) {
        self.problems.push(Problem {
            check: CHECK,
            place: segment.path.clone(),
            message: message.to_owned(),
        });
    }
}

async fn read(
    archive: &Archive,
    segment: &Segment,
    origins: &SharedOrigins,
    proof: &mut Proof,
) -> Result<(), ArchiveError> {
    let bytes = whole_file(archive, segment).await?;
    compare_digest(&bytes, segment, proof);
    let rows_at_most = bytes.len() as u64;
    // From the bytes that were compared: what was read twice might differ.
    let reader = SegmentReader::open_bytes(archive, segment, bytes)?;
    let options = ReadOptions {
        with_row_versions: true,
        ..ReadOptions::default()
    };
    // Of its size from the beginning; what a damaged footer says is not believed.
    let expected = reader.rows().min(rows_at_most);
    let mut walk = Walk::default();
    walk.marks
        .reserve_exact(usize::try_from(expected).unwrap_or_default());
    caught(|| {
        for batch in reader.read_blocking(&options)? {
            walk.batch(&batch?, segment, proof)?;
        }
        Ok(())
    })?;
    proof.marks = Marks::new(walk.marks, &walk.origins);
    let rows = proof.marks.rows();
    proof.present = present(rows, &walk.origins);
    let found = root(&[rows], &walk.origins);
    let count = rows.len() as u64;
    if reader.rows() != segment.rows || count != segment.rows {
        let message = format!("holds {count} rows, the log says {}", segment.rows);
        proof.problem(segment, &message);
    }
    let footer = reader.footer()?;
    if footer.rows != segment.rows {
        let message = format!(
            "its footer says {} rows, the log says {}",
            footer.rows, segment.rows
        );
        proof.problem(segment, &message);
    }
    proof.root = proof.marks.only_version().map(|version| (version, found));
    if found != footer.merkle_root {
        let message = format!(
            "its events hash to the Merkle root {}, its footer says {}: events were changed",
            hex::encode(found),
            hex::encode(footer.merkle_root)
        );
        proof.problem(segment, &message);
    }
    proof.footer = Some(footer);
    // In place of numbers of its own, those that all segments share.
    let mut shared = origins.lock().unwrap_or_else(PoisonError::into_inner);
    let numbers = shared.numbers_of(&walk.origins);
    drop(shared);
    proof.marks.renumber(&numbers);
    Ok(())
}

/// The library panics over some damaged pages, which is an error like any other. Whoever gets it forgets what was read.
fn caught(read: impl FnOnce() -> Result<(), ArchiveError>) -> Result<(), ArchiveError> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(ArchiveError::Task {
            operation: "read a segment",
            problem: format!("panicked: {}", said.unwrap_or("without a word")),
        })
    })
}

fn compare_digest(bytes: &[u8], segment: &Segment, proof: &mut Proof) {
    let Some(said) = segment.sha256 else {
        return;
    };
    let found: [u8; 32] = Sha256::digest(bytes).into();
    if found != said {
        let message = format!(
            "its SHA-256 is {}, its commit says {}: the file was changed",
            hex::encode(found),
            hex::encode(said)
        );
        proof.problem(segment, &message);
    }
}

/// What is carried from row to row.
#[derive(Default)]
struct Walk {
    marks: Vec<RowMark>,
    /// Names of the origins so far.
    origins: Origins,
    last: Option<(i64, String)>,
    scratch: Vec<u8>,
    unsorted_said: bool,
    stray_said: bool,
}

impl Walk {
    fn batch(
        &mut self,
        batch: &RecordBatch,
        segment: &Segment,
        proof: &mut Proof,
    ) -> Result<(), ArchiveError> {
        let damaged = |problem: String| ArchiveError::Corrupt {
            path: segment.path.clone(),
            problem,
        };
        // A column that was renamed or dropped would read as null, and what ingest noted beside an event is in no hash.
        for field in columns::segment_schema().fields() {
            if batch
                .column_by_name(field.name())
                .is_none_or(|column| column.data_type() != field.data_type())
            {
                return Err(damaged(format!(
                    "column {} is missing or has another type",
                    field.name()
                )));
            }
        }
        let rows = Rows::new(batch).map_err(|e| damaged(e.to_string()))?;
        let versions = batch
            .column_by_name(COMMIT_VERSION)
            .and_then(|c| c.as_primitive_opt::<Int64Type>())
            .ok_or_else(|| damaged(format!("column {COMMIT_VERSION} is missing")))?;
        for index in 0..rows.len() {
            let event = rows.event(index);
            let hash = event_hash(&event, &mut self.scratch);
            let origin = self.origins.number(&event.origin);
            let version = u64::try_from(versions.value(index)).unwrap_or_default();
            self.marks.push(RowMark {
                version,
                origin,
                sequence: event.sequence,
                hash,
            });
            let spelled = event.attachments.iter().filter_map(|a| a.sha256.as_deref());
            // What is no digest names no file; `status` and every coverage statement count it.
            proof.digests.extend(spelled.filter_map(digest));
            self.place(&event, segment, proof);
        }
        Ok(())
    }

    /// The row's order, year and statistics; each kind of trouble is said once a segment.
    fn place(&mut self, event: &holdfast_schemas::Event<'_>, segment: &Segment, proof: &mut Proof) {
        let sorted = match &self.last {
            Some((time, id)) => (*time, id.as_str()) <= (event.time_us, &*event.id),
            None => true,
        };
        if !sorted && !self.unsorted_said {
            self.unsorted_said = true;
            proof.problem(
                segment,
                &format!(
                    "is not in (event_time, event_id) order at event {}",
                    event.id
                ),
            );
        }
        let bounds = segment.stats.event_time_us;
        let stray = columns::event_year(event.time_us) != segment.event_year
            || !(bounds.0..=bounds.1).contains(&event.time_us)
            || !(segment.stats.origin_seq.0..=segment.stats.origin_seq.1).contains(&event.sequence);
        if stray && !self.stray_said {
            self.stray_said = true;
            proof.problem(
                segment,
                &format!(
                    "event {} lies outside the year or the statistics that the log gives",
                    event.id
                ),
            );
        }
        match &mut self.last {
            Some((time, id)) => {
                *time = event.time_us;
                id.clear();
                id.push_str(&event.id);
            }
            None => self.last = Some((event.time_us, event.id.to_string())),
        }
    }
}
