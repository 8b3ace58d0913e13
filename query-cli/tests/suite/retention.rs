//! RE-1 on the command line: Microsoft's two worked examples ("The principles of retention, or what takes precedence?") as
//! whole runs; what a plan leaves in the ledger; what is acknowledged once it is fenced.

use crate::support::{Home, Run, append, id};
use holdfast_archive::LEDGER_APP_ID;
use jiff::civil::Date;
use jiff::{ToSpan, Zoned};
use serde_json::{Value, json};

/// The room that `scoped` policies of the examples cover.
const ROOM: (&str, &str) = ("r-1", "deals");

fn ok(run: Run) -> Run {
    assert_eq!(run.code, 0, "{run}");
    run
}

fn json_of(home: &Home, args: &[&str]) -> Value {
    let run = ok(home.run(&[&["--format", "json"], args].concat()));
    serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap()
}

fn today() -> Date {
    Zoned::now().with_time_zone(jiff::tz::TimeZone::UTC).date()
}

/// A message that was posted at noon of a day.
fn posted(n: u64, day: Date) -> Value {
    let room = json!({ "id": ROOM.0, "name": ROOM.1 });
    json!({
        "specversion": "1.0", "id": id(n), "source": "/pools/main/nodes/chat-1", "type": "chat.message.posted",
        "subject": ROOM.0, "time": format!("{day}T12:00:00Z"), "datacontenttype": "application/json",
        "dataschema": "urn:holdfast:compliance-event:1", "origin": "main.1", "sequence": format!("{n:020}"),
        "data": {
            "room": room, "actor": { "id": "u-1", "kind": "user" }, "room_seq": n,
            "message": { "id": format!("m-{n}"), "kind": "plain", "body": format!("words {n}") },
        },
    })
}

/// An archive with one message a day, each in a commit of its own.
fn with_days(days: &[Date]) -> Home {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        for (n, day) in (1..).zip(days) {
            append(&archive, n.into(), &[posted(n, *day).to_string()], None).await;
        }
    });
    ok(home.run(&["config", "set", "retention.ingest_grace", "0d"]));
    home
}

