//! LE-1: who may act, with which key, and the second pair of eyes.
mod keys;
mod matters;

use crate::common::*;
use holdfast_governance::actor::By;
use holdfast_governance::approval;
use holdfast_governance::config;
use holdfast_governance::ledger::{Appended, Context, Ledger, LedgerError, Refusal};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::actor::{ActorDisable, Role};
use holdfast_schemas::ledger::disposition::{Authority, DispositionIntent};
use holdfast_schemas::ledger::hold::{HoldPlace, HoldRelease, HoldScope};
use holdfast_schemas::ledger::plan::PlanSaved;

fn refused<T: std::fmt::Debug>(result: Result<T, LedgerError>) -> Refusal {
    match result.unwrap_err() {
        LedgerError::Refused(refusal) => refusal,
        other => panic!("{other}"),
    }
}

/// ana: records and legal; cy: approver; au: auditor.
async fn staffed() -> Ledger {
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    let ana = signing("ana", 1);
    add(
        &ledger,
        &By::claim("root"),
        &actor("ana", 1, &[Role::Records, Role::Legal]),
    )
    .await
    .unwrap();
    add(&ledger, &ana, &actor("cy", 2, &[Role::Approver]))
        .await
        .unwrap();
    add(&ledger, &ana, &actor("au", 3, &[Role::Auditor]))
        .await
        .unwrap();
    ledger
}

async fn set(ledger: &Ledger, by: &By, key: &str, value: &str) -> Result<Appended, LedgerError> {
    ledger
        .append_or_request(by, Context::default(), |state| {
            config::judge_set(state, key, value)
        })
        .await
}

async fn approve(ledger: &Ledger, by: &By, id: &str) -> Result<Appended, LedgerError> {
    ledger
        .append(by, Context::default(), |state| {
            approval::judge_give(state, by, id)
        })
        .await
}

async fn four_eyes() -> Ledger {
    let ledger = staffed().await;
    set(&ledger, &signing("ana", 1), "governance.four_eyes", "true")
        .await
        .unwrap();
    ledger
}

#[tokio::test]
async fn le1_without_actors_a_name_is_a_claim_and_with_them_every_entry_is_signed() {
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    write(&ledger, &By::claim("anybody"), search("x"))
        .await
        .unwrap();
    assert_eq!(
        ledger.record(1).await.unwrap().unwrap().entry.signature,
        None
    );
    add(
        &ledger,
        &By::claim("root"),
        &actor("ana", 1, &[Role::Records]),
    )
    .await
    .unwrap();
    for (by, expected) in [
        (By::claim("anybody"), "is no actor"),
        (By::claim("ana"), "must sign"),
        (signing("ana", 9), "is not the one of actor"),
        (signing("bea", 1), "is no actor"),
    ] {
        let refusal = refused(write(&ledger, &by, search("x")).await);
        assert!(refusal.to_string().contains(expected), "{refusal}");
        assert!(!refusal.hint().is_empty());
    }
    let done = write(&ledger, &signing("ana", 1), search("x"))
        .await
        .unwrap();
    let entry = ledger.record(done.seq).await.unwrap().unwrap().entry;
    let key = signing("ana", 1).public_key().unwrap();
    assert!(holdfast_governance::actor::keys::verifies(
        &key,
        &entry.signed_bytes(),
        &entry.signature.unwrap()
    ));
}

#[tokio::test]
async fn le1_roles_decide_who_may_do_what() {
    let ledger = staffed().await;
    let (ana, cy, au) = (signing("ana", 1), signing("cy", 2), signing("au", 3));
    for by in [&ana, &cy, &au] {
        write(&ledger, by, search("x")).await.unwrap();
    }
    open_matter(&ledger, &ana, "M").await.unwrap();
    for by in [&cy, &au] {
        let refusal = refused(open_matter(&ledger, by, "N").await);
        assert!(
            refusal.to_string().contains("takes the role `legal`"),
            "{refusal}"
        );
        let refusal = refused(set(&ledger, by, "retention.grace", "1d").await);
        assert!(
            refusal.to_string().contains("takes the role `records`"),
            "{refusal}"
        );
    }
    let disable = ActorDisable {
        name: "au".to_owned(),
        reason: None,
    };
    ledger
        .append(&ana, Context::default(), |s| {
            holdfast_governance::actor::judge_disable(s, &disable)
        })
        .await
        .unwrap();
    let refusal = refused(write(&ledger, &au, search("x")).await);
    assert!(
        matches!(refusal, Refusal::DisabledActor { .. }),
        "{refusal}"
    );
}

