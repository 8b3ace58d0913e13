//! Every command against a small archive: exit code, stdout and stderr, held as snapshots.

#![allow(clippy::unwrap_used)]

mod support;

use std::io::Read;
use std::process::Stdio;

use support::{Home, id};

#[test]
fn init_creates_once() {
    let home = Home::empty();
    check!("init", home.run(&["init"]));
    check!("init_again", home.run(&["init"]));
    check!("status_empty", home.run(&["status"]));
    check!("search_empty", home.run(&["search", "word"]));
    check!("verify_empty", home.run(&["verify"]));
}

#[test]
fn a_missing_archive_is_told_with_a_hint() {
    let home = Home::empty();
    for command in [
        &["status"][..],
        &["search", "word"],
        &["show", "x"],
        &["thread", "r", "--around", "x"],
        &["rooms"],
        &["export", "word", "--out", "out", "--as", "jsonl"],
        &["verify"],
        &["compact"],
        &["reindex"],
        &["gc"],
    ] {
        let run = home.run(command);
        assert_eq!(run.code, 2, "{command:?}: {run}");
        assert!(run.stdout.is_empty(), "{command:?}: {run}");
        assert!(
            run.stderr.contains("error: there is no archive at")
                && run.stderr.contains("hint: create one with `holdfast init"),
            "{command:?}: {run}"
        );
    }
    check!("missing_archive", home.run(&["search", "word"]));
    let mut command = home.command(&[]);
    let unnamed = command.output().unwrap();
    assert_eq!(unnamed.status.code(), Some(2), "no command is a mistake");
}

