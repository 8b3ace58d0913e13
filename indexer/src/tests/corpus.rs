//! Random events, and archives made of them.

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
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_schemas::columns::{RowBuilder, event_year, segment_schema};
use holdfast_schemas::{Actor, Attachment, Event, Intake, Message, Room, Row};
use proptest::prelude::*;
use roaring::RoaringTreemap;
use tempfile::TempDir;
use uuid::Uuid;

use crate::{SearchOptions, Searcher, build_split};

/// Words of several scripts, chosen so that queries over the same list meet them often and nearly.
pub(super) const WORDS: [&str; 34] = [
    "keep",
    "Keep",
    "keeper",
    "plan",
    "plans",
    "R&D",
    "C++",
    "docs.rs",
    "naïve",
    "naive",
    "Straße",
    "STRASSE",
    "l'azienda",
    "azienda",
    "日本語",
    "日本",
    "東京都",
    "シャツ",
    "Tシャツ",
    "京",
    "да",
    "Привет",
    "привет",
    "สวัสดี",
    "한국어",
    "👍",
    "👍🏽",
    "❤️",
    "a",
    "b",
    "snake_case",
    "½",
    "verylongwordofmorethantwelvebytes",
    ",",
];
pub(super) const ROOMS: [&str; 3] = ["r-1", "R-2", "incident review"];
pub(super) const ACTORS: [(&str, &str, &str); 3] = [
    ("u-1", "Ana Pérez", "ana@example.com"),
    ("u-2", "Ben 山田", "Ben@Example.com"),
    ("ana@example.com", "ana", "u-1"),
];
pub(super) const MESSAGES: [&str; 4] = ["m-1", "m-2", "M-2", "m-3"];

/// 2020-12-31T23:59:59Z: corpora lie on both sides of a year's end.
pub(super) const YEAR_END_US: i64 = 1_609_459_199_000_000;

/// An event to be.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    kind: usize,
    time_us: i64,
    room: Option<usize>,
    actor: Option<usize>,
    message: Option<usize>,
    title: Option<String>,
    body: Option<String>,
    files: Vec<(Option<String>, Option<i64>)>,
    room_seq: Option<i64>,
    reply_to: Option<usize>,
}

const TYPES: [&str; 7] = [
    "chat.message.posted",
    "chat.message.posted",
    "chat.message.edited",
    "chat.message.deleted",
    "chat.message.replaced",
    "chat.reaction.added",
    "chat.room.joined",
];

fn text() -> impl Strategy<Value = String> {
    let separator = prop::sample::select(vec![" ", " ", " ", "", "-", ", ", "\n"]);
    prop::collection::vec((prop::sample::select(WORDS.to_vec()), separator), 1..9).prop_map(
        |words| {
            words
                .into_iter()
                .flat_map(|(word, separator)| [word, separator])
                .collect()
        },
    )
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let ids = (
        0..TYPES.len(),
        -3_000_000..3_000_000_i64,
        prop::option::weighted(0.9, 0..ROOMS.len()),
        prop::option::weighted(0.9, 0..ACTORS.len()),
        prop::option::weighted(0.8, 0..MESSAGES.len()),
        prop::option::weighted(0.2, 0..MESSAGES.len()),
    );
    let texts = (
        prop::option::weighted(0.2, text()),
        prop::option::weighted(0.9, text()),
        prop::collection::vec(
            (prop::option::of(text()), prop::option::of(0..3_000_i64)),
            0..3,
        ),
        prop::option::of(0..20_i64),
    );
    (ids, texts).prop_map(
        |((kind, time_us, room, actor, message, reply_to), (title, body, files, room_seq))| Draft {
            kind,
            time_us: YEAR_END_US + time_us,
            room,
            actor,
            message,
            title,
            body,
            files,
            room_seq,
            reply_to,
        },
    )
}

impl Draft {
    /// A posted message.
    pub(super) fn plain(time_us: i64, body: String) -> Self {
        Self {
            kind: 0,
            time_us,
            room: Some(0),
            actor: Some(0),
            message: None,
            title: None,
            body: Some(body),
            files: Vec::new(),
            room_seq: None,
            reply_to: None,
        }
    }

