//! Attacks: what broke off is settled, by whoever comes next.

use std::sync::Arc;

use holdfast_archive::clock::system_now_ms;
use holdfast_archive::maintain;
use holdfast_fixtures::{Fault, Operation, Plan};
use holdfast_governance::disposition::{recover, run};
use holdfast_governance::ledger::state::IntentEnd;
use holdfast_governance::{hold, purge, restore};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger;
use holdfast_schemas::ledger::disposition::Authority;
use object_store::ObjectStore;

use super::{ENTRIES, actor, by, hold_of, old, signing};
use crate::model::acts::{live, made, place, room, run_plan, save};
use crate::model::events::{DAY_US, ingest};
use crate::model::world::{Process, begin, process, write};

/// A process that runs a plan and dies after its commit, before its outcome's entry.
async fn run_without_outcome(inner: &Arc<dyn ObjectStore>, plan: &str) {
    let dying = process(inner).await;
    let outcome = Plan::dead_from(2, Fault::Before);
    let outcome = outcome.on(&[Operation::Put]).path(ENTRIES);
    dying.store.faults().plan(outcome);
    let done = run::run(&dying.ledger, &dying.by, plan, Authority::Plan).await;
    assert!(done.is_err());
}

/// Every run whose rows are out has an outcome.
async fn accounted(process: &Process) {
    let state = process.ledger.refresh().await.unwrap();
    let kept = process.archive.snapshot().await.unwrap().kept().unwrap();
    for run in kept.keys() {
        let known = &state.dispositions[run];
        assert!(
            known.outcome.is_some(),
            "{run}: {:?}",
            state.intents[run].end
        );
    }
    assert!(state.open_intents().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_a_run_that_commits_while_it_is_being_recovered_gets_its_outcome() {
    let inner = begin().await;
    let first = process(&inner).await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let (plan, _) = save(&first).await;
    // The run sleeps with nothing but its intent; when it goes on it commits, and dies before its outcome.
    let sleeping = process(&inner).await;
    let faults = sleeping.store.faults();
    let certificate = Plan::nth(1, Fault::PauseBefore).on(&[Operation::Put]);
    faults.plan(certificate.path("ledger/certificates"));
    faults.plan(
        Plan::dead_from(2, Fault::Before)
            .on(&[Operation::Put])
            .path(ENTRIES),
    );
    let running = tokio::spawn(async move {
        run::run(&sleeping.ledger, &sleeping.by, &plan, Authority::Plan)
            .await
            .map(|_| ())
    });
    faults.paused(1).await;
    // Whoever recovers it has just seen that nothing was written for it, and is about to abandon it.
    let recovering = process(&inner).await;
    let look = recovering.store.faults();
    let abandoning = Plan::nth(1, Fault::PauseBefore).on(&[Operation::Put]);
    look.plan(abandoning.path(ENTRIES));
    let recovered = tokio::spawn(async move {
        let all = recover::all(&recovering.ledger, &recovering.by).await;
        all.map_err(|error| error.to_string())
    });
    look.paused(1).await;
    faults.release();
    assert!(running.await.unwrap().is_err());
    look.release();
    recovered.await.unwrap().unwrap();
    assert!(live(&first.archive).await.is_empty(), "the run committed");
    accounted(&first).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_what_broke_off_is_settled_however_much_of_the_tables_log_was_cleaned() {
    for committed in [true, false] {
        let inner = begin().await;
        let first = process(&inner).await;
        ingest(&first.archive, &old(1..=4)).await.unwrap();
        let (plan, _) = save(&first).await;
        if committed {
            run_without_outcome(&inner, &plan).await;
        } else {
            let dying = process(&inner).await;
            let commit = Plan::dead_from(1, Fault::Before).on(&[Operation::Put]);
            dying
                .store
                .faults()
                .plan(commit.path("ledger/certificates"));
            let done = run::run(&dying.ledger, &dying.by, &plan, Authority::Plan).await;
            assert!(done.is_err());
        }
        // A day of ingest: the log's entries of back then are gone.
        let begun = first.archive.snapshot().await.unwrap().version();
        for seq in 100..=420 {
            let late = made(seq, t::MESSAGE_POSTED, 3, Some(seq), 2);
            ingest(&first.archive, &[late]).await.unwrap();
            maintain::run(&first.archive, system_now_ms())
                .await
                .unwrap();
        }
        let tomorrow = system_now_ms() + 2 * DAY_US / 1000;
        maintain::run(&first.archive, tomorrow).await.unwrap();
        let gone = first.archive.commit_record(begun).await.unwrap();
        assert!(gone.is_none(), "the log was not cleaned");
        // A hold is placed all the same, and brings back what it covers.
        let receipt = place(&first, "h", room("r-1")).await;
        assert_eq!(receipt.restored, if committed { 2 } else { 0 });
        accounted(&first).await;
        let there = live(&first.archive).await;
        assert!(there.contains(&1) && there.contains(&3));
        assert_eq!(there.contains(&2), !committed);
        let state = first.ledger.refresh().await.unwrap();
        let outcomes = state.dispositions.values();
        let outcomes: Vec<_> = outcomes.filter_map(|run| run.outcome.as_ref()).collect();
        assert_eq!(outcomes.len(), usize::from(committed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_restores_and_purges_are_settled_without_the_tables_log_too() {
    for purging in [false, true] {
        let inner = begin().await;
        let first = process(&inner).await;
        ingest(&first.archive, &old(1..=4)).await.unwrap();
        let (plan, _) = save(&first).await;
        let run = run_plan(&first, &plan).await.run;
        let dying = process(&inner).await;
        let outcome = Plan::dead_from(2, Fault::Before).on(&[Operation::Put]);
        dying.store.faults().plan(outcome.path(ENTRIES));
        let failed = match purging {
            true => purge::run(&dying.ledger, &dying.by).await.is_err(),
            false => restore::run(&dying.ledger, &dying.by, &run).await.is_err(),
        };
        assert!(failed);
        for seq in 100..=420 {
            let late = made(seq, t::MESSAGE_POSTED, 3, Some(seq), 2);
            ingest(&first.archive, &[late]).await.unwrap();
            maintain::run(&first.archive, system_now_ms())
                .await
                .unwrap();
        }
        let tomorrow = system_now_ms() + 2 * DAY_US / 1000;
        maintain::run(&first.archive, tomorrow).await.unwrap();
        recover::all(&first.ledger, &first.by).await.unwrap();
        accounted(&first).await;
        let state = first.ledger.refresh().await.unwrap();
        let ends: Vec<_> = state.intents.values().map(|intent| intent.end).collect();
        let happened = ends
            .iter()
            .filter(|end| matches!(end, Some(IntentEnd::Happened(_))));
        assert_eq!(happened.count(), 2, "{ends:?}");
        assert_eq!(live(&first.archive).await.contains(&1), !purging);
        assert_eq!(state.dispositions[&run].purged.is_some(), purging);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_whoever_may_place_holds_may_settle_what_stands_in_their_way() {
    use ledger::actor::Role;
    let inner = begin().await;
    let first = process(&inner).await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let (plan, _) = save(&first).await;
    run_without_outcome(&inner, &plan).await;
    write(&first, actor("rec", 1, &[Role::Records])).await;
    by(&first, &signing("rec", 1), actor("leg", 2, &[Role::Legal])).await;
    let (leg, hold) = (signing("leg", 2), hold_of("h", room("r-1")));
    let receipt = hold::place(&first.ledger, &leg, &hold).await.unwrap();
    assert_eq!(receipt.restored, 2);
    accounted(&first).await;
}
