//! LE-1: no effect without its intent, no intent without an end; and the clock.
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::common::*;
use holdfast_archive::{
    Advance, AdvanceOnly, Archive, CommitKind, Conflict, Counts, LEDGER_APP_ID, Outcome,
};
use holdfast_fixtures::{Fault, FaultyStore, Plan};
use holdfast_governance::actor::By;
use holdfast_governance::ledger::intent::{Settled, commit_id};
use holdfast_governance::ledger::state::IntentEnd;
use holdfast_governance::ledger::{Ledger, LedgerError, LedgerOptions};
use holdfast_schemas::ledger::disposition::{Authority, DispositionIntent, DispositionOutcome};
use holdfast_schemas::ledger::{Act, Digest};
use object_store::ObjectStoreExt;
use object_store::memory::InMemory;
use object_store::path::Path;

const RUN: &str = "run-1";

fn ana() -> By {
    By::claim("ana")
}

fn certificate() -> Digest {
    Digest::of(b"certificate")
}

async fn begin(ledger: &Ledger) -> Digest {
    let snapshot = ledger.archive().snapshot().await.unwrap();
    let fence = snapshot.position(LEDGER_APP_ID).await.unwrap();
    let intent = DispositionIntent {
        run: RUN.to_owned(),
        plan: "p".to_owned(),
        authority: Authority::Plan,
        table_version: snapshot.version(),
        ledger_fence: fence.and_then(|f| u64::try_from(f).ok()),
        policies: Default::default(),
    };
    write(ledger, &ana(), Act::DispositionIntent(intent))
        .await
        .unwrap()
        .hash
}

/// A commit as an effect makes it: named after its intent, on the fence it was planned with. That it moves another
/// position instead of files makes no difference to who wins.
async fn effect(archive: &Archive, hash: &Digest, fence: Option<i64>) -> Result<u64, Conflict> {
    let base = archive.snapshot().await.unwrap();
    let advance = AdvanceOnly {
        commit_id: commit_id(hash, &certificate()),
        kind: CommitKind::Fence,
        positions: vec![Advance {
            app_id: LEDGER_APP_ID.to_owned(),
            from: fence,
            to: fence.unwrap_or(0),
        }],
        counts: Counts::default(),
    };
    match archive.advance(&base, advance).await.unwrap() {
        Outcome::Committed(snapshot) => Ok(snapshot.version()),
        Outcome::Conflicted(conflict) => Err(conflict),
        Outcome::Unknown(uncertain) => panic!("{uncertain:?}"),
    }
}

fn outcome(version: u64, time_us: Option<i64>) -> Act {
    Act::DispositionOutcome(DispositionOutcome {
        run: RUN.to_owned(),
        table_version: version,
        time_us: time_us.unwrap_or(0),
        certificate: "c".to_owned(),
        certificate_sha256: certificate(),
        events: 3,
        families: 2,
        stayed: Default::default(),
    })
}

async fn settle(ledger: &Ledger, hash: &Digest) -> Result<Settled, LedgerError> {
    let ids = [commit_id(hash, &certificate())];
    ledger
        .settle_intent(&ana(), RUN, &ids, "the process died", outcome)
        .await
}

#[tokio::test]
async fn le1_an_effect_without_its_outcome_gets_it() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let hash = begin(&ledger).await;
    let version = effect(&archive, &hash, None).await.unwrap();
    let ledger = open(&reopened(&store).await).await;
    assert_eq!(ledger.state().open_intents().len(), 1);
    assert!(matches!(
        settle(&ledger, &hash).await.unwrap(),
        Settled::Happened(_)
    ));
    let state = ledger.state();
    assert_eq!(
        state.dispositions[RUN]
            .outcome
            .as_ref()
            .unwrap()
            .1
            .table_version,
        version
    );
    assert!(state.open_intents().is_empty());
    // Recovered twice, there is one outcome.
    let again = settle(&ledger, &hash).await.unwrap();
    assert!(matches!(again, Settled::Happened(done) if !done.written));
    assert_eq!(ledger.state().counts["disposition.outcome"], 1);
}

