//! Archives in folders and in object stores, with good, damaged and missing splits.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::segment::{SegmentFooter, encode, new_id};
use holdfast_archive::{
    Append, Archive, CommitKind, Counts, Location, OpenOptions, Outcome, Snapshot,
};
use holdfast_fixtures::FaultyStore;
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_schemas::Row;
use holdfast_schemas::columns::{RowBuilder, event_year, segment_schema};
use object_store::ObjectStore;
use object_store::memory::InMemory;
use proptest::prelude::*;
use roaring::RoaringTreemap;
use tempfile::TempDir;
use uuid::Uuid;

use super::corpus::Draft;
use crate::{SearchOptions, Searcher, build_split};

/// What becomes of a segment's split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitFate {
    /// As it should be.
    Good,
    /// It was written before splits had a filter of words.
    Unfiltered,
    /// There is none.
    Missing,
    /// One byte is another.
    Damaged,
    /// Its end is missing.
    Cut,
    /// It has no bytes at all.
    Empty,
    /// It is another segment's.
    Foreign,
    /// Its terms are of another analyzer.
    Stale,
}

pub(super) fn fate() -> impl Strategy<Value = SplitFate> {
    prop_oneof![
        6 => Just(SplitFate::Good), 1 => Just(SplitFate::Missing), 1 => Just(SplitFate::Damaged), 1 => Just(SplitFate::Cut),
        1 => Just(SplitFate::Empty),
        1 => Just(SplitFate::Foreign), 1 => Just(SplitFate::Stale), 2 => Just(SplitFate::Unfiltered),
    ]
}

/// Sorted rows, a batch a year.
fn batches(mut rows: Vec<Row<'static>>) -> BTreeMap<i32, RecordBatch> {
    rows.sort_by(|a, b| (a.event.time_us, &a.event.id).cmp(&(b.event.time_us, &b.event.id)));
    let mut years: BTreeMap<i32, RowBuilder> = BTreeMap::new();
    for row in &rows {
        let year = event_year(row.event.time_us);
        years
            .entry(year)
            .or_insert_with(|| RowBuilder::with_capacity(8))
            .append(row);
    }
    years
        .into_iter()
        .map(|(year, mut builder)| (year, builder.finish().unwrap()))
        .collect()
}

/// Where a test's archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    Folder,
    Objects,
    /// As Azure's: without ranges that count from the end.
    ObjectsWithoutSuffixes,
}

impl Store {
    pub(super) const ALL: [Self; 3] = [Self::Folder, Self::Objects, Self::ObjectsWithoutSuffixes];

    /// An archive's objects, where it has no folder.
    fn objects(self) -> Option<Arc<dyn ObjectStore>> {
        let memory = Arc::new(InMemory::new());
        match self {
            Self::Folder => None,
            Self::Objects => Some(memory),
            Self::ObjectsWithoutSuffixes => Some(FaultyStore::without_suffixes(memory)),
        }
    }
}

/// An archive that goes away with its folder.
pub(super) struct TestArchive {
    pub(super) archive: Archive,
    pub(super) searcher: Searcher,
    _folder: TempDir,
    next_sequence: u64,
}

