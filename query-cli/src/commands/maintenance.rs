//! `holdfast compact`, `reindex` and `gc`: what ingest does beside its work, by hand.

use std::time::Duration;

use clap::Args;
use holdfast_archive::gc::{GcOptions, GcReport};
use holdfast_archive::{gc as archive_gc, maintain};
use holdfast_indexer::maintenance::{self, CompactOptions, CompactReport, ReindexOptions};
use serde_json::json;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::open;
use crate::output::progress::Progress;
use crate::output::text::{bytes, counted, escape, grouped};
use crate::output::{Ui, duration};

/// Merges of one `compact`, at most: a bound, so that it ends beside an ingest that never stops.
const MERGES_MAX: usize = 10_000;

/// Merge small segments
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast compact
  holdfast compact --all

`holdfast-ingest` does this by itself, in merges of 250,000 events unless it is set otherwise; here a merge
has up to 1,000,000.
One compactor works at a time, whoever started it; when another one is at it, this ends with 2 and says who.")]
pub struct CompactArgs {
    /// Merge whatever fits together, not only where a merge saves enough
    #[arg(long)]
    pub all: bool,
}

/// Merges small segments.
///
/// # Errors
/// The archive cannot be read or written.
pub async fn compact(args: &CompactArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let policy = if args.all {
        maintenance::policy::Policy::everything()
    } else {
        maintenance::policy::Policy::default()
    };
    let holder = format!(
        "holdfast compact by {}, process {}",
        open::actor(global),
        std::process::id()
    );
    let options = CompactOptions {
        policy,
        holder,
        merges_max: MERGES_MAX,
    };
    let report = maintenance::compact(&opened.archive, &options).await?;
    write_compact(&report, ui)?;
    if let Some(holder) = &report.held_by {
        ui.warn(&format!(
            "another compaction is under way: {}",
            escape(holder)
        ));
        return Ok(Outcome::Partial);
    }
    Ok(Outcome::Done)
}

fn write_compact(report: &CompactReport, ui: &mut Ui) -> Result<(), Failure> {
    let inputs: usize = report.merges.iter().map(|m| m.inputs).sum();
    let outputs: usize = report.merges.iter().map(|m| m.outputs).sum();
    let rows: u64 = report.merges.iter().map(|m| m.rows).sum();
    match ui.format {
        Format::Table | Format::Csv if report.merges.is_empty() => {
            writeln!(ui.out(), "nothing to merge")?;
        }
        Format::Table | Format::Csv => {
            let line = format!(
                "merged {} into {}, {}",
                counted(inputs as u64, "segment"),
                grouped(outputs as u64),
                counted(rows, "event")
            );
            writeln!(ui.out(), "{line}")?;
        }
        Format::Json | Format::Jsonl => {
            let value = json!({ "merges": report.merges.len(), "inputs": inputs, "outputs": outputs, "events": rows, "skipped": report.skipped });
            ui.json_line(&value)?;
        }
    }
    Ok(())
}

/// Build splits that are missing, outdated or do not open
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast reindex
  holdfast reindex --all

Searches stay complete meanwhile: a segment without a usable split is scanned. `holdfast-ingest` builds those
that are missing or outdated by itself.")]
pub struct ReindexArgs {
    /// Build every split anew, also those that open and may be damaged inside
    #[arg(long)]
    pub all: bool,
}

/// Builds splits.
///
/// # Errors
/// The archive cannot be read or written.
pub async fn reindex(args: &ReindexArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let segments = opened.snapshot.segments().await?.len() as u64;
    let mut progress = Progress::new(ui, "indexing", segments);
    let options = ReindexOptions {
        all: args.all,
        ..ReindexOptions::default()
    };
    let report = maintenance::reindex(&opened.archive, options, |_, _| progress.add(1)).await?;
    drop(progress);
    match ui.format {
        Format::Table | Format::Csv => {
            let line = format!(
                "built {} of {}, {}",
                grouped(report.built as u64),
                counted(report.segments as u64, "split"),
                counted(report.rows, "event")
            );
            writeln!(ui.out(), "{line}")?;
        }
        Format::Json | Format::Jsonl => {
            let value = json!({ "segments": report.segments, "built": report.built, "events": report.rows, "failed": report.failed.len() });
            ui.json_line(&value)?;
        }
    }
    for (segment, error) in &report.failed {
        ui.warn(&format!("{}: no split: {error}", escape(segment)));
    }
    Ok(match report.failed.is_empty() {
        true => Outcome::Done,
        false => Outcome::Partial,
    })
}

/// Remove files that nothing refers to any more
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast gc            what would be removed
  holdfast gc --yes      remove it

Nothing that a live version refers to is ever removed. Files replaced by compaction stay for --grace, so that readers
finish.")]
pub struct GcArgs {
    /// Remove; without it the files are only listed
    #[arg(long)]
    pub yes: bool,
    /// Leave files younger than this alone: they may belong to a commit on its way
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = duration::parse)]
    pub min_age: Duration,
    /// How long replaced files stay, at most 7d
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
    pub grace: Duration,
}

/// Lists or removes garbage.
///
/// # Errors
/// The archive cannot be read or written.
pub async fn gc(args: &GcArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    if args.grace > Duration::from_secs(7 * 86_400) {
        return Err(Failure::mistake(
            "`--grace` is more than seven days",
            "give at most `7d`",
        ));
    }
    let opened = open::open(global).await?;
    let now_ms = open::now_us() / 1000;
    let options = GcOptions {
        min_age: args.min_age,
        grace: args.grace,
        dry_run: !args.yes,
    };
    let report = archive_gc::run(&opened.archive, options, now_ms).await?;
    let log = if args.yes {
        maintain::run(&opened.archive, now_ms).await?
    } else {
        maintain::LogReport::default()
    };
    write_gc(&report, &log, args.yes, ui)?;
    if !args.yes && !report.deleted.is_empty() {
        ui.hint("run it again with `--yes` to remove them");
    }
    Ok(Outcome::Done)
}

fn write_gc(
    report: &GcReport,
    log: &maintain::LogReport,
    removed: bool,
    ui: &mut Ui,
) -> Result<(), Failure> {
    match ui.format {
        Format::Json | Format::Jsonl => {
            let value = json!({
                "removed": removed, "files": report.deleted, "bytes": report.bytes,
                "log_entries_removed": log.removed, "checkpoint": log.checkpoint,
            });
            ui.json_line(&value)?;
        }
        Format::Table | Format::Csv => {
            for path in &report.deleted {
                writeln!(ui.out(), "{}", escape(path))?;
            }
            let verb = if removed { "removed" } else { "would remove" };
            let line = format!(
                "{verb} {}, {}",
                counted(report.deleted.len() as u64, "file"),
                bytes(report.bytes)
            );
            writeln!(ui.out(), "{line}")?;
            if removed && log.removed > 0 {
                writeln!(
                    ui.out(),
                    "removed {} log entries below a verified checkpoint",
                    grouped(log.removed)
                )?;
            }
        }
    }
    Ok(())
}
