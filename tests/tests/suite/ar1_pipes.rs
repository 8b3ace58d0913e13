//! AR-1 for pipes: what was read from one is archived in time while the other end stays open and silent, and before a signal ends the run.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use holdfast_fixtures::odd::plain;
use holdfast_tests::archived::Archived;
use holdfast_tests::program::{Daemon, run};
use tempfile::TempDir;

/// What Linux keeps in a pipe that nobody reads.
const PIPE_BYTES: usize = 64 * 1024;

struct Stage {
    folder: TempDir,
    ingest: Daemon,
}

impl Stage {
    /// Ingest that reads a FIFO nobody writes to yet.
    fn new(flush_ms: &str) -> Self {
        let folder = TempDir::new().unwrap();
        let path = |name: &str| folder.path().join(name).to_string_lossy().into_owned();
        let _ = run("holdfast", ["init", "--archive", &path("archive")]).success();
        let made = Command::new("mkfifo").arg(path("fifo")).status().unwrap();
        assert!(made.success());
        let (source, archive) = (format!("jsonl:{}", path("fifo")), path("archive"));
        let arguments = [
            "run",
            "--source",
            &source,
            "--archive",
            &archive,
            "--flush-ms",
            flush_ms,
        ];
        let ingest = Daemon::start("holdfast-ingest", arguments);
        Self { folder, ingest }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn open(&self) -> std::fs::File {
        // Returns once ingest has opened its end.
        OpenOptions::new()
            .write(true)
            .open(self.path("fifo"))
            .unwrap()
    }

    /// Waits until the archive holds so many rows.
    async fn archived(&self, rows: usize) {
        let begin = Instant::now();
        while Archived::at(&self.path("archive")).await.rows.len() < rows {
            assert!(
                begin.elapsed() < Duration::from_secs(60),
                "not archived within a minute: {}",
                self.ingest.stderr()
            );
            // Nothing tells another process of a commit.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn line(sequence: u64) -> String {
    plain("pipes.1", sequence, "through a pipe") + "\n"
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_rows_of_an_open_pipe_are_archived_by_age_and_a_signal_ends_the_run() {
    let stage = Stage::new("200");
    let mut pipe = stage.open();
    for sequence in 1..=10 {
        pipe.write_all(line(sequence).as_bytes()).unwrap();
    }
    stage.archived(10).await;
    // Half a line keeps nothing back that came before it.
    pipe.write_all(line(11).as_bytes()).unwrap();
    pipe.write_all(&line(12).as_bytes()[..20]).unwrap();
    stage.archived(11).await;
    pipe.write_all(&line(12).as_bytes()[20..]).unwrap();
    stage.archived(12).await;
    // The other end stays open: nothing but the signal ends the run.
    let _ = stage.ingest.terminate(Duration::from_secs(30)).success();
    drop(pipe);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_what_was_read_from_a_pipe_is_committed_before_a_signal_ends_the_run() {
    // No batch is closed by its age.
    let stage = Stage::new("3600000");
    let mut pipe = stage.open();
    let (mut written, mut sequence) = (0, 0);
    while written < 16 * PIPE_BYTES {
        sequence += 1;
        pipe.write_all(line(sequence).as_bytes()).unwrap();
        written += line(sequence).len();
    }
    // What is no longer in the pipe was read.
    let read = ((written - PIPE_BYTES) / line(sequence).len()) as u64;
    let archive = stage.path("archive");
    let _ = stage.ingest.terminate(Duration::from_secs(30)).success();
    let mut archived: Vec<u64> = Archived::at(&archive)
        .await
        .rows
        .iter()
        .map(|row| row.place.1)
        .collect();
    archived.sort_unstable();
    let expected: Vec<u64> = (1..=archived.len() as u64).collect();
    assert_eq!(archived, expected, "a beginning of what was written");
    assert!(
        archived.len() as u64 >= read,
        "{read} lines of {sequence} were read, {} are archived",
        archived.len()
    );
    drop(pipe);
}

#[tokio::test(flavor = "multi_thread")]
async fn ar1_a_pipe_that_nobody_opened_keeps_no_run_from_ending() {
    let stage = Stage::new("200");
    let begin = Instant::now();
    while !stage.ingest.stderr().contains("started") {
        assert!(begin.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let _ = stage.ingest.terminate(Duration::from_secs(30)).success();
}
