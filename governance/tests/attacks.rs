//! Attacks on holds, runs, purges and the ledger, one promise a test: races, crashes, what was forged, what came late.

// Clippy takes helpers outside of `#[test]` functions for production code.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    missing_docs,
    unreachable_pub,
    dead_code
)]

#[path = "model/acts.rs"]
mod acts;
#[path = "model/events.rs"]
mod events;
#[path = "model/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use acts::{fresh, live, made, place, room, run_plan, save, set};
use events::{DAY_US, Made, ingest, ingest_rows};
use holdfast_archive::clock::{Environment, system_now_ms};
use holdfast_archive::{LEDGER_APP_ID, maintain};
use holdfast_fixtures::{Fault, Operation, Plan};
use holdfast_governance::actor::By;
use holdfast_governance::disposition::{recover, run};
use holdfast_governance::ledger::state::IntentEnd;
use holdfast_governance::ledger::{Context, Judged, Ledger, LedgerOptions};
use holdfast_governance::schedule;
use holdfast_governance::{hold, purge, restore};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::hold::{Custodian, HoldPlace, HoldRelease, HoldScope};
use holdfast_schemas::ledger::person::{Identity, IdentityKind, PersonAdd, PersonLink};
use holdfast_schemas::ledger::policy::{
    PolicyAction, PolicyLock, PolicyScope, PolicySet, ScheduleSet,
};
use holdfast_schemas::ledger::{Act, Digest};
use holdfast_schemas::{Row, ledger};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use world::{Process, begin, process, write};

/// Entries of the ledger, not its other objects.
const ENTRIES: &str = "ledger/0000";

fn old(sequences: std::ops::RangeInclusive<u64>) -> Vec<Made> {
    sequences
        .map(|seq| made(seq, t::MESSAGE_POSTED, 800, Some(seq), seq % 2))
        .collect()
}

/// A process that runs a plan and dies after its commit, before its outcome's entry.
async fn run_without_outcome(inner: &Arc<dyn ObjectStore>, plan: &str) {
    let dying = process(inner).await;
    let outcome = Plan::dead_from(2, Fault::Before);
    let outcome = outcome.on(&[Operation::Put]).path(ENTRIES);
    dying.store.faults().plan(outcome);
    let done = run::run(&dying.ledger, &dying.by, plan, Authority::Plan).await;
    assert!(done.is_err());
}

