//! After a purge no byte of what went is left, wherever it once lay; everything else is there as it was.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::segment::new_id;
use holdfast_archive::{Archive, Location, attachments};
use holdfast_governance::actor::By;
use holdfast_governance::disposition::{certificate, plan_file, run};
use holdfast_governance::explain::{Away, Explanation, explain};
use holdfast_governance::ledger::Ledger;
use holdfast_governance::policy::Verdict;
use holdfast_governance::{hold, purge};
use holdfast_indexer::maintenance::{self, CompactOptions, policy::Policy};
use holdfast_schemas::columns::Rows;
use holdfast_schemas::event_type as t;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::hold::{HoldPlace, HoldRelease, HoldScope};
use holdfast_schemas::ledger::reading::Search;
use holdfast_schemas::{Attachment, Row};
use sha2::{Digest, Sha256};

use crate::model::acts::{live, made, set};
use crate::model::events::{Made, ingest_rows};
use crate::model::world;

/// Those whose time is over.
const GO: [u64; 4] = [2, 4, 6, 8];
const STAY: [u64; 4] = [1, 3, 5, 7];

fn marker(sequence: u64) -> String {
    format!("marker{sequence}x")
}

/// A local archive, as an operator has it.
struct Yard {
    home: tempfile::TempDir,
    archive: Archive,
    ledger: Ledger,
    by: By,
    events: Vec<Made>,
}

impl Yard {
    /// Eight messages with a file each, merged from four segments that are still there.
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let location = Location::local(home.path().join("archive"));
        let archive = Archive::create(&location).await.unwrap();
        let ledger = Ledger::open(&archive).await.unwrap();
        let by = By::claim("officer");
        world::configure(&ledger, &by).await;
        // Mostly in one file: it is written anew without those that go.
        let days = |seq| if GO.contains(&seq) { 375 } else { 355 };
        let events = (1..=8).map(|seq| made(seq, t::MESSAGE_POSTED, days(seq), Some(seq), 1));
        let events: Vec<Made> = events.collect();
        let mut rows = Vec::new();
        for event in &events {
            rows.push(with_file(&archive, event).await);
        }
        for two in rows.chunks(2) {
            assert!(ingest_rows(&archive, two).await.unwrap());
        }
        let options = CompactOptions {
            policy: Policy::everything(),
            holder: "test".to_owned(),
            merges_max: 10,
        };
        maintenance::compact(&archive, &options).await.unwrap();
        Self {
            home,
            archive,
            ledger,
            by,
            events,
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.home.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                match path.is_dir() {
                    true => folders.push(path),
                    false => files.push(path),
                }
            }
        }
        files
    }

    /// Files that hold a text, Parquet decoded whatever its file is called.
    fn found(&self, text: &str) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| {
            let bytes = std::fs::read(path).unwrap();
            let raw = bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes());
            raw || bytes.starts_with(b"PAR1") && decoded(bytes).contains(text)
        };
        self.files().into_iter().filter(holds).collect()
    }

    /// Puts a file beside the archive's own, as somebody who died left it; answers its path.
    fn leave(&self, path: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join("archive").join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    async fn search(&self, query: &str) -> u64 {
        let act = Act::Search(Search {
            command: "search".to_owned(),
            query: Some(query.to_owned()),
            options: BTreeMap::default(),
            table_version: None,
        });
        let appended = self.ledger.append_act(&self.by, None, act).await.unwrap();
        appended.seq
    }

    /// A hold that was about the words, and is over; answers its entry.
    async fn hold_on(&self, query: &str) -> u64 {
        let place = HoldPlace {
            name: "h".to_owned(),
            matter: "m".to_owned(),
            scope: HoldScope {
                query: Some(query.to_owned()),
                ..HoldScope::default()
            },
            reason: "a test".to_owned(),
            table_version: 0,
        };
        let receipt = hold::place(&self.ledger, &self.by, &place).await.unwrap();
        assert_eq!(receipt.coverage.events, 1);
        let release = HoldRelease {
            name: "h".to_owned(),
            reason: "over".to_owned(),
            holds_until_us: 0,
        };
        hold::release(&self.ledger, &self.by, &release)
            .await
            .unwrap();
        receipt.entry
    }

    async fn run(&self) -> String {
        let made = plan_file::make(&self.ledger, self.ledger.now_us())
            .await
            .unwrap();
        let (saved, _) = plan_file::save(&self.ledger, &self.by, &made)
            .await
            .unwrap();
        let report = run::run(&self.ledger, &self.by, &saved.id, Authority::Plan);
        let report = report.await.unwrap();
        assert_eq!(report.outcome.unwrap().events, GO.len() as u64);
        report.run
    }

    /// Hashes of the events that are there.
    async fn hashes(&self) -> BTreeMap<u64, [u8; 32]> {
        let snapshot = self.archive.snapshot().await.unwrap();
        let (mut found, mut scratch) = (BTreeMap::new(), Vec::new());
        for segment in snapshot.segments().await.unwrap().iter() {
            let reader = SegmentReader::open(&self.archive, segment).await.unwrap();
            let batches = reader.read(&ReadOptions::default()).unwrap();
            let batches: Vec<_> = batches.try_collect().await.unwrap();
            for batch in &batches {
                let rows = Rows::new(batch).unwrap();
                for event in (0..rows.len()).map(|place| rows.event(place)) {
                    found.insert(event.sequence, event_hash(&event, &mut scratch));
                }
            }
        }
        found
    }
}

