//! RE-1 on a real S3 server: what machines have cached of the index does not outlive a purge there, nor the next search
//! elsewhere.

use std::collections::BTreeSet;
use std::path::PathBuf;

use holdfast_tests::bucket::{Bucket, Place, Protocol};
use holdfast_tests::pipeline::write_lines;
use holdfast_tests::program::{Finished, run_with};
use serde_json::json;
use tempfile::TempDir;

const EVENTS: u64 = 200;
const OLD_DAYS: i64 = 900;

fn event(sequence: u64) -> String {
    let days = if sequence.is_multiple_of(2) {
        OLD_DAYS
    } else {
        2
    };
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    let event = json!({
        "specversion": "1.0", "id": format!("0197c0de-7a3e-7c51-8000-{sequence:012x}"), "source": "/pools/p/nodes/n",
        "type": "chat.message.posted", "subject": "r-1", "time": time.to_string(), "datacontenttype": "application/json",
        "dataschema": "urn:holdfast:compliance-event:1", "origin": "p.1", "sequence": format!("{sequence:020}"),
        "data": {
            "room": { "id": "r-1" }, "actor": { "id": "u-1", "kind": "user" }, "room_seq": sequence,
            "message": { "id": format!("m-{sequence}"), "kind": "plain", "body": format!("words {sequence}") },
        },
    });
    event.to_string()
}

/// A machine: what it caches lies in a folder of its own.
struct Machine<'a> {
    place: &'a Place,
    cache: TempDir,
}

impl<'a> Machine<'a> {
    fn new(place: &'a Place) -> Self {
        let cache = TempDir::new().unwrap();
        Self { place, cache }
    }

    fn holdfast(&self, arguments: &[&str]) -> Finished {
        let cache = self.cache.path().to_str().unwrap();
        let more = ["--archive", self.place.url(), "--cache-dir", cache];
        run_with(
            "holdfast",
            arguments.iter().chain(&more),
            self.place.variables(),
        )
        .success()
    }

    /// What is cached: files by the segment whose split they are a part of.
    fn cached(&self) -> BTreeSet<String> {
        let folder = self.folder();
        let files = std::fs::read_dir(folder).unwrap();
        let name = |file: std::io::Result<std::fs::DirEntry>| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.split('.').next().unwrap().to_owned()
        };
        files.map(name).collect()
    }

    /// The archive's own folder in the cache.
    fn folder(&self) -> PathBuf {
        let mut folders = std::fs::read_dir(self.cache.path()).unwrap();
        folders.next().expect("something is cached").unwrap().path()
    }
}

async fn live(place: &Place) -> BTreeSet<String> {
    let snapshot = place.open().await.snapshot().await.unwrap();
    let segments = snapshot.segments().await.unwrap();
    segments
        .iter()
        .map(|segment| segment.id().to_owned())
        .collect()
}

fn ingest(place: &Place) {
    let folder = TempDir::new().unwrap();
    let lines = folder.path().join("events.jsonl");
    write_lines(&lines, (1..=EVENTS).map(event));
    let source = format!("jsonl:{}", lines.display());
    let arguments = ["run", "--source", &source, "--archive", place.url()];
    let arguments = arguments.into_iter().chain(["--until-idle"]);
    let _ = run_with("holdfast-ingest", arguments, place.variables()).success();
}

#[tokio::test(flavor = "multi_thread")]
async fn re1_cached_pieces_of_what_was_purged_go_with_the_purge_and_with_the_next_search_elsewhere()
{
    let place = Bucket::shared(Protocol::S3).place();
    let (here, elsewhere) = (Machine::new(&place), Machine::new(&place));
    let _ = here.holdfast(&["init"]);
    for setting in ["retention.ingest_grace", "retention.grace"] {
        let _ = here.holdfast(&["config", "set", setting, "0d"]);
    }
    let _ = here.holdfast(&["retention", "set", "default", "--keep", "1y"]);
    ingest(&place);
    let before = live(&place).await;
    for machine in [&here, &elsewhere] {
        let found = machine.holdfast(&["search", "words", "--count"]);
        assert_eq!(found.stdout.trim(), EVENTS.to_string());
        assert_eq!(machine.cached(), before, "every split is cached");
    }
    let _ = here.holdfast(&["retention", "run", "--yes"]);
    let after = live(&place).await;
    let gone: BTreeSet<String> = before.difference(&after).cloned().collect();
    assert!(!gone.is_empty());
    // A search that was killed while it wrote a piece.
    let half = format!("{}.a1.split-0.0.splitchunk.4711", gone.first().unwrap());
    std::fs::write(here.folder().join(half), "words 2").unwrap();
    let purged = here.holdfast(&["retention", "purge", "--yes"]);
    let left: Vec<_> = here.cached().intersection(&gone).cloned().collect();
    assert!(left.is_empty(), "cached still: {left:?}");
    // Nobody can reach another machine's folder; the certificate and the purge say so, and its next search empties it.
    let told = "caches of the index on other machines";
    assert!(purged.stderr.contains(told), "{}", purged.stderr);
    assert!(elsewhere.cached().is_superset(&gone));
    let found = elsewhere.holdfast(&["search", "words", "--count"]);
    assert_eq!(found.stdout.trim(), (EVENTS / 2).to_string());
    let left: Vec<_> = elsewhere.cached().intersection(&gone).cloned().collect();
    assert!(left.is_empty(), "cached still: {left:?}");
}