#[tokio::test]
async fn le1_an_intent_without_effect_is_abandoned_and_its_zombie_comes_too_late() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let hash = begin(&ledger).await;
    // Another process recovers while the first one sleeps before its commit.
    let recovering = open(&reopened(&store).await).await;
    assert!(matches!(
        settle(&recovering, &hash).await.unwrap(),
        Settled::Abandoned(_)
    ));
    assert!(matches!(
        recovering.state().intents[RUN].end,
        Some(IntentEnd::Abandoned(2))
    ));
    let late = effect(&archive, &hash, None).await;
    assert!(
        matches!(late, Err(Conflict::LedgerMoved { found: Some(2), .. })),
        "{late:?}"
    );
    // Without a certificate there is no commit to look for.
    let nothing = recovering
        .settle_intent(&ana(), RUN, &[], "x", outcome)
        .await
        .unwrap();
    assert!(matches!(nothing, Settled::Abandoned(done) if !done.written));
}

#[tokio::test]
async fn le1_a_zombie_that_slips_in_before_the_fence_is_found_and_its_outcome_wins() {
    let (store, archive) = memory().await;
    let ledger = open(&archive).await;
    let hash = begin(&ledger).await;
    let other = FaultyStore::new(store.inner());
    let recovering = open(&Archive::open_in(other.clone(), url()).await.unwrap()).await;
    // The recovery stops between its entry and its fence.
    other.faults().clear();
    other.faults().plan(
        Plan::nth(1, Fault::PauseBefore)
            .on(&[holdfast_fixtures::Operation::Put])
            .path("_delta_log"),
    );
    let recovery = tokio::spawn(async move { (settle(&recovering, &hash).await, recovering) });
    other.faults().paused(1).await;
    let version = effect(&archive, &hash, None).await.unwrap();
    other.faults().release();
    let (settled, recovering) = recovery.await.unwrap();
    assert!(matches!(settled.unwrap(), Settled::Happened(_)));
    let state = recovering.refresh().await.unwrap();
    assert!(
        matches!(state.intents[RUN].end, Some(IntentEnd::Happened(3))),
        "{:?}",
        state.intents
    );
    assert_eq!(
        state.dispositions[RUN]
            .outcome
            .as_ref()
            .unwrap()
            .1
            .table_version,
        version
    );
    assert_eq!(state.counts["disposition.abandoned"], 1);
}

#[tokio::test]
async fn le1_whatever_operation_of_a_recovery_fails_the_next_one_ends_it_once() {
    for committed in [false, true] {
        let mut nth = 1;
        loop {
            let (store, archive) = memory().await;
            let ledger = open(&archive).await;
            let hash = begin(&ledger).await;
            if committed {
                effect(&archive, &hash, None).await.unwrap();
            }
            store.faults().clear();
            store.faults().plan(Plan::dead_from(nth, Fault::After));
            let first = recover(&store, &hash).await;
            let fired = !store.faults().fired().is_empty();
            store.faults().clear();
            let ledger = open(&reopened(&store).await).await;
            let settled = settle(&ledger, &hash).await.unwrap();
            assert_eq!(matches!(settled, Settled::Happened(_)), committed, "{nth}");
            let state = ledger.refresh().await.unwrap();
            let ends = state.counts.get("disposition.outcome").unwrap_or(&0)
                + state.counts.get("disposition.abandoned").unwrap_or(&0);
            assert_eq!(ends, 1, "{committed} {nth}");
            if !fired {
                first.unwrap();
                break;
            }
            nth += 1;
        }
        assert!(nth > 5, "{nth}");
    }
}

async fn recover(store: &Arc<FaultyStore>, hash: &Digest) -> Result<Settled, LedgerError> {
    let archive = Archive::open_in_with(
        store.clone(),
        url(),
        holdfast_archive::OpenOptions {
            commit_time_max: std::time::Duration::from_millis(200),
            ..Default::default()
        },
    )
    .await?;
    settle(&Ledger::open_with(&archive, options()).await?, hash).await
}