    fn row(&self, sequence: u64) -> Row<'static> {
        let owned =
            |text: &str| -> Option<std::borrow::Cow<'static, str>> { Some(text.to_owned().into()) };
        let event_type = TYPES[self.kind];
        let actor = self.actor.map(|actor| ACTORS[actor]);
        let extra = if self.kind == 5 {
            Some(r#"{"data":{"value":"👍"}}"#)
        } else {
            self.room_seq.map(|_| r#"{"data":{"by":{"id":"u-2"}}}"#)
        };
        let attachment = |(name, size): &(Option<String>, Option<i64>)| Attachment {
            id: owned("f-1"),
            name: name.as_deref().and_then(owned),
            size: *size,
            ..Attachment::default()
        };
        let event = Event {
            id: format!("0197c0de-0000-7000-8000-{sequence:012x}").into(),
            event_type: event_type.into(),
            time_us: self.time_us,
            source: "/pools/test".into(),
            origin: if sequence.is_multiple_of(3) {
                "Main.1".into()
            } else {
                "import".into()
            },
            sequence,
            room: Room {
                id: self.room.and_then(|room| owned(ROOMS[room])),
                name: self
                    .room
                    .and_then(|room| owned(ROOMS[(room + 1) % ROOMS.len()])),
                category: self
                    .room
                    .and_then(|room| owned(["engineering", "Legal", "legal"][room])),
            },
            actor: Actor {
                id: actor.and_then(|actor| owned(actor.0)),
                uri: actor.and_then(|actor| owned(&format!("sip:{}", actor.0))),
                name: actor.and_then(|actor| owned(actor.1)),
                email: actor.and_then(|actor| owned(actor.2)),
                kind: actor.and_then(|_| owned("user")),
                ..Actor::default()
            },
            room_seq: self.room_seq,
            message: Message {
                id: self.message.and_then(|message| owned(MESSAGES[message])),
                kind: self.title.as_ref().and_then(|_| owned("story")),
                title: self.title.as_deref().and_then(owned),
                body: self.body.as_deref().and_then(owned),
                reply_to: self.reply_to.and_then(|message| owned(MESSAGES[message])),
            },
            attachments: self.files.iter().map(attachment).collect(),
            extra: extra.map(Into::into),
            ..Event::default()
        };
        Row {
            event,
            intake: Intake {
                ingest_time_us: YEAR_END_US + 10_000_000 + sequence as i64,
                ..Intake::default()
            },
        }
    }
}

/// What becomes of a segment's split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SplitFate {
    /// As it should be.
    Good,
    /// There is none.
    Missing,
    /// One byte is another.
    Damaged,
    /// Its end is missing.
    Cut,
    /// It is another segment's.
    Foreign,
    /// Its terms are of another analyzer.
    Stale,
}

pub(super) fn fate() -> impl Strategy<Value = SplitFate> {
    prop_oneof![
        6 => Just(SplitFate::Good), 1 => Just(SplitFate::Missing), 1 => Just(SplitFate::Damaged), 1 => Just(SplitFate::Cut),
        1 => Just(SplitFate::Foreign), 1 => Just(SplitFate::Stale),
    ]
}

/// Sorted rows of one year.
fn batches(drafts: &[Draft], first_sequence: u64) -> BTreeMap<i32, RecordBatch> {
    let mut rows: Vec<Row<'static>> = drafts
        .iter()
        .zip(first_sequence..)
        .map(|(draft, sequence)| draft.row(sequence))
        .collect();
    rows.sort_by(|a, b| (a.event.time_us, &a.event.id).cmp(&(b.event.time_us, &b.event.id)));
    let mut years: BTreeMap<i32, RowBuilder> = BTreeMap::new();
    for row in &rows {
        years
            .entry(event_year(row.event.time_us))
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
        let archive = match store {
            Store::Folder => {
                let location =
                    Location::parse(folder.path().join("archive").to_str().unwrap()).unwrap();
                let options = OpenOptions {
                    fsync: false,
                    ..OpenOptions::default()
                };
                Archive::create_with(&location, options).await.unwrap()
            }
            Store::Objects => {
                let url = url::Url::parse("memory:///").unwrap();
                Archive::create_in(Arc::new(object_store::memory::InMemory::new()), url)
                    .await
                    .unwrap()
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
        let commit_id = Uuid::new_v4();
        let mut segments = Vec::new();
        for (year, rows) in batches(drafts, self.next_sequence) {
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
        let mut archived = BTreeMap::<String, RoaringTreemap>::new();
        for sequence in self.next_sequence..self.next_sequence + drafts.len() as u64 {
            archived
                .entry(if sequence.is_multiple_of(3) {
                    "Main.1".to_owned()
                } else {
                    "import".to_owned()
                })
                .or_default()
                .insert(sequence);
        }
        self.next_sequence += drafts.len() as u64;
        let append = Append {
            commit_id,
            kind: CommitKind::Append,
            segments,
            positions: Vec::new(),
            archived,
            counts: Counts {
                consumed: drafts.len() as u64,
                archived: drafts.len() as u64,
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
