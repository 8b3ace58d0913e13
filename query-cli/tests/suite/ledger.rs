//! LE-1 on the command line: every search, export and act is in the ledger before its result is visible.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use crate::support::{self, Home, Run, append, event, id, lines, posted};
use holdfast_schemas::ledger::Entry;
use serde_json::{Value, json};

fn log(home: &Home, args: &[&str]) -> Vec<Value> {
    let args = [&["--format", "jsonl", "ledger", "log"], args].concat();
    let run = home.run(&args);
    run.stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .map(|e| e["action"].as_str().unwrap())
        .collect()
}

fn ok(run: Run) -> Run {
    assert_eq!(run.code, 0, "{run}");
    run
}

/// A key pair in files: (private, public).
fn keys(home: &Home, name: &str) -> (String, String) {
    let (private, public) = (format!("{name}.pem"), format!("{name}.pub"));
    for args in [
        &["genpkey", "-algorithm", "ed25519", "-out", &private][..],
        &["pkey", "-in", &private, "-pubout", "-out", &public],
    ] {
        let done = Command::new("openssl")
            .current_dir(home.dir.path())
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
    }
    let path = home.dir.path().join(&private);
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
    (private, public)
}

#[test]
fn le1_whatever_shows_events_is_an_entry() {
    let home = Home::small();
    ok(home.run(&["matter", "open", "M-1", "--title", "Pricing"]));
    ok(home.run(&[
        "search",
        "pricing",
        "--matter",
        "M-1",
        "--since",
        "2025-11-20",
        "--room",
        "deals",
    ]));
    ok(home.run(&["search", "pricing", "--count"]));
    ok(home.run(&["search", "pricing", "--stats"]));
    ok(home.run(&["search", "pricing", "--explain"]));
    ok(home.run(&["show", &id(2)]));
    ok(home.run(&["thread", "deals", "--around", &id(2)]));
    ok(home.run(&["rooms"]));
    ok(home.run(&[
        "export",
        "pricing",
        "--out",
        "out",
        "--as",
        "jsonl",
        "--matter",
        "M-1",
        "--allow-missing",
    ]));
    home.run(&["verify"]);
    let entries = log(&home, &[]);
    assert_eq!(
        actions(&entries),
        [
            "matter.open",
            "search",
            "search",
            "search",
            "search",
            "search",
            "search",
            "search",
            "export",
            "verification"
        ]
    );
    let search = &entries[1];
    assert_eq!(search["params"]["query"], "pricing");
    assert_eq!(
        search["params"]["options"],
        json!({"room": "deals", "since": "2025-11-20", "tz": "UTC"})
    );
    assert_eq!(
        (&search["actor"], &search["matter"]),
        (&json!("tester"), &json!("M-1"))
    );
    let commands: Vec<_> = entries[1..8]
        .iter()
        .map(|e| e["params"]["command"].as_str().unwrap())
        .collect();
    assert_eq!(
        commands,
        [
            "search", "search", "search", "search", "show", "thread", "rooms"
        ]
    );
    assert_eq!(
        actions(&log(&home, &["--matter", "M-1"])),
        ["matter.open", "search", "export"]
    );
    assert_eq!(log(&home, &["--action", "export"]).len(), 1);
    assert_eq!(
        home.run(&["ledger", "log", "--until", "2001-01-01"]).code,
        1
    );
    let verified = ok(home.run(&["ledger", "verify"]));
    assert!(
        verified
            .stdout
            .starts_with("entries: 10, signed: 0, all as they were written"),
        "{verified}"
    );
    let head = ok(home.run(&["ledger", "head"]));
    assert!(head.stdout.starts_with("11 "), "{head}");
}

#[test]
fn le1_what_cannot_be_recorded_is_not_shown() {
    let home = Home::small();
    for args in [
        &["search", "pricing", "--matter", "nowhere"][..],
        &["search", "pricing", "--count", "--matter", "nowhere"],
        &["search", "pricing", "--stats", "--matter", "nowhere"],
        &["search", "pricing", "--explain", "--matter", "nowhere"],
        &[
            "export", "pricing", "--out", "out", "--as", "jsonl", "--matter", "nowhere",
        ],
    ] {
        let run = home.run(args);
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{args:?}: {run}");
        assert!(
            run.stderr.contains("there is no matter `nowhere`")
                && run.stderr.contains("hint: open it"),
            "{run}"
        );
    }
    assert!(!home.dir.path().join("out").exists());
    assert!(log(&home, &[]).is_empty());
    ok(home.run(&["search", "pricing"]));
    // A broken chain: nothing more is shown on its word.
    let entry = home.archive().join(Entry::path(1));
    let text = std::fs::read_to_string(&entry)
        .unwrap()
        .replace("tester", "nobody");
    std::fs::write(&entry, text).unwrap();
    let run = home.run(&["search", "pricing"]);
    assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
    assert!(
        run.stderr.contains("hint: run `holdfast ledger verify`"),
        "{run}"
    );
    let run = home.run(&["ledger", "verify"]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stdout.contains("edited"), "{run}");
    let run = home.run(&["verify", "--format", "json"]);
    assert_eq!(run.code, 2, "{run}");
    assert!(run.stdout.contains("\"check\":\"ledger\""), "{run}");
}