struct Example {
    policies: &'static [&'static [&'static str]],
    /// Years after which a message goes, and not a day before.
    years: i64,
    /// The policy that keeps it until then, and the one that deletes it.
    keeps: &'static str,
    deletes: &'static str,
}

/// A day before its time everything is there, the day after it goes; the certificate names who decided.
fn plays(example: &Example) {
    let end = today() - example.years.years();
    // Two days that are over, the one that is over today's end, and one that is not.
    let days = [
        end - 40.days(),
        end - 1.day(),
        end + 1.day(),
        end + 100.days(),
    ];
    let home = with_days(&days);
    for policy in example.policies {
        ok(home.run(&[&["retention", "set"], *policy].concat()));
    }
    let plan = json_of(&home, &["retention", "plan", "--save"]);
    assert_eq!(plan["tally"]["events"], 2, "{plan}");
    for kept in [3, 4] {
        let why = ok(home.run(&["explain", &id(kept)])).stdout;
        assert!(why.contains(example.keeps), "{why}");
    }
    let plan = plan["plan"].as_str().unwrap();
    let run = json_of(&home, &["retention", "run", "--plan", plan, "--yes"]);
    assert_eq!(run["events"], 2, "{run}");
    let retained = format!("policy {}", example.keeps);
    assert_eq!(run["stayed"], json!({ retained: 2 }), "{run}");
    let found = ok(home.run(&["--format", "jsonl", "search", "words"])).stdout;
    let found: Vec<String> = found
        .lines()
        .map(|line| {
            let hit: Value = serde_json::from_str(line).unwrap();
            hit["event_id"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(found, [id(3), id(4)]);
    let run = run["run"].as_str().unwrap();
    ok(home.run(&["config", "set", "retention.grace", "0d"]));
    ok(home.run(&["retention", "purge", "--yes"]));
    let shown = json_of(&home, &["disposition", "show", run]);
    let rules = shown["certificate"]["rules"].as_array().unwrap();
    let rules: Vec<&str> = rules
        .iter()
        .map(|rule| rule["policy"].as_str().unwrap())
        .collect();
    assert_eq!(rules, [example.deletes], "{shown}");
    let gone: Vec<(&str, &str)> = shown["list"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| (line["id"].as_str().unwrap(), line["rule"].as_str().unwrap()))
        .collect();
    let (first, second) = (id(1), id(2));
    assert_eq!(
        gone,
        [(&*first, example.deletes), (&*second, example.deletes)]
    );
    // Nothing more is due, and everything adds up.
    assert_eq!(home.run(&["retention", "run", "--yes"]).code, 1);
    ok(home.run(&["verify"]));
}

#[test]
fn re1_the_first_published_example_is_kept_and_deleted_at_seven_years() {
    plays(&Example {
        policies: &[
            &["organisation", "--delete-after", "5y"],
            &["scoped", "--keep", "3y", "--room", "deals"],
            &["label", "--retain", "7y", "--explicit"],
        ],
        years: 7,
        keeps: "label",
        deletes: "scoped",
    });
}

#[test]
fn re1_the_second_published_example_is_kept_five_years_and_then_deleted() {
    plays(&Example {
        policies: &[
            &["organisation", "--delete-after", "10y"],
            &["scoped", "--keep", "5y", "--room", "deals"],
            &["label", "--keep", "3y", "--explicit"],
        ],
        years: 5,
        keeps: "scoped",
        deletes: "label",
    });
}

#[test]
fn le1_a_plan_that_is_only_looked_at_is_an_entry_too() {
    let home = with_days(&[today() - 3.years(), today() - 1.day()]);
    ok(home.run(&["retention", "set", "default", "--keep", "1y"]));
    std::fs::write(
        home.dir.path().join("next.toml"),
        "[[policy]]\nname = 'default'\nkeep = '2y'\n",
    )
    .unwrap();
    ok(home.run(&["retention", "plan"]));
    ok(home.run(&["retention", "plan", "--policies", "next.toml"]));
    ok(home.run(&["retention", "run"]));
    ok(home.run(&["retention", "run", "--yes"]));
    assert_eq!(home.run(&["retention", "run", "--yes"]).code, 1);
    let log = ok(home.run(&["--format", "jsonl", "ledger", "log"])).stdout;
    let entries: Vec<Value> = log
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let said: Vec<String> = entries[2..]
        .iter()
        .map(|entry| {
            let command = entry["params"]["command"].as_str().unwrap_or_default();
            let (action, options) = (&entry["action"], &entry["params"]["options"]);
            format!("{} {command} {options}", action.as_str().unwrap())
        })
        .collect();
    assert_eq!(
        said,
        [
            "search retention plan null",
            r#"search retention plan {"policies":"next.toml"}"#,
            "search retention run null",
            "plan.saved  null",
            "disposition.intent  null",
            "disposition.outcome  null",
            "search retention run null",
        ]
    );
}

#[test]
fn le1_a_run_that_is_only_looked_at_shows_the_plan_it_names_and_is_recorded_with_what_it_saw() {
    let home = with_days(&[today() - 3.years(), today() - 1.day()]);
    ok(home.run(&["retention", "set", "default", "--keep", "1y"]));
    let saved = json_of(&home, &["retention", "plan", "--save"]);
    let plan = saved["plan"].as_str().unwrap();
    // One more is due by now, and not in the plan.
    let more = [posted(9, today() - 2.years()).to_string()];
    home.block_on(async { append(&home.open().await, 9, &more, None).await });
    let named = json_of(&home, &["retention", "run", "--plan", plan]);
    assert_eq!(named, saved);
    let now = json_of(&home, &["retention", "run"]);
    assert_eq!(
        (&now["plan"], &now["tally"]["events"]),
        (&Value::Null, &json!(2))
    );
    let unknown = home.run(&["retention", "run", "--plan", "none"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("hint: "), "{unknown}");
    let log = ok(home.run(&["--format", "jsonl", "ledger", "log"])).stdout;
    let entries = log
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let looked: Vec<Value> = entries
        .map(|entry| entry["params"].clone())
        .filter(|params| params["command"] == "retention run")
        .map(|params| params["table_version"].clone())
        .collect();
    assert_eq!(looked, [named["version"].clone(), now["version"].clone()]);
    assert_ne!(looked[0], looked[1]);
}

fn fence(home: &Home) -> Option<i64> {
    home.block_on(async {
        let snapshot = home.open().await.snapshot().await.unwrap();
        snapshot.position(LEDGER_APP_ID).await.unwrap()
    })
}

#[test]
fn ho1_a_category_is_held_under_every_name_it_had() {
    let home = with_days(&[]);
    let named = |n: u64, name: &str| {
        let mut event = posted(n, today() - 9.days());
        event["data"]["room"]["category"] = json!(name);
        event.to_string()
    };
    let mut renamed = posted(3, today() - 8.days());
    renamed["type"] = json!("chat.category.updated");
    renamed["subject"] = Value::Null;
    renamed["data"] = json!({
        "actor": { "id": "u-1", "kind": "user" }, "category": { "id": "c-1", "name": "Markets" },
        "before": { "name": "Sales" }, "after": { "name": "Markets" },
    });
    let lines = [
        named(1, "Sales"),
        named(2, "legal"),
        renamed.to_string(),
        named(4, "Markets"),
    ];
    home.block_on(async { append(&home.open().await, 9, &lines, None).await });
    for name in ["markets", "Sales"] {
        let coverage = json_of(&home, &["hold", "preview", "--category", name]);
        assert_eq!(coverage["events"], 2, "{name}: {coverage}");
    }
    let unknown = home.run(&["hold", "preview", "--category", "ops"]);
    assert_eq!(unknown.code, 2, "{unknown}");
    assert!(unknown.stderr.contains("hint: there are"), "{unknown}");
    // What a run took out, the renaming with it, can still be put back, and is held under every name.
    ok(home.run(&["matter", "open", "m"]));
    ok(home.run(&["retention", "set", "default", "--keep", "2d"]));
    let run = json_of(&home, &["retention", "run", "--yes"]);
    assert_eq!(run["events"], 4, "{run}");
    let place = ["hold", "place", "h", "--matter", "m", "--reason", "a test"];
    let held = json_of(&home, &[&place[..], &["--category", "sales"]].concat());
    // The two, and the renaming, which explains them.
    assert_eq!(
        (&held["events"], &held["restored"]),
        (&json!(2), &json!(3)),
        "{held}"
    );
}

/// Whatever may keep more moves the table's position to its entry first: no disposition that was decided without it can
/// follow.
#[test]
fn ho1_settings_policies_holds_and_persons_are_fenced_when_they_are_acknowledged() {
    let home = Home::small();
    assert_eq!(home.run(&["matter", "open", "m"]).code, 0);
    let place = ["hold", "place", "h", "--matter", "m", "--room", "deals"];
    for act in [
        &["config", "set", "retention.ingest_grace", "60d"][..],
        &["config", "set", "retention.grace", "6d"],
        &["config", "set", "retention.max_share", "0.5%"],
        &["config", "set", "hold.release_grace", "90d"],
        &["retention", "set", "default", "--keep", "7y"],
        &[
            "retention",
            "set",
            "deals",
            "--retain",
            "9y",
            "--room",
            "deals",
        ],
        &["retention", "lock", "default", "--yes"],
        &["retention", "remove", "deals"],
        &["person", "add", "ana", "--id", "u-1"],
        &[&place[..], &["--reason", "a test"]].concat(),
    ] {
        // What shows events is an entry, and needs no fence.
        assert_eq!(home.run(&["search", "pricing", "--count"]).code, 0);
        let run = home.run(&[&["--format", "json"], act].concat());
        assert_eq!(run.code, 0, "{act:?}: {run}");
        let said: Value = serde_json::from_str(run.stdout.lines().next().unwrap()).unwrap();
        let entry = ["entry", "version"]
            .iter()
            .find_map(|name| said[name].as_i64());
        assert!(entry.is_some(), "{act:?}: {run}");
        assert_eq!(fence(&home), entry, "{act:?} is not fenced: {run}");
    }
}

/// `show` tells in a line what `explain` reasons about.
#[test]
fn show_tells_why_an_event_is_kept() {
    let today = today();
    let home = with_days(&[today.saturating_sub(400.days()), today]);
    let kept = |n: u64| {
        let shown = json_of(&home, &["show", &id(n)])["kept"].clone();
        let explained = json_of(&home, &["explain", &id(n)])["decision"]["verdict"].clone();
        assert_eq!(shown, explained, "event {n}");
        let table = ok(home.run(&["show", &id(n)])).stdout;
        let line = table.lines().find(|line| line.starts_with("kept "));
        (
            shown["is"].as_str().unwrap().to_owned(),
            line.unwrap()["kept".len()..].trim().to_owned(),
        )
    };
    let unlimited = ("unlimited".to_owned(), "no policy deletes it".to_owned());
    assert_eq!(kept(1), unlimited);
    ok(home.run(&["retention", "set", "year", "--delete-after", "1y"]));
    assert_eq!(kept(1).0, "goes");
    assert_eq!(kept(2).0, "waiting");
    ok(home.run(&["matter", "open", "m"]));
    let query = ["--query", "words", "--reason", "r"];
    ok(home.run(&[&["hold", "place", "h", "--matter", "m"], &query[..]].concat()));
    assert_eq!(kept(1), ("held".to_owned(), "held by h".to_owned()));
}

/// Whoever only ever spoke can be held; what is erased must be somebody's beyond doubt.
#[test]
fn ho1_who_only_ever_spoke_is_a_custodian_and_nobody_to_erase() {
    let home = with_days(&[today()]);
    let preview = |who: &str| home.run(&["hold", "preview", "--custodian", who]);
    let held = ok(preview("U-1"));
    assert!(held.stdout.contains("would cover 1 event"), "{held}");
    let nobody = preview("u-2");
    assert_eq!(nobody.code, 2, "{nobody}");
    assert!(
        nobody
            .stderr
            .contains("nothing in the archive was done by one"),
        "{nobody}"
    );
    let erase = [
        "erase",
        "request",
        "--person",
        "u-1",
        "--due",
        "2035-01-01",
        "--reason",
        "asked",
    ];
    let refused = home.run(&erase);
    assert_eq!(refused.code, 2, "{refused}");
    assert!(refused.stderr.contains("holdfast person add"), "{refused}");
    ok(home.run(&["person", "add", "ana", "--id", "u-1"]));
    ok(home.run(&erase));
}

/// A slip in an id would be a request that is never carried out.
#[test]
fn re1_only_what_is_there_or_can_come_back_can_be_asked_to_be_erased() {
    let home = with_days(&[today() - 3.years(), today() - 1.day()]);
    let ask = |event: &str| {
        let request = [
            "erase",
            "request",
            "--due",
            "2100-01-01",
            "--reason",
            "asked",
        ];
        home.run(&[&request[..], &["--event", event]].concat())
    };
    let refused = |event: &str, why: &str| {
        let run = ask(event);
        assert_eq!(run.code, 2, "{run}");
        assert!(run.stderr.contains(why), "{run}");
    };
    refused(&id(3), "there is no event");
    ok(ask(&id(2).to_uppercase()));
    ok(home.run(&["retention", "set", "default", "--keep", "1y"]));
    ok(home.run(&["retention", "run", "--yes"]));
    ok(ask(&id(1)));
    ok(home.run(&["config", "set", "retention.grace", "0d"]));
    ok(home.run(&["retention", "purge", "--yes"]));
    refused(&id(1), "is gone: run");
    // Whatever was told, the question is on record.
    let log = ok(home.run(&["--format", "jsonl", "ledger", "log"])).stdout;
    let asked = log.lines().filter(|line| {
        let entry: Value = serde_json::from_str(line).unwrap();
        entry["action"] == "search" && entry["params"]["command"] == "erase request"
    });
    assert_eq!(asked.count(), 4, "{log}");
}

/// A release that is repeated changes nothing, and says what was written down.
#[test]
fn ho1_a_release_that_is_repeated_says_until_when_the_hold_holds() {
    let home = with_days(&[today()]);
    ok(home.run(&["matter", "open", "M"]));
    ok(home.run(&[
        "hold", "place", "h", "--matter", "M", "--room", ROOM.0, "--reason", "suit",
    ]));
    let release = |grace: &str| {
        let args = [
            "hold", "release", "h", "--reason", "over", "--grace", grace, "--yes",
        ];
        json_of(&home, &args)
    };
    let first = release("1d");
    assert_eq!(release("90d"), first);
}
