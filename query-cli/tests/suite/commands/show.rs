//! `holdfast show`.

use serde_json::{Value, json};

use crate::check;
use crate::support::{DEALS, Home, append, event, id, lines, posted};

#[test]
fn show_tells_all_of_one_event() {
    let home = Home::small();
    check!("show", home.run(&["show", &id(4)]));
    check!("show_hostile", home.run(&["show", &id(9)]));
    check!("show_history", home.run(&["show", &id(6), "--history"]));
    check!(
        "show_json",
        home.run(&["show", &id(6), "--history", "--format", "json"])
    );
    check!("show_absent", home.run(&["show", &id(99)]));
    check!("show_missing_argument", home.run(&["show"]));
}

#[test]
fn every_version_of_a_message_and_every_event_of_an_id_is_shown() {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        let message =
            |body: &str| json!({ "message": { "id": "m-1", "kind": "plain", "body": body } });
        let change = |n: u64, kind, data| event(n, kind, "20T08:01:00", Some(DEALS), "u-1", data);
        let first = [
            posted(1, "20T08:00:00", DEALS, "u-1", "first words"),
            change(2, "chat.message.edited", message("second words")),
        ];
        append(&archive, 1, &lines(&first), None).await;
        // The same id by another way into the archive, where it is another message.
        let mut again = posted(1, "20T09:00:00", ("r-9", "import"), "u-2", "imported words");
        again["origin"] = "import.1".into();
        let value = json!({ "message": { "id": "m-1" }, "value": "+1" });
        let second = [
            again,
            change(3, "chat.message.edited", message("third words")),
            change(4, "chat.reaction.added", value),
            change(5, "chat.message.replaced", message("last words")),
            // Another room's message of the same id is another message.
            event(
                6,
                "chat.message.edited",
                "20T08:01:00",
                Some(("r-8", "else")),
                "u-1",
                message("else"),
            ),
        ];
        append(&archive, 2, &lines(&second), None).await;
    });
    let json = home.run(&["show", &id(1), "--history", "--format", "json"]);
    assert!(json.stderr.contains("2 events have this id"), "{json}");
    let shown: Value = serde_json::from_str(&json.stdout).unwrap();
    let origin = |event: &Value| event["event"]["origin"].as_str().unwrap().to_owned();
    assert_eq!(origin(&shown), "main.1");
    assert_eq!(shown["status"], "superseded");
    let others = shown["others"].as_array().unwrap();
    assert_eq!(others.iter().map(origin).collect::<Vec<_>>(), ["import.1"]);
    assert_eq!(others[0]["status"], "current");
    let history = shown["history"].as_array().unwrap();
    let of = |name: &str| -> Vec<_> { history.iter().map(|hit| hit[name].clone()).collect() };
    assert_eq!(
        of("body"),
        [
            json!("first words"),
            json!("second words"),
            json!("third words"),
            Value::Null,
            json!("last words"),
            json!("imported words")
        ]
    );
    assert_eq!(
        of("status"),
        [
            "superseded",
            "superseded",
            "superseded",
            "current",
            "current",
            "current"
        ]
    );
    let table = home.run(&["show", &id(1), "--history"]);
    for words in [
        "first words",
        "second words",
        "third words",
        "last words",
        "imported words",
    ] {
        assert!(table.stdout.contains(words), "{words}: {table}");
    }
    assert!(!table.stdout.contains("else"), "{table}");
    let csv = home.run(&["show", &id(1), "--format", "csv"]);
    assert_eq!(csv.stdout.lines().count(), 3, "{csv}");
}
