//! A plan reads what it must and remembers the rest: it agrees with one that reads everything and remembers nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::world::{Process, begin, process};
use holdfast_archive::segment::{SegmentFooter, encode, new_id};
use holdfast_archive::{Append, Archive, CommitKind, Counts, Outcome};
use holdfast_fixtures::{Generator, Profile};
use holdfast_governance::hold::Hold;
use holdfast_governance::plan::{self, Basis, Plan};
use holdfast_schemas::columns::{RowBuilder, event_year};
use holdfast_schemas::decode::decode;
use holdfast_schemas::ledger::hold::{HoldScope, RoomRef};
use holdfast_schemas::{Intake, Row};
use object_store::ObjectStoreExt;
use object_store::path::Path;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use uuid::Uuid;

const YEAR_US: i64 = 365 * 86_400_000_000;
const EVENTS: u64 = 1_500;
const SEGMENTS: u64 = 24;

/// Commits rows, one segment a year.
async fn commit(archive: &Archive, json: &[Vec<u8>], grace_us: i64) {
    let mut years: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    let mut archived: BTreeMap<String, roaring::RoaringTreemap> = BTreeMap::new();
    for line in json {
        let event = decode(line).unwrap();
        archived
            .entry(event.origin.to_string())
            .or_default()
            .insert(event.sequence);
        years
            .entry(event_year(event.time_us))
            .or_default()
            .push(event);
    }
    let commit_id = Uuid::new_v4();
    let mut segments = Vec::new();
    for (year, mut events) in years {
        events.sort_by(|a, b| (a.time_us, &a.id).cmp(&(b.time_us, &b.id)));
        let mut builder = RowBuilder::with_capacity(events.len());
        let rows = events.len() as u64;
        for event in events {
            let ingest_time_us = event.time_us + grace_us;
            let intake = Intake {
                ingest_time_us,
                ..Intake::default()
            };
            builder.append(&Row { event, intake });
        }
        let footer = SegmentFooter {
            commit_id,
            positions: Vec::new(),
            rows,
            merkle_root: [0; 32],
        };
        let file = encode(new_id(), year, &builder.finish().unwrap(), &footer, None).unwrap();
        archive.put_segment(&file).await.unwrap();
        segments.push(file.segment);
    }
    let append = Append {
        commit_id,
        kind: CommitKind::Append,
        segments,
        positions: Vec::new(),
        archived,
        counts: Counts::default(),
        merkle_root: [0; 32],
    };
    let base = archive.snapshot().await.unwrap();
    let outcome = archive.append(&base, append).await.unwrap();
    assert!(matches!(outcome, Outcome::Committed(_)), "{outcome:?}");
}

/// Three years of every type of event, dealt out to segments at random, mostly to the one of their time.
async fn archive_of(seed: u64, process: &Process) {
    let mut random = StdRng::seed_from_u64(seed);
    let now_us = process.ledger.now_us();
    let profile = Profile {
        rooms: 3,
        users: 5,
        start_us: now_us - 3 * YEAR_US,
        span_us: 3 * YEAR_US - 1,
        attachments_per_mille: 100,
        ..Profile::new(seed, EVENTS)
    };
    let mut dealt: Vec<Vec<Vec<u8>>> = vec![Vec::new(); SEGMENTS as usize];
    for (place, generated) in (0..).zip(Generator::new(profile)) {
        let own = place * SEGMENTS / EVENTS;
        let to = match random.next_u64() % 20 {
            0 => random.next_u64() % SEGMENTS,
            _ => own,
        };
        dealt[to as usize].push(generated.json);
    }
    for json in dealt.iter().filter(|json| !json.is_empty()) {
        commit(&process.archive, json, 0).await;
    }
}

fn holds(seed: u64) -> Vec<Hold> {
    let scope = match seed % 3 {
        0 => return Vec::new(),
        1 => HoldScope {
            rooms: vec![RoomRef {
                id: "r-2".to_owned(),
                name: None,
            }],
            ..HoldScope::default()
        },
        _ => HoldScope {
            query: Some("from:u-1 OR type:chat.reaction.added".to_owned()),
            ..HoldScope::default()
        },
    };
    vec![Hold::new("h", &scope, &[], jiff::Timestamp::UNIX_EPOCH).unwrap()]
}

