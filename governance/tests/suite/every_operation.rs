//! HO-1 and LE-1 with the Nth store operation failing, N = 1, 2, 3 … until none does: before its effect, after it, with
//! the wrong answer, and with the process dead from there on. After each, another process comes, and everything holds; the
//! command that is given again ends as it should have.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::check::{self, Hold, Of, Rest};
use crate::model::events::{DAY_US, Made, ingest};
use crate::model::world::{self, Process, process};
use holdfast_fixtures::{Fault, Plan};
use holdfast_governance::disposition::{plan_file, recover, run};
use holdfast_governance::{erasure, hold, purge, restore};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::erasure::{ErasureRequest, ErasureSubject};
use holdfast_schemas::ledger::hold::{HoldPlace, HoldScope, RoomRef};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use object_store::ObjectStore;
use object_store::memory::InMemory;

/// What is done again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Place,
    Run,
    Purge,
    Restore,
    Erase,
}

/// A store in a state from which an act begins, and all that must hold of it.
struct Begin {
    store: InMemory,
    made: BTreeMap<u64, Made>,
    rest: Rest,
    plan: String,
}

fn all_events(now_us: i64) -> Vec<Made> {
    let one = |seq: u64, event_type, days: i64, room: u64, message: u64| Made {
        seq,
        event_type,
        time_us: now_us - days * DAY_US + seq.cast_signed(),
        room,
        user: room,
        message: Some(message),
        session: 0,
        body: format!("plain marker{seq}x"),
    };
    vec![
        one(1, t::MESSAGE_POSTED, 900, 0, 1),
        one(2, t::MESSAGE_EDITED, 850, 0, 1),
        one(3, t::MESSAGE_POSTED, 900, 1, 3),
        one(4, t::REACTION_ADDED, 800, 1, 3),
        one(5, t::MESSAGE_POSTED, 10, 1, 5),
        one(6, t::MESSAGE_POSTED, 900, 2, 6),
    ]
}

async fn events_and_plan() -> (Arc<InMemory>, BTreeMap<u64, Made>, String) {
    let inner = Arc::new(InMemory::new());
    let store: Arc<dyn ObjectStore> = inner.clone();
    world::begin_in(&store).await;
    let one = process(&store).await;
    let made = all_events(one.ledger.now_us());
    for two in made.chunks(3) {
        ingest(&one.archive, two).await.unwrap();
    }
    let plan = plan_file::make(&one.ledger, one.ledger.now_us())
        .await
        .unwrap();
    let (saved, _) = plan_file::save(&one.ledger, &one.by, &plan).await.unwrap();
    let made = made.into_iter().map(|event| (event.seq, event)).collect();
    (inner, made, saved.id)
}

async fn begin(act: Act) -> Begin {
    let (inner, made, plan) = events_and_plan().await;
    let store: Arc<dyn ObjectStore> = inner.clone();
    // A hold is placed, a run restored or purged, when something is out.
    if matches!(act, Act::Place | Act::Restore | Act::Purge) {
        let one = process(&store).await;
        run::run(&one.ledger, &one.by, &plan, Authority::Plan)
            .await
            .unwrap();
    }
    let rest = check::rest(&process(&store).await, &made).await;
    Begin {
        store: inner.fork(),
        made,
        rest,
        plan,
    }
}

fn place_room(room: u64) -> HoldPlace {
    HoldPlace {
        name: "h".to_owned(),
        matter: "m".to_owned(),
        scope: HoldScope {
            rooms: vec![RoomRef {
                id: format!("r-{room}"),
                name: None,
            }],
            ..HoldScope::default()
        },
        reason: "a test".to_owned(),
        table_version: 0,
    }
}

fn request() -> ErasureRequest {
    ErasureRequest {
        id: "e".to_owned(),
        subject: ErasureSubject::Person {
            person: "u-1".to_owned(),
            identities: vec![Identity {
                kind: IdentityKind::Id,
                value: "u-1".to_owned(),
                from_us: None,
                until_us: None,
            }],
        },
        due_us: 0,
        reason: "a test".to_owned(),
    }
}

