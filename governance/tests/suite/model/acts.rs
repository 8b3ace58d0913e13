//! What tests do to an archive of made-up events, in few words.

use std::collections::BTreeSet;

use futures::TryStreamExt;
use holdfast_archive::Archive;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_governance::disposition::{plan_file, run};
use holdfast_governance::hold;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::hold::{HoldPlace, HoldScope, RoomRef};

use super::events::{DAY_US, Made};
use super::world::{Process, begin, process};

pub(crate) async fn fresh() -> Process {
    process(&begin().await).await
}

pub(crate) fn made(
    seq: u64,
    event_type: &'static str,
    days_ago: i64,
    message: Option<u64>,
    room: u64,
) -> Made {
    let now_us = jiff::Timestamp::now().as_microsecond();
    Made {
        seq,
        event_type,
        time_us: now_us - days_ago * DAY_US + seq.cast_signed(),
        room,
        user: room,
        message,
        session: seq,
        body: format!("words of marker{seq}x"),
    }
}

pub(crate) async fn live(archive: &Archive) -> BTreeSet<u64> {
    let snapshot = archive.snapshot().await.unwrap();
    let mut found = BTreeSet::new();
    for segment in snapshot.segments().await.unwrap().iter() {
        let reader = SegmentReader::open(archive, segment).await.unwrap();
        let batches: Vec<_> = reader
            .read(&ReadOptions::default())
            .unwrap()
            .try_collect()
            .await
            .unwrap();
        for batch in &batches {
            let rows = Rows::new(batch).unwrap();
            found.extend((0..rows.len()).map(|place| rows.event(place).sequence));
        }
    }
    found
}

pub(crate) async fn save(process: &Process) -> (String, holdfast_governance::plan::Tally) {
    let made = plan_file::make(&process.ledger, process.ledger.now_us())
        .await
        .unwrap();
    let (saved, _) = plan_file::save(&process.ledger, &process.by, &made)
        .await
        .unwrap();
    (saved.id, made.plan.tally)
}

pub(crate) async fn run_plan(process: &Process, plan: &str) -> run::RunReport {
    run::run(&process.ledger, &process.by, plan, Authority::Plan)
        .await
        .unwrap()
}

pub(crate) async fn place(process: &Process, name: &str, scope: HoldScope) -> hold::Receipt {
    let place = HoldPlace {
        name: name.to_owned(),
        matter: "m".to_owned(),
        scope,
        reason: "a test".to_owned(),
        table_version: 0,
    };
    hold::place(&process.ledger, &process.by, &place)
        .await
        .unwrap()
}

pub(crate) fn room(id: &str) -> HoldScope {
    HoldScope {
        rooms: vec![RoomRef {
            id: id.to_owned(),
            name: None,
        }],
        ..HoldScope::default()
    }
}

pub(crate) fn set(sequences: &[u64]) -> BTreeSet<u64> {
    sequences.iter().copied().collect()
}
