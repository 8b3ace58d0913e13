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
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    if let Some(Command::Raw { events, out }) = &arguments.command {
        return raw::run(events, out);
    }
    let folder = tempfile::tempdir()?;
    let events = Events::prepare(arguments.events.as_deref(), arguments.count, folder.path())?;
    let groups = if arguments.groups.is_empty() {
        Group::usual()
    } else {
        arguments.groups
    };
    let mut table = table::Table::new(&events);
    for group in groups {
        for row in group.measure(&events, folder.path(), arguments.rounds)? {
            table.add(&row);
        }
    }
    table.finish()
}
