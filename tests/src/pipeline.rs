//! Ingest inside the test's own process: with any store below the archive, so with one that fails.

use std::path::Path;
use std::sync::Arc;

use holdfast_archive::Archive;
use holdfast_ingest::pipeline::Stop;
use holdfast_ingest::settings::{FileSettings, RunFlags, Settings};
use holdfast_ingest::{IngestError, Report, run_in};

/// Runs a file of JSON lines into an archive to its end, without compaction and garbage collection beside it.
///
/// # Errors
/// As [`run_in`].
pub async fn ingest_lines(
    archive: &Archive,
    lines: &Path,
    flush_rows: u64,
) -> Result<Report, IngestError> {
    ingest_lines_until(archive, lines, flush_rows, &Arc::default()).await
}

/// [`ingest_lines`], until `stop` says so.
///
/// # Errors
/// As [`run_in`].
pub async fn ingest_lines_until(
    archive: &Archive,
    lines: &Path,
    flush_rows: u64,
    stop: &Arc<Stop>,
) -> Result<Report, IngestError> {
    let flags = RunFlags {
        source: Some(format!("jsonl:{}", lines.display())),
        archive: Some(archive.url().to_owned()),
        until_idle: true,
        flush_rows: Some(flush_rows),
        // More threads than cores make no test faster, and each builds a segment of its own in memory.
        threads: Some(2),
        no_upkeep: true,
        ..RunFlags::default()
    };
    let settings = Settings::resolve(flags, FileSettings::default(), &[])?;
    run_in(settings, archive.clone(), Arc::clone(stop)).await
}

/// Writes JSON lines to a file.
///
/// # Panics
/// It cannot be written.
pub fn write_lines<L: AsRef<[u8]>>(path: &Path, lines: impl IntoIterator<Item = L>) {
    let mut text = Vec::new();
    for line in lines {
        text.extend_from_slice(line.as_ref());
        text.push(b'\n');
    }
    std::fs::write(path, text).expect("a file of the test");
}
