//! `holdfast status`: size, completeness and what is wrong.

use std::time::Duration;

use clap::Args;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::open;
use crate::output::text::escape;
use crate::output::{Ui, duration};
use crate::status::{self, Status};

/// Size, events, years, splits, unindexed, pending attachments, origins with their lag, and positions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast status
  holdfast status --check --max-lag 5m --max-silence 1m --max-verified 8d --max-anchored 2d
  holdfast status --format json | jq '.origins[] | select(.complete | not)'

LAG is the time from an origin's newest event to its newest arrival (`lag_seconds` in JSON): older events that
arrive late make it long, too. LAST SEEN is how long ago that arrival was. How far a source is ahead of the archive, the metrics of `holdfast-ingest` tell.

`--check` names what is wrong and exits with 2: events without a usable split, sequences that never arrived, origins that are
expected and never spoke, attachments pending for more than a day, records quarantined since the last verification, jobs that
failed, broke off or are overdue, erasures past their day, a verification that found something, and what the limits say.")]
pub struct StatusArgs {
    /// Judge the state: exit 2 and name what is wrong
    #[arg(long)]
    pub check: bool,
    /// An origin's newest event was archived at most this long after it happened [default: not checked]
    #[arg(long, requires = "check", value_name = "DURATION", value_parser = duration::parse)]
    pub max_lag: Option<Duration>,
    /// An origin's newest event, a heartbeat at least, was archived at most this long ago [default: not checked]
    #[arg(long, requires = "check", value_name = "DURATION", value_parser = duration::parse)]
    pub max_silence: Option<Duration>,
    /// The whole archive was last verified at most this long ago [default: not checked]
    #[arg(long, requires = "check", value_name = "DURATION", value_parser = duration::parse)]
    pub max_verified: Option<Duration>,
    /// The ledger was last anchored at most this long ago [default: not checked]
    #[arg(long, requires = "check", value_name = "DURATION", value_parser = duration::parse)]
    pub max_anchored: Option<Duration>,
}

/// Tells the state.
///
/// # Errors
/// The archive cannot be read.
pub async fn run(args: &StatusArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let now_us = open::now_us();
    let status = status::gather::gather(&opened, now_us).await?;
    let limits = status::judge::Limits {
        lag: args.max_lag,
        silence: args.max_silence,
        verified: args.max_verified,
        anchored: args.max_anchored,
    };
    let wrong = args
        .check
        .then(|| status::judge::judge(&status, limits, now_us));
    write(&status, wrong.as_deref(), now_us, ui)?;
    let Some(wrong) = wrong else {
        return Ok(Outcome::Done);
    };
    for sentence in &wrong {
        ui.warn(&escape(sentence));
    }
    if status.splits.unindexed_events > 0 {
        ui.hint("`holdfast reindex` builds the splits");
    }
    Ok(if wrong.is_empty() {
        Outcome::Done
    } else {
        Outcome::Partial
    })
}

fn write(
    status: &Status,
    wrong: Option<&[String]>,
    now_us: i64,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    match ui.format {
        Format::Table => status::print::write(ui.out(), status, now_us, width, paint)?,
        Format::Json | Format::Jsonl => {
            let mut value = serde_json::to_value(status).map_err(std::io::Error::from)?;
            if let (Some(wrong), Some(object)) = (wrong, value.as_object_mut()) {
                object.insert("wrong".to_owned(), serde_json::json!(wrong));
            }
            ui.json_line(&value)?;
        }
        Format::Csv => {
            let mut out = crate::output::csv::writer(ui.out());
            let failed = crate::output::csv::io_error;
            out.write_record(["year", "events", "segments", "bytes"])
                .map_err(failed)?;
            for year in &status.years {
                let cells = [
                    year.year.to_string(),
                    year.events.to_string(),
                    year.segments.to_string(),
                    year.bytes.to_string(),
                ];
                out.write_record(cells).map_err(failed)?;
            }
            out.flush()?;
        }
    }
    Ok(())
}