async fn basis(process: &Process, seed: u64) -> Arc<Basis> {
    let rules = plan::rules(&process.ledger.state()).unwrap();
    // With an ingest grace of half a year, in some.
    let grace_us = if seed.is_multiple_of(2) {
        0
    } else {
        3 * YEAR_US / 2
    };
    Arc::new(Basis::new(
        rules,
        holds(seed),
        process.ledger.now_us(),
        grace_us,
    ))
}

fn shown(plan: &Plan) -> String {
    let segments = plan.segments.iter();
    let segments: Vec<_> = segments
        .map(|one| (&one.segment.path, one.rows.iter().collect::<Vec<_>>()))
        .collect();
    format!("{:?}\n{segments:?}\n{:?}", plan.tally, plan.records)
}

async fn memories(archive: &Archive) -> BTreeSet<String> {
    use futures::TryStreamExt;
    let listed = archive.store().list(Some(&Path::from("index")));
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    let paths = listed.into_iter().map(|meta| meta.location.to_string());
    paths.filter(|path| path.ends_with(".memory")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_plan_that_leaves_segments_out_agrees_with_one_that_reads_everything() {
    let (mut gone, mut stayed) = (0, 0);
    for seed in 1..=12 {
        let process = process(&begin().await).await;
        archive_of(seed, &process).await;
        let basis = basis(&process, seed).await;
        let snapshot = process.archive.snapshot().await.unwrap();
        let whole = plan::make_by_reading_everything(&process.archive, &snapshot, &basis);
        let whole = whole.await.unwrap();
        assert!(memories(&process.archive).await.is_empty());
        for round in ["first", "second"] {
            let plan = plan::make(&process.archive, &snapshot, &basis).await;
            let plan = plan.unwrap();
            assert_eq!(shown(&plan), shown(&whole), "seed {seed}, {round}");
        }
        let segments = snapshot.segments().await.unwrap();
        assert_eq!(memories(&process.archive).await.len(), segments.len());
        gone += whole.tally.events;
        stayed += whole.tally.stays.iter().map(|(_, n)| n).sum::<u64>();
        assert!(!whole.records.is_empty() || seed % 3 != 0, "seed {seed}");
    }
    assert!(gone > 1_000 && stayed > 100, "{gone} went, {stayed} stayed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_plan_does_not_read_segments_in_which_nothing_can_expire() {
    let process = process(&begin().await).await;
    let now_us = process.ledger.now_us();
    for years in 0..3i64 {
        let profile = Profile {
            start_us: now_us - (3 - years) * YEAR_US,
            span_us: YEAR_US / 2,
            first_sequence: 1 + years.unsigned_abs() * 300,
            ..Profile::new(years.unsigned_abs(), 300)
        };
        let json: Vec<_> = Generator::new(profile).map(|event| event.json).collect();
        commit(&process.archive, &json, 0).await;
    }
    let basis = basis(&process, 0).await;
    let snapshot = process.archive.snapshot().await.unwrap();
    let first = plan::make(&process.archive, &snapshot, &basis)
        .await
        .unwrap();
    let latest = basis.cutoffs.latest();
    let segments = snapshot.segments().await.unwrap();
    let young: Vec<_> = segments
        .iter()
        .filter(|one| one.stats.event_time_us.0 >= latest)
        .collect();
    assert!(!young.is_empty() && young.len() < segments.len());
    // Whatever reads them fails from now on.
    for segment in &young {
        let path = Path::from(format!("events/{}", segment.path));
        process.archive.store().delete(&path).await.unwrap();
    }
    let second = plan::make(&process.archive, &snapshot, &basis)
        .await
        .unwrap();
    assert!(first.tally.events > 0);
    assert_eq!(shown(&second), shown(&first));
    // A damaged memory is none: the segment is read again, and that fails here.
    let path = memories(&process.archive).await;
    let path = path.iter().find(|path| path.contains(young[0].id()));
    let path = Path::from(path.unwrap().as_str());
    let store = process.archive.store();
    let mut bytes = store
        .get(&path)
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap()
        .to_vec();
    bytes[60] ^= 1;
    store.put(&path, bytes.into()).await.unwrap();
    let third = plan::make(&process.archive, &snapshot, &basis).await;
    assert!(third.is_err());
}
