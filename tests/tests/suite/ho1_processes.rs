//! HO-1 and LE-1 with real processes side by side: officers place and release holds, two machines run retention and purge
//! (and are killed at it), ingest adds events, a compactor merges, all on one archive.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_tests::archived::{Archived, Place};
use holdfast_tests::program::{self, Daemon, Finished};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROOMS: u64 = 6;
/// Held before anything else begins, by the first hold.
const FIRST_ROOM: u64 = 0;
const WAIT_MAX: Duration = Duration::from_secs(60);

/// A hold that was acknowledged, and what was there when it was.
#[derive(Debug, Clone)]
struct Held {
    name: String,
    there: BTreeSet<Place>,
}

struct Yard {
    folder: TempDir,
    archive: PathBuf,
    held: Mutex<Vec<Held>>,
    sequences: AtomicU64,
    /// Commands that were refused, of all.
    refused: AtomicU64,
    given: AtomicU64,
}

fn room(sequence: u64) -> u64 {
    sequence % ROOMS
}

/// Old enough to go, most of them; some are edits of the message six sequences before, in the same room.
fn event(sequence: u64, now: &jiff::Timestamp) -> Value {
    let days = if sequence.is_multiple_of(7) { 20 } else { 900 };
    let ago = jiff::SignedDuration::from_hours(24 * days);
    let time = now.checked_sub(ago).unwrap();
    let room = format!("r-{}", room(sequence));
    let edit = sequence > ROOMS && sequence.is_multiple_of(5);
    let (kind, message) = match edit {
        true => ("chat.message.edited", sequence - ROOMS),
        false => ("chat.message.posted", sequence),
    };
    json!({
        "specversion": "1.0", "id": format!("0197c0de-7a3e-7c51-8000-{sequence:012x}"), "source": "/pools/p/nodes/n", "type": kind,
        "subject": room, "time": time.to_string(), "datacontenttype": "application/json",
        "dataschema": "urn:holdfast:compliance-event:1", "origin": "p.1", "sequence": format!("{sequence:020}"),
        "data": {
            "room": { "id": room, "name": format!("room {room}") }, "actor": { "id": format!("u-{}", sequence % 4), "kind": "user" },
            "room_seq": sequence, "message": { "id": format!("m-{message}"), "kind": "plain", "body": format!("words {sequence}") },
        },
    })
}

impl Yard {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let archive = folder.path().join("archive");
        Self {
            folder,
            archive,
            held: Mutex::default(),
            sequences: AtomicU64::new(1),
            refused: AtomicU64::new(0),
            given: AtomicU64::new(0),
        }
    }

    fn arguments(&self, arguments: &[&str]) -> Vec<String> {
        let archive = self.archive.display().to_string();
        let all = ["--archive", &archive]
            .into_iter()
            .chain(arguments.iter().copied());
        all.map(str::to_owned).collect()
    }

    fn holdfast(&self, arguments: &[&str]) -> Finished {
        self.sound(
            program::run("holdfast", self.arguments(arguments)),
            arguments,
        )
    }

    /// What goes wrong is said as an error, never as a panic.
    fn sound(&self, finished: Finished, arguments: &[&str]) -> Finished {
        self.given.fetch_add(1, Ordering::Relaxed);
        assert!(
            !finished.stderr.contains("panicked"),
            "{arguments:?}: {}",
            finished.stderr
        );
        if finished.status.code() == Some(2) {
            self.refused.fetch_add(1, Ordering::Relaxed);
            assert!(
                finished.stderr.contains("error"),
                "{arguments:?}: {finished:?}"
            );
        }
        finished
    }

    /// Archives that many more events.
    fn ingest(&self, count: u64) {
        let first = self.sequences.fetch_add(count, Ordering::SeqCst);
        let now = jiff::Timestamp::now();
        let lines = (first..first + count).map(|sequence| event(sequence, &now).to_string());
        let file = self.folder.path().join(format!("{first}.jsonl"));
        std::fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
        let source = format!("jsonl:{}", file.display());
        let archive = self.archive.display().to_string();
        let arguments = [
            "run",
            "--source",
            &source,
            "--archive",
            &archive,
            "--until-idle",
        ];
        let report = program::run("holdfast-ingest", arguments).success().json();
        assert_eq!(report["archived"], count, "{report}");
        assert_eq!(report["quarantined"], 0, "{report}");
    }

    /// What a search finds in a room.
    fn found(&self, room: u64) -> BTreeSet<Place> {
        let query = format!("room:r-{room}");
        let found = self.holdfast(&["--format", "jsonl", "search", &query]);
        let lines = found.stdout.lines().map(|line| {
            let hit: Value = serde_json::from_str(line).unwrap();
            let id = hit["event_id"].as_str().unwrap();
            let sequence = u64::from_str_radix(&id[id.len() - 12..], 16).unwrap();
            ("p.1".to_owned(), sequence)
        });
        lines.collect()
    }

    fn place(&self, name: &str, room: u64) -> bool {
        let room_id = format!("r-{room}");
        let arguments = [
            "hold", "place", name, "--matter", "m", "--room", &room_id, "--reason", "a test",
        ];
        if !self.holdfast(&arguments).status.success() {
            return false;
        }
        let there = self.found(room);
        let name = name.to_owned();
        self.held.lock().unwrap().push(Held { name, there });
        true
    }

    fn officer(&self, number: u64, rounds: u32) {
        let mut random = StdRng::seed_from_u64(number);
        let mut mine: Vec<String> = Vec::new();
        for round in 0..rounds {
            let name = format!("h-{number}-{round}");
            if self.place(&name, random.random_range(1..ROOMS)) {
                mine.push(name);
            }
            // Few at a time: in many rounds all rooms would come to be held, and nothing would go.
            if mine.len() > 2 || mine.len() > 1 && random.random_ratio(1, 2) {
                let name = mine.remove(0);
                self.held.lock().unwrap().retain(|held| held.name != name);
                let arguments = [
                    "hold", "release", &name, "--grace", "0d", "--reason", "over", "--yes",
                ];
                self.holdfast(&arguments);
            }
        }
    }

    /// Runs retention and purges, and is killed at it now and then.
    fn retention(&self, number: u64, rounds: u32) {
        let mut random = StdRng::seed_from_u64(1000 + number);
        for _ in 0..rounds {
            for act in ["run", "purge"] {
                let arguments = ["retention", act, "--yes"];
                let running = Daemon::start("holdfast", self.arguments(&arguments));
                if random.random_ratio(1, 3) {
                    // It dies wherever it is by then.
                    std::thread::sleep(Duration::from_millis(random.random_range(1..250)));
                    running.kill();
                } else {
                    self.sound(running.finished(WAIT_MAX), &arguments);
                }
            }
        }
    }
}

