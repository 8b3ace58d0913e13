//! Attacks: what may run, and what may be approved.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_fixtures::{Fault, Operation, Plan};
use holdfast_governance::disposition::run;
use holdfast_governance::ledger::{Context, Judged, Ledger, LedgerOptions};
use holdfast_governance::schedule;
use holdfast_governance::{hold, purge};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::hold::HoldRelease;
use holdfast_schemas::ledger::policy::{
    PolicyAction, PolicyLock, PolicyScope, PolicySet, ScheduleSet,
};

use super::{actor, by, hold_of, old, signing};
use crate::model::acts::{fresh, live, made, room, run_plan, save, set};
use crate::model::events::ingest;
use crate::model::world::write;

#[tokio::test(flavor = "multi_thread")]
async fn le1_an_approved_release_can_be_carried_out_later_and_never_earlier() {
    use ledger::actor::Role;
    let first = fresh().await;
    write(&first, actor("rec", 1, &[Role::Records])).await;
    let (rec, leg, app) = (signing("rec", 1), signing("leg", 2), signing("app", 3));
    by(&first, &rec, actor("leg", 2, &[Role::Legal])).await;
    by(&first, &rec, actor("app", 3, &[Role::Approver])).await;
    hold::place(&first.ledger, &leg, &hold_of("h", room("r-1")))
        .await
        .unwrap();
    let four = ledger::config::ConfigSet {
        key: "governance.four_eyes".to_owned(),
        value: "true".to_owned(),
    };
    by(&first, &rec, Act::ConfigSet(four)).await;
    let release = |until_us| {
        let release = HoldRelease {
            name: "h".to_owned(),
            reason: "settled".to_owned(),
            holds_until_us: until_us,
        };
        let (ledger, leg) = (&first.ledger, &leg);
        async move { hold::release(ledger, leg, &release).await.map(|_| ()) }
    };
    let now_us = first.ledger.now_us();
    assert!(release(now_us).await.is_err());
    let requests = || {
        let state = first.ledger.state();
        let waiting = state.approvals.values().filter(|one| one.given.is_none());
        waiting
            .map(|one| one.requested.mark.seq)
            .collect::<Vec<_>>()
    };
    let asked = requests();
    assert_eq!(asked.len(), 1);
    // Asked again a moment later it is the same request: the grace only ends later.
    assert!(release(now_us + 5).await.is_err());
    assert_eq!(requests(), asked);
    let id = asked[0].to_string();
    let given = first.ledger.append(&app, Context::default(), |state| {
        holdfast_governance::approval::judge_give(state, &app, &id)
    });
    given.await.unwrap();
    // A shorter grace is something else.
    assert!(release(now_us - 1).await.is_err());
    assert!(first.ledger.state().holds["h"].released.is_none());
    release(now_us + 9).await.unwrap();
    assert!(first.ledger.state().holds["h"].released.is_some());
    let state = first.ledger.state();
    let used = state.approvals.values().filter(|one| one.used.is_some());
    assert_eq!(used.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_what_was_asked_for_before_there_were_keys_cannot_be_approved() {
    use ledger::actor::Role;
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    // One person saves a plan as whoever they say they are, and would approve it under their name.
    let (plan, _) = save(&first).await;
    write(&first, actor("one", 1, &[Role::Records, Role::Approver])).await;
    let one = signing("one", 1);
    let given = first.ledger.append(&one, Context::default(), |state| {
        holdfast_governance::approval::judge_give(state, &one, &plan)
    });
    let refusal = given.await.unwrap_err().to_string();
    assert!(refusal.contains("before there were actors"), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_locked_default_is_not_cut_short_by_setting_another_policy() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let policy = |name: &str, period: &str, action| PolicySet {
        name: name.to_owned(),
        scope: PolicyScope::default(),
        period: period.to_owned(),
        time_zone: None,
        action,
        explicit: false,
        reason: None,
    };
    let keep = policy("default", "7y", PolicyAction::RetainThenDelete);
    write(&first, Act::PolicySet(keep)).await;
    let short = policy("year", "30d", PolicyAction::Delete);
    write(&first, Act::PolicySet(short)).await;
    assert_eq!(
        save(&first).await.1.events,
        4,
        "the default covers the rest only"
    );
    let lock = PolicyLock {
        name: "default".to_owned(),
    };
    write(&first, Act::PolicyLock(lock)).await;
    assert_eq!(save(&first).await.1.events, 0);
}

/// A clock that stands still.
#[derive(Debug, Default)]
struct Still(AtomicI64);

impl Environment for Still {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
    fn random(&self) -> u64 {
        7
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_scheduled_moment_takes_its_share_once_however_often_its_purge_fails() {
    let first = fresh().await;
    let mut events = old(1..=4);
    events.extend((5..=20).map(|seq| made(seq, t::MESSAGE_POSTED, 10, Some(seq), 1)));
    ingest(&first.archive, &events).await.unwrap();
    let clock = Arc::new(Still(AtomicI64::new(system_now_ms() - 3_000)));
    let options = LedgerOptions {
        environment: Arc::<Still>::clone(&clock),
        ..LedgerOptions::default()
    };
    let ledger = Ledger::open_with(&first.archive, options).await.unwrap();
    let set = ScheduleSet {
        cron: "* * * * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        max_share_ppm: 250_000,
    };
    let set = Act::ScheduleSet(set);
    let context = Context::default();
    ledger
        .append(&first.by, context, |_| Ok(Judged::Write(set.clone())))
        .await
        .unwrap();
    clock.0.fetch_add(3_000, Ordering::SeqCst);
    let faults = first.store.faults();
    let delete = Plan::dead_from(1, Fault::Before).on(&[Operation::Delete]);
    faults.plan(delete.path("events/"));
    let tick = || schedule::tick(&ledger, &first.by, "p1");
    assert!(tick().await.is_err());
    assert_eq!(live(&first.archive).await.len(), 16);
    // More became due meanwhile: it waits for the next moment.
    ingest(&first.archive, &old(21..=24)).await.unwrap();
    assert!(tick().await.is_err());
    assert_eq!(live(&first.archive).await.len(), 20);
    faults.clear();
    let done = tick().await.unwrap();
    assert!(
        matches!(done, schedule::Ran::Done { run: None, .. }),
        "{done:?}"
    );
    assert_eq!(live(&first.archive).await.len(), 20);
    assert!(matches!(
        tick().await.unwrap(),
        schedule::Ran::NotDue { .. }
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_nothing_runs_by_itself_but_what_the_schedule_allows_at_that_moment() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let (plan, _) = save(&first).await;
    let by_itself = |share| {
        let authority = Authority::Schedule {
            max_share_ppm: share,
        };
        let (ledger, by, plan) = (&first.ledger, &first.by, &plan);
        async move { run::run(ledger, by, plan, authority).await }
    };
    assert!(by_itself(1_000_000).await.is_err(), "nothing is scheduled");
    let set = ScheduleSet {
        cron: "0 3 * * *".to_owned(),
        time_zone: "UTC".to_owned(),
        max_share_ppm: 10_000,
    };
    write(&first, Act::ScheduleSet(set)).await;
    assert!(by_itself(1_000_000).await.is_err(), "another share");
    assert!(by_itself(10_000).await.is_err(), "more than its share");
    assert_eq!(live(&first.archive).await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_nothing_goes_while_the_ledger_holds_acts_of_a_newer_version() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let (plan, _) = save(&first).await;
    run_plan(&first, &plan).await;
    ingest(&first.archive, &old(5..=6)).await.unwrap();
    let (plan, _) = save(&first).await;
    let newer = Act::Unknown {
        action: "hold.everything".to_owned(),
        params: serde_json::json!({"of": "them"}),
    };
    write(&first, newer).await;
    let done = run::run(&first.ledger, &first.by, &plan, Authority::Plan).await;
    let refused = done.unwrap_err().to_string();
    assert!(refused.contains("hold.everything"), "{refused}");
    assert!(purge::run(&first.ledger, &first.by).await.is_err());
    assert_eq!(live(&first.archive).await, set(&[5, 6]));
    let kept = first.archive.snapshot().await.unwrap().kept().unwrap();
    assert_eq!(kept.len(), 1, "still restorable");
}
