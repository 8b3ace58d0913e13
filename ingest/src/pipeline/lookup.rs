//! Which event has a sequence? Answered from the open batch, the batches on their way, and the archive, a whole set of sequences at a time.

use std::collections::VecDeque;
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::{Archive, ArchiveError, Segment, Snapshot};
use roaring::RoaringTreemap;
use rustc_hash::FxHashMap;
use tokio::runtime::Handle;
use uuid::Uuid;

use super::judge::{FindIds, IdColumns};
use super::shared::Shared;
use crate::error::IngestError;

/// Rows whose ids are kept between lookups, 24 bytes each: a resent file meets the same segments again and again.
const CACHED_ROWS_MAX: usize = 2_500_000;

/// The ids in the archive.
#[derive(Debug)]
pub(super) struct ArchivedIds {
    archive: Archive,
    runtime: Handle,
    cache: VecDeque<Arc<SegmentIds>>,
}

/// Ids of a segment's events.
#[derive(Debug)]
struct SegmentIds {
    path: String,
    rows: usize,
    origins: FxHashMap<String, OriginIds>,
}

/// Ids of one origin, in the order of the sequences.
#[derive(Debug, Default)]
struct OriginIds {
    sequences: Vec<u64>,
    ids: Vec<Uuid>,
}

impl ArchivedIds {
    /// Of an archive.
    #[must_use]
    pub(super) fn new(archive: Archive, runtime: Handle) -> Self {
        Self {
            archive,
            runtime,
            cache: VecDeque::new(),
        }
    }

    /// Ids of those of the sequences that are archived and not disposed of. Each segment that may hold some is read once, and only its
    /// id columns.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub(super) fn find(
        &mut self,
        snapshot: &Snapshot,
        origin: &str,
        sequences: &RoaringTreemap,
    ) -> Result<FxHashMap<u64, Uuid>, IngestError> {
        let mut found = FxHashMap::default();
        let (Some(least), Some(greatest)) = (sequences.min(), sequences.max()) else {
            return Ok(found);
        };
        found.reserve(usize::try_from(sequences.len()).unwrap_or(0));
        let segments = self.runtime.block_on(snapshot.segments())?;
        let live: Vec<&Arc<Segment>> = segments
            .iter()
            .filter(|segment| may_hold(segment, origin, sequences))
            .collect();
        for segment in live {
            let ids = self.ids_of(segment)?;
            let Some(of_origin) = ids.origins.get(origin) else {
                continue;
            };
            let first = of_origin
                .sequences
                .partition_point(|sequence| *sequence < least);
            let range = first
                ..of_origin
                    .sequences
                    .partition_point(|sequence| *sequence <= greatest);
            for (sequence, id) in of_origin.sequences[range.clone()]
                .iter()
                .zip(&of_origin.ids[range])
            {
                if sequences.contains(*sequence) {
                    found.insert(*sequence, *id);
                }
            }
            if found.len() as u64 == sequences.len() {
                break;
            }
        }
        Ok(found)
    }

    fn ids_of(&mut self, segment: &Segment) -> Result<Arc<SegmentIds>, IngestError> {
        if let Some(at) = self.cache.iter().position(|ids| ids.path == segment.path)
            && let Some(ids) = self.cache.remove(at)
        {
            self.cache.push_back(Arc::clone(&ids));
            return Ok(ids);
        }
        let batches = self.runtime.block_on(read_ids(&self.archive, segment))?;
        let ids = Arc::new(SegmentIds::new(segment.path.clone(), &batches)?);
        self.cache.push_back(Arc::clone(&ids));
        while self.cache.len() > 1
            && self.cache.iter().map(|ids| ids.rows).sum::<usize>() > CACHED_ROWS_MAX
        {
            self.cache.pop_front();
        }
        Ok(ids)
    }
}

