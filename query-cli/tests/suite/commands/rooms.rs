//! `holdfast rooms`.

use serde_json::json;

use crate::check;
use crate::support::{DEALS, Home, LUNCH, append, event, lines, posted};

#[test]
fn rooms_and_who_was_in_them() {
    let home = Home::small();
    check!("rooms", home.run(&["rooms"]));
    check!(
        "rooms_custodian",
        home.run(&["rooms", "--custodian", "taro@example.jp"])
    );
    check!(
        "rooms_json",
        home.run(&["rooms", "--since", "2025-11-22", "--format", "json"])
    );
    check!(
        "rooms_nothing",
        home.run(&["rooms", "--custodian", "nobody"])
    );
    check!("rooms_bad_date", home.run(&["rooms", "--until", "then"]));
}

/// Ana was a member from the first record to a snapshot without her, and came back after another one; Bo was added and
/// removed; Taro joined and left twice.
fn memberships() -> Home {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        let listed = |n, time, room, members| {
            event(n, "chat.room.snapshot", time, Some(room), "u-3", json!({ "members": members }))
        };
        let of = |n, kind, time, room, data| event(n, kind, time, Some(room), "u-3", data);
        let bo = json!({ "member": { "id": "u-2", "name": "Bo Lindqvist", "email": "bo@example.com" }, "role": "member" });
        let session = |name: &str| json!({ "session": name });
        let ana = json!([{ "id": "u-1", "name": "Ana Pérez", "email": "ana@example.com", "role": "manager" }]);
        let first = [
            listed(1, "01T00:00:00", DEALS, ana.clone()),
            of(2, "chat.room.member_added", "03T09:00:00", DEALS, bo.clone()),
            posted(3, "04T10:00:00", DEALS, "u-2", "hello"),
            of(4, "chat.room.joined", "05T08:00:00", LUNCH, session("s-1")),
            of(5, "chat.room.left", "05T09:00:00", LUNCH, session("s-1")),
        ];
        append(&archive, 1, &lines(&first), None).await;
        let second = [
            listed(6, "10T00:00:00", DEALS, json!([{ "id": "u-2" }])),
            of(7, "chat.room.member_removed", "12T12:00:00", DEALS, bo),
            listed(8, "20T00:00:00", DEALS, ana),
            listed(12, "15T00:00:00", DEALS, json!([])),
            of(9, "chat.room.joined", "21T08:00:00", LUNCH, session("s-2")),
            of(10, "chat.room.left", "21T08:30:00", LUNCH, session("s-2")),
            listed(11, "22T00:00:00", ("r-3", "quiet"), json!([{ "id": "u-1" }])),
        ];
        append(&archive, 2, &lines(&second), None).await;
    });
    home
}

#[test]
fn stays_are_told_from_membership_joins_and_snapshots() {
    let home = memberships();
    check!("rooms_stays", home.run(&["rooms"]));
    check!("rooms_stays_csv", home.run(&["rooms", "--format", "csv"]));
    check!(
        "rooms_stays_custodian",
        home.run(&[
            "rooms",
            "--custodian",
            "ana@example.com",
            "--tz",
            "Europe/Berlin"
        ])
    );
    check!(
        "rooms_stays_custodian_json",
        home.run(&["rooms", "--custodian", "u-3", "--format", "json"])
    );
    // Nothing happened then, and Ana was in one room only: the other one did not list her.
    check!(
        "rooms_stays_quiet",
        home.run(&[
            "rooms",
            "--custodian",
            "perez",
            "--since",
            "2025-11-13",
            "--until",
            "2025-11-14"
        ])
    );
    let before = home.run(&["rooms", "--custodian", "u-2", "--until", "2025-11-02"]);
    assert_eq!(before.code, 1, "Bo was in no room yet: {before}");
}

#[test]
fn a_room_shows_what_participants_finds() {
    let home = memberships();
    let count = |query: &str| home.run(&["search", query, "--count"]).stdout;
    for (person, from, to) in [
        ("u-2", "2025-11-03T09:00:00Z", "2025-11-12T12:00:00Z"),
        ("u-3", "2025-11-05T08:00:00Z", "2025-11-05T09:00:00Z"),
    ] {
        let room = if person == "u-2" { "r-1" } else { "r-2" };
        let rooms = home
            .run(&["rooms", "--custodian", person, "--format", "csv"])
            .stdout;
        let stay = format!("{room},");
        let line = rooms
            .lines()
            .find(|line| line.starts_with(&stay) && line.contains(&from[..19]));
        assert!(line.is_some_and(|line| line.contains(&to[..19])), "{rooms}");
        let inside = format!("room:{room} AND date:{from}..{to}");
        assert_eq!(
            count(&format!("{inside} AND participants:{person}")),
            count(&inside)
        );
    }
}