#[test]
fn no_archive_named_is_a_mistake() {
    let home = Home::empty();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_holdfast"))
        .env_clear()
        .args(["search", "word"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text.contains("no archive was named")
            && text.contains("hint: name it with `--archive URI`"),
        "{text}"
    );
    drop(home);
}

#[test]
fn status_tells_and_judges() {
    let home = Home::small();
    check!("status", home.run(&["status"]));
    check!("status_json", home.run(&["status", "--format", "json"]));
    check!("status_csv", home.run(&["status", "--format", "csv"]));
    check!("status_check", home.run(&["status", "--check", "-q"]));
    let silent = home.run(&[
        "status",
        "--check",
        "--max-lag",
        "5m",
        "--max-silence",
        "1m",
        "--format",
        "csv",
    ]);
    assert_eq!(silent.code, 2, "{silent}");
    assert!(
        silent
            .stderr
            .contains("origin main.1: its newest event was archived 1d 12h after it happened"),
        "{silent}"
    );
    assert!(
        silent.stderr.contains("origin main.1: silent for"),
        "{silent}"
    );
    for split in home.files("index", ".split").iter().take(1) {
        std::fs::remove_file(split).unwrap();
    }
    check!(
        "status_check_unindexed",
        home.run(&["status", "--check", "--format", "csv"])
    );
    check!(
        "status_bad_duration",
        home.run(&["status", "--check", "--max-lag", "5"])
    );
}

#[test]
fn se1_search_finds_in_order_and_marks() {
    let home = Home::small();
    check!("search", home.run(&["search", "pricing"]));
    check!("search_narrow", {
        let mut command = home.command(&["search", "pricing"]);
        command.env("COLUMNS", "80");
        run(command)
    });
    check!(
        "search_color",
        home.run(&["search", "pricing", "--color", "always", "--limit", "1"])
    );
    check!(
        "search_zone",
        home.run(&["search", "契約", "--tz", "+09:00"])
    );
    check!("search_nothing", home.run(&["search", "absent"]));
    check!(
        "search_json",
        home.run(&["search", "pricing", "--format", "json"])
    );
    check!(
        "search_json_nothing",
        home.run(&["search", "absent", "--format", "json"])
    );
    check!(
        "search_jsonl",
        home.run(&["search", "discount", "--format", "jsonl"])
    );
    check!(
        "search_csv",
        home.run(&["search", "discount", "--format", "csv"])
    );
    check!(
        "search_quiet",
        home.run(&[
            "search", "pricing", "-q", "--format", "jsonl", "--limit", "1"
        ])
    );
    check!(
        "search_limit",
        home.run(&["search", "type:chat.message.posted", "--limit", "2"])
    );
    check!(
        "search_quarantined",
        home.run(&["search", "type:holdfast.quarantined"])
    );
}

#[test]
fn search_narrows_by_options() {
    let home = Home::small();
    let count = |args: &[&str]| {
        let mut all = vec!["search", "--count"];
        all.extend(args);
        let run = home.run(&all);
        assert_eq!(run.stderr, "", "--count prints only the number");
        assert_eq!(run.code == 0, run.stdout != "0\n", "{run}");
        run.stdout.trim().parse::<u64>().unwrap()
    };
    assert_eq!(count(&["type:chat.message.posted"]), 10);
    assert_eq!(count(&["pricing"]), 4);
    assert_eq!(count(&["pricing", "--room", "lunch"]), 2);
    assert_eq!(count(&["pricing", "--room", "lunch", "--room", "R-1"]), 4);
    assert_eq!(count(&["pricing", "--since", "2025-11-22"]), 1);
    assert_eq!(count(&["pricing", "--until", "2025-11-20"]), 3);
    assert_eq!(
        count(&[
            "pricing",
            "--since",
            "2025-11-20T12:00",
            "--until",
            "2025-11-20T12:04"
        ]),
        1
    );
    assert_eq!(
        count(&[
            "type:chat.message.posted",
            "--since",
            "2025-11-21",
            "--until",
            "2025-11-21",
            "--tz",
            "Asia/Tokyo"
        ]),
        2
    );
    assert_eq!(count(&["type:chat.message.posted", "--as-of", "1"]), 6);
    assert_eq!(count(&["kuche"]), 1);
    assert_eq!(count(&["kuche", "--exact-diacritics"]), 0);
    assert_eq!(
        count(&["pricing", "--custodian", "ana@example.com"]),
        count(&["pricing AND participants:ana@example.com"])
    );
    assert!(count(&["pricing", "--custodian", "ana@example.com"]) >= 2);
    assert_eq!(count(&["pricing", "--room", "no \"such\" room"]), 0);
}

#[test]
fn bounds_reach_the_end_of_the_calendar_and_stand_in_order() {
    let home = Home::small();
    let all = home.run(&["search", "*", "--count"]);
    assert_eq!(all.code, 0);
    let until = home.run(&["search", "*", "--count", "--until", "9999"]);
    assert_eq!(until.stdout, all.stdout);
    let crossed = home.run(&["search", "*", "--since", "2026-02", "--until", "2026-01"]);
    assert_eq!(crossed.code, 2, "{}", crossed.stderr);
    assert!(crossed.stderr.contains("lies after"), "{}", crossed.stderr);
    let quiet = home.run(&["--quiet", "--format", "jsonl", "search", "*"]);
    assert!(
        quiet.stderr.contains("\"exact_diacritics\":false"),
        "{}",
        quiet.stderr
    );
}

#[test]
fn search_mistakes_point_at_the_column() {
    let home = Home::small();
    check!(
        "search_unknown_property",
        home.run(&["search", "pricing AND form:ana"])
    );
    check!(
        "search_syntax",
        home.run(&["search", "pricing AND (list OR"])
    );
    check!(
        "search_hostile_syntax",
        home.run(&["search", "pri\u{1b}[31mcing AND form:ana\u{202e}"])
    );
    check!(
        "search_bad_date",
        home.run(&["search", "pricing", "--since", "20.11.2026"])
    );
    check!(
        "search_bad_zone",
        home.run(&["search", "pricing", "--tz", "Mars/Base"])
    );
    check!(
        "search_future_version",
        home.run(&["search", "pricing", "--as-of", "99"])
    );
    check!(
        "search_conflict",
        home.run(&["search", "pricing", "--count", "--limit", "3"])
    );
    check!(
        "search_bad_context",
        home.run(&["search", "pricing", "--context", "some"])
    );
}

#[test]
fn search_context_and_explain_and_stats() {
    let home = Home::small();
    check!(
        "search_context",
        home.run(&["search", "list", "--context", "1"])
    );
    check!(
        "search_context_time",
        home.run(&["search", "契約", "--context", "2m"])
    );
    check!(
        "search_context_jsonl",
        home.run(&["search", "契約", "--context", "1", "--format", "jsonl"])
    );
    check!(
        "search_explain",
        home.run(&[
            "search",
            "pricing list",
            "--room",
            "deals",
            "--since",
            "2025-11-20",
            "--explain"
        ])
    );
    check!(
        "search_explain_custodian",
        home.run(&[
            "search",
            "pricing",
            "--custodian",
            "ana@example.com",
            "--explain"
        ])
    );
    check!(
        "search_stats",
        home.run(&["search", "pric* OR discount OR absent", "--stats"])
    );
    check!(
        "search_stats_json",
        home.run(&["search", "pric* OR discount", "--stats", "--format", "json"])
    );
    check!(
        "search_report",
        home.run(&[
            "search",
            "pric* OR discount",
            "--stats",
            "--report",
            "report",
            "--format",
            "csv"
        ])
    );
    let files: Vec<_> = support::tree(&home.dir.path().join("report"))
        .into_keys()
        .collect();
    assert_eq!(
        files,
        [
            "custodians.csv",
            "days.csv",
            "expansions.csv",
            "histogram.svg",
            "rooms.csv",
            "terms.csv"
        ]
    );
    let expansions =
        std::fs::read_to_string(home.dir.path().join("report/expansions.csv")).unwrap();
    assert!(
        expansions.contains("pric*,pricing,4\r\n") && expansions.contains("pric*,price,"),
        "{expansions}"
    );
}

#[test]
fn a_table_shows_50_hits_and_says_so_and_nothing_else_is_cut() {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        let talk = |n| support::posted(n, "20T08:00:00", support::DEALS, "u-1", "talk of the day");
        let events: Vec<_> = (1..=60).map(talk).collect();
        support::append(&archive, 1, &support::lines(&events), None).await;
    });
    let table = home.run(&["search", "talk"]);
    assert_eq!(table.stdout.lines().count(), 1 + 50 + 1, "{table}");
    assert_eq!(table.stdout.lines().last(), Some("50 of 60"));
    assert_eq!(
        home.run(&["search", "talk", "--limit", "60"])
            .stdout
            .lines()
            .count(),
        61
    );
    assert_eq!(
        home.run(&["search", "talk", "--format", "jsonl"])
            .stdout
            .lines()
            .count(),
        60
    );
    assert_eq!(
        home.run(&["search", "talk", "--format", "csv"])
            .stdout
            .lines()
            .count(),
        61
    );
    let limited = home.run(&["search", "talk", "--format", "jsonl", "--limit", "3"]);
    assert_eq!(limited.stdout.lines().count(), 3);
    assert!(limited.stderr.starts_with("3 of 60\n"), "{limited}");
    let stats = home.run(&["search", "talk", "--stats"]);
    assert!(stats.stdout.contains("2025-11-20  60"), "{stats}");
    let context = home.run(&["search", "talk", "--context", "1"]);
    assert!(context.stdout.ends_with("50 of 60\n"), "{context}");
}

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

