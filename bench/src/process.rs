//! Processes and their figures.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

/// What one run took.
#[derive(Debug, Clone)]
pub(crate) struct Run {
    /// Wall clock, the whole process.
    pub(crate) seconds: f64,
    /// Standard output.
    pub(crate) stdout: String,
}

/// Runs a command to its end and measures it. Standard error is passed on when it fails.
pub(crate) fn run(command: &mut Command) -> Result<Run> {
    run_with(command, |_child| ()).map(|(run, ())| run)
}

/// [`run`], with something to be told of the process when it has started.
fn run_with<T>(command: &mut Command, started: impl FnOnce(&Child) -> T) -> Result<(Run, T)> {
    let begin = Instant::now();
    let child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let child = child.with_context(|| format!("{command:?}"))?;
    let started = started(&child);
    let output = child.wait_with_output()?;
    let seconds = begin.elapsed().as_secs_f64();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.success() || output.status.code() == Some(1),
        "{command:?}: {}\n{stderr}",
        output.status
    );
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok((Run { seconds, stdout }, started))
}

/// Follows the high-water mark of a process until it is gone: the kernel keeps the peak, so that only growth in the last
/// few milliseconds can be missed.
fn watch_memory(child: &Child) -> std::thread::JoinHandle<f64> {
    let status = format!("/proc/{}/status", child.id());
    std::thread::spawn(move || {
        let mut peak_kib = 0_u64;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = line.and_then(|l| l.trim().trim_end_matches(" kB").parse().ok()) else {
                break;
            };
            peak_kib = peak_kib.max(kib);
            std::thread::sleep(Duration::from_millis(10));
        }
        peak_kib as f64 / 1024.0
    })
}

/// A program of this workspace, without settings of the person who measures.
pub(crate) fn holdfast(program: &str) -> Command {
    let mut command = Command::new(holdfast_tests::program::path(program));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("HOLDFAST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Makes an archive and ingests a source until it is idle.
pub(crate) fn ingest(source: &str, archive: &Path) -> Result<Run> {
    init(archive)?;
    run(&mut ingest_into(source, archive))
}

/// [`ingest`], with the peak of its resident memory in MiB.
pub(crate) fn ingest_watched(source: &str, archive: &Path) -> Result<(Run, f64)> {
    init(archive)?;
    watched(&mut ingest_into(source, archive))
}

/// [`ingest_watched`], with batches so small that they are worth merging, which is looked for every second instead of twice a minute.
pub(crate) fn ingest_merging(source: &str, archive: &Path) -> Result<(Run, f64)> {
    init(archive)?;
    let settings = archive.with_extension("toml");
    std::fs::write(&settings, "[flush]\nrows = 20000\n[upkeep]\nseconds = 1\n")?;
    watched(ingest_into(source, archive).arg("--config").arg(&settings))
}

/// Runs a command to its end; with the peak of its resident memory in MiB.
fn watched(command: &mut Command) -> Result<(Run, f64)> {
    let (run, watcher) = run_with(command, watch_memory)?;
    Ok((run, watcher.join().unwrap_or_default()))
}

fn ingest_into(source: &str, archive: &Path) -> Command {
    let mut command = holdfast("holdfast-ingest");
    command
        .args(["run", "--source", source, "--until-idle", "--archive"])
        .arg(archive);
    command
}

/// An empty archive.
pub(crate) fn init(archive: &Path) -> Result<()> {
    run(holdfast("holdfast")
        .args(["init", "--archive"])
        .arg(archive))
    .map(drop)
}

/// Bytes of all files below a folder.
pub(crate) fn bytes_below(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() {
            bytes_below(&entry.path())?
        } else {
            metadata.len()
        };
    }
    Ok(bytes)
}

/// The median.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The value that `share` of the values do not exceed.
pub(crate) fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let rank = (values.len() as f64 * share).ceil() as usize;
    values
        .get(rank.saturating_sub(1))
        .copied()
        .unwrap_or(f64::NAN)
}
