//! `/healthz`, `/readyz` and `/metrics` of `holdfast-ingest`, asked while it works and while it waits.

use std::fs::OpenOptions;
use std::io::Write;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_fixtures::endpoint::{free_address, get, metric};
use holdfast_fixtures::odd::{Fate, odd_records, plain};
use holdfast_tests::program::{Daemon, run};
use tempfile::TempDir;

/// Asks again until the answer is as wanted: nothing tells of another process's work.
fn until<T>(what: &str, ingest: &Daemon, mut ask: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        let waited = begin.elapsed();
        assert!(
            waited < Duration::from_secs(60),
            "{what}: {}",
            ingest.stderr()
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn ingest_lives_but_is_not_ready_before_its_group_has_given_it_partitions() {
    let folder = TempDir::new().unwrap();
    let archive = folder.path().join("archive").to_string_lossy().into_owned();
    let _ = run("holdfast", ["init", "--archive", &archive]).success();
    let address = free_address();
    // As a broker that hangs: it takes connections and says nothing.
    let broker = TcpListener::bind("127.0.0.1:0").unwrap();
    broker.set_nonblocking(true).unwrap();
    let source = format!("kafka://{}/events", broker.local_addr().unwrap());
    let listen = address.to_string();
    let arguments = [
        "run",
        "--source",
        &source,
        "--archive",
        &archive,
        "--metrics",
        &listen,
    ];
    let ingest = Daemon::start("holdfast-ingest", arguments);
    let _connection = until("Kafka's client connects", &ingest, || broker.accept().ok());
    let status = |path| get(address, path).map(|(status, _)| status);
    assert_eq!(status("/readyz"), Some(503), "{}", ingest.stderr());
    assert_eq!(status("/healthz"), Some(200), "{}", ingest.stderr());
    let _ = ingest.kill();
}

#[test]
fn ingest_tells_that_it_lives_that_it_is_ready_and_what_became_of_each_record() {
    let folder = TempDir::new().unwrap();
    let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
    let (archive, fifo) = (path("archive"), path("fifo"));
    let _ = run("holdfast", ["init", "--archive", &archive]).success();
    assert!(
        Command::new("mkfifo")
            .arg(&fifo)
            .status()
            .unwrap()
            .success()
    );
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let source = format!("jsonl:{fifo}");
    let listen = address.to_string();
    let arguments = [
        "run",
        "--source",
        &source,
        "--archive",
        &archive,
        "--flush-ms",
        "100",
        "--metrics",
        &listen,
    ];
    // The address is taken: a mistake that can be mended.
    let taken = Daemon::start("holdfast-ingest", arguments).finished(Duration::from_secs(60));
    assert_eq!(taken.status.code(), Some(2), "{}", taken.stderr);
    assert!(
        taken.stderr.contains(&listen) && taken.stderr.contains("hint: --metrics"),
        "{}",
        taken.stderr
    );
    drop(listener);
    let ingest = Daemon::start("holdfast-ingest", arguments);
    for path in ["/healthz", "/readyz"] {
        let answer = until(path, &ingest, || {
            get(address, path).filter(|(status, _)| *status == 200)
        });
        assert_eq!(answer.1, "ok\n");
    }
    assert_eq!(get(address, "/elsewhere").unwrap().0, 404);

    let mut pipe = OpenOptions::new().write(true).open(&fifo).unwrap();
    let odd = odd_records("odd.1");
    let (mut lines, mut counts) = (Vec::new(), [0, 0, 0]);
    // Without the longest ones: a pipe is small.
    for record in odd.iter().filter(|record| record.bytes.len() < 10_000) {
        lines.extend_from_slice(&record.bytes);
        lines.push(b'\n');
        counts[record.fate as usize] += 1;
    }
    lines.extend_from_slice(plain("end.1", 1, "the last one").as_bytes());
    lines.push(b'\n');
    counts[Fate::Archived as usize] += 1;
    pipe.write_all(&lines).unwrap();
    let records = |text: &str, outcome: &str| {
        metric(
            text,
            &format!("holdfast_ingest_records_total{{outcome=\"{outcome}\"}}"),
        )
    };
    let total = f64::from(counts.iter().sum::<i32>());
    let text = until("every record is counted", &ingest, || {
        let (status, text) = get(address, "/metrics")?;
        assert_eq!(status, 200);
        (metric(&text, "holdfast_ingest_held_bytes") == Some(0.0)
            && records(&text, "consumed") == Some(total))
        .then_some(text)
    });
    for (outcome, fate) in [
        ("archived", Fate::Archived),
        ("duplicate", Fate::Duplicate),
        ("quarantined", Fate::Quarantined),
    ] {
        let count = f64::from(counts[fate as usize]);
        assert_eq!(records(&text, outcome), Some(count), "{outcome}: {text}");
    }
    assert!(
        metric(&text, "holdfast_ingest_commits_total") >= Some(1.0),
        "{text}"
    );
    assert!(text.ends_with("# EOF\n"), "OpenMetrics: {text}");
    drop(pipe);
    let _ = ingest.finished(Duration::from_secs(60)).success();
}