impl Shared {
    /// Reads from a snapshot, and from a renewed one when a file that it names is gone: a segment or an origin's set was replaced and, since
    /// nothing was committed here for as long as readers are given, collected.
    fn read<T>(
        &self,
        mut snapshot: Snapshot,
        archived: &mut ArchivedIds,
        mut read: impl FnMut(&mut ArchivedIds, &Snapshot) -> Result<T, IngestError>,
    ) -> Result<T, IngestError> {
        loop {
            match read(archived, &snapshot) {
                Err(IngestError::Archive(error)) if is_gone(&error) => {
                    let newer = archived.runtime.block_on(archived.archive.snapshot())?;
                    if newer.version() <= snapshot.version() {
                        return Err(error.into());
                    }
                    tracing::info!(%error, version = newer.version(), "reading from a newer version");
                    self.renew(newer.clone());
                    snapshot = newer;
                }
                result => return result,
            }
        }
    }
}

/// Whether a file was not there, wherever in the chain of causes that is said.
fn is_gone(error: &ArchiveError) -> bool {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |e| e.source());
    causes
        .filter_map(|cause| cause.downcast_ref::<object_store::Error>())
        .any(|cause| matches!(cause, object_store::Error::NotFound { .. }))
}

/// Whether a segment's statistics leave room for one of the sequences.
fn may_hold(segment: &Segment, origin: &str, sequences: &RoaringTreemap) -> bool {
    let stats = &segment.stats;
    // An origin's greatest value may have been cut short: its beginning is compared then.
    let greatest = stats.origin.1.as_str();
    let within =
        stats.origin.0.as_str() <= origin && (origin <= greatest || origin.starts_with(greatest));
    within && sequences.range_cardinality(stats.origin_seq.0..=stats.origin_seq.1) > 0
}

async fn read_ids(archive: &Archive, segment: &Segment) -> Result<Vec<RecordBatch>, ArchiveError> {
    let reader = SegmentReader::open(archive, segment).await?;
    let options = ReadOptions {
        columns: Some(&IdColumns::NAMES),
        batch_rows: 64 * 1024,
        ..ReadOptions::default()
    };
    reader.read(&options)?.try_collect().await
}

impl SegmentIds {
    fn new(path: String, batches: &[RecordBatch]) -> Result<Self, IngestError> {
        let mut pairs: FxHashMap<String, Vec<(u64, Uuid)>> = FxHashMap::default();
        let mut rows = 0;
        for batch in batches {
            let columns = IdColumns::new(batch)?;
            rows += columns.rows();
            let mut row = 0;
            while row < columns.rows() {
                // Rows of one origin mostly stand together: its entry is looked up once for them all.
                let origin = columns.origin(row);
                let of_origin = match pairs.get_mut(origin) {
                    Some(of_origin) => of_origin,
                    None => pairs.entry(origin.to_owned()).or_default(),
                };
                while row < columns.rows() && columns.origin(row) == origin {
                    of_origin.push((columns.sequence(row), columns.id(row)?));
                    row += 1;
                }
            }
        }
        let origins = pairs.into_iter().map(|(origin, mut pairs)| {
            pairs.sort_by_key(|pair| pair.0);
            let (sequences, ids) = pairs.into_iter().unzip();
            (origin, OriginIds { sequences, ids })
        });
        Ok(Self {
            path,
            rows,
            origins: origins.collect(),
        })
    }
}

/// Ids in the open batch, on their way and in the archive.
#[derive(Debug)]
pub(super) struct Everywhere<'a> {
    /// Rows of the open batch.
    pub open: Vec<&'a RecordBatch>,
    /// Snapshot and batches on their way.
    pub shared: &'a Shared,
    /// The archive.
    pub archived: &'a mut ArchivedIds,
}

impl FindIds for Everywhere<'_> {
    fn find(
        &mut self,
        origin: &str,
        sequences: &RoaringTreemap,
    ) -> Result<FxHashMap<u64, Uuid>, IngestError> {
        let (snapshot, on_the_way) = self.shared.view();
        let mut left = sequences.clone();
        let mut found = FxHashMap::default();
        for batch in &self.open {
            take_from(batch, origin, &mut left, &mut found)?;
        }
        for batch in on_the_way {
            let meets = batch
                .sequences
                .get(origin)
                .is_some_and(|own| !own.is_disjoint(&left));
            for ids in batch.ids.iter().filter(|_| meets) {
                take_from(ids, origin, &mut left, &mut found)?;
            }
        }
        if !left.is_empty() {
            let archived = &mut *self.archived;
            found.extend(self.shared.read(snapshot, archived, |archived, snapshot| {
                archived.find(snapshot, origin, &left)
            })?);
        }
        Ok(found)
    }

    fn archived(&mut self, origin: &str) -> Result<RoaringTreemap, IngestError> {
        // A batch that is committed meanwhile is in a newer snapshot, and counted twice at worst.
        let (snapshot, on_the_way) = self.shared.view();
        let archived = &mut *self.archived;
        let mut known = self.shared.read(snapshot, archived, |archived, snapshot| {
            let set = archived.runtime.block_on(snapshot.origin_set(origin))?;
            Ok((*set).clone())
        })?;
        for batch in on_the_way {
            if let Some(own) = batch.sequences.get(origin) {
                known |= own;
            }
        }
        Ok(known)
    }
}

