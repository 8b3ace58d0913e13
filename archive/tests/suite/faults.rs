//! Store operations that fail, and puts whose answer is lost or lies (AR-1).

use std::sync::Arc;

use holdfast_archive::{Archive, Outcome};

use crate::common::faulty::{Fault, Faulty};
use crate::common::{append, assert_archived, committed, hasty, memory, plan, segment};

/// Every store operation of an append fails once, in every way; a restart with the same events always ends with each
/// of them archived once.
#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_in_an_append() {
    for fault in [Fault::Before, Fault::After, Fault::Repeated] {
        for nth in 1.. {
            let (inner, url) = memory();
            let store = Faulty::new(inner);
            let archive = Archive::create_in(store.clone(), url.clone())
                .await
                .unwrap();
            append(&archive, "main", 1..4).await;
            store.fail(nth..nth + 1, fault);
            let clean = attempt_append(&archive, "main", 4..8).await;
            let failed = store.operations() >= nth;
            store.heal();
            assert!(clean || failed, "{fault:?} {nth}: failed without a fault");
            // A restart: a new process knows nothing but the archive.
            let archive = Archive::open_in(store, url).await.unwrap();
            let snapshot = archive.snapshot().await.unwrap();
            if snapshot.position("outbox/main").await.unwrap() == Some(3) {
                append(&archive, "main", 4..8).await;
            }
            assert_archived(&archive, "main", 1..8).await;
            if !failed {
                break;
            }
        }
    }
}

async fn attempt_append(archive: &Archive, origin: &str, range: std::ops::Range<u64>) -> bool {
    let Ok(base) = archive.snapshot().await else {
        return false;
    };
    let from = base.position(&format!("outbox/{origin}")).await.unwrap();
    let file = segment(origin, range.clone());
    if archive.put_segment(&file).await.is_err() {
        return false;
    }
    match archive
        .append(&base, plan(origin, range, from, &file))
        .await
    {
        Ok(Outcome::Committed(_)) => true,
        Ok(Outcome::Conflicted(conflict)) => panic!("{conflict}"),
        Ok(Outcome::Unknown(_)) | Err(_) => false,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ambiguous_put_is_recognised_as_ours_even_when_refused() {
    for fault in [Fault::Before, Fault::After, Fault::Repeated] {
        let (inner, url) = memory();
        let store = Faulty::new(inner);
        let archive = Archive::create_in(store.clone(), url).await.unwrap();
        let base = archive.snapshot().await.unwrap();
        let file = segment("main", 1..4);
        archive.put_segment(&file).await.unwrap();
        // The only put of this commit is its log entry, and it is the first operation.
        store.fail(1..2, fault);
        let snapshot = committed(
            archive
                .append(&base, plan("main", 1..4, None, &file))
                .await
                .unwrap(),
        );
        assert_eq!(snapshot.version(), 1, "{fault:?}");
        store.heal();
        assert_archived(&archive, "main", 1..4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_outcome_is_settled_later() {
    for fault in [Fault::Before, Fault::After] {
        let (inner, url) = memory();
        Archive::create_in(Arc::clone(&inner), url.clone())
            .await
            .unwrap();
        let store = Faulty::new(inner);
        let archive = Archive::open_in_with(store.clone(), url, hasty())
            .await
            .unwrap();
        let base = archive.snapshot().await.unwrap();
        let file = segment("main", 1..4);
        archive.put_segment(&file).await.unwrap();
        store.fail(1..u64::MAX, fault);
        let Outcome::Unknown(uncertain) = archive
            .append(&base, plan("main", 1..4, None, &file))
            .await
            .unwrap()
        else {
            panic!("a store that answers nothing cannot be certain");
        };
        assert_eq!(uncertain.version, 1);
        let Outcome::Unknown(uncertain) = archive.settle(uncertain).await.unwrap() else {
            panic!("still nothing to know");
        };
        store.heal();
        committed(archive.settle(uncertain).await.unwrap());
        assert_archived(&archive, "main", 1..4).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_commit_overtaken_by_another_goes_on_at_the_next_version() {
    let (inner, url) = memory();
    let other = Archive::create_in(Arc::clone(&inner), url.clone())
        .await
        .unwrap();
    let store = Faulty::new(inner);
    let archive = Archive::open_in_with(store.clone(), url, hasty())
        .await
        .unwrap();
    let base = archive.snapshot().await.unwrap();
    let file = segment("a", 1..4);
    archive.put_segment(&file).await.unwrap();
    store.fail(1..u64::MAX, Fault::Before);
    let Outcome::Unknown(uncertain) = archive
        .append(&base, plan("a", 1..4, None, &file))
        .await
        .unwrap()
    else {
        panic!("certain without an answer");
    };
    append(&other, "b", 1..3).await;
    store.heal();
    assert_eq!(
        committed(archive.settle(uncertain).await.unwrap()).version(),
        2
    );
    assert_archived(&archive, "a", 1..4).await;
    assert_archived(&archive, "b", 1..3).await;
}