fn read(archive: &Path) -> BTreeSet<Place> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let archived = runtime.block_on(Archived::left_at(archive));
    archived.rows.into_iter().map(|row| row.place).collect()
}

#[test]
fn ho1_le1_processes_side_by_side_remove_nothing_that_is_held_and_account_for_the_rest() {
    let rounds = holdfast_tests::rounds::rounds(4);
    let yard = Yard::new();
    for arguments in [
        &["init"][..],
        &["config", "set", "retention.ingest_grace", "0d"],
        &["config", "set", "retention.grace", "0d"],
        &["retention", "set", "default", "--keep", "1y"],
        &["matter", "open", "m"],
    ] {
        let _ = yard.holdfast(arguments).success();
    }
    yard.ingest(120);
    assert!(yard.place("first", FIRST_ROOM));
    std::thread::scope(|scope| {
        for number in 0..2 {
            let yard = &yard;
            scope.spawn(move || yard.officer(number, rounds));
            scope.spawn(move || yard.retention(number, rounds));
        }
        scope.spawn(|| (0..rounds).for_each(|_| yard.ingest(40)));
        scope.spawn(|| {
            for _ in 0..rounds {
                yard.holdfast(&["compact"]);
            }
        });
    });
    // Whatever was killed is settled by whoever comes next.
    yard.holdfast(&["retention", "run", "--yes"]);
    yard.holdfast(&["retention", "purge", "--yes"]);
    let there = read(&yard.archive);
    let archived = yard.sequences.load(Ordering::SeqCst) - 1;
    let first: BTreeSet<u64> = (1..=archived)
        .filter(|seq| room(*seq) == FIRST_ROOM)
        .collect();
    let lost: Vec<_> = first
        .iter()
        .filter(|seq| !there.contains(&("p.1".to_owned(), **seq)))
        .collect();
    assert!(lost.is_empty(), "HO-1: the first hold misses {lost:?}");
    let held = yard.held.lock().unwrap().clone();
    for hold in &held {
        let lost: Vec<_> = hold.there.difference(&there).collect();
        assert!(lost.is_empty(), "HO-1: hold {} misses {lost:?}", hold.name);
        let proof = yard.holdfast(&["--format", "json", "hold", "verify", &hold.name]);
        assert_eq!(proof.success().json()["removed"], 0);
    }
    let removed = archived as usize - there.len();
    assert!(removed > 0, "nothing went: the test tests nothing");
    // Nothing went without an entry and a certificate, and no entry is without its end.
    let _ = yard.holdfast(&["ledger", "verify"]).success();
    let _ = yard.holdfast(&["verify"]).success();
    let log = yard
        .holdfast(&["--format", "jsonl", "ledger", "log"])
        .success();
    let count = |action: &str| log.stdout.matches(&format!("\"{action}\"")).count();
    for kind in ["disposition", "purge", "restore"] {
        let (intents, ends) = (
            count(&format!("{kind}.intent")),
            count(&format!("{kind}.outcome")) + count(&format!("{kind}.abandoned")),
        );
        assert!(ends >= intents, "{kind}: {intents} intents, {ends} ends");
    }
    eprintln!(
        "{} commands, {} refused; {} holds in force; {removed} of {archived} events removed by {} runs, {} purges, {} abandoned",
        yard.given.load(Ordering::Relaxed),
        yard.refused.load(Ordering::Relaxed),
        held.len(),
        count("disposition.outcome"),
        count("purge.outcome"),
        count("disposition.abandoned") + count("purge.abandoned"),
    );
}