#[test]
fn le1_an_archive_without_permission_to_write_the_ledger_is_told_with_a_hint() {
    let home = Home::small();
    ok(home.run(&["search", "pricing"]));
    let folder = home.archive().join("ledger");
    let set = |mode| {
        for path in [folder.join("params"), folder.clone()] {
            std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
        }
    };
    set(0o500);
    // Root writes everywhere: there is nothing to be told then.
    let writable = std::fs::write(folder.join("probe"), b"x").is_ok();
    let run = home.run(&["search", "pricing"]);
    set(0o700);
    if !writable {
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{run}");
        assert!(
            run.stderr
                .contains("hint: every search and act is recorded"),
            "{run}"
        );
    }
}

#[test]
fn le1_gc_and_compaction_leave_the_ledger_alone() {
    let home = Home::small();
    ok(home.run(&["search", "pricing"]));
    let before = support::tree(&home.archive().join("ledger"));
    ok(home.run(&["compact", "--all"]));
    ok(home.run(&["gc", "--yes", "--min-age", "0s", "--grace", "0s"]));
    assert_eq!(support::tree(&home.archive().join("ledger")), before);
    ok(home.run(&["ledger", "verify"]));
}

#[test]
fn le1_actors_sign_and_four_eyes_take_two() {
    let home = Home::small();
    let (ana, ana_pub) = keys(&home, "ana");
    let (cy, cy_pub) = keys(&home, "cy");
    ok(home.run(&[
        "actor", "add", "ana", "--role", "records", "--role", "legal", "--key", &ana_pub,
    ]));
    let unsigned = home.run(&["search", "pricing"]);
    assert_eq!(unsigned.code, 2);
    assert!(
        unsigned.stderr.contains("`tester` is no actor")
            && unsigned.stderr.contains("hint: name one with `--actor`"),
        "{unsigned}"
    );
    let by = |name: &str, key: &str, args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        command
            .env_clear()
            .env("HOME", home.dir.path())
            .env("HOLDFAST_KEY", key)
            .current_dir(home.dir.path())
            .args(["--archive", "archive", "--actor", name])
            .args(args);
        Run::of(command.output().unwrap(), home.dir.path())
    };
    ok(by("ana", &ana, &["search", "pricing"]));
    ok(by(
        "ana",
        &ana,
        &["actor", "add", "cy", "--role", "approver", "--key", &cy_pub],
    ));
    ok(by(
        "ana",
        &ana,
        &["config", "set", "governance.four_eyes", "true"],
    ));
    let waits = by("ana", &ana, &["config", "set", "retention.grace", "1d"]);
    assert_eq!(waits.code, 2, "{waits}");
    assert!(
        waits
            .stderr
            .contains("needs the approval of a second person")
            && waits
                .stderr
                .contains("hint: another person runs `holdfast approve 5`"),
        "{waits}"
    );
    let listed = ok(by("cy", &cy, &["approve", "--list"]));
    assert!(
        listed.stdout.contains("setting retention.grace to 1d"),
        "{listed}"
    );
    let alone = by("ana", &ana, &["approve", "5"]);
    assert_eq!(alone.code, 2, "{alone}");
    ok(by("cy", &cy, &["approve", "5"]));
    ok(by("ana", &ana, &["config", "set", "retention.grace", "1d"]));
    let value = ok(by("ana", &ana, &["config", "get", "retention.grace"]));
    assert_eq!(value.stdout, "1d\n");
    let verified = ok(by("ana", &ana, &["ledger", "verify"]));
    assert!(verified.stdout.contains("signed: 6,"), "{verified}");
    std::fs::set_permissions(home.dir.path().join(&ana), PermissionsExt::from_mode(0o644)).unwrap();
    let open = by("ana", &ana, &["search", "pricing"]);
    assert_eq!(open.code, 2);
    assert!(open.stderr.contains("hint: `chmod 600"), "{open}");
}

