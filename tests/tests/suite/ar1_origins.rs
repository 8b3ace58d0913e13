//! AR-1 for files of one origin: in any order, overlapping, and again; every event once, none taken for a duplicate that is not.

use holdfast_archive::{Archive, Location};
use holdfast_fixtures::{Generator, Profile};
use holdfast_tests::archived::{Archived, expected};
use holdfast_tests::pipeline::{ingest_lines, write_lines};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;

const EVENTS: usize = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn ar1_files_in_the_wrong_order_overlapping_and_again() {
    for seed in holdfast_tests::rounds::seeds(3) {
        let mut random = StdRng::seed_from_u64(seed);
        let folder = TempDir::new().unwrap();
        let location = Location::parse(&folder.path().join("archive").to_string_lossy()).unwrap();
        let archive = Archive::create(&location).await.unwrap();
        let events: Vec<_> = Generator::new(Profile::new(seed, EVENTS as u64))
            .map(|event| event.json)
            .collect();

        // The later half first, then one that overlaps it, then random stretches, then everything twice.
        let mut stretches = vec![(EVENTS / 2, EVENTS), (EVENTS / 3, 2 * EVENTS / 3)];
        for _ in 0..4 {
            let (a, b) = (
                random.random_range(0..EVENTS),
                random.random_range(0..EVENTS),
            );
            stretches.push((a.min(b), a.max(b) + 1));
        }
        stretches.extend([(0, EVENTS), (0, EVENTS)]);

        let mut seen = vec![false; EVENTS];
        for (n, (from, to)) in stretches.into_iter().enumerate() {
            let path = folder.path().join(format!("{n}.jsonl"));
            write_lines(&path, &events[from..to]);
            let flush_rows = random.random_range(100..2_000);
            let report = ingest_lines(&archive, &path, flush_rows).await.unwrap();
            let new = seen[from..to].iter().filter(|seen| !**seen).count() as u64;
            let context = format!("seed {seed}, file {n} with events {from}..{to}");
            assert_eq!(report.archived, new, "{context}: archived");
            assert_eq!(
                report.duplicates,
                (to - from) as u64 - new,
                "{context}: duplicates"
            );
            assert_eq!(report.quarantined, 0, "{context}: quarantined");
            seen[from..to].fill(true);
        }
        let archived = Archived::read(&archive).await;
        archived.assert_exactly_once(&expected(&events), &format!("seed {seed}"));
    }
}
