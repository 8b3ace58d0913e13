//! The command line and its environment.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, Parser, Subcommand};

/// Takes compliance events into a Holdfast archive, each exactly once.
#[derive(Debug, Parser)]
#[command(name = "holdfast-ingest", version, about, max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `holdfast-ingest`.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a source into an archive.
    Run(Box<RunFlags>),
}

// One line a paragraph: clap wraps them to the terminal.
const AFTER_HELP: &str = "\
Settings: flags > environment > the TOML file > defaults. Keys of the file are the flags' names with underscores; \
[flush] rows, mib, ms; [upkeep] enabled, seconds (30), rows_max (250000), mib_max (256). \
[kafka] takes any librdkafka setting (\"security.protocol\", \"sasl.password\", \"ssl.ca.location\" ...); the environment \
too: HOLDFAST_KAFKA__SASL_PASSWORD is sasl.password. They are never logged. \
An outbox in PostgreSQL also takes its password from PGPASSWORD or ~/.pgpass.

Memory: at most --in-flight-mib of records are between the source and their commit; with columns, sorted copies and \
the buffers of Parquet and Tantivy the process stays under about 2.5 times that plus 100 MiB: under 1 GiB by default, \
compaction included. [upkeep] rows_max and mib_max are what one merge takes at most: a merge is in memory as a whole, so more rows take \
more of it, about 1 GiB for a million of short messages. `holdfast compact`, which has its memory for itself, merges up to 1000000. A missing split is built \
out of the same --in-flight-mib; one that does not fit is told, and `holdfast reindex` builds it.

With --until-idle the last line of standard output is \
{\"consumed\":N,\"archived\":N,\"quarantined\":N,\"duplicates\":N,\"commits\":N,\"seconds\":S}; \
consumed is the sum of the next three.

Exit codes: 0 done, or ended by SIGTERM or SIGINT after what was read is committed; 2 mistake or failure; 130 ended at once by a second signal.";

/// `holdfast-ingest run`.
#[derive(Debug, Default, Args)]
#[command(after_help = AFTER_HELP)]
pub struct RunFlags {
    /// TOML file with settings
    #[arg(long, value_name = "FILE", env = "HOLDFAST_CONFIG")]
    pub config: Option<PathBuf>,
    /// kafka://HOST:PORT[,HOST:PORT]/TOPIC?group=GROUP (the group is holdfast where none is given), a chat pool's outbox (outbox:sqlite://PATH, outbox:postgres://USER@HOST/DATABASE), or
    /// jsonl:PATH (jsonl:- is standard input). A URL with a password belongs into the environment or the file
    #[arg(
        long,
        value_name = "SOURCE",
        env = "HOLDFAST_SOURCE",
        hide_env_values = true
    )]
    pub source: Option<String>,
    /// The archive: a path, file://, s3://, gs:// or az:// URI
    #[arg(long, value_name = "URI", env = "HOLDFAST_ARCHIVE")]
    pub archive: Option<String>,
    /// The chat nodes' file store, whose attachments are copied into the archive [default: none, attachments stay pending]
    #[arg(long, value_name = "URI", env = "HOLDFAST_ATTACHMENTS")]
    pub attachments: Option<String>,
    /// End when the source has nothing more. A topic: when all of it is archived, or others of the group keep partitions and archive nothing of them;
    /// an outbox: when no row is unsequenced or unread [default: Kafka and outbox run on]
    #[arg(long, env = "HOLDFAST_UNTIL_IDLE", value_parser = BoolishValueParser::new())]
    pub until_idle: bool,
    /// Answer /metrics, /healthz and /readyz here [default: nowhere]
    #[arg(long, value_name = "ADDR", env = "HOLDFAST_METRICS")]
    pub metrics: Option<SocketAddr>,
    /// Rows that close a batch [default: 500000]
    #[arg(long, value_name = "N", env = "HOLDFAST_FLUSH_ROWS")]
    pub flush_rows: Option<u64>,
    /// MiB of records that close a batch [default: 256]
    #[arg(long, value_name = "MIB", env = "HOLDFAST_FLUSH_MIB")]
    pub flush_mib: Option<u64>,
    /// Milliseconds after its first record that close a batch [default: 2000]
    #[arg(long, value_name = "MS", env = "HOLDFAST_FLUSH_MS")]
    pub flush_ms: Option<u64>,
    /// MiB of records between the source and their commit [default: 256]
    #[arg(long, value_name = "MIB", env = "HOLDFAST_IN_FLIGHT_MIB")]
    pub in_flight_mib: Option<u64>,
    /// Threads that decode, and as many that build [default: the machine's]
    #[arg(long, value_name = "N", env = "HOLDFAST_THREADS")]
    pub threads: Option<usize>,
    /// Neither compact, nor build missing splits, nor collect garbage in this process [default: do it under the archive's lease]
    #[arg(long, env = "HOLDFAST_NO_UPKEEP", value_parser = BoolishValueParser::new())]
    pub no_upkeep: bool,
    /// Days a topic must keep its records [default: 30]
    #[arg(long, value_name = "DAYS", env = "HOLDFAST_RETENTION_DAYS_MIN")]
    pub retention_days_min: Option<u64>,
    /// Read a topic that keeps its records for less than that
    #[arg(long, env = "HOLDFAST_ALLOW_SHORT_RETENTION", value_parser = BoolishValueParser::new())]
    pub allow_short_retention: bool,
    /// Pass over what is lost, as the error that named it prints it: PARTITION:FIRST-LAST of a topic, ORIGIN:FIRST-LAST of an outbox. May be given more than
    /// once
    #[arg(long, value_name = "RANGE", env = "HOLDFAST_ACCEPT_LOSS")]
    pub accept_loss: Vec<String>,
    /// Read a recreated topic from its beginning: its new id, as the error that named it prints it
    #[arg(long, value_name = "ID", env = "HOLDFAST_ACCEPT_TOPIC")]
    pub accept_topic: Option<String>,
    /// Log as JSON lines [default: text]
    #[arg(long, env = "HOLDFAST_LOG_JSON", value_parser = BoolishValueParser::new())]
    pub log_json: bool,
}
