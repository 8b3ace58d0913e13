//! `holdfast thread`.

use serde_json::json;

use crate::check;
use crate::support::{DEALS, Home, LUNCH, append, event, id, lines, posted};

#[test]
fn thread_shows_the_talk_around() {
    let home = Home::small();
    check!("thread", home.run(&["thread", "deals", "--around", &id(4)]));
    check!(
        "thread_narrow",
        home.run(&["thread", "R-1", "--around", &id(10), "--context", "1"])
    );
    check!(
        "thread_jsonl",
        home.run(&[
            "thread",
            "lunch",
            "--around",
            &id(6),
            "--context",
            "1h",
            "--format",
            "jsonl"
        ])
    );
    check!(
        "thread_other_room",
        home.run(&["thread", "lunch", "--around", &id(4)])
    );
    check!(
        "thread_absent",
        home.run(&["thread", "deals", "--around", &id(99)])
    );
}

/// Message `n` of a day of 40, every one of which but the first and last few is edited an hour later.
fn long_room(home: &Home) {
    home.block_on(async {
        let archive = home.create().await;
        let time = |hour: u64, n: u64| format!("20T{hour:02}:{:02}:00", n);
        let said = |n: u64| posted(n, &time(8, n), DEALS, "u-1", &format!("line {n}"));
        let edited = |n: u64| {
            let message = json!({ "id": format!("m-{n}"), "kind": "plain", "body": format!("line {n} again") });
            let edit = json!({ "message": message });
            event(100 + n, "chat.message.edited", &time(8, n), Some(DEALS), "u-1", edit)
        };
        let joined = |n: u64| {
            let session = json!({ "session": format!("s-{n}") });
            event(200 + n, "chat.room.joined", &time(8, n), Some(DEALS), "u-2", session)
        };
        let elsewhere = |n: u64| posted(300 + n, &time(8, n), LUNCH, "u-3", "elsewhere");
        // Segments hold every second message, so that windows reach over both.
        for half in 0..2 {
            let mine = (1..=40).filter(|n| n % 2 == half);
            let events: Vec<_> = mine
                .flat_map(|n| [said(n), edited(n), joined(n), elsewhere(n)])
                .collect();
            append(&archive, half.into(), &lines(&events), None).await;
        }
    });
}

/// Sequences of the events that a command shows.
fn shown(home: &Home, args: &[&str]) -> Vec<u64> {
    let run = home.run(&[args, &["--format", "jsonl", "-q"]].concat());
    assert_eq!(run.code, 0, "{run}");
    let sequence = |line: &str| {
        let hit: serde_json::Value = serde_json::from_str(line).unwrap();
        hit["position"]["sequence"].as_u64().unwrap()
    };
    run.stdout.lines().map(sequence).collect()
}

/// Every event of the room with one of these messages, in order: what was said, its edit, and who joined at that time.
fn whole(messages: std::ops::RangeInclusive<u64>) -> Vec<u64> {
    messages.flat_map(|n| [n, 100 + n, 200 + n]).collect()
}

#[test]
fn a_thread_is_whole_in_the_middle_and_at_both_ends_of_a_room() {
    let home = Home::empty();
    long_room(&home);
    let around = |n: u64| {
        let id = id(n);
        let found = shown(
            &home,
            &["thread", "deals", "--around", &id, "--context", "2"],
        );
        let searched = shown(&home, &["search", &format!("id:{id}"), "--context", "2"]);
        assert_eq!(found, searched, "{n}");
        found
    };
    // What stands at the time of the last message but behind it is not between the two.
    let mut middle = whole(18..=22);
    middle.retain(|n| ![122, 222].contains(n));
    assert_eq!(around(20), middle);
    let mut first = whole(1..=3);
    first.retain(|n| ![103, 203].contains(n));
    assert_eq!(around(1), first, "nothing stands before the first");
    assert_eq!(
        around(40),
        whole(38..=40),
        "all to the end of the room stands behind the last"
    );
    assert_eq!(around(39), whole(37..=40));
    let edit = around(140);
    assert_eq!(
        edit,
        whole(39..=40),
        "of an edit, the messages before are those before the edit"
    );
    let join = around(201);
    assert_eq!(join, [1, 101, 201, 2, 102, 202, 3]);
}

#[test]
fn windows_of_several_hits_are_one_where_nothing_stands_between() {
    let home = Home::empty();
    long_room(&home);
    let near = "\"line 10 again\" OR \"line 11 again\"";
    assert_eq!(
        shown(&home, &["search", near, "--context", "1"]),
        [10, 110, 210, 11, 111, 211, 12]
    );
    let table = |query: &str| home.run(&["search", query, "--context", "1"]).stdout;
    assert!(!table(near).contains("\n--"));
    assert_eq!(
        table("\"line 10 again\" OR \"line 30 again\"")
            .matches("\n--")
            .count(),
        1
    );
    let pinned = shown(
        &home,
        &["search", "\"line 10\"", "--context", "1", "--as-of", "1"],
    );
    assert_eq!(
        pinned,
        [8, 108, 208, 10, 110, 210, 12],
        "later commits are left out of contexts too"
    );
}
