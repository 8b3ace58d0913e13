//! Attacks: holds, whoever they are about, whatever comes late.

use holdfast_archive::LEDGER_APP_ID;
use holdfast_fixtures::{Fault, Operation, Plan};
use holdfast_governance::{hold, purge};
use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::hold::{Custodian, HoldScope};
use holdfast_schemas::ledger::person::{Identity, IdentityKind, PersonAdd, PersonLink};
use holdfast_schemas::ledger::{Act, Digest};
use holdfast_schemas::{Row, ledger};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::{hold_of, objects, old, store};
use crate::model::acts::{fresh, live, made, place, room, run_plan, save, set};
use crate::model::events::{Made, ingest, ingest_rows};
use crate::model::world::{begin, process, write};

fn id(value: &str) -> Identity {
    Identity {
        kind: IdentityKind::Id,
        value: value.to_owned(),
        from_us: None,
        until_us: None,
    }
}

pub(super) fn custodian(person: Option<&str>, identities: &[&str]) -> HoldScope {
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
async fn ho1_the_fence_is_where_it_was_said_to_be() {
    let first = fresh().await;
    let receipt = place(&first, "h", room("r-1")).await;
    let snapshot = first.archive.snapshot().await.unwrap();
    let fence = snapshot.position(LEDGER_APP_ID).await.unwrap();
    assert!(fence >= i64::try_from(receipt.entry).ok());
}