#[tokio::test]
async fn le1_a_clock_that_is_five_minutes_off_is_refused_either_way() {
    let (_, archive) = memory().await;
    let clock = Arc::new(Moved::default());
    let options = LedgerOptions {
        environment: clock.clone(),
        ..options()
    };
    let ledger = Ledger::open_with(&archive, options).await.unwrap();
    for (by_ms, right) in [
        (0, true),
        (200_000, true),
        (-200_000, true),
        (301_000, false),
        (-310_000, false),
        (86_400_000 * 3650, false),
    ] {
        clock.by_ms.store(by_ms, Ordering::SeqCst);
        let done = write(&ledger, &ana(), search("x")).await.unwrap();
        let guarded = ledger.guard_clock(&done).await;
        match guarded {
            Ok(now_us) => {
                assert!(right, "{by_ms}");
                assert_eq!(now_us, done.time_us);
            }
            Err(error) => {
                assert!(!right, "{by_ms}: {error}");
                assert!(matches!(error, LedgerError::Clock(_)), "{error}");
            }
        }
    }
    // Nothing is lost by it: the entries are all there.
    assert_eq!(ledger.state().head.seq, 6);
}

/// However long the ledger, opening reads the snapshot and the entries after it. The time is printed, not judged.
#[tokio::test]
async fn le1_a_hundred_thousand_entries_open_by_their_snapshot() {
    use holdfast_schemas::ledger::Params;
    use holdfast_schemas::ledger::entry::Draft;
    const ENTRIES: u64 = 100_000;
    let inner = Arc::new(InMemory::new());
    let store = FaultyStore::new(inner.clone());
    let archive = archive_in(store.clone()).await;
    let mut prev = Digest::ZERO;
    for seq in 1..=ENTRIES {
        let act = match seq % 1000 {
            1 => Act::MatterOpen(matter(&format!("M-{seq}"))),
            _ => search("words of a query"),
        };
        let params = Params {
            seq,
            salt: Digest::of(&seq.to_be_bytes()),
            command: None,
            act,
        };
        let (bytes, params_digest) = params.encode().unwrap();
        let draft = Draft {
            seq,
            time_us: i64::try_from(seq).unwrap(),
            actor: "ana".to_owned(),
            action: params.act.action().to_owned(),
            matter: None,
            params_digest,
            prev_hash: prev,
        };
        let entry = draft.seal().unwrap();
        prev = entry.hash;
        inner
            .put(&Path::from(entry.params_path()), bytes.into())
            .await
            .unwrap();
        inner
            .put(
                &Path::from(holdfast_schemas::ledger::Entry::path(seq)),
                entry.encode().unwrap().into(),
            )
            .await
            .unwrap();
    }
    let started = std::time::Instant::now();
    let ledger = open(&archive).await;
    println!(
        "{ENTRIES} entries without a snapshot: {:?}",
        started.elapsed()
    );
    assert_eq!(ledger.state().head.seq, ENTRIES);
    // The first append writes the fold down.
    write(&ledger, &ana(), search("x")).await.unwrap();
    for _ in 0..50 {
        write(&ledger, &ana(), search("x")).await.unwrap();
    }
    store.faults().clear();
    let started = std::time::Instant::now();
    let again = open(&archive).await;
    println!(
        "with a snapshot and at most 50 entries after it: {:?}",
        started.elapsed()
    );
    assert_eq!(again.state(), ledger.state());
    assert_eq!(again.state().matters.len(), 100);
    assert!(
        store.faults().count() < 100,
        "{} operations",
        store.faults().count()
    );
}

#[tokio::test]
async fn le1_a_ledger_that_cannot_be_written_says_so_and_shows_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let home = tempfile::tempdir().unwrap();
    let location = holdfast_archive::Location::local(home.path());
    let archive = Archive::create(&location).await.unwrap();
    let ledger = open(&archive).await;
    write(&ledger, &ana(), search("x")).await.unwrap();
    let folder = home.path().join("ledger");
    for path in [folder.join("params"), folder.clone()] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o500)).unwrap();
    }
    // Root writes everywhere: nothing can be shown then.
    let writable = std::fs::write(folder.join("probe"), b"x").is_ok();
    let refused = write(&ledger, &ana(), search("x")).await;
    for path in [folder.clone(), folder.join("params")] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o700)).unwrap();
    }
    if !writable {
        let error = refused.unwrap_err();
        assert!(matches!(error, LedgerError::ReadOnly { .. }), "{error}");
        assert!(error.to_string().contains("must be writable"), "{error}");
        assert_eq!(open(&archive).await.state().head.seq, 1);
    }
}
