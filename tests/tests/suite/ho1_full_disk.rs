//! HO-1 and LE-1 on a disk that is really full: each act is tried with no room, with one page, with two … until it
//! succeeds. Until then it says what is wrong and what to do, and nothing is lost.

use std::collections::BTreeSet;

use holdfast_tests::disk::Disk;
use holdfast_tests::program::Finished;
use serde_json::{Value, json};

const DISK_BYTES: u64 = 16 << 20;
const EVENTS: u64 = 60;
const ROOMS: u64 = 3;
/// In force for the hold; the others go.
const HELD_ROOM: u64 = 1;
/// More than any act takes.
const PAGES_MAX: u64 = 200;

fn event(sequence: u64, now: jiff::Timestamp) -> Value {
    // Some stay by their date, in the same files as those that go.
    let days = if sequence.is_multiple_of(10) { 5 } else { 900 };
    let time = now - jiff::SignedDuration::from_hours(24 * days);
    let room = format!("r-{}", room(sequence));
    json!({
        "specversion": "1.0", "id": format!("0197c0de-7a3e-7c51-8000-{sequence:012x}"), "source": "/pools/p/nodes/n",
        "type": "chat.message.posted", "subject": room, "time": time.to_string(), "datacontenttype": "application/json",
        "dataschema": "urn:holdfast:compliance-event:1", "origin": "p.1", "sequence": format!("{sequence:020}"),
        "data": {
            "room": { "id": room, "name": format!("room {room}") }, "actor": { "id": "u-1", "kind": "user" },
            "room_seq": sequence, "message": { "id": format!("m-{sequence}"), "kind": "plain", "body": format!("words {sequence}") },
        },
    })
}

struct Yard {
    disk: Disk,
    archive: String,
}

impl Yard {
    fn new() -> Self {
        let disk = Disk::mount(DISK_BYTES);
        let archive = disk.path().join("archive").display().to_string();
        let yard = Self { disk, archive };
        for arguments in [
            &["init"][..],
            &["config", "set", "retention.ingest_grace", "0d"],
            &["config", "set", "retention.grace", "0d"],
            &["retention", "set", "default", "--keep", "1y"],
            &["matter", "open", "m"],
        ] {
            let _ = yard.holdfast(arguments).success();
        }
        yard.ingest();
        yard
    }

    fn holdfast(&self, arguments: &[&str]) -> Finished {
        let archive = ["--archive", &self.archive];
        self.disk
            .run("holdfast", archive.iter().chain(arguments).copied())
    }

    fn ingest(&self) {
        let now = jiff::Timestamp::now();
        let lines: Vec<String> = (1..=EVENTS)
            .map(|sequence| event(sequence, now).to_string())
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), lines.join("\n")).unwrap();
        let source = format!("jsonl:{}", file.path().display());
        let arguments = ["run", "--source", &source, "--archive", &self.archive];
        let report = self.disk.run(
            "holdfast-ingest",
            arguments.into_iter().chain(["--until-idle"]),
        );
        assert_eq!(report.success().json()["archived"], EVENTS);
    }

    /// Sequences that a search finds.
    fn found(&self, query: &str) -> BTreeSet<u64> {
        let found = self.holdfast(&["--format", "jsonl", "search", query]);
        assert!(
            matches!(found.status.code(), Some(0 | 1)),
            "{}",
            found.stderr
        );
        let sequence = |line: &str| {
            let hit: Value = serde_json::from_str(line).unwrap();
            let id = hit["event_id"].as_str().unwrap().to_owned();
            u64::from_str_radix(&id[id.len() - 12..], 16).unwrap()
        };
        found.stdout.lines().map(sequence).collect()
    }

    /// Tries an act with ever more room until it succeeds; `there` must be found after each try.
    fn until_it_fits(&self, arguments: &[&str], there: &BTreeSet<u64>) -> Finished {
        for pages in 0..PAGES_MAX {
            self.disk.fill(pages);
            let tried = self.holdfast(arguments);
            self.disk.make_room();
            if done(&tried) {
                assert!(pages > 0, "{arguments:?} took no room: it tells nothing");
                eprintln!("{arguments:?}: fits into {pages} pages");
                return tried;
            }
            told(&tried, arguments, pages);
            let lost: Vec<_> = there.difference(&self.found("*")).copied().collect();
            assert!(
                lost.is_empty(),
                "{arguments:?} with {pages} pages lost {lost:?}"
            );
        }
        panic!("{arguments:?} does not fit into {PAGES_MAX} pages");
    }
}

