//! `holdfast search`.

use std::io::Read;
use std::process::Stdio;

use crate::check;
use crate::support::{self, Home, Run};

#[test]
fn se1_search_finds_in_order_and_marks() {
    let home = Home::small();
    check!("search", home.run(&["search", "pricing"]));
    check!("search_narrow", {
        let mut command = home.command(&["search", "pricing"]);
        command.env("COLUMNS", "80");
        Run::of_command(command)
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
fn verbose_tells_the_steps_and_twice_each_segment() {
    let home = Home::small();
    let told = |flags: &[&str]| {
        let run = home.run(&[&["search", "pricing", "--count"], flags].concat());
        assert_eq!((run.code, run.stdout.as_str()), (0, "4\n"), "{run}");
        [
            "opened the archive",
            "looking",
            "written to the ledger",
            "answered",
        ]
        .map(|step| run.stderr.contains(step))
    };
    assert_eq!(told(&[]), [false; 4]);
    assert_eq!(told(&["-v"]), [true, true, true, false]);
    assert_eq!(told(&["-vv"]), [true; 4]);
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
