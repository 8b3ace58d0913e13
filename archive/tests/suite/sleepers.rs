//! Processes that slept while the log went on and was cleaned below them (AR-1).

use std::sync::Arc;
use std::sync::atomic::Ordering;

use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_archive::{Archive, Conflict, OpenOptions, Outcome, maintain};
use object_store::ObjectStore;

use crate::common::clock::{DAY_MS, Hand};
use crate::common::faulty::{Fault, Faulty};
use crate::common::{append, assert_archived, committed, conflicted, hasty, memory, plan, segment};

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_slept_for_days_starts_over_from_the_newest_checkpoint() {
    let (store, url) = memory();
    let busy_clock = Hand::at(system_now_ms());
    let with = |clock: &Arc<Hand>| OpenOptions {
        maintenance: false,
        environment: Arc::<Hand>::clone(clock),
        ..OpenOptions::default()
    };
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let sleepy_clock = Hand::at(system_now_ms());
    let sleepy = Archive::open_in_with(Arc::clone(&store), url.clone(), with(&sleepy_clock))
        .await
        .unwrap();
    let base = append(&sleepy, "slow", 1..3).await;
    let busy = Archive::open_in_with(Arc::clone(&store), url.clone(), with(&busy_clock))
        .await
        .unwrap();
    for n in 0..410u64 {
        append(&busy, "main", n + 1..n + 2).await;
        if n % 100 == 99 {
            maintain::run(&busy, busy_clock.now_ms()).await.unwrap();
        }
    }
    busy_clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    assert!(
        maintain::run(&busy, busy_clock.now_ms())
            .await
            .unwrap()
            .removed
            > 100
    );
    // The sleeper's next slot is empty now, because the entry that filled it was removed.
    sleepy_clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    let file = segment("slow", 3..5);
    sleepy.put_segment(&file).await.unwrap();
    let snapshot = committed(
        sleepy
            .append(&base, plan("slow", 3..5, Some(2), &file))
            .await
            .unwrap(),
    );
    assert!(snapshot.version() > 410, "{}", snapshot.version());
    assert_archived(&busy, "slow", 1..5).await;
    assert_archived(&busy, "main", 1..411).await;
}

/// 410 commits of one origin, three checkpoints, and three days later the removal of the old entries.
async fn days_go_by(store: &Arc<dyn ObjectStore>, url: &url::Url) -> Archive {
    let clock = Hand::at(system_now_ms());
    let busy = Archive::open_in_with(Arc::clone(store), url.clone(), by(&clock))
        .await
        .unwrap();
    for n in 0..410u64 {
        append(&busy, "main", n + 1..n + 2).await;
        if n % 100 == 99 {
            maintain::run(&busy, clock.now_ms()).await.unwrap();
        }
    }
    clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    let report = maintain::run(&busy, clock.now_ms()).await.unwrap();
    assert!(report.removed > 100, "{report:?}");
    busy
}

fn by(clock: &Arc<Hand>) -> OpenOptions {
    OpenOptions {
        environment: Arc::<Hand>::clone(clock),
        ..hasty()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_pending_commit_is_not_put_into_a_slot_that_was_emptied() {
    for fault in [Fault::Before, Fault::After] {
        let (inner, url) = memory();
        Archive::create_in(Arc::clone(&inner), url.clone())
            .await
            .unwrap();
        let faulty = Faulty::new(Arc::clone(&inner));
        let clock = Hand::at(system_now_ms());
        let sleepy = Archive::open_in_with(faulty.clone(), url.clone(), by(&clock))
            .await
            .unwrap();
        let base = append(&sleepy, "slow", 1..3).await;
        let file = segment("slow", 3..5);
        sleepy.put_segment(&file).await.unwrap();
        faulty.fail(1..u64::MAX, fault);
        let Outcome::Unknown(uncertain) = sleepy
            .append(&base, plan("slow", 3..5, Some(2), &file))
            .await
            .unwrap()
        else {
            panic!("certain without an answer");
        };
        faulty.heal();
        let busy = days_go_by(&inner, &url).await;
        clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
        let outcome = sleepy.settle(uncertain).await.unwrap();
        match fault {
            Fault::Before => assert!(committed(outcome).version() > 410),
            // It was committed back then; the table's positions say so.
            Fault::After | Fault::Repeated => assert!(matches!(
                conflicted(outcome),
                Conflict::PositionMoved { found: Some(4), .. }
            )),
        }
        assert_archived(&busy, "slow", 1..5).await;
        append(&sleepy, "slow", 5..7).await;
        assert_archived(&busy, "slow", 1..7).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_put_that_was_held_back_for_days_commits_nothing() {
    let (inner, url) = memory();
    Archive::create_in(Arc::clone(&inner), url.clone())
        .await
        .unwrap();
    let held = Faulty::new(Arc::clone(&inner));
    let clock = Hand::at(system_now_ms());
    let sleepy = Archive::open_in_with(held.clone(), url.clone(), by(&clock))
        .await
        .unwrap();
    let base = append(&sleepy, "slow", 1..3).await;
    let file = segment("slow", 3..5);
    sleepy.put_segment(&file).await.unwrap();
    let slot = format!("{:020}.json", base.version() + 1);
    let gate = held.gate(&slot);
    let commit = {
        let (sleepy, plan) = (sleepy.clone(), plan("slow", 3..5, Some(2), &file));
        tokio::spawn(async move { sleepy.append(&base, plan).await })
    };
    held.until_waiting().await;
    let busy = days_go_by(&inner, &url).await;
    clock.0.fetch_add(3 * DAY_MS, Ordering::SeqCst);
    gate.add_permits(1000);
    let snapshot = committed(commit.await.unwrap().unwrap());
    assert!(snapshot.version() > 410, "{}", snapshot.version());
    assert_archived(&busy, "slow", 1..5).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_process_that_rested_finds_a_log_that_a_clock_far_ahead_has_cleaned() {
    let (store, url) = memory();
    Archive::create_in(Arc::clone(&store), url.clone())
        .await
        .unwrap();
    let clock = Hand::at(system_now_ms());
    let resting = Archive::open_in_with(Arc::clone(&store), url.clone(), by(&clock))
        .await
        .unwrap();
    append(&resting, "slow", 1..3).await;
    // Entries of this very hour are removed.
    let busy = days_go_by(&store, &url).await;
    // Long enough for what is known to be looked at again, and no time at all for a log that keeps its entries for a day.
    clock.0.fetch_add(20 * 60_000, Ordering::SeqCst);
    assert_eq!(
        resting.snapshot().await.unwrap().version(),
        busy.snapshot().await.unwrap().version()
    );
    append(&resting, "slow", 3..5).await;
    assert_archived(&busy, "slow", 1..5).await;
    assert_archived(&busy, "main", 1..411).await;
}
