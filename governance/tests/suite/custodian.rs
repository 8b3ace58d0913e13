//! HO-1 for custodians: what they could see is known for as long as there is something to see.

use std::collections::BTreeMap;

use crate::model::events::{DAY_US, Made, ingest};
use crate::model::world::{Process, begin, process, write};
use holdfast_governance::disposition::{plan_file, run};
use holdfast_governance::hold;
use holdfast_governance::plan::Reason;
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::hold::{Custodian, HoldPlace, HoldScope};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};
use holdfast_schemas::ledger::policy::{PolicyAction, PolicyScope, PolicySet};

fn made(seq: u64, event_type: &'static str, days_ago: i64, user: u64) -> Made {
    let now_us = jiff::Timestamp::now().as_microsecond();
    let session = matches!(event_type, t::ROOM_JOINED | t::ROOM_LEFT);
    Made {
        seq,
        event_type,
        time_us: now_us - days_ago * DAY_US + seq.cast_signed(),
        room: 1,
        user,
        message: (!session).then_some(seq),
        session: 7,
        body: format!("words {seq}"),
    }
}

fn policy(name: &str, period: &str, types: &[&str]) -> Act {
    Act::PolicySet(PolicySet {
        name: name.to_owned(),
        scope: PolicyScope {
            types: types.iter().map(|name| (*name).to_owned()).collect(),
            ..PolicyScope::default()
        },
        period: period.to_owned(),
        time_zone: None,
        action: PolicyAction::Delete,
        explicit: !types.is_empty(),
        reason: None,
    })
}

fn custodian(id: &str) -> Custodian {
    Custodian {
        given: id.to_owned(),
        person: None,
        identities: vec![Identity {
            kind: IdentityKind::Id,
            value: id.to_owned(),
            from_us: None,
            until_us: None,
        }],
    }
}

async fn plan_and_run(process: &Process) -> run::RunReport {
    let made = plan_file::make(&process.ledger, process.ledger.now_us())
        .await
        .unwrap();
    let (saved, _) = plan_file::save(&process.ledger, &process.by, &made)
        .await
        .unwrap();
    run::run(&process.ledger, &process.by, &saved.id, Authority::Plan)
        .await
        .unwrap()
}

async fn place(process: &Process, custodians: &[&str]) -> hold::Receipt {
    let place = HoldPlace {
        name: "h".to_owned(),
        matter: "m".to_owned(),
        scope: HoldScope {
            custodians: custodians.iter().map(|id| custodian(id)).collect(),
            ..HoldScope::default()
        },
        reason: "a test".to_owned(),
        table_version: 0,
    };
    hold::place(&process.ledger, &process.by, &place)
        .await
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_a_custodian_is_covered_after_the_join_events_own_period_has_passed() {
    let one = process(&begin().await).await;
    // Both only delete: what is due is kept by nothing but what it explains.
    write(&one, policy("year", "365d", &[])).await;
    write(
        &one,
        policy("joins", "30d", &[t::ROOM_JOINED, t::ROOM_LEFT]),
    )
    .await;
    let events = [
        made(1, t::ROOM_JOINED, 200, 1),
        made(2, t::MESSAGE_POSTED, 195, 2),
        made(3, t::ROOM_LEFT, 190, 1),
        made(4, t::MESSAGE_POSTED, 150, 2),
        made(5, t::MESSAGE_POSTED, 400, 2),
    ];
    ingest(&one.archive, &events).await.unwrap();
    // Their own period is over, and what they explain is still there: only the oldest message goes.
    let report = plan_and_run(&one).await;
    assert_eq!(report.outcome.unwrap().events, 1);
    assert!(
        report.tally.stays.contains(&(Reason::Explains, 2)),
        "{:?}",
        report.tally.stays
    );
    // Long after, the hold knows from them what its custodian could see.
    let receipt = place(&one, &["u-1", "u-2"]).await;
    let expected = BTreeMap::from([("u-1".to_owned(), 3), ("u-2".to_owned(), 3)]);
    assert_eq!(receipt.coverage.by_custodian, expected, "{receipt:?}");
    assert_eq!((receipt.coverage.events, receipt.restored), (5, 1));
    assert!(receipt.purged_before.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn ho1_what_a_custodian_could_see_stays_when_everything_is_due() {
    let one = process(&begin().await).await;
    let events = [
        made(1, t::ROOM_JOINED, 200, 1),
        made(2, t::MESSAGE_POSTED, 195, 2),
        made(3, t::ROOM_LEFT, 190, 1),
        made(4, t::MESSAGE_POSTED, 150, 2),
    ];
    ingest(&one.archive, &events).await.unwrap();
    let receipt = place(&one, &["u-1"]).await;
    assert_eq!(receipt.coverage.events, 3);
    write(&one, policy("year", "100d", &[])).await;
    let report = plan_and_run(&one).await;
    assert_eq!(
        report.outcome.unwrap().events,
        1,
        "only what came after they had left"
    );
    let proof = hold::verify(&one.ledger, &one.by, "h").await.unwrap();
    assert_eq!(
        (proof.matched_then, proof.now.events, proof.removed),
        (Some(3), 3, 0)
    );
    assert_eq!(hold::freed(&one.ledger, "h").await.unwrap(), 3);
}