/// Moves those of the sequences that are in a batch from `left` to `found`.
pub(super) fn take_from(
    batch: &RecordBatch,
    origin: &str,
    left: &mut RoaringTreemap,
    found: &mut FxHashMap<u64, Uuid>,
) -> Result<(), IngestError> {
    if left.is_empty() {
        return Ok(());
    }
    let columns = IdColumns::new(batch)?;
    for row in 0..columns.rows() {
        let sequence = columns.sequence(row);
        if left.contains(sequence) && columns.origin(row) == origin {
            found.insert(sequence, columns.id(row)?);
            left.remove(sequence);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use holdfast_archive::{
        Append, CommitKind, Counts, NewSegment, Outcome, SegmentStats, segment::new_id,
    };
    use object_store::memory::InMemory;
    use object_store::path::Path;
    use object_store::{ObjectStore, ObjectStoreExt};

    fn url() -> url::Url {
        url::Url::parse("memory:///").unwrap()
    }

    /// A commit of sequences whose segment is named and not there.
    async fn commit(archive: &Archive, sequences: impl Iterator<Item = u64>) {
        let set: RoaringTreemap = sequences.collect();
        let segment = NewSegment {
            path: format!("event_year=2026/{}.parquet", new_id()),
            event_year: 2026,
            rows: set.len(),
            bytes: 1 << 20,
            sha256: [0; 32],
            stats: SegmentStats::default(),
        };
        let append = Append {
            commit_id: Uuid::new_v4(),
            kind: CommitKind::Append,
            segments: vec![segment],
            positions: Vec::new(),
            archived: [("o".to_owned(), set)].into(),
            counts: Counts::default(),
            merkle_root: [0; 32],
        };
        let base = archive.snapshot().await.unwrap();
        let outcome = archive.append(&base, append).await.unwrap();
        assert!(matches!(outcome, Outcome::Committed(_)));
    }

    #[test]
    fn a_set_that_was_replaced_and_collected_is_read_from_a_newer_version() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        // Every seventh sequence: too sparse for the log, so that the set is an object of its own.
        let sparse = |from: u64| (from..from + 100_000).map(|n| n * 7);
        let stale = runtime.block_on(async {
            let writer = Archive::create_in(Arc::clone(&store), url()).await.unwrap();
            commit(&writer, sparse(1)).await;
            let stale = Archive::open_in(Arc::clone(&store), url()).await.unwrap();
            let folder = Path::from("origins");
            let old: Vec<_> = store.list(Some(&folder)).collect().await;
            commit(&writer, sparse(100_001)).await;
            for object in old {
                store.delete(&object.unwrap().location).await.unwrap();
            }
            stale
        });
        let shared = Shared::new(stale.known_snapshot());
        let mut archived = ArchivedIds::new(stale.clone(), runtime.handle().clone());
        let mut everywhere = Everywhere {
            open: Vec::new(),
            shared: &shared,
            archived: &mut archived,
        };
        let found = everywhere.archived("o").unwrap();
        assert_eq!((found.len(), found.max()), (200_000, Some(200_000 * 7)));
        assert_eq!(shared.snapshot().version(), 2, "renewed for what comes");
        // A segment that is gone is as much a reason to look again; here no newer version knows better.
        let asked = RoaringTreemap::from_iter([0]);
        let error = everywhere.find("", &asked).unwrap_err();
        assert!(
            matches!(&error, IngestError::Archive(error) if is_gone(error)),
            "{error:?}"
        );
    }
}
