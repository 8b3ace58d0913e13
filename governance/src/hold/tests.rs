//! What a hold covers.

use holdfast_schemas::event_type as t;
use holdfast_schemas::ledger::hold::{Custodian, RoomRef, SeenRoom};
use holdfast_schemas::{Actor, Intake, Message, Room};

use super::*;

fn posted(
    room: &'static str,
    actor: &'static str,
    time_us: i64,
    body: &'static str,
) -> Row<'static> {
    Row {
        event: Event {
            event_type: t::MESSAGE_POSTED.into(),
            time_us,
            room: Room {
                id: Some(room.into()),
                category: Some("Sales".into()),
                ..Room::default()
            },
            actor: Actor {
                id: Some(actor.into()),
                name: Some("Ana Pérez".into()),
                ..Actor::default()
            },
            message: Message {
                body: Some(body.into()),
                ..Message::default()
            },
            ..Event::default()
        },
        intake: Intake::default(),
    }
}

fn custodian(kind: IdentityKind, value: &str) -> Custodian {
    let identity = Identity {
        kind,
        value: value.to_owned(),
        from_us: Some(0),
        until_us: Some(100),
    };
    Custodian {
        given: value.to_owned(),
        person: None,
        identities: vec![identity],
    }
}

fn hold(scope: &HoldScope, expansions: &[HoldExpand]) -> Hold {
    Hold::new("h", scope, expansions, Timestamp::UNIX_EPOCH).unwrap()
}

fn rooms(ids: &[&str]) -> Vec<RoomRef> {
    ids.iter()
        .map(|id| RoomRef {
            id: (*id).to_owned(),
            name: None,
        })
        .collect()
}

#[test]
fn custodians_rooms_and_categories_widen() {
    let scope = HoldScope {
        custodians: vec![custodian(IdentityKind::Id, "U-7")],
        rooms: rooms(&["r-1"]),
        ..HoldScope::default()
    };
    let mut hold = hold(&scope, &[]);
    assert!(hold.covers(&posted("R-1", "u-9", 50, "x")));
    assert!(hold.covers(&posted("r-2", "u-7", 50, "x")));
    assert!(!hold.covers(&posted("r-2", "u-9", 50, "x")));
    assert!(
        !hold.covers(&posted("r-2", "u-7", 101, "x")),
        "the id was somebody else's by then"
    );
    let mut by_category = super::tests::hold(
        &HoldScope {
            categories: vec!["sales".to_owned()],
            ..HoldScope::default()
        },
        &[],
    );
    assert!(by_category.covers(&posted("r-2", "u-9", 50, "x")));
}

#[test]
fn types_dates_and_query_narrow() {
    let scope = HoldScope {
        rooms: rooms(&["r-1"]),
        types: vec![t::MESSAGE_POSTED.to_owned()],
        since_us: Some(10),
        until_us: Some(20),
        query: Some("plan".to_owned()),
        ..HoldScope::default()
    };
    let mut hold = hold(&scope, &[]);
    assert!(hold.covers(&posted("r-1", "u", 10, "the PLAN")));
    assert!(!hold.covers(&posted("r-1", "u", 21, "the plan")));
    assert!(!hold.covers(&posted("r-1", "u", 20, "the planet")));
    let mut left = posted("r-1", "u", 15, "plan");
    left.event.event_type = t::ROOM_LEFT.into();
    assert!(!hold.covers(&left));
    assert!(hold.may_cover((0, 10)) && hold.may_cover((20, 99)) && !hold.may_cover((21, 99)));
}

#[test]
fn what_a_custodian_could_see_is_covered_and_never_shrinks() {
    let scope = HoldScope {
        custodians: vec![custodian(IdentityKind::Id, "u-7")],
        ..HoldScope::default()
    };
    let expand = |spans: Vec<(Option<i64>, Option<i64>)>| HoldExpand {
        name: "h".to_owned(),
        table_version: 1,
        scope: scope.clone(),
        seen: vec![SeenRoom {
            room: "r-1".to_owned(),
            spans_us: spans,
        }],
    };
    let (first, second) = (
        expand(vec![(Some(5), Some(9))]),
        expand(vec![(Some(30), None)]),
    );
    let mut hold = hold(&scope, &[first, second]);
    for (time, covered) in [
        (4, false),
        (5, true),
        (9, true),
        (10, false),
        (30, true),
        (1 << 60, true),
    ] {
        assert_eq!(
            hold.covers(&posted("r-1", "u-9", time, "x")),
            covered,
            "{time}"
        );
    }
}

#[test]
fn what_cannot_be_judged_is_covered_by_every_hold() {
    let scope = HoldScope {
        rooms: rooms(&["r-1"]),
        query: Some("plan".to_owned()),
        until_us: Some(1),
        ..HoldScope::default()
    };
    let mut quarantined = posted("r-9", "u", 50, "");
    quarantined.event.event_type = t::QUARANTINED.into();
    assert!(hold(&scope, &[]).covers(&quarantined));
}

#[test]
fn a_shared_name_means_nobody_who_is_known_better() {
    let mut known = custodian(IdentityKind::Id, "u-1");
    known.identities.push(Identity {
        kind: IdentityKind::Name,
        value: "Ana Pérez".to_owned(),
        from_us: None,
        until_us: None,
    });
    let scope = HoldScope {
        custodians: vec![known],
        ..HoldScope::default()
    };
    assert!(!hold(&scope, &[]).covers(&posted("r", "u-2", 50, "x")));
    let scope = HoldScope {
        custodians: vec![custodian(IdentityKind::Name, "ana pérez")],
        ..HoldScope::default()
    };
    assert!(hold(&scope, &[]).covers(&posted("r", "u-2", 50, "x")));
}

#[test]
fn a_query_that_cannot_be_read_is_an_error_and_not_a_hold_of_nothing() {
    for text in ["(plan", "participants:ana", "nosuch:x"] {
        let scope = HoldScope {
            query: Some(text.to_owned()),
            ..HoldScope::default()
        };
        assert!(
            Hold::new("h", &scope, &[], Timestamp::UNIX_EPOCH).is_err(),
            "{text}"
        );
    }
}

#[test]
fn each_type_of_the_contract_can_be_held() {
    for known in t::KNOWN {
        let scope = HoldScope {
            types: vec![known.name.to_owned()],
            ..HoldScope::default()
        };
        let mut row = posted("r", "u", 5, "x");
        row.event.event_type = known.name.into();
        assert!(hold(&scope, &[]).covers(&row), "{}", known.name);
    }
}