#[test]
fn maintenance_by_hand() {
    let home = Home::small();
    let before = home.run(&[
        "export",
        "type:chat.*",
        "--out",
        "before",
        "--as",
        "jsonl",
        "-q",
        "--allow-missing",
    ]);
    assert_eq!(before.code, 0, "{before}");
    check!("compact", home.run(&["compact"]));
    check!("compact_all", home.run(&["compact", "--all"]));
    check!("verify_compacted", home.run(&["verify", "--deep"]));
    let after = home.run(&[
        "export",
        "type:chat.*",
        "--out",
        "after",
        "--as",
        "jsonl",
        "-q",
        "--allow-missing",
    ]);
    assert_eq!(after.code, 0, "{after}");
    let read = |name: &str| std::fs::read(home.dir.path().join(name).join("events.jsonl")).unwrap();
    assert_eq!(read("before"), read("after"), "compaction changes no event");
    let pinned = home.run(&[
        "search",
        "type:chat.message.posted",
        "--count",
        "--as-of",
        "1",
    ]);
    assert_eq!(pinned.stdout, "6\n", "a pinned version survives compaction");
    check!("reindex", home.run(&["reindex"]));
    check!(
        "reindex_all",
        home.run(&["reindex", "--all", "--format", "json"])
    );
    check!("gc", home.run(&["gc"]));
    check!(
        "gc_yes",
        home.run(&["gc", "--yes", "--min-age", "0s", "--grace", "0s"])
    );
    check!("gc_mistake", home.run(&["gc", "--grace", "30d"]));
    let sound = home.run(&["verify"]);
    assert_eq!(sound.code, 0, "{sound}");
}

