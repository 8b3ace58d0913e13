//! AR-1 and progress: a compaction of many rows, which takes far longer than the pause between two commits of an ingest beside
//! it, ends all the same, and loses or doubles nothing. A rewrite that began anew after every conflict never would.
//!
//! `make test` merges 200,000 rows beside a commit every 50 ms; `make soak` (`HOLDFAST_ROUNDS`) a million beside one every two
//! seconds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_archive::segment::{self, SegmentFooter};
use holdfast_archive::{
    Append, Archive, CommitKind, Counts, EncodedSegment, Location, OpenOptions, Outcome,
};
use holdfast_fixtures::{Generator, Profile};
use holdfast_indexer::maintenance::policy::Policy;
use holdfast_indexer::maintenance::{CompactOptions, compact};
use holdfast_schemas::columns::{RowBuilder, event_year};
use holdfast_schemas::decode::decode;
use holdfast_schemas::{Intake, Row};
use holdfast_tests::rounds::rounds;
use roaring::RoaringTreemap;
use tempfile::TempDir;
use tokio::sync::oneshot;
use uuid::Uuid;

const SEGMENTS: u64 = 40;
/// Rows of each commit of the ingest.
const LIVE_ROWS: u64 = 10;

/// Rows to merge, and the pause between two commits beside it.
fn size() -> (u64, Duration) {
    if rounds(0) == 0 {
        (200_000, Duration::from_millis(50))
    } else {
        (1_000_000, Duration::from_secs(2))
    }
}

/// The generator's next rows as a segment, and their sequences.
fn encode(
    events: &mut Generator,
    rows: u64,
    commit_id: Uuid,
) -> (EncodedSegment, String, RoaringTreemap) {
    let mut builder = RowBuilder::with_capacity(usize::try_from(rows).unwrap());
    let (mut origin, mut year) = (String::new(), 0);
    let mut sequences = RoaringTreemap::new();
    for generated in events.take(usize::try_from(rows).unwrap()) {
        let event = decode(&generated.json).unwrap();
        (origin, year) = (event.origin.clone().into_owned(), event_year(event.time_us));
        sequences.insert(generated.sequence);
        builder.append(&Row {
            event,
            intake: Intake::default(),
        });
    }
    let footer = SegmentFooter {
        commit_id,
        positions: Vec::new(),
        rows: sequences.len(),
        merkle_root: [0; 32],
    };
    let batch = builder.finish().unwrap();
    let encoded = segment::encode(segment::new_id(), year, &batch, &footer, None).unwrap();
    (encoded, origin, sequences)
}

/// Commits the generator's next rows as one segment.
async fn commit(archive: &Archive, mut events: Generator, rows: u64) -> Generator {
    let commit_id = Uuid::now_v7();
    let (encoded, origin, sequences, events) = tokio::task::spawn_blocking(move || {
        let (encoded, origin, sequences) = encode(&mut events, rows, commit_id);
        (encoded, origin, sequences, events)
    })
    .await
    .unwrap();
    archive.put_segment(&encoded).await.unwrap();
    let count = sequences.len();
    let append = Append {
        commit_id,
        kind: CommitKind::Append,
        segments: vec![encoded.segment],
        positions: Vec::new(),
        archived: BTreeMap::from([(origin, sequences)]),
        counts: Counts {
            consumed: count,
            archived: count,
            ..Counts::default()
        },
        merkle_root: [0; 32],
    };
    let base = archive.snapshot().await.unwrap();
    match archive.append(&base, append).await.unwrap() {
        Outcome::Committed(_) => events,
        other => panic!("{other:?}"),
    }
}

/// Messages of one origin, all within one year.
fn generator(origin: &str, rows: u64) -> Generator {
    let mut profile = Profile::messages(17, rows);
    origin.clone_into(&mut profile.origin);
    Generator::new(profile)
}

/// Commits beside the compaction until it has ended; how many.
async fn ingest(archive: Archive, pause: Duration, mut ended: oneshot::Receiver<()>) -> u64 {
    let mut events = generator("live.1", 1_000_000);
    let mut commits = 0;
    let mut clock = tokio::time::interval(pause);
    loop {
        tokio::select! {
            _ = &mut ended => return commits,
            _ = clock.tick() => {}
        }
        events = commit(&archive, events, LIVE_ROWS).await;
        commits += 1;
    }
}

/// Sequences of every live row by origin, read from the rows; panics at one that is there twice.
async fn sequences(archive: &Archive) -> BTreeMap<String, RoaringTreemap> {
    let mut found: BTreeMap<String, RoaringTreemap> = BTreeMap::new();
    let snapshot = archive.snapshot().await.unwrap();
    for segment in snapshot.segments().await.unwrap().iter() {
        let reader = SegmentReader::open(archive, segment).await.unwrap();
        let options = ReadOptions {
            columns: Some(&["origin", "origin_seq"]),
            ..ReadOptions::default()
        };
        let mut batches = reader.read(&options).unwrap();
        while let Some(batch) = batches.try_next().await.unwrap() {
            let origins = batch.column(0).as_string::<i32>();
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            for (origin, number) in origins.iter().zip(numbers.values()) {
                let set = found.entry(origin.unwrap().to_owned()).or_default();
                let new = set.insert(u64::try_from(*number).unwrap());
                assert!(new, "{number} of {origin:?} is there twice");
            }
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_long_compaction_ends_beside_an_ingest_that_never_rests() {
    let (rows, pause) = size();
    let folder = TempDir::new().unwrap();
    let options = OpenOptions {
        fsync: false,
        ..OpenOptions::default()
    };
    let archive = Archive::create_with(&Location::local(folder.path()), options.clone())
        .await
        .unwrap();
    let begin = Instant::now();
    let mut events = generator("merged.1", rows);
    for _ in 0..SEGMENTS {
        events = commit(&archive, events, rows / SEGMENTS).await;
    }
    println!(
        "{rows} rows in {SEGMENTS} segments after {:?}",
        begin.elapsed()
    );

    // Another process, as far as the archive can tell.
    let beside = Archive::open_with(&Location::local(folder.path()), options)
        .await
        .unwrap();
    let (end, ended) = oneshot::channel();
    let ingest = tokio::spawn(ingest(beside, pause, ended));
    let begin = Instant::now();
    let compaction = CompactOptions {
        // All of them at once, and what the ingest has committed by then.
        policy: Policy {
            rows_max: 2 * rows,
            bytes_max: u64::MAX,
            ..Policy::everything()
        },
        holder: "test".to_owned(),
        merges_max: 1,
    };
    let report = compact(&archive, &compaction).await.unwrap();
    end.send(()).unwrap();
    let commits = ingest.await.unwrap();
    println!(
        "merged after {:?} beside {commits} commits: {report:?}",
        begin.elapsed()
    );
    let [merge] = report.merges.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(report.skipped, 0, "{report:?}");
    assert!(merge.rows >= rows && merge.inputs >= 40, "{report:?}");
    assert!(commits > 1, "nothing went on beside it");
    let expected = BTreeMap::from([
        ("merged.1".to_owned(), (1..=rows).collect()),
        (
            "live.1".to_owned(),
            (1..=commits * LIVE_ROWS).collect::<RoaringTreemap>(),
        ),
    ]);
    assert_eq!(sequences(&archive).await, expected);
}
