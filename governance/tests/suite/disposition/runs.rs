//! Runs, holds, purges, restores and erasures, one promise a test.

use std::sync::Arc;

use holdfast_archive::gc::{self, GcOptions};
use holdfast_governance::disposition::{certificate, run};
use holdfast_governance::plan::Reason;
use holdfast_governance::schedule::{self, Ran};
use holdfast_governance::{erasure, hold, purge, restore};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::erasure::{Blocked, ErasureRequest, ErasureSubject};
use holdfast_schemas::ledger::hold::{HoldRelease, HoldScope};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::ledger::policy::ScheduleSet;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::model::acts::{fresh, live, made, place, room, run_plan, save, set};
use crate::model::events::{DAY_US, Made, ingest};
use crate::model::world::{begin, process, write};

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_family_over_segments_and_months_touched_after_the_plan_stays_as_a_whole() {
    let process = fresh().await;
    let family = [
        made(1, t::MESSAGE_POSTED, 900, Some(1), 1),
        made(2, t::MESSAGE_EDITED, 800, Some(1), 1),
        made(3, t::REACTION_ADDED, 700, Some(1), 1),
        made(4, t::MESSAGE_POSTED, 900, Some(4), 1),
    ];
    for event in &family {
        ingest(&process.archive, std::slice::from_ref(event))
            .await
            .unwrap();
    }
    let (plan, tally) = save(&process).await;
    assert_eq!((tally.events, tally.families), (4, 2));
    // An edit, old by its own date, that the plan does not know; and one that is young.
    ingest(
        &process.archive,
        &[made(5, t::MESSAGE_EDITED, 2, Some(1), 1)],
    )
    .await
    .unwrap();
    let report = run_plan(&process, &plan).await;
    assert_eq!(live(&process.archive).await, set(&[1, 2, 3, 5]));
    assert_eq!(report.outcome.unwrap().events, 1);
    assert_eq!(report.tally.stays, vec![(Reason::Family, 3)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_run_removes_a_subset_of_its_plan_and_names_the_rest() {
    let process = fresh().await;
    let old: Vec<Made> = (1..=6)
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), seq % 2))
        .collect();
    ingest(&process.archive, &old).await.unwrap();
    let (plan, _) = save(&process).await;
    // Due by now, but not in the plan: nothing is added.
    ingest(
        &process.archive,
        &[made(7, t::MESSAGE_POSTED, 800, Some(7), 0)],
    )
    .await
    .unwrap();
    let receipt = place(&process, "late", room("r-1")).await;
    assert_eq!((receipt.coverage.events, receipt.restored), (3, 0));
    let report = run_plan(&process, &plan).await;
    assert_eq!(live(&process.archive).await, set(&[1, 3, 5, 7]));
    let stays = vec![
        (Reason::Hold("late".to_owned()), 3),
        (Reason::NotPlanned, 1),
    ];
    assert_eq!(report.tally.stays, stays);
    // A plan runs once.
    let again = run::run(&process.ledger, &process.by, &plan, Authority::Plan)
        .await
        .unwrap_err();
    assert!(again.to_string().contains("ran already"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_a_hold_in_the_grace_brings_back_what_it_covers_before_it_is_acknowledged() {
    let process = fresh().await;
    let old: Vec<Made> = (1..=6)
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), seq % 2))
        .collect();
    ingest(&process.archive, &old).await.unwrap();
    let (plan, _) = save(&process).await;
    let run = run_plan(&process, &plan).await.run;
    assert_eq!(live(&process.archive).await, set(&[]));
    // Garbage collection leaves what can be put back.
    let options = GcOptions {
        min_age: std::time::Duration::ZERO,
        grace: std::time::Duration::ZERO,
        dry_run: false,
    };
    gc::run(&process.archive, options, process.ledger.now_us() / 1000)
        .await
        .unwrap();
    let receipt = place(&process, "h", room("r-1")).await;
    assert_eq!((receipt.restored, receipt.coverage.events), (3, 3));
    assert_eq!(live(&process.archive).await, set(&[1, 3, 5]));
    let outcome = restore::run(&process.ledger, &process.by, &run)
        .await
        .unwrap()
        .unwrap();
    assert!(outcome.whole && outcome.events == 3);
    assert_eq!(live(&process.archive).await, set(&[1, 2, 3, 4, 5, 6]));
    assert_eq!(
        restore::run(&process.ledger, &process.by, &run)
            .await
            .unwrap(),
        None
    );
    let proof = hold::verify(&process.ledger, &process.by, "h")
        .await
        .unwrap();
    assert_eq!(
        (proof.matched_then, proof.now.events, proof.removed),
        (Some(3), 3, 0)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_is_blocked_by_holds_and_policies_and_then_takes_whole_families() {
    let process = fresh().await;
    let mut events: Vec<Made> = (1..=4)
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), 1))
        .collect();
    events.push(Made {
        user: 2,
        ..made(5, t::REACTION_ADDED, 700, Some(1), 1)
    });
    events.push(Made {
        user: 2,
        ..made(6, t::MESSAGE_POSTED, 800, Some(6), 1)
    });
    events.push(made(7, t::MESSAGE_POSTED, 100, Some(7), 1));
    ingest(&process.archive, &events).await.unwrap();
    place(
        &process,
        "h",
        HoldScope {
            query: Some("marker2x".to_owned()),
            ..HoldScope::default()
        },
    )
    .await;
    let identity = Identity {
        kind: IdentityKind::Id,
        value: "u-1".to_owned(),
        from_us: None,
        until_us: None,
    };
    let request = ErasureRequest {
        id: "e-1".to_owned(),
        subject: ErasureSubject::Person {
            person: "ana".to_owned(),
            identities: vec![identity],
        },
        due_us: process.ledger.now_us() + 30 * DAY_US,
        reason: "asked for".to_owned(),
    };
    erasure::request(&process.ledger, &process.by, &request)
        .await
        .unwrap();
    let judged = erasure::judge(&process.ledger, &process.by, "e-1")
        .await
        .unwrap();
    assert_eq!(judged.events, 4);
    assert!(
        judged.blocked.contains(&Blocked::Hold {
            name: "h".to_owned()
        }),
        "{judged:?}"
    );
    assert!(
        judged.blocked.iter().any(
            |one| matches!(one, Blocked::Policy { name, until_us: Some(_) } if name == "year")
        )
    );
    let report = erasure::run(&process.ledger, &process.by, "e-1")
        .await
        .unwrap();
    // What is held, what is retained, and what somebody else wrote stays; the reaction goes with its message.
    assert_eq!(live(&process.archive).await, set(&[2, 6, 7]));
    let state = process.ledger.refresh().await.unwrap();
    assert_eq!(
        state.erasures["e-1"].status,
        holdfast_governance::ledger::state::ErasureStatus::Partial
    );
    let release = HoldRelease {
        name: "h".to_owned(),
        reason: "over".to_owned(),
        holds_until_us: 0,
    };
    hold::release(&process.ledger, &process.by, &release)
        .await
        .unwrap();
    erasure::run(&process.ledger, &process.by, "e-1")
        .await
        .unwrap();
    assert_eq!(live(&process.archive).await, set(&[6, 7]));
    purge::run(&process.ledger, &process.by).await.unwrap();
    let lines = certificate::read_list(&process.archive, &report.run)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(lines.len(), 4);
    assert!(lines.iter().all(|line| line.id.is_none()
        && line.room.is_none()
        && line.actor.is_none()
        && line.time.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_nightly_run_waits_when_more_would_go_than_it_may_take() {
    let process = fresh().await;
    let mut events: Vec<Made> = (1..=4)
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), 1))
        .collect();
    events.extend((5..=20).map(|seq| made(seq, t::MESSAGE_POSTED, 10, Some(seq), 1)));
    ingest(&process.archive, &events).await.unwrap();
    let tick = || async {
        schedule::tick(&process.ledger, &process.by, "p1")
            .await
            .unwrap()
    };
    assert_eq!(tick().await, Ran::NotScheduled);
    let every_second = |max_share_ppm| {
        Act::ScheduleSet(ScheduleSet {
            cron: "* * * * * *".to_owned(),
            time_zone: "UTC".to_owned(),
            max_share_ppm,
        })
    };
    write(&process, every_second(100_000)).await;
    let first = loop {
        match tick().await {
            Ran::NotDue { .. } => tokio::task::yield_now().await,
            other => break other,
        }
    };
    let Ran::Waits {
        events,
        events_total,
        ..
    } = first
    else {
        panic!("{first:?}")
    };
    assert_eq!((events, events_total), (4, 20));
    assert_eq!(live(&process.archive).await.len(), 20);
    write(&process, every_second(250_000)).await;
    let second = loop {
        match tick().await {
            Ran::NotDue { .. } => tokio::task::yield_now().await,
            other => break other,
        }
    };
    assert!(
        matches!(second, Ran::Done { run: Some(_), .. }),
        "{second:?}"
    );
    assert_eq!(live(&process.archive).await.len(), 16);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_share_one_store() {
    let inner: Arc<dyn ObjectStore> = begin().await;
    let (one, two) = (process(&inner).await, process(&inner).await);
    let old: Vec<Made> = (1..=6)
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), seq % 2))
        .collect();
    ingest(&one.archive, &old).await.unwrap();
    let (plan, _) = save(&one).await;
    place(&two, "h", room("r-0")).await;
    run_plan(&one, &plan).await;
    assert_eq!(live(&two.archive).await, set(&[2, 4, 6]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_reads_nothing_but_what_its_plan_takes_and_what_changed_since() {
    let process = fresh().await;
    ingest(
        &process.archive,
        &[made(1, t::MESSAGE_POSTED, 800, Some(1), 1)],
    )
    .await
    .unwrap();
    ingest(
        &process.archive,
        &[made(2, t::MESSAGE_POSTED, 9, Some(2), 2)],
    )
    .await
    .unwrap();
    let (plan, _) = save(&process).await;
    // Nothing that changed concerns it: a young event elsewhere, a hold on another room.
    ingest(
        &process.archive,
        &[made(3, t::MESSAGE_POSTED, 8, Some(3), 2)],
    )
    .await
    .unwrap();
    place(&process, "elsewhere", room("r-2")).await;
    // The segment that was there and loses nothing cannot be read any more.
    let snapshot = process.archive.snapshot().await.unwrap();
    let segments = snapshot.segments().await.unwrap();
    let since_us = process.ledger.now_us() - 100 * DAY_US;
    let young = segments
        .iter()
        .filter(|one| one.stats.event_time_us.0 > since_us);
    let young = young.min_by_key(|one| one.commit_version).unwrap();
    let path = object_store::path::Path::from(format!("events/{}", young.path));
    let bytes = process.archive.store().get(&path).await.unwrap();
    let bytes = bytes.bytes().await.unwrap();
    process.archive.store().delete(&path).await.unwrap();
    let report = run_plan(&process, &plan).await;
    assert_eq!((report.outcome.unwrap().events, report.attempts), (1, 1));
    process
        .archive
        .store()
        .put(&path, bytes.into())
        .await
        .unwrap();
    assert_eq!(live(&process.archive).await, set(&[2, 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_record_stays_when_another_run_took_the_one_that_ended_its_time() {
    let process = fresh().await;
    let session = |seq, event_type, days_ago| Made {
        session: 7,
        ..made(seq, event_type, days_ago, None, 1)
    };
    for event in [
        session(1, t::ROOM_JOINED, 900),
        session(2, t::ROOM_LEFT, 880),
    ] {
        ingest(&process.archive, &[event]).await.unwrap();
    }
    // Two plans, one record each.
    let mut plans = Vec::new();
    for (name, kept) in [("joined", t::ROOM_JOINED), ("left", t::ROOM_LEFT)] {
        let scope = HoldScope {
            types: vec![kept.to_owned()],
            ..HoldScope::default()
        };
        place(&process, name, scope).await;
        let (plan, tally) = save(&process).await;
        assert_eq!(tally.events, 1);
        plans.push(plan);
        let release = HoldRelease {
            name: name.to_owned(),
            reason: "a test".to_owned(),
            holds_until_us: 0,
        };
        hold::release(&process.ledger, &process.by, &release)
            .await
            .unwrap();
    }
    let left = run_plan(&process, &plans[0]).await;
    assert_eq!(left.outcome.unwrap().events, 1);
    assert_eq!(live(&process.archive).await, set(&[1]));
    // Late, and old by its date: whoever joined and, as far as the archive tells by now, never left, could see it.
    let late = made(3, t::MESSAGE_POSTED, 870, Some(3), 1);
    ingest(&process.archive, &[late]).await.unwrap();
    let joined = run_plan(&process, &plans[1]).await;
    assert_eq!(joined.outcome, None);
    assert_eq!(live(&process.archive).await, set(&[1, 3]));
}
