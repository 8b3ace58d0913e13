//! AR-1 and AR-2 against a failing store: the Nth operation of the whole pipeline fails, N = 1, 2, 3 … until none does; each time
//! the process "starts again" on what the store holds, and every event is there exactly once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use holdfast_archive::{Archive, OpenOptions};
use holdfast_fixtures::odd::{Fate, odd_records};
use holdfast_fixtures::{Fault, FaultyStore, Generator, Operation, Plan, Profile, every_nth};
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::{IngestError, Report};
use holdfast_tests::archived::{Archived, Place, expected};
use holdfast_tests::pipeline::{ingest_lines_until, write_lines};
use object_store::memory::InMemory;
use tempfile::TempDir;
use url::Url;

/// Enough for segments of two years in several commits, and few enough to run hundreds of times.
const EVENTS: u64 = 120;
/// One after the other, each of them at least one commit.
const FILES: usize = 3;

struct Input {
    files: Vec<PathBuf>,
    expected: BTreeMap<Place, String>,
    /// Records that must be quarantined, once each.
    quarantined: usize,
    _folder: TempDir,
}

/// Events across a turn of the year, and some records that are no events.
fn input() -> Input {
    let profile = Profile {
        start_us: 1_767_139_200_000_000,
        span_us: 2 * 86_400_000_000,
        ..Profile::new(11, EVENTS)
    };
    let mut lines: Vec<_> = Generator::new(profile).map(|event| event.json).collect();
    let expected = expected(&lines);
    let bad: Vec<_> = odd_records("odd.1")
        .into_iter()
        .filter(|odd| {
            odd.fate == Fate::Quarantined
                && odd.bytes.len() < 2_000
                && !odd.name.starts_with("the same")
        })
        .map(|odd| odd.bytes)
        .take(3)
        .collect();
    let quarantined = bad.len();
    for (n, record) in bad.into_iter().enumerate() {
        lines.insert(20 + n * 40, record);
    }
    let folder = TempDir::new().unwrap();
    let files = lines
        .chunks(lines.len().div_ceil(FILES))
        .enumerate()
        .map(|(n, lines)| {
            let path = folder.path().join(format!("{n}.jsonl"));
            write_lines(&path, lines);
            path
        });
    Input {
        files: files.collect(),
        expected,
        quarantined,
        _folder: folder,
    }
}

fn url() -> Url {
    Url::parse("memory:///archive").unwrap()
}

/// All files, one after the other; the sum of what was reported.
async fn ingest_all(
    archive: &Archive,
    input: &Input,
    stop: &Arc<Stop>,
) -> Result<Report, IngestError> {
    let mut sum = Report {
        consumed: 0,
        archived: 0,
        quarantined: 0,
        duplicates: 0,
        commits: 0,
        seconds: 0.0,
    };
    for file in &input.files {
        let report = ingest_lines_until(archive, file, 1_000, stop).await?;
        sum.consumed += report.consumed;
        sum.archived += report.archived;
        sum.quarantined += report.quarantined;
        sum.duplicates += report.duplicates;
        sum.commits += report.commits;
    }
    Ok(sum)
}

/// One round: the fault, the "restart", the check. Whether the fault happened at all.
async fn round(input: &Input, plan: Plan, dies: bool, context: &str) -> bool {
    let store = FaultyStore::new(Arc::new(InMemory::new()));
    let faults = store.faults();
    Archive::create_in(store.inner(), url()).await.unwrap();
    faults.plan(plan);
    let begin = Instant::now();
    let stop = Arc::new(Stop::default());
    let dying = dies.then(|| {
        let (stop, faults) = (Arc::clone(&stop), faults.clone());
        // Ingest waits out a store that is gone for as long as it takes; a process that died does not.
        tokio::spawn(async move {
            faults.happened().await;
            stop.ask();
        })
    });
    // A commit tries for a minute by default.
    let impatient = OpenOptions {
        commit_time_max: Duration::from_millis(100),
        ..OpenOptions::default()
    };
    let first = match Archive::open_in_with(store.clone(), url(), impatient).await {
        Ok(archive) => ingest_all(&archive, input, &stop)
            .await
            .map_err(|e| e.to_string()),
        Err(error) => Err(error.to_string()),
    };
    if let Some(dying) = dying {
        dying.abort();
    }
    let fired = faults.fired();
    println!(
        "{context}: {} after {:?}, {}",
        fired.first().map_or_else(String::new, ToString::to_string),
        begin.elapsed(),
        first.as_ref().err().map_or("ended well", String::as_str)
    );
    if fired.is_empty() {
        assert!(
            first.is_ok(),
            "{context}: failed without a fault: {first:?}"
        );
    }
    faults.clear();
    let archive = Archive::open_in(store.inner(), url()).await.unwrap();
    let after_first = Archived::read(&archive).await;
    // What a run reported as done is in the archive, whatever the store said meanwhile.
    if first.is_ok() && !dies {
        after_first
            .assert_exactly_once(&input.expected, &format!("{context}, {fired:?}, first run"));
    }
    let again = ingest_all(&archive, input, &Arc::default()).await;
    let again =
        again.unwrap_or_else(|e| panic!("{context}, {fired:?}: the run after it failed: {e}"));
    let consumed = input.expected.len() + input.quarantined;
    assert_eq!(again.consumed, consumed as u64, "{context}");
    assert_eq!(
        again.consumed,
        again.archived + again.quarantined + again.duplicates,
        "{context}"
    );
    assert_eq!(
        again.archived + again.quarantined,
        (consumed - after_first.rows.len()) as u64,
        "{context}, {fired:?}"
    );
    let archived = Archived::read(&archive).await;
    let context = format!("{context}, {fired:?}, after the restart");
    archived.assert_exactly_once(&input.expected, &context);
    assert_eq!(
        archived.quarantined().count(),
        input.quarantined,
        "{context}"
    );
    !fired.is_empty()
}

/// All N of one kind of plan.
async fn every_n(name: &str, dies: bool, plan: impl Fn(u64) -> Plan) {
    let input = &input();
    every_nth(name, plan, |plan, context| async move {
        round(input, plan, dies, &context).await
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_before_its_effect() {
    every_n("fails before", false, |n| Plan::nth(n, Fault::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_nth_store_operation_fails_after_its_effect() {
    every_n("fails after", false, |n| Plan::nth(n, Fault::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_process_dies_before_the_nth_store_operation() {
    every_n("dies before", true, |n| Plan::dead_from(n, Fault::Before)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_the_process_dies_after_the_nth_store_operation() {
    every_n("dies after", true, |n| Plan::dead_from(n, Fault::After)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_the_nth_put_lands_and_the_store_says_that_it_exists() {
    every_n("exists after", false, |n| {
        Plan::nth(n, Fault::AlreadyExistsAfter).on(&[Operation::Put])
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ar2_the_nth_put_does_not_land_and_the_store_says_that_it_exists() {
    every_n("exists before", false, |n| {
        Plan::nth(n, Fault::AlreadyExistsBefore).on(&[Operation::Put])
    })
    .await;
}