#[test]
fn le1_persons_are_found_by_all_their_identities_and_two_of_one_name_are_two() {
    let home = Home::small();
    let renamed = |n: u64, user: &str, name: &str| {
        event(
            n,
            "chat.user.created",
            "23T08:00:00",
            None,
            "u-1",
            json!({ "user": { "id": user, "name": name } }),
        )
    };
    home.block_on(async {
        let archive = home.open().await;
        let more = [
            renamed(15, "u-91", "Kim Lee"),
            renamed(16, "u-92", "Kim Lee"),
            posted(
                17,
                "23T09:00:00",
                support::DEALS,
                "u-3",
                "pricing from Tokyo",
            ),
        ];
        append(&archive, 3, &lines(&more), None).await;
    });
    let two = home.run(&["search", "pricing", "--custodian", "Kim Lee"]);
    assert_eq!((two.code, two.stdout.as_str()), (2, ""), "{two}");
    assert!(
        two.stderr.contains("the name of 2 people")
            && two.stderr.contains("`u-91`")
            && two.stderr.contains("`u-92`"),
        "{two}"
    );
    let asked = ok(home.run(&["ledger", "log"]));
    let last = asked.stdout.lines().last().unwrap_or_default();
    assert!(last.contains("query=pricing"), "{asked}");
    ok(home.run(&[
        "person",
        "add",
        "team-lead",
        "--id",
        "u-1",
        "--until",
        "2025-11-21",
    ]));
    ok(home.run(&[
        "person",
        "link",
        "team-lead",
        "--id",
        "u-3",
        "--from",
        "2025-11-22",
    ]));
    let count = |query: &str| {
        home.run(&["search", query, "--count"])
            .stdout
            .trim()
            .parse::<u64>()
            .unwrap()
    };
    let all = count("from:u-1 date<=2025-11-21") + count("from:u-3 date>=2025-11-22");
    assert!(all > 3);
    assert_eq!(count("from:team-lead"), all);
    let shown = ok(home.run(&["person", "show", "team-lead", "--format", "json"]));
    assert!(
        shown.stdout.contains("u-3") && shown.stdout.contains("2025-11-22"),
        "{shown}"
    );
    let taken = home.run(&["person", "add", "other", "--id", "u-3"]);
    assert!(
        taken
            .stderr
            .contains("is an identity of person `team-lead` at that time"),
        "{taken}"
    );
    // A user id in a query is that account, whosever it is.
    assert_eq!(home.run(&["search", "from:u-3", "--count"]).code, 0);
}

#[test]
fn le1_origins_matters_and_settings_are_acts() {
    let home = Home::small();
    ok(home.run(&["origin", "expect", "branch.1"]));
    let listed = ok(home.run(&["--format", "json", "origin", "list"]));
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let status = |name: &str| {
        let all = listed["origins"].as_array().unwrap();
        all.iter().find(|o| o["origin"] == name).unwrap()["status"].clone()
    };
    assert_eq!(
        (status("branch.1"), status("main.1")),
        (json!("missing"), json!("not expected"))
    );
    ok(home.run(&["origin", "retire", "branch.1", "--reason", "closed down"]));
    let wrong = home.run(&["config", "set", "retention.graze", "1d"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.stderr.contains("hint: the settings are"), "{wrong}");
    let wrong = home.run(&["config", "set", "retention.ingest_grace", "soon"]);
    assert!(
        wrong.stderr.contains("hint: give a number and a unit"),
        "{wrong}"
    );
    ok(home.run(&["config", "set", "retention.ingest_grace", "0d"]));
    ok(home.run(&["config", "get"]));
    ok(home.run(&["matter", "open", "M"]));
    ok(home.run(&["matter", "close", "M", "--reason", "settled"]));
    assert_eq!(home.run(&["matter", "open", "M"]).code, 2);
    let shown = ok(home.run(&["matter", "show", "M"]));
    assert!(shown.stdout.contains("closed"), "{shown}");
    assert_eq!(home.run(&["matter", "show", "N"]).code, 1);
    assert_eq!(
        actions(&log(&home, &[])),
        [
            "origin.expect",
            "origin.retire",
            "config.set",
            "matter.open",
            "matter.close"
        ]
    );
}

#[test]
fn le1_forgotten_words_are_gone_and_the_ledger_holds() {
    let home = Home::small();
    ok(home.run(&["search", "pricing"]));
    ok(home.run(&["ledger", "forget", "1", "--reason", "E-1"]));
    let log = log(&home, &[]);
    assert_eq!(log[0]["params"], Value::Null);
    for (path, bytes) in support::tree(&home.archive().join("ledger")) {
        assert!(
            !String::from_utf8_lossy(&bytes).contains("pricing"),
            "{path}"
        );
    }
    ok(home.run(&["ledger", "verify"]));
}

#[test]
fn le1_an_anchor_shows_what_the_chain_alone_cannot() {
    let home = Home::small();
    ok(home.run(&["search", "pricing"]));
    ok(home.run(&["anchor", "--to", "anchors/"]));
    let anchor: PathBuf = std::fs::read_dir(home.dir.path().join("anchors"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let anchor = anchor.to_str().unwrap();
    ok(home.run(&["search", "lunch"]));
    ok(home.run(&["verify", "--against", anchor]));
    // Merged segments are other files with the same events.
    ok(home.run(&["compact", "--all"]));
    ok(home.run(&["verify", "--against", anchor]));
    std::fs::remove_dir_all(home.archive().join("ledger")).unwrap();
    for words in ["another", "history"] {
        assert!(home.run(&["search", words]).code < 2);
    }
    ok(home.run(&["ledger", "verify"]));
    let found = home.run(&["verify", "--against", anchor, "--format", "json"]);
    assert_eq!(found.code, 2, "{found}");
    assert!(found.stdout.contains("the ledger was rewritten"), "{found}");
    let stamped = home.run(&["verify", "--against", anchor, "--tsa-ca", anchor]);
    assert!(
        stamped.stderr.contains("the anchor has no time stamp"),
        "{stamped}"
    );
    assert_eq!(home.run(&["verify", "--against", "nowhere.json"]).code, 2);
    assert_eq!(home.run(&["anchor"]).code, 2);
}
