//! The same work done by Holdfast, by the raw libraries and by peers, each row measured side by side in one run.

mod events;
mod postgres;
mod process;
mod raw;
mod rows;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::events::Events;
use crate::rows::Group;

/// Measures Holdfast against the raw libraries and PostgreSQL, and prints a table of ratios.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  holdfast-bench\n  holdfast-bench ingest search --events chat.jsonl\n  holdfast-bench growth --count 5000000"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Groups of rows to measure; all but `scale` if none is named
    #[arg(value_enum)]
    groups: Vec<Group>,
    /// Events to measure with, one JSON object a line; generated if left out
    #[arg(long, env = "HOLDFAST_BENCH_EVENTS")]
    events: Option<PathBuf>,
    /// Number of events to generate
    #[arg(long, default_value_t = 1_000_000)]
    count: u64,
    /// Rounds of each measurement; the table shows medians
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Where the tables of `scale` stay, to be measured again; made when missing, see `prepare-scale`
    #[arg(long, value_name = "DIR")]
    tables: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// The raw limit: borrowed parse, Parquet writer and Tantivy on both cores, nothing else
    #[command(hide = true)]
    Raw {
        /// Events, one JSON object a line
        events: PathBuf,
        /// Folder for what is written
        out: PathBuf,
    },
    /// Make the tables of `scale` and measure nothing; then: scale --tables DIR
    PrepareScale {
        /// Where they stay
        tables: PathBuf,
    },
    /// The raw limit of verification: every column of some Parquet files read, files and rows hashed
    #[command(hide = true)]
    RawVerify {
        /// Parquet files
        files: Vec<PathBuf>,
    },
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Raw { events, out }) => return raw::run(events, out),
        Some(Command::PrepareScale { tables }) => return rows::prepare_scale(tables),
        Some(Command::RawVerify { files }) => return rows::raw_verify(files),
        None => {}
    }
    let folder = tempfile::tempdir()?;
    let events = Events::prepare(arguments.events.as_deref(), arguments.count, folder.path())?;
    let groups = if arguments.groups.is_empty() {
        Group::usual()
    } else {
        arguments.groups
    };
    let tables = arguments
        .tables
        .unwrap_or_else(|| folder.path().join("scale"));
    let mut table = table::Table::new(&events);
    for group in groups {
        for row in group.measure(&events, folder.path(), &tables, arguments.rounds)? {
            table.add(&row);
        }
    }
    table.finish()
}