#[tokio::test]
async fn le1_names_and_keys_are_one_actors_for_ever_and_somebody_can_always_add_one() {
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    let root = By::claim("root");
    let refusal = refused(add(&ledger, &root, &actor("ana", 1, &[Role::Legal])).await);
    assert!(
        refusal
            .to_string()
            .contains("first actor must have the role `records`"),
        "{refusal}"
    );
    add(&ledger, &root, &actor("ana", 1, &[Role::Records]))
        .await
        .unwrap();
    let ana = signing("ana", 1);
    let refusal = refused(add(&ledger, &ana, &actor("bea", 1, &[Role::Legal])).await);
    assert!(
        refusal.to_string().contains("is the key of actor `ana`"),
        "{refusal}"
    );
    let refusal = refused(add(&ledger, &ana, &actor("ana", 2, &[Role::Legal])).await);
    assert!(refusal.to_string().contains("already"), "{refusal}");
    let again = add(&ledger, &ana, &actor("ana", 1, &[Role::Records]))
        .await
        .unwrap();
    assert!(!again.written);
    let disable = ActorDisable {
        name: "ana".to_owned(),
        reason: None,
    };
    let refused_ = refused(
        ledger
            .append(&ana, Context::default(), |s| {
                holdfast_governance::actor::judge_disable(s, &disable)
            })
            .await,
    );
    assert!(refused_.to_string().contains("last actor"), "{refused_}");
}

fn release() -> Act {
    Act::HoldRelease(HoldRelease {
        name: "H".to_owned(),
        reason: "settled".to_owned(),
        holds_until_us: 0,
    })
}

async fn ask(ledger: &Ledger, by: &By, act: Act) -> Result<Appended, LedgerError> {
    ledger
        .append_or_request(by, Context::default(), |_| {
            Ok(holdfast_governance::ledger::Judged::Write(act.clone()))
        })
        .await
}

/// A hold on everything.
async fn place_hold(ledger: &Ledger, by: &By) {
    let hold = HoldPlace {
        name: "H".to_owned(),
        matter: "M".to_owned(),
        scope: HoldScope::default(),
        reason: "r".to_owned(),
        table_version: 0,
    };
    write(ledger, by, Act::HoldPlace(hold)).await.unwrap();
}

#[tokio::test]
async fn le1_four_eyes_take_two_pairs() {
    let ledger = four_eyes().await;
    let (ana, cy) = (signing("ana", 1), signing("cy", 2));
    // A hold needs no approval: it only keeps more.
    place_hold(&ledger, &ana).await;
    let waits = refused(ask(&ledger, &ana, release()).await);
    let Refusal::ApprovalNeeded {
        request: Some(request),
        ..
    } = &waits
    else {
        panic!("{waits}");
    };
    assert!(
        waits
            .hint()
            .contains(&format!("holdfast approve {request}")),
        "{}",
        waits.hint()
    );
    assert!(ledger.state().holds["H"].released.is_none());
    // Asked again it is the same request.
    let again = refused(ask(&ledger, &ana, release()).await);
    assert_eq!(again, waits);
    let id = request.to_string();
    // Not by the requester, whatever their roles; not by somebody without the role.
    let one_pair = refused(approve(&ledger, &ana, &id).await);
    assert!(matches!(one_pair, Refusal::OnePair { .. }), "{one_pair}");
    assert!(one_pair.to_string().contains("one pair"));
    let refusal = refused(approve(&ledger, &signing("au", 3), &id).await);
    assert!(matches!(refusal, Refusal::NotAllowed { .. }), "{refusal}");
    approve(&ledger, &cy, &id).await.unwrap();
    // Not for letting go earlier.
    let Act::HoldRelease(mut other) = release() else {
        unreachable!()
    };
    other.holds_until_us = -1;
    assert!(matches!(
        refused(ask(&ledger, &ana, Act::HoldRelease(other)).await),
        Refusal::ApprovalNeeded { .. }
    ));
    let done = ask(&ledger, &ana, release()).await.unwrap();
    assert!(ledger.state().holds["H"].released.is_some());
    // Good for one time.
    let refusal = refused(approve(&ledger, &cy, &id).await);
    assert!(
        refusal.to_string().contains(&format!("entry {}", done.seq)),
        "{refusal}"
    );
    assert!(matches!(
        refused(ask(&ledger, &ana, release()).await),
        Refusal::ApprovalNeeded {
            request: Some(_),
            ..
        }
    ));
}