#[test]
fn help_version_and_completions() {
    let home = Home::empty();
    let version = home.run(&["--version"]);
    assert_eq!(
        (version.code, version.stdout.as_str()),
        (0, concat!("holdfast ", env!("CARGO_PKG_VERSION"), "\n"))
    );
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = home.run(&["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(script.stdout.contains("exact-diacritics"), "{shell}");
    }
    check!("completions_mistake", home.run(&["completions", "tcsh"]));
    check!("unknown_command", home.run(&["serch", "word"]));
    for command in [
        "init",
        "status",
        "search",
        "show",
        "thread",
        "rooms",
        "export",
        "verify",
        "compact",
        "reindex",
        "gc",
        "completions",
    ] {
        let help = home.run(&[command, "--help"]);
        assert_eq!(help.code, 0, "{help}");
        assert!(
            help.stdout.contains("Examples:"),
            "{command} has no example"
        );
    }
}

#[test]
fn settings_come_after_flags_and_environment() {
    let home = Home::small();
    let folder = home.dir.path().join(".config/holdfast");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(
        folder.join("config.toml"),
        "format = \"jsonl\"\ntz = \"+02:00\"\ncolor = \"always\"\n",
    )
    .unwrap();
    let file = home.run(&["search", "契約"]);
    assert!(file.stdout.starts_with("{\"event_id\""), "{file}");
    let mut command = home.command(&["search", "契約"]);
    command
        .env("HOLDFAST_FORMAT", "table")
        .env("HOLDFAST_COLOR", "never");
    let environment = run(command);
    assert!(
        environment.stdout.contains("2025-11-20 10:04:00+02:00"),
        "{environment}"
    );
    let mut command = home.command(&["search", "契約", "--format", "csv", "--tz", "UTC"]);
    command.env("HOLDFAST_FORMAT", "table");
    assert!(run(command).stdout.starts_with("event_id,"), "a flag wins");
    std::fs::write(folder.join("config.toml"), "formt = \"jsonl\"\n").unwrap();
    let broken = home.run(&["search", "契約"]);
    assert_eq!(broken.code, 2);
    assert!(
        broken.stderr.contains("unknown field `formt`")
            && broken.stderr.contains("hint: its keys are"),
        "{broken}"
    );
}

#[test]
fn a_reader_that_goes_away_ends_the_program_quietly() {
    let home = Home::empty();
    home.block_on(async {
        let archive = home.create().await;
        let events: Vec<_> = (1..=20_000)
            .map(|n| {
                support::posted(
                    n,
                    "20T08:00:00",
                    support::DEALS,
                    "u-1",
                    "a line of talk that is long enough to fill a pipe",
                )
            })
            .collect();
        support::append(&archive, 1, &support::lines(&events), None).await;
    });
    let mut command = home.command(&["search", "talk", "--format", "jsonl"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = [0; 16];
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut first).unwrap();
    drop(stdout);
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "",
        "nothing is said about a closed pipe"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn the_reference_page_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
    let page = holdfast_query_cli::reference::page();
    if std::env::var_os("HOLDFAST_UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs")).unwrap();
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cli.md is not what the definitions say; run HOLDFAST_UPDATE_DOCS=1 cargo test -p holdfast-query-cli"
    );
}

fn run(mut command: std::process::Command) -> support::Run {
    let home = command.get_current_dir().unwrap().to_owned();
    support::Run::of(command.output().unwrap(), &home)
}