async fn carry_out(act: Act, plan: &str, process: &Process) -> Result<(), String> {
    let (ledger, by) = (&process.ledger, &process.by);
    match act {
        Act::Place => {
            let done = Box::pin(hold::place(ledger, by, &place_room(1))).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        }
        Act::Run => {
            let done = Box::pin(run::run(ledger, by, plan, Authority::Plan)).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        }
        Act::Purge => {
            let done = Box::pin(purge::run(ledger, by)).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        }
        Act::Restore => {
            let run = ledger.state().dispositions.keys().next().cloned().unwrap();
            let done = Box::pin(restore::run(ledger, by, &run)).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        }
        Act::Erase => {
            let asked = erasure::request(ledger, by, &request()).await;
            asked.map_err(|error| error.to_string())?;
            let done = Box::pin(erasure::run(ledger, by, "e")).await;
            done.map(|_| ()).map_err(|error| error.to_string())
        }
    }
}

/// What is there, and what is out, once the act is done: (there, out).
fn expected(act: Act) -> (BTreeSet<u64>, BTreeSet<u64>) {
    let (there, out): (&[u64], &[u64]) = match act {
        Act::Place => (&[3, 4, 5], &[1, 2, 6]),
        Act::Run => (&[5], &[1, 2, 3, 4, 6]),
        Act::Purge => (&[5], &[]),
        Act::Restore => (&[1, 2, 3, 4, 5, 6], &[]),
        Act::Erase => (&[1, 2, 5, 6], &[3, 4]),
    };
    (
        there.iter().copied().collect(),
        out.iter().copied().collect(),
    )
}

/// One try with one fault; answers whether the fault happened.
async fn one(act: Act, begin: &Begin, plan: Plan) -> bool {
    let store: Arc<dyn ObjectStore> = Arc::new(begin.store.fork());
    let dying = process(&store).await;
    dying.store.faults().clear();
    dying.store.faults().plan(plan.clone());
    let acknowledged = carry_out(act, &begin.plan, &dying).await.is_ok();
    let fired = !dying.store.faults().fired().is_empty();
    drop(dying);
    let mut holds = Vec::new();
    if act == Act::Place && acknowledged {
        holds.push(Hold {
            name: "h".to_owned(),
            of: Of::Room(1),
            released: false,
            must_keep: BTreeSet::new(),
            acknowledged: false,
        });
    }
    let healthy = process(&store).await;
    recover::all(&healthy.ledger, &healthy.by).await.unwrap();
    let now_us = healthy.ledger.now_us();
    let rest = check::all(
        &healthy,
        &begin.made,
        &begin.rest,
        &mut holds,
        false,
        now_us,
    )
    .await;
    if acknowledged {
        let found = (rest.live.clone(), rest.out.clone());
        assert_eq!(found, expected(act), "{act:?} was acknowledged, {plan:?}");
    }
    // Given again, it ends as it should have; what was done already says so.
    let again = carry_out(act, &begin.plan, &process(&store).await).await;
    let healthy = process(&store).await;
    let rest = check::all(&healthy, &begin.made, &rest, &mut holds, false, now_us).await;
    assert_eq!(
        (rest.live, rest.out),
        expected(act),
        "{act:?} given again after {plan:?}: {again:?}"
    );
    fired
}

async fn every_operation(act: Act) {
    let begin = begin(act).await;
    let mut tries = 0;
    for fault in [Fault::Before, Fault::After, Fault::AlreadyExistsAfter] {
        for dead in [false, true] {
            for nth in 1.. {
                let plan = match dead {
                    true => Plan::dead_from(nth, fault),
                    false => Plan::nth(nth, fault),
                };
                let fired = Box::pin(one(act, &begin, plan)).await;
                tries += 1;
                if !fired {
                    break;
                }
            }
        }
    }
    eprintln!("{act:?}: {tries} tries");
    assert!(tries > 60, "{act:?}: only {tries} operations");
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_a_hold_that_is_placed_while_something_is_out() {
    Box::pin(every_operation(Act::Place)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_le1_a_run() {
    Box::pin(every_operation(Act::Run)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_le1_a_purge() {
    Box::pin(every_operation(Act::Purge)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_le1_a_restore() {
    Box::pin(every_operation(Act::Restore)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_le1_an_erasure() {
    Box::pin(every_operation(Act::Erase)).await;
}