/// Whether it did what it was asked for, or had before: what a try committed whose last entry found no room is completed by
/// the next one, for which nothing is left to do then.
fn done(tried: &Finished) -> bool {
    matches!(tried.status.code(), Some(0 | 1)) || tried.stderr.contains("ran already")
}

/// Exit code, place, cause and remedy; and nothing is shown that is not in the ledger.
fn told(tried: &Finished, arguments: &[&str], pages: u64) {
    let text = &tried.stderr;
    let context = format!("{arguments:?} with {pages} pages: {}{text}", tried.stdout);
    assert_eq!(tried.status.code(), Some(2), "{context}");
    assert_eq!(tried.stdout, "", "{context}");
    // A commit of which it is uncertain whether it happened is named by its run.
    let uncertain = "was committed is unknown";
    let places = [
        "ledger/",
        "events/",
        "_delta_log",
        "index/",
        "entry ",
        uncertain,
    ];
    assert!(
        places.iter().any(|place| text.contains(place)),
        "no place is named: {context}"
    );
    for word in ["No space left on device", "hint: free some space"] {
        assert!(text.contains(word), "it does not say `{word}`: {context}");
    }
    assert!(!text.contains("panicked"), "{context}");
}

fn room(sequence: u64) -> u64 {
    sequence % ROOMS
}

#[test]
fn ho1_le1_on_a_full_disk_acts_say_so_lose_nothing_and_succeed_when_there_is_room() {
    let yard = Yard::new();
    let all: BTreeSet<u64> = (1..=EVENTS).collect();
    let stays = |sequence: &u64| room(*sequence) == HELD_ROOM || sequence.is_multiple_of(10);
    let left: BTreeSet<u64> = all.iter().copied().filter(stays).collect();
    assert_eq!(yard.found("*"), all);

    yard.until_it_fits(&["search", "words"], &all);
    yard.until_it_fits(&["matter", "open", "another"], &all);
    let held = format!("r-{HELD_ROOM}");
    let place = ["hold", "place", "h", "--matter", "m", "--room", &held];
    let place = [&place[..], &["--reason", "a test"]].concat();
    yard.until_it_fits(&place, &all);
    let plan = ["--format", "json", "retention", "plan", "--save"];
    let plan = yard.until_it_fits(&plan, &all).stdout;
    let plan: Value = serde_json::from_str(plan.lines().next().unwrap()).unwrap();
    let plan = plan["plan"].as_str().unwrap().to_owned();
    yard.until_it_fits(&["retention", "run", "--plan", &plan, "--yes"], &left);
    assert_eq!(yard.found("*"), left);
    yard.until_it_fits(&["retention", "purge", "--yes"], &left);
    assert_eq!(yard.found("*"), left);

    // Nothing went without its entry and certificate, and no intent is without its end.
    let _ = yard.holdfast(&["ledger", "verify"]).success();
    let _ = yard.holdfast(&["verify", "--deep"]).success();
    let proof = yard.holdfast(&["--format", "json", "hold", "verify", "h"]);
    assert_eq!(proof.success().json()["removed"], 0);
    let list = yard.holdfast(&["--format", "jsonl", "disposition", "list"]);
    let list = list.success().stdout;
    let runs: Vec<Value> = list
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(runs.len(), 1, "{list}");
    assert_eq!(runs[0]["events"], (all.len() - left.len()) as u64);
}
