//! The same work done by Holdfast, by the raw libraries and by peers, each row measured side by side in one run.

mod events;
mod load;
mod postgres;
mod process;
mod raw;
mod rows;
mod table;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::events::Events;
use crate::rows::{Given, Group};

/// Measures Holdfast against the raw libraries and PostgreSQL, and prints a table of ratios.
#[derive(Debug, Parser)]
#[command(
    after_help = "Examples:\n  holdfast-bench\n  holdfast-bench ingest search --events chat.jsonl\n  holdfast-bench growth --rounds 5\n  holdfast-bench chat-users chat-models --users 8000 --seconds 20"
)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Groups of rows to measure; all but `scale` and those of the chat node if none is named
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
    #[command(flatten)]
    chat: rows::chat::Size,
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
    /// A process of chat clients, told what to do on its standard input
    #[command(hide = true)]
    Load,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    match &arguments.command {
        Some(Command::Raw { events, out }) => return raw::run(events, out),
        Some(Command::PrepareScale { tables }) => return rows::prepare_scale(tables),
        Some(Command::RawVerify { files }) => return rows::raw_verify(files),
        Some(Command::Load) => return load::run(),
        None => {}
    }
    let folder = tempfile::tempdir()?;
    let groups = if arguments.groups.is_empty() {
        Group::usual()
    } else {
        arguments.groups
    };
    let events = if groups.iter().any(|group| group.needs_events()) {
        let given = arguments.events.as_deref();
        Some(Events::prepare(given, arguments.count, folder.path())?)
    } else {
        None
    };
    let scale = folder.path().join("scale");
    let given = Given {
        events: events.as_ref(),
        folder: folder.path(),
        tables: arguments.tables.as_deref().unwrap_or(&scale),
        rounds: arguments.rounds,
        chat: arguments.chat,
    };
    let mut table = table::Table::new(events.as_ref());
    for group in groups {
        for row in group.measure(&given)? {
            table.add(&row);
        }
    }
    table.finish()
}