/// The event's row with a file that holds its marker; the file is archived.
async fn with_file(archive: &Archive, event: &Made) -> Row<'static> {
    let bytes = format!("a file with {}", marker(event.seq)).into_bytes();
    let sha256 = hex::encode(Sha256::digest(&bytes));
    archive.put_attachment(&sha256, bytes.into()).await.unwrap();
    let mut row = event.row();
    row.event.attachments = vec![Attachment {
        id: Some(format!("f-{}", event.seq).into()),
        sha256: Some(sha256.into()),
        ..Attachment::default()
    }];
    row
}

/// The text of a Parquet file, whatever its compression.
fn decoded(bytes: Vec<u8>) -> String {
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(
        bytes::Bytes::from(bytes),
    )
    .unwrap();
    let batches = reader.build().unwrap();
    batches
        .map(|batch| format!("{:?}", batch.unwrap()))
        .collect()
}

fn is_segment(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "parquet")
}

/// What a name of a segment or a split begins with.
fn id_of(path: &Path) -> String {
    let name = path.file_name().unwrap().to_string_lossy();
    name.split('.').next().unwrap().to_owned()
}

/// Segments that hold one of the markers: by them go splits, and what plans remember of them.
fn segments_with(yard: &Yard, sequences: &[u64]) -> BTreeSet<String> {
    let found = sequences.iter().flat_map(|seq| yard.found(&marker(*seq)));
    let parquet = found.filter(|path| path.to_string_lossy().contains(".parquet"));
    parquet.map(|path| id_of(&path)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_after_a_purge_no_byte_of_what_went_is_left_and_everything_else_is() {
    let yard = Yard::new().await;
    let before = yard.hashes().await;
    let entries = [
        yard.search(&marker(2)).await,
        yard.hold_on(&marker(2)).await,
    ];
    // What the ledger was told, killed in the middle of it; an orphan of a merge that was refused, and half of another.
    let number = format!("{:020}", entries[0]);
    yard.leave(
        &format!("ledger/params/{number}-00112233.json#4711000001"),
        marker(2).as_bytes(),
    );
    let segment = yard.found(&marker(2));
    let segment = segment.iter().find(|path| is_segment(path)).unwrap();
    let (year, bytes) = (segment.parent().unwrap(), std::fs::read(segment).unwrap());
    let year = year.file_name().unwrap().to_string_lossy().into_owned();
    let orphan = yard.leave(&format!("events/{year}/{}.parquet", new_id()), &bytes);
    let half = yard.leave(
        &format!("events/{year}/{}.parquet#4711000002", new_id()),
        &bytes,
    );
    yard.leave(
        &format!("index/{year}/{}.a1.split", id_of(&orphan)),
        b"split",
    );

    let run = yard.run().await;
    let gone = segments_with(&yard, &GO);
    assert!(
        gone.len() > 5,
        "{gone:?}: ancestors, what lies out, and what the dead left"
    );
    let purged = purge::run(&yard.ledger, &yard.by).await.unwrap();
    assert_eq!(purged.runs, std::slice::from_ref(&run));
    assert!(!orphan.exists() && !half.exists());
    // Whoever was killed at it since then is as dead.
    yard.leave(
        &format!("ledger/params/{number}-44556677.json#4711000003"),
        marker(2).as_bytes(),
    );
    for entry in entries {
        yard.ledger
            .remove_params(&yard.by, entry, "asked for")
            .await
            .unwrap();
    }
    for seq in GO {
        assert_eq!(yard.found(&marker(seq)), Vec::<PathBuf>::new());
    }
    // Whoever was copying a file of theirs all the while is done only now: it does not stay.
    for seq in GO {
        with_file(&yard.archive, &yard.events[seq as usize - 1]).await;
        assert_eq!(yard.found(&marker(seq)).len(), 1, "{seq}");
    }
    purge::run(&yard.ledger, &yard.by).await.unwrap();
    for seq in GO {
        assert_eq!(yard.found(&marker(seq)), Vec::<PathBuf>::new());
    }
    for seq in STAY {
        // The event, and its file.
        assert!(yard.found(&marker(seq)).len() >= 2, "{seq}");
    }
    // Terms lie compressed in splits: what was built from the segments that went is gone by name.
    let left = yard.files().into_iter().filter(|path| {
        let of_segment = |name: &str| path.components().any(|part| part.as_os_str() == name);
        (of_segment("events") || of_segment("index")) && gone.contains(&id_of(path))
    });
    assert_eq!(left.collect::<Vec<_>>(), Vec::<PathBuf>::new());
    let after = yard.hashes().await;
    assert_eq!(live(&yard.archive).await, set(&STAY));
    assert!(after.iter().all(|(seq, hash)| before[seq] == *hash));
    answers(&yard, &run).await;
    a_file_that_a_late_purger_took_is_missed(&yard).await;
}

/// Another event has the same file by now; somebody who worked on the same purge deleted it all the same, and died.
async fn a_file_that_a_late_purger_took_is_missed(yard: &Yard) {
    let shared = with_file(&yard.archive, &yard.events[GO[0] as usize - 1]).await;
    let mut row = made(9, t::MESSAGE_POSTED, 355, Some(9), 1).row();
    row.event.attachments = shared.event.attachments;
    let sha256 = row.event.attachments[0].sha256.clone().unwrap();
    assert!(ingest_rows(&yard.archive, &[row]).await.unwrap());
    purge::run(&yard.ledger, &yard.by).await.unwrap();
    assert!(yard.archive.attachment(&sha256).await.unwrap().is_some());
    let file = attachments::path(&sha256).unwrap();
    std::fs::remove_file(yard.home.path().join("archive").join(file)).unwrap();
    purge::run(&yard.ledger, &yard.by).await.unwrap();
    let pending = yard.archive.pending_attachments().await.unwrap();
    let pending: Vec<_> = pending.iter().map(|one| &*one.sha256).collect();
    assert_eq!(pending, [&*sha256]);
}

/// It answers for what is gone as for what is there.
async fn answers(yard: &Yard, run: &str) {
    let lines = certificate::read_list(&yard.archive, run).await.unwrap();
    let lines = lines.unwrap();
    let gone: BTreeSet<u64> = lines.iter().map(|line| line.sequence).collect();
    assert_eq!(gone, set(&GO));
    let told =
        |line: &certificate::EventLine| line.id.is_some() && line.room.as_deref() == Some("r-1");
    assert!(lines.iter().all(told));
    let snapshot = yard.ledger.archive().snapshot().await.unwrap();
    let explained = explain(&yard.ledger, &snapshot, lines[0].id.as_deref().unwrap())
        .await
        .unwrap();
    assert!(matches!(explained, Explanation::Away(Away::Gone { id, .. }) if id == run));
    let there = &yard.events[0];
    let id = there.id();
    let explained = explain(&yard.ledger, &snapshot, &id).await.unwrap();
    let Explanation::There { decision, family } = explained else {
        panic!("{explained:?}")
    };
    assert!(matches!(decision.verdict, Verdict::Retained { policy, .. } if policy == "year"));
    assert_eq!(family, [there.id()]);
}