async fn store(process: &Process, path: &str, bytes: Vec<u8>) {
    let path = Path::from(path);
    process
        .archive
        .store()
        .put(&path, bytes.into())
        .await
        .unwrap();
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

fn signing(name: &str, number: u8) -> By {
    By::signing(name, ed25519_dalek::SigningKey::from_bytes(&[number; 32]))
}

fn actor(name: &str, number: u8, roles: &[ledger::actor::Role]) -> Act {
    Act::ActorAdd(ledger::actor::ActorAdd {
        name: name.to_owned(),
        roles: roles.iter().copied().collect(),
        key: signing(name, number).public_key().unwrap(),
    })
}

async fn by(process: &Process, by: &By, act: Act) {
    let context = Context::default();
    let written = process
        .ledger
        .append_fenced(by, context, |_| Ok(Judged::Write(act.clone())));
    written.await.unwrap();
}

fn hold_of(name: &str, scope: HoldScope) -> HoldPlace {
    HoldPlace {
        name: name.to_owned(),
        matter: "m".to_owned(),
        scope,
        reason: "a test".to_owned(),
        table_version: 0,
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

fn id(value: &str) -> Identity {
    Identity {
        kind: IdentityKind::Id,
        value: value.to_owned(),
        from_us: None,
        until_us: None,
    }
}

fn custodian(person: Option<&str>, identities: &[&str]) -> HoldScope {
    HoldScope {
        custodians: vec![Custodian {
            given: "ana".to_owned(),
            person: person.map(str::to_owned),
            identities: identities.iter().map(|value| id(value)).collect(),
        }],
        ..HoldScope::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_a_custodian_is_known_by_what_is_linked_to_their_person_later() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let add = PersonAdd {
        person: "ana".to_owned(),
        identities: vec![id("u-1")],
    };
    write(&first, Act::PersonAdd(add)).await;
    let receipt = place(&first, "h", custodian(Some("ana"), &["u-1"])).await;
    assert_eq!(receipt.coverage.events, 2);
    let link = PersonLink {
        person: "ana".to_owned(),
        identity: id("u-0"),
    };
    write(&first, Act::PersonLink(link)).await;
    let (_, tally) = save(&first).await;
    assert_eq!(tally.events, 0);
    // What a hold once covered it goes on to cover.
    let proof = hold::verify(&first.ledger, &first.by, "h").await.unwrap();
    assert_eq!((proof.now.events, proof.removed), (4, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_placing_a_hold_again_completes_it_whatever_was_learned_of_its_custodians() {
    let inner = begin().await;
    let first = process(&inner).await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    // Written, not fenced: not acknowledged.
    let dying = process(&inner).await;
    let fence = Plan::dead_from(1, Fault::Before).on(&[Operation::Put]);
    dying.store.faults().plan(fence.path("_delta_log"));
    let hold = hold_of("h", custodian(None, &["u-1"]));
    let placed = hold::place(&dying.ledger, &dying.by, &hold).await;
    assert!(placed.is_err());
    let again = hold_of("h", custodian(None, &["u-1", "u-1@example.com"]));
    let receipt = hold::place(&first.ledger, &first.by, &again).await.unwrap();
    assert_eq!(receipt.coverage.events, 2);
    // Another custodian is another hold.
    let mut other = again;
    other.scope.custodians[0].given = "bo".to_owned();
    let other = hold::place(&first.ledger, &first.by, &other).await;
    assert!(other.unwrap_err().to_string().contains("already"));
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
async fn ho1_the_receipt_of_a_hold_cannot_be_exchanged_or_taken_away() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let receipt = place(&first, "h", room("r-1")).await;
    let listed = objects(&first, hold_receipts()).await;
    let [path] = listed.as_slice() else {
        panic!("{listed:?}")
    };
    let path = path.clone();
    first
        .archive
        .store()
        .delete(&Path::from(path))
        .await
        .unwrap();
    let gone = hold::verify(&first.ledger, &first.by, "h").await.unwrap();
    assert_eq!(gone.matched_then, None);
    let state = first.ledger.refresh().await.unwrap();
    assert_eq!(state.verifications["hold"].problems, 1);
    // One that says less, named as the genuine one would be.
    let mut forged = receipt.clone();
    forged.coverage = hold::Coverage::default();
    let bytes = ledger::canonical(&forged, "receipt").unwrap();
    let digest = Digest::of(&bytes).to_string();
    let path = format!(
        "{}/{:020}-{}.json",
        hold_receipts(),
        receipt.entry,
        &digest[..16]
    );
    store(&first, &path, bytes).await;
    let forged = hold::verify(&first.ledger, &first.by, "h").await.unwrap();
    assert_eq!(forged.matched_then, None);
}

fn hold_receipts() -> &'static str {
    "ledger/receipts"
}

async fn objects(process: &Process, folder: &str) -> Vec<String> {
    use futures::TryStreamExt;
    let listed = process.archive.store().list(Some(&Path::from(folder)));
    let listed: Vec<_> = listed.try_collect().await.unwrap();
    listed
        .into_iter()
        .map(|meta| meta.location.to_string())
        .collect()
}

/// An event of the contract with data beside the columns.
fn told(
    made: &Made,
    extra: &str,
    change: impl Fn(&mut holdfast_schemas::Event<'static>),
) -> Row<'static> {
    let mut row = made.row();
    row.event.extra = Some(extra.to_owned().into());
    change(&mut row.event);
    row
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_a_category_is_explained_as_long_as_events_of_it_stay() {
    let first = fresh().await;
    let created = made(1, t::CATEGORY_CREATED, 900, None, 1);
    let created = told(
        &created,
        r#"{"data":{"after":{"name":"deals"}}}"#,
        |event| {
            event.room = holdfast_schemas::Room::default();
        },
    );
    // Another category's record must not end it.
    let other = made(2, t::CATEGORY_CREATED, 850, None, 1);
    let other = told(&other, r#"{"data":{"after":{"name":"sales"}}}"#, |event| {
        event.room = holdfast_schemas::Room::default();
    });
    let mut posted = made(3, t::MESSAGE_POSTED, 3, Some(3), 1).row();
    posted.event.room.category = Some("deals".into());
    ingest_rows(&first.archive, &[created, other, posted])
        .await
        .unwrap();
    let (plan, _) = save(&first).await;
    run_plan(&first, &plan).await;
    assert_eq!(live(&first.archive).await, set(&[1, 3]));
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_who_a_member_was_is_told_as_long_as_their_joining_is() {
    let first = fresh().await;
    let user = made(1, t::USER_UPDATED, 900, None, 1);
    let user = told(
        &user,
        r#"{"data":{"user":{"id":"u-7"},"after":{"email":"ana@example.com"}}}"#,
        |event| event.room = holdfast_schemas::Room::default(),
    );
    // Somebody else's record is not kept by it.
    let stranger = made(2, t::USER_UPDATED, 900, None, 1);
    let stranger = told(
        &stranger,
        r#"{"data":{"user":{"id":"u-8"},"after":{"email":"bo@example.com"}}}"#,
        |event| event.room = holdfast_schemas::Room::default(),
    );
    let joined = Made {
        user: 7,
        ..made(3, t::ROOM_JOINED, 890, None, 1)
    };
    // She never wrote; what she saw stays.
    let posted = Made {
        user: 5,
        ..made(4, t::MESSAGE_POSTED, 3, Some(4), 1)
    };
    let rows = [user, stranger, joined.row(), posted.row()];
    ingest_rows(&first.archive, &rows).await.unwrap();
    let (plan, _) = save(&first).await;
    run_plan(&first, &plan).await;
    assert_eq!(live(&first.archive).await, set(&[1, 3, 4]));
    let email = Identity {
        kind: IdentityKind::Email,
        ..id("ana@example.com")
    };
    let mut scope = custodian(None, &[]);
    scope.custodians[0].identities = vec![email];
    let receipt = place(&first, "h", scope).await;
    assert!(receipt.coverage.by_room["r-1"] >= 2, "{receipt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_a_hold_on_a_late_part_of_a_family_brings_back_the_rest_of_it() {
    for second_run in [false, true] {
        let first = fresh().await;
        ingest(&first.archive, &old(1..=4)).await.unwrap();
        let (plan, _) = save(&first).await;
        run_plan(&first, &plan).await;
        // An edit of what is out arrives late; it may go with a later run.
        let days_ago = if second_run { 700 } else { 3 };
        let edit = Made {
            body: "keepme".to_owned(),
            ..made(9, t::MESSAGE_EDITED, days_ago, Some(1), 1)
        };
        ingest(&first.archive, &[edit]).await.unwrap();
        if second_run {
            let (plan, tally) = save(&first).await;
            assert_eq!(tally.events, 1);
            run_plan(&first, &plan).await;
        }
        let word = HoldScope {
            query: Some("body:keepme".to_owned()),
            ..HoldScope::default()
        };
        let receipt = place(&first, "h", word).await;
        assert_eq!(receipt.restored, 1 + u64::from(second_run));
        purge::run(&first.ledger, &first.by).await.unwrap();
        assert_eq!(live(&first.archive).await, set(&[1, 9]));
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn le1_removed_words_are_gone_wherever_writers_left_them() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let mut scope = custodian(Some("ana"), &["ana.secret@example.com", "u-1"]);
    scope.query = Some("secret".to_owned());
    place(&first, "h", scope).await;
    let state = first.ledger.refresh().await.unwrap();
    let entry = state.holds["h"].placed.seq;
    // What a writer that lost the race for the number left behind.
    let orphan = ledger::entry::params_path(entry, &Digest::of(b"another"));
    store(&first, &orphan, b"the secret again".to_vec()).await;
    let remove = |seq| first.ledger.remove_params(&first.by, seq, "asked for");
    // While it holds, its scope is what it consists of.
    remove(entry).await.unwrap();
    assert!(!objects(&first, "ledger/params").await.contains(&orphan));
    let release = HoldRelease {
        name: "h".to_owned(),
        reason: "over".to_owned(),
        holds_until_us: 0,
    };
    hold::release(&first.ledger, &first.by, &release)
        .await
        .unwrap();
    let state = first.ledger.refresh().await.unwrap();
    assert!(!state.holds["h"].holds_at(first.ledger.now_us()));
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_what_an_ended_hold_was_about_can_be_forgotten() {
    let first = fresh().await;
    ingest(&first.archive, &old(1..=4)).await.unwrap();
    let mut scope = custodian(Some("ana"), &["ana.secret@example.com", "u-1"]);
    scope.query = Some("marker1x OR secret".to_owned());
    place(&first, "h", scope).await;
    let release = HoldRelease {
        name: "h".to_owned(),
        reason: "over".to_owned(),
        holds_until_us: first.ledger.now_us(),
    };
    hold::release(&first.ledger, &first.by, &release)
        .await
        .unwrap();
    let head = first.ledger.refresh().await.unwrap().head.seq;
    for seq in 1..=head {
        let record = first.ledger.record(seq).await.unwrap().unwrap();
        let of_hold = matches!(record.entry.action.as_str(), "hold.place" | "hold.expand");
        if of_hold {
            first
                .ledger
                .remove_params(&first.by, seq, "asked for")
                .await
                .unwrap();
        }
    }
    for path in objects(&first, "ledger").await {
        let bytes = first.archive.store().get(&Path::from(path.as_str())).await;
        let bytes = bytes.unwrap().bytes().await.unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("secret"), "{path}: {text}");
    }
    // Everything still opens, plans and verifies.
    let again = Ledger::open(&first.archive).await.unwrap();
    assert!(again.state().holds["h"].released.is_some());
    assert_eq!(save(&first).await.1.events, 4);
    hold::verify(&first.ledger, &first.by, "h").await.unwrap();
    let report = ledger_report(&first).await;
    assert_eq!(report.findings, []);
}

async fn ledger_report(process: &Process) -> holdfast_governance::ledger::verify::Report {
    holdfast_governance::ledger::verify::verify(&process.archive, LedgerOptions::default())
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_verification_beside_writers_finds_nothing_that_is_not_there() {
    let inner = begin().await;
    let (looking, writing) = (process(&inner).await, process(&inner).await);
    let faults = looking.store.faults();
    for path in ["ledger/", "ledger/snapshot.json"] {
        // The listing of the entries, or the reading of the snapshot, comes early; others go on.
        let operation = if path == "ledger/" {
            Operation::List
        } else {
            Operation::Get
        };
        faults.clear();
        let plan = Plan::nth(1, Fault::PauseAfter).on(&[operation]);
        faults.plan(if operation == Operation::List {
            plan.path("ledger")
        } else {
            plan.path(path)
        });
        let paused = if path == "ledger/" { 1 } else { 2 };
        let others = async {
            faults.paused(paused).await;
            for number in 0..70 {
                let open = ledger::matter::MatterOpen {
                    name: format!("{path}{number}"),
                    title: None,
                };
                write(&writing, Act::MatterOpen(open)).await;
            }
            faults.release();
        };
        let (report, ()) = tokio::join!(ledger_report(&looking), others);
        assert_eq!(report.findings, []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_an_entry_with_a_huge_number_is_found_and_fills_no_report() {
    let first = fresh().await;
    let head = first.ledger.state().head;
    let draft = |seq| ledger::entry::Draft {
        seq,
        time_us: first.ledger.now_us(),
        actor: "mallory".to_owned(),
        action: "search".to_owned(),
        matter: None,
        params_digest: Digest::of(b"none"),
        prev_hash: head.hash,
    };
    for seq in [5_000_000_000, u64::MAX] {
        let entry = draft(seq).seal().unwrap();
        store(&first, &ledger::Entry::path(seq), entry.encode().unwrap()).await;
    }
    let report = ledger_report(&first).await;
    assert!(report.findings.len() < 10, "{}", report.findings.len());
    let words: Vec<_> = report
        .findings
        .iter()
        .map(|one| one.tampering.word())
        .collect();
    assert!(words.contains(&"deleted"), "{words:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn le1_entries_that_their_writer_may_not_have_written_are_named() {
    use ledger::actor::{ActorDisable, Role};
    let first = fresh().await;
    write(&first, actor("rec", 1, &[Role::Records])).await;
    let rec = signing("rec", 1);
    by(
        &first,
        &rec,
        actor("gone", 2, &[Role::Records, Role::Legal]),
    )
    .await;
    by(&first, &rec, actor("au", 3, &[Role::Auditor])).await;
    let disable = ActorDisable {
        name: "gone".to_owned(),
        reason: None,
    };
    by(&first, &rec, Act::ActorDisable(disable)).await;
    assert_eq!(ledger_report(&first).await.findings, []);
    // Both keys still sign; the store is written past Holdfast.
    let release = || {
        Act::PolicyRemove(ledger::policy::PolicyRemove {
            name: "year".to_owned(),
            reason: None,
        })
    };
    for (name, number) in [("gone", 2), ("au", 3)] {
        append_past(&first, &signing(name, number), number, release()).await;
    }
    let report = ledger_report(&first).await;
    let words: Vec<_> = report
        .findings
        .iter()
        .map(|one| one.tampering.word())
        .collect();
    assert_eq!(
        words,
        ["not allowed", "not allowed"],
        "{:?}",
        report.findings
    );
}

/// An entry in its place in the chain, signed, that nobody judged.
async fn append_past(process: &Process, by: &By, number: u8, act: Act) {
    use base64::Engine;
    use ed25519_dalek::Signer;
    let state = process.ledger.refresh().await.unwrap();
    let params = ledger::Params {
        seq: state.head.seq + 1,
        salt: Digest::of(b"salt"),
        command: None,
        act,
    };
    let (words, params_digest) = params.encode().unwrap();
    let draft = ledger::entry::Draft {
        seq: params.seq,
        time_us: process.ledger.now_us(),
        actor: by.name().to_owned(),
        action: params.act.action().to_owned(),
        matter: None,
        params_digest,
        prev_hash: state.head.hash,
    };
    let mut entry = draft.seal().unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[number; 32]);
    let signature = key.sign(&entry.signed_bytes()).to_bytes();
    entry.signature = Some(base64::engine::general_purpose::STANDARD.encode(signature));
    store(process, &entry.params_path(), words).await;
    store(
        process,
        &ledger::Entry::path(entry.seq),
        entry.encode().unwrap(),
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_the_fence_is_where_it_was_said_to_be() {
    let first = fresh().await;
    let receipt = place(&first, "h", room("r-1")).await;
    let snapshot = first.archive.snapshot().await.unwrap();
    let fence = snapshot.position(LEDGER_APP_ID).await.unwrap();
    assert!(fence >= i64::try_from(receipt.entry).ok());
}
