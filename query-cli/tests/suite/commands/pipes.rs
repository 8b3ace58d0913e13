//! A reader that goes away ends every command quietly, whatever it was about to print, and acts are done all the same.

use std::collections::BTreeSet;
use std::io::pipe;
use std::process::Stdio;

use clap::Command;
use holdfast_query_cli::cli::Cli;
use serde_json::Value;

use crate::support::{Home, Run, id};

/// Acts, each after what it needs. EVENT stands for the id of one.
const ACTS: &[&str] = &[
    "init --archive other",
    "config set hold.release_grace 40d",
    "matter open M-1 --title Pricing",
    "hold place H-1 --matter M-1 --reason counsel --query pricing",
    "hold place H-2 --matter M-1 --reason counsel --query lunch",
    "hold release H-2 --reason settled --yes",
    "matter open M-2 --title Lunch",
    "matter close M-2 --reason settled",
    "retention set P-1 --delete-after 100y",
    "retention lock P-1 --yes",
    "retention set P-2 --delete-after 90y",
    "retention remove P-2",
    "person add ana --email ana@example.com",
    "person link ana --uri sip:ana@example.net",
    "origin expect main.1",
    "origin retire main.1",
    "erase request --event EVENT --due 2100-01-01 --reason asked",
    "export pricing --as jsonl --out out --allow-missing",
    "anchor --to anchors",
    "ledger forget 2 --reason asked",
];

/// What can be asked again and again. ERASURE stands for the id of a request.
const QUESTIONS: &[&str] = &[
    "status",
    "search pric*",
    "search pricing --count",
    "search pricing --stats",
    "search pricing --explain",
    "search pricing --context 1",
    "show EVENT",
    "show EVENT --history",
    "thread deals --around EVENT",
    "rooms",
    "rooms --custodian ana@example.com",
    "verify",
    "verify --completeness --deep",
    "compact",
    "reindex --all",
    "gc",
    "matter list",
    "matter show M-1",
    "hold preview --query pricing",
    "hold list",
    "hold show H-1",
    "hold verify H-1",
    "retention list",
    "retention plan",
    "disposition list",
    "explain EVENT",
    "erase list",
    "erase show ERASURE",
    "person show ana",
    "actor list",
    "approve --list",
    "config get",
    "origin list",
    "ledger log",
    "ledger verify",
    "ledger head",
    "completions bash",
    "--help",
    "search --help",
    "--version",
];

/// They need a run that took something out, a key of somebody, or another process's schedule; they print as the others do.
const OTHERS: &[&str] = &[
    "retention run",
    "retention purge",
    "retention restore",
    "retention schedule",
    "disposition show",
    "erase run",
    "erase close",
    "actor add",
    "actor disable",
];

/// The program's commands, by the words that name them.
fn commands(of: &Command, name: &str, found: &mut BTreeSet<String>) {
    let mut subcommands = of.get_subcommands().filter(|c| c.get_name() != "help");
    let Some(first) = subcommands.next() else {
        found.insert(name.trim().to_owned());
        return;
    };
    for command in std::iter::once(first).chain(subcommands) {
        commands(command, &format!("{name} {}", command.get_name()), found);
    }
}

/// Runs a command whose output nobody reads.
fn unheard(home: &Home, args: &[&str]) -> Run {
    let (reader, writer) = pipe().unwrap();
    drop(reader);
    let mut command = home.command(args);
    command.stdout(Stdio::from(writer));
    // The other end of the pipe is in here: it has to go before the output is waited for.
    Run::of_command(command)
}

#[test]
fn a_reader_that_has_gone_ends_every_command_quietly() {
    let home = Home::small();
    let event = id(2);
    for act in ACTS {
        let args: Vec<&str> = act
            .split(' ')
            .map(|word| if word == "EVENT" { &event } else { word })
            .collect();
        let run = unheard(&home, &args);
        assert!(
            run.code == 0 && !run.stderr.contains("error"),
            "{act}: {run}"
        );
    }
    let requests = home.run(&["--format", "json", "erase", "list"]).stdout;
    let requests: Value = serde_json::from_str(&requests).unwrap();
    let erasure = requests["requests"][0]["request"].as_str().unwrap();

    for question in QUESTIONS {
        let mut printed = 0;
        for format in ["table", "json", "jsonl", "csv"] {
            let args: Vec<&str> = ["--format", format]
                .into_iter()
                .chain(question.split(' ').map(|word| match word {
                    "EVENT" => &event,
                    "ERASURE" => erasure,
                    word => word,
                }))
                .collect();
            let heard = home.run(&args);
            if heard.stdout.is_empty() {
                continue;
            }
            printed += 1;
            let unheard = unheard(&home, &args);
            // What it had to say before it found out is said; nothing about the reader is.
            assert!(
                unheard.code == 0 && heard.stderr.starts_with(&unheard.stderr),
                "{question} as {format}: {unheard}"
            );
        }
        assert!(printed > 0, "{question} prints nothing");
    }
}

/// So that a new command is tried, too.
#[test]
fn every_command_is_tried_without_a_reader() {
    let mut program = Cli::program();
    program.build();
    let mut all = BTreeSet::new();
    commands(&program, "", &mut all);
    let tried = |name: &String| {
        let mut lines = ACTS.iter().chain(QUESTIONS).chain(OTHERS);
        lines.any(|line| format!("{line} ").starts_with(&format!("{name} ")))
    };
    all.retain(|name| !tried(name));
    assert_eq!(all, BTreeSet::new());
}