impl TestArchive {
    /// An empty archive: in a folder, where splits are mapped, or in another store, where they are read by ranges.
    pub(super) async fn new(store: Store) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let archive = match store.objects() {
            None => {
                let location =
                    Location::parse(folder.path().join("archive").to_str().unwrap()).unwrap();
                let options = OpenOptions {
                    fsync: false,
                    ..OpenOptions::default()
                };
                Archive::create_with(&location, options).await.unwrap()
            }
            Some(objects) => {
                let url = url::Url::parse("memory:///").unwrap();
                Archive::create_in(objects, url).await.unwrap()
            }
        };
        let options = SearchOptions {
            cache_dir: Some(folder.path().join("cache")),
            parallelism: 2,
        };
        let searcher = Searcher::new(archive.clone(), options);
        Self {
            archive,
            searcher,
            _folder: folder,
            next_sequence: 1,
        }
    }

    /// Archives events in one commit, a segment a year.
    pub(super) async fn append(&mut self, drafts: &[Draft], fate: SplitFate) {
        let first = self.next_sequence;
        self.next_sequence += drafts.len() as u64;
        self.append_rows(
            drafts
                .iter()
                .zip(first..)
                .map(|(draft, sequence)| draft.row(sequence))
                .collect(),
            fate,
        )
        .await;
    }

    /// The same for any rows.
    pub(super) async fn append_rows(&self, rows: Vec<Row<'static>>, fate: SplitFate) {
        let commit_id = Uuid::new_v4();
        let count = rows.len() as u64;
        let mut archived = BTreeMap::<String, RoaringTreemap>::new();
        for row in &rows {
            archived
                .entry(row.event.origin.to_string())
                .or_default()
                .insert(row.event.sequence);
        }
        let mut segments = Vec::new();
        for (year, rows) in batches(rows) {
            let footer = SegmentFooter {
                commit_id,
                positions: Vec::new(),
                rows: rows.num_rows() as u64,
                merkle_root: [0; 32],
            };
            let id = new_id();
            let encoded = encode(id, year, &rows, &footer, None).unwrap();
            self.archive.put_segment(&encoded).await.unwrap();
            let path = encoded.segment.split_path(ANALYZER_VERSION);
            if let Some(bytes) = fated(&rows, &id.to_string(), fate) {
                self.archive.put_split(&path, bytes.into()).await.unwrap();
            }
            segments.push(encoded.segment);
        }
        let append = Append {
            commit_id,
            kind: CommitKind::Append,
            segments,
            positions: Vec::new(),
            archived,
            counts: Counts {
                consumed: count,
                archived: count,
                ..Counts::default()
            },
            merkle_root: [0; 32],
        };
        let base = self.snapshot().await;
        assert!(matches!(
            self.archive.append(&base, append).await.unwrap(),
            Outcome::Committed(_)
        ));
    }

    pub(super) async fn snapshot(&self) -> Snapshot {
        self.archive.snapshot().await.unwrap()
    }

    /// Every row of the snapshot with the version that archived it, in order.
    pub(super) async fn rows(&self) -> (RecordBatch, Vec<i64>) {
        let snapshot = self.snapshot().await;
        let mut all: Vec<(i64, String, RecordBatch, i64)> = Vec::new();
        for segment in snapshot.segments().await.unwrap().iter() {
            let reader = SegmentReader::open(&self.archive, segment).await.unwrap();
            let options = ReadOptions {
                with_row_versions: true,
                ..ReadOptions::default()
            };
            let batches: Vec<RecordBatch> =
                reader.read(&options).unwrap().try_collect().await.unwrap();
            for batch in batches {
                let indices: Vec<usize> = segment_schema()
                    .fields()
                    .iter()
                    .map(|field| batch.schema().index_of(field.name()).unwrap())
                    .collect();
                let view = holdfast_schemas::columns::Rows::new(&batch).unwrap();
                let versions: &arrow::array::Int64Array = arrow::array::AsArray::as_primitive(
                    batch
                        .column_by_name(holdfast_archive::read::COMMIT_VERSION)
                        .unwrap(),
                );
                for row in 0..batch.num_rows() {
                    let event = view.event(row);
                    all.push((
                        event.time_us,
                        event.id.to_string(),
                        batch.project(&indices).unwrap().slice(row, 1),
                        versions.value(row),
                    ));
                }
            }
        }
        all.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        let batches: Vec<&RecordBatch> = all.iter().map(|one| &one.2).collect();
        let schema = all
            .first()
            .map_or_else(segment_schema, |one| one.2.schema());
        (
            concat_batches(&schema, batches).unwrap(),
            all.iter().map(|one| one.3).collect(),
        )
    }
}

fn fated(rows: &RecordBatch, id: &str, fate: SplitFate) -> Option<Vec<u8>> {
    let bytes = |id: &str| build_split(rows, id).unwrap().to_vec();
    match fate {
        SplitFate::Good => Some(bytes(id)),
        SplitFate::Unfiltered => {
            let (built, older) = (
                bytes(id),
                crate::split::without_words_filter(&bytes(id)).unwrap(),
            );
            assert!(crate::is_built_anew(&older, &built) && older != built);
            assert!(!crate::is_built_anew(&older[1..], &built));
            Some(older.to_vec())
        }
        SplitFate::Missing => None,
        SplitFate::Damaged => {
            let mut bytes = bytes(id);
            let at = bytes.len() / 3;
            bytes[at] ^= 0x10;
            Some(bytes)
        }
        SplitFate::Cut => {
            let mut bytes = bytes(id);
            bytes.truncate(bytes.len() - 5);
            Some(bytes)
        }
        SplitFate::Empty => Some(Vec::new()),
        SplitFate::Foreign => Some(bytes("01J00000000000000000000000")),
        SplitFate::Stale => Some(crate::split::with_analyzer_version(
            bytes(id),
            ANALYZER_VERSION + 1,
        )),
    }
}

/// A runtime for one case.
pub(super) fn runtime() -> Arc<tokio::runtime::Runtime> {
    Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    )
}

/// Cases of a property: so many in every run, more where the environment asks for them.
pub(super) fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(usual),
        max_shrink_iters: 400,
        ..ProptestConfig::default()
    }
}