#[tokio::test]
async fn le1_four_eyes_cannot_be_set_with_one_pair_nor_switched_off_by_one() {
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    let refusal = refused(set(&ledger, &By::claim("root"), "governance.four_eyes", "true").await);
    assert!(matches!(refusal, Refusal::OnePair { .. }), "{refusal}");
    add(
        &ledger,
        &By::claim("root"),
        &actor("ana", 1, &[Role::Records, Role::Approver]),
    )
    .await
    .unwrap();
    let ana = signing("ana", 1);
    let refusal = refused(set(&ledger, &ana, "governance.four_eyes", "true").await);
    assert!(matches!(refusal, Refusal::OnePair { .. }), "{refusal}");
    let ledger = four_eyes().await;
    // Neither by the setting, nor by a second actor of one's own.
    let refusal = refused(set(&ledger, &ana, "governance.four_eyes", "false").await);
    assert!(
        matches!(refusal, Refusal::ApprovalNeeded { .. }),
        "{refusal}"
    );
    let refusal = refused(add(&ledger, &ana, &actor("ana2", 7, &[Role::Approver])).await);
    assert!(
        matches!(refusal, Refusal::ApprovalNeeded { .. }),
        "{refusal}"
    );
    let request = ledger
        .state()
        .approvals
        .values()
        .find(|a| a.summary.contains("four_eyes"))
        .unwrap()
        .requested
        .mark
        .seq;
    approve(&ledger, &signing("cy", 2), &request.to_string())
        .await
        .unwrap();
    set(&ledger, &ana, "governance.four_eyes", "false")
        .await
        .unwrap();
    assert!(!config::four_eyes(&ledger.state()));
    assert!(ledger.state().approvals.values().any(|a| a.used.is_some()));
}

fn plan(id: &str) -> Act {
    Act::PlanSaved(PlanSaved {
        id: id.to_owned(),
        path: "p".to_owned(),
        sha256: Default::default(),
        table_version: 0,
        ledger_fence: None,
        ledger_seq: 0,
        now_us: 0,
        events: 3,
        families: 2,
        bytes: 1,
        events_total: 100,
        policies: Default::default(),
    })
}

fn intent(run: &str, plan: &str, authority: Authority) -> Act {
    Act::DispositionIntent(DispositionIntent {
        run: run.to_owned(),
        plan: plan.to_owned(),
        authority,
        table_version: 0,
        ledger_fence: None,
        policies: Default::default(),
    })
}

#[tokio::test]
async fn le1_a_plan_is_its_own_request_and_is_approved_for_one_run() {
    let ledger = four_eyes().await;
    let (ana, cy) = (signing("ana", 1), signing("cy", 2));
    write(&ledger, &ana, plan("p-1")).await.unwrap();
    let refusal = refused(ask(&ledger, &ana, intent("run-1", "p-1", Authority::Plan)).await);
    assert!(
        matches!(
            refusal,
            Refusal::ApprovalNeeded {
                request: Some(_),
                ..
            }
        ),
        "{refusal}"
    );
    let refusal = refused(approve(&ledger, &ana, "p-1").await);
    assert!(matches!(refusal, Refusal::OnePair { .. }), "{refusal}");
    approve(&ledger, &cy, "p-1").await.unwrap();
    ask(&ledger, &ana, intent("run-1", "p-1", Authority::Plan))
        .await
        .unwrap();
    let refusal = refused(ask(&ledger, &ana, intent("run-2", "p-1", Authority::Plan)).await);
    assert!(
        matches!(refusal, Refusal::ApprovalNeeded { .. }),
        "{refusal}"
    );
    // The schedule runs under policies and a share that were approved.
    let share = Authority::Schedule {
        max_share_ppm: 10_000,
    };
    ask(&ledger, &ana, intent("run-3", "p-1", share))
        .await
        .unwrap();
}
