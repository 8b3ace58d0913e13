//! Matters and their holds.

use holdfast_governance::actor::By;
use holdfast_governance::ledger::Context;
use holdfast_schemas::ledger::Act;

use super::{place_hold, refused, release};
use crate::common::*;

#[tokio::test]
async fn le1_a_matter_with_active_holds_stays_open_and_a_closed_one_takes_nothing() {
    use holdfast_governance::matter;
    use holdfast_schemas::ledger::matter::MatterClose;
    let (_, archive) = memory().await;
    let ledger = open(&archive).await;
    let ana = By::claim("ana");
    open_matter(&ledger, &ana, "M").await.unwrap();
    place_hold(&ledger, &ana).await;
    let close = MatterClose {
        name: "M".to_owned(),
        reason: None,
    };
    let closing = |now_us: i64| {
        ledger.append(&ana, Context::default(), {
            let close = close.clone();
            move |s: &holdfast_governance::ledger::State| matter::judge_close(s, &close, now_us)
        })
    };
    let refusal = refused(closing(50).await);
    assert!(
        refusal.to_string().contains("a hold of it still holds: H"),
        "{refusal}"
    );
    let Act::HoldRelease(mut release) = release() else {
        unreachable!()
    };
    release.holds_until_us = 100;
    write(&ledger, &ana, Act::HoldRelease(release))
        .await
        .unwrap();
    assert!(
        refused(closing(99).await)
            .to_string()
            .contains("cannot be closed")
    );
    closing(100).await.unwrap();
    let refusal = refused(ledger.append_act(&ana, Some("M"), search("x")).await);
    assert!(
        refusal.to_string().contains("matter `M` is closed"),
        "{refusal}"
    );
    let refusal = refused(ledger.append_act(&ana, Some("N"), search("x")).await);
    assert!(refusal.to_string().contains("no matter `N`"), "{refusal}");
    assert!(
        refused(open_matter(&ledger, &ana, "M").await)
            .to_string()
            .contains("already")
    );
}
