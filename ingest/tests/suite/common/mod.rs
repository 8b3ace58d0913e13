//! What the tests of a whole run share.
pub(crate) mod outbox;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::read::{COMMIT_VERSION, ROW_ID, ReadOptions, SegmentReader};
use holdfast_archive::{Archive, Location, Segment};
use holdfast_indexer::maintenance::ANALYZER_VERSION;
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::settings::{FileSettings, RunFlags, Settings};
use holdfast_ingest::{IngestError, Report, run_in};
use holdfast_schemas::columns::Rows;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{EventHash, merkle};
use tempfile::TempDir;

/// An archive and a folder for input files.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) archive: Archive,
}

/// One archived row, as far as tests look at it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Archived {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) time_us: i64,
    pub(crate) origin: String,
    pub(crate) sequence: u64,
    pub(crate) body: Option<String>,
    pub(crate) extra: Option<String>,
    pub(crate) raw: Option<Vec<u8>>,
    pub(crate) hash: EventHash,
    pub(crate) year: i32,
    pub(crate) row_id: i64,
    pub(crate) commit_version: i64,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let location = Location::local(folder.path().join("archive"));
        let archive = Archive::create(&location).await.unwrap();
        Self { folder, archive }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, lines: &[Vec<u8>]) -> PathBuf {
        let path = self.path(name);
        let mut bytes = lines.join(&b'\n');
        bytes.push(b'\n');
        std::fs::write(&path, bytes).unwrap();
        path
    }

    pub(crate) async fn ingest(&self, file: &Path) -> Report {
        self.try_ingest(file, |_| {}).await.unwrap()
    }

    /// Of a run that reads a file to its end and leaves the archive's upkeep alone.
    pub(crate) fn settings(&self, file: &Path) -> Settings {
        let flags = RunFlags {
            source: Some(format!("jsonl:{}", file.display())),
            archive: Some("given".into()),
            until_idle: true,
            no_upkeep: true,
            threads: Some(2),
            ..RunFlags::default()
        };
        Settings::resolve(flags, FileSettings::default(), &[]).unwrap()
    }

    pub(crate) async fn try_ingest(
        &self,
        file: &Path,
        adjust: impl FnOnce(&mut Settings),
    ) -> Result<Report, IngestError> {
        let mut settings = self.settings(file);
        adjust(&mut settings);
        let report = run_in(settings, self.archive.clone(), Arc::new(Stop::default())).await?;
        assert_eq!(
            report.consumed,
            report.archived + report.quarantined + report.duplicates
        );
        Ok(report)
    }

    pub(crate) async fn segments(&self) -> Arc<[Arc<Segment>]> {
        self.archive
            .snapshot()
            .await
            .unwrap()
            .segments()
            .await
            .unwrap()
    }

    /// Every row, in the order of the segments; on the way everything is checked that holds for any archive.
    pub(crate) async fn rows(&self) -> Vec<Archived> {
        let mut rows = Vec::new();
        let mut scratch = Vec::new();
        for segment in self.segments().await.iter() {
            let reader = SegmentReader::open(&self.archive, segment).await.unwrap();
            let options = ReadOptions {
                with_row_versions: true,
                ..ReadOptions::default()
            };
            let batches: Vec<_> = reader.read(&options).unwrap().try_collect().await.unwrap();
            let begin = rows.len();
            for batch in &batches {
                let view = Rows::new(batch).unwrap();
                let numbers = |name: &str| {
                    let column = batch.column_by_name(name).unwrap();
                    column
                        .as_any()
                        .downcast_ref::<arrow::array::Int64Array>()
                        .unwrap()
                        .clone()
                };
                let (row_ids, versions) = (numbers(ROW_ID), numbers(COMMIT_VERSION));
                for row in 0..view.len() {
                    let event = view.event(row);
                    let hash = event_hash(&event, &mut scratch);
                    rows.push(Archived {
                        id: event.id.into_owned(),
                        event_type: event.event_type.into_owned(),
                        time_us: event.time_us,
                        origin: event.origin.into_owned(),
                        sequence: event.sequence,
                        body: event.message.body.map(Into::into),
                        extra: event.extra.map(Into::into),
                        raw: event.raw.map(|raw| raw.into_owned()),
                        hash,
                        year: segment.event_year,
                        row_id: row_ids.value(row),
                        commit_version: versions.value(row),
                    });
                }
            }
            check_segment(segment, &reader, &rows[begin..]);
            let split = self
                .archive
                .split_bytes(&segment.split_path(ANALYZER_VERSION))
                .await
                .unwrap();
            assert!(
                split.is_some_and(|bytes| bytes > 0),
                "{} has no split",
                segment.path
            );
        }
        rows
    }

    /// Rows by (origin, sequence); each must be there once.
    pub(crate) async fn by_sequence(&self) -> BTreeMap<(String, u64), Archived> {
        let mut found = BTreeMap::new();
        for row in self.rows().await {
            let earlier = found.insert((row.origin.clone(), row.sequence), row);
            assert!(earlier.is_none(), "archived twice: {earlier:?}");
        }
        found
    }
}

fn check_segment(segment: &Segment, reader: &SegmentReader, rows: &[Archived]) {
    assert_eq!(rows.len() as u64, segment.rows);
    assert!(
        rows.is_sorted_by_key(|row| (row.time_us, row.id.clone())),
        "{} is not sorted",
        segment.path
    );
    for row in rows {
        assert_eq!(
            holdfast_schemas::columns::event_year(row.time_us),
            segment.event_year
        );
    }
    let footer = reader.footer().unwrap();
    assert_eq!(footer.rows, segment.rows);
    let root = merkle::rows_root(
        rows.iter()
            .map(|row| (row.origin.as_str(), row.sequence, row.hash)),
    );
    assert_eq!(footer.merkle_root, root, "{}", segment.path);
}

/// A posting; different ids for different seeds, so that the same sequence can belong to another event.
pub(crate) fn event(origin: &str, sequence: u64, seed: u64) -> Vec<u8> {
    at(origin, sequence, seed, "2026-04-01T10:00:00.000001Z")
}

pub(crate) fn at(origin: &str, sequence: u64, seed: u64, time: &str) -> Vec<u8> {
    format!(
        r#"{{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-{:012x}","source":"/pools/t/nodes/1","type":"chat.message.posted","subject":"r-1","time":"{time}","datacontenttype":"application/json","dataschema":"urn:holdfast:compliance-event:1","partitionkey":"r-1","origin":"{origin}","sequence":"{sequence:020}","data":{{"room":{{"id":"r-1","name":"room","category":"c"}},"actor":{{"id":"u-1","uri":"sip:u-1@example.com","name":"Ana","email":null,"internal":true}},"room_seq":{sequence},"message":{{"id":"m-{sequence}","kind":"plain","title":null,"body":"message {sequence} of {origin}","reply_to":null,"attachments":[]}}}}}}"#,
        seed * 1_000_000 + sequence
    )
    .into_bytes()
}
