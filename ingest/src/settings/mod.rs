//! What a run is told: flags, then environment, then the TOML file, then defaults.

mod accepted;
mod file;
mod flags;
mod kafka_properties;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

pub use accepted::{AcceptedLoss, AcceptedSequences};
pub use file::FileSettings;
pub(crate) use file::keys;
pub use flags::{Cli, Command, RunFlags};
pub use kafka_properties::KafkaProperties;
pub(crate) use kafka_properties::OURS as KAFKA_OURS;

use crate::source::SourceSpec;

/// Defaults and bounds, with their units; `--help` prints them.
pub mod default {
    /// What is logged, in the words of `tracing_subscriber`'s filters.
    pub const LOG: &str = "warn,holdfast_ingest=info,holdfast_archive=info,holdfast_indexer=info";
    /// Rows that close a batch.
    pub const FLUSH_ROWS: u64 = 500_000;
    /// MiB of records that close a batch.
    pub const FLUSH_MIB: u64 = 256;
    /// Milliseconds after its first record that close a batch.
    pub const FLUSH_MS: u64 = 2_000;
    /// MiB of records between the source and their commit. Columns, sorted copies and the buffers of Parquet and
    /// Tantivy come on top: a process stays under about 2.5 times this plus 100 MiB.
    pub const IN_FLIGHT_MIB: u64 = 256;
    /// Days a topic must keep its records: the producers' safety period.
    pub const RETENTION_DAYS_MIN: u64 = 30;
    /// Seconds between two looks at what compaction, garbage collection and pending attachments need.
    pub const UPKEEP_S: u64 = 30;
    /// Rows of one merge, at most. What a merge writes is in memory as a whole while it is built, beside what the pipeline holds: this keeps the process
    /// under 1 GiB. `holdfast compact`, which has its memory for itself, merges up to 1,000,000.
    pub const COMPACTION_ROWS_MAX: u64 = 250_000;
    /// MiB of Parquet of one merge, at most.
    pub const COMPACTION_MIB_MAX: u64 = 256;
    /// How long the database of an outbox is waited for at the start: a chat node may be starting beside this process.
    pub const OUTBOX_START_PATIENCE: super::Duration = super::Duration::from_secs(10);
    /// How long another process that reads the same outbox into the same archive may rest before this one takes over.
    pub const OUTBOX_TAKE_OVER_AFTER: super::Duration = super::Duration::from_secs(10);
}

/// The environment's variables. One that is not UTF-8 is none of ours, or cannot be what was meant: it is left out, and said if it is ours.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let name = name.into_string().ok()?;
        let value = value.into_string().ok();
        if value.is_none() && name.starts_with("HOLDFAST_") {
            tracing::warn!(name, "left out: its value is not UTF-8");
        }
        Some((name, value?))
    })
}

/// Everything a run needs, resolved and checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where records come from.
    pub source: SourceSpec,
    /// Where the archive is: a path or an object store's URI.
    pub archive: String,
    /// The chat nodes' file store, if attachments are to be copied.
    pub attachments: Option<String>,
    /// End when the source has nothing more.
    pub until_idle: bool,
    /// Where `/metrics`, `/healthz` and `/readyz` answer.
    pub metrics: Option<SocketAddr>,
    /// When an open batch is closed.
    pub flush: FlushSettings,
    /// Bytes of records allowed between the source and their commit.
    pub in_flight_bytes_max: u64,
    /// Threads that decode, and as many that build.
    pub threads: usize,
    /// Compaction and garbage collection beside ingest.
    pub upkeep: UpkeepSettings,
    /// What the Kafka source needs beyond its URL.
    pub kafka: KafkaSettings,
    /// What the outbox source needs beyond its URL.
    pub outbox: OutboxSettings,
}

/// When an open batch is closed: whichever comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlushSettings {
    /// Rows.
    pub rows: u64,
    /// Bytes of records.
    pub bytes: u64,
    /// Age of the first record.
    pub age: Duration,
}

/// Work on the archive beside ingest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UpkeepSettings {
    /// Whether this process compacts and collects garbage at all.
    pub enabled: bool,
    /// Time between two looks.
    pub interval: Duration,
    /// Rows of one merge, at most.
    pub rows_max: u64,
    /// Bytes of Parquet of one merge, at most.
    pub bytes_max: u64,
}

/// What the Kafka source is told beyond its URL.
#[derive(Debug, Clone, Default)]
pub struct KafkaSettings {
    /// librdkafka's own settings, SASL and TLS among them; never printed.
    pub properties: KafkaProperties,
    /// Days a topic must keep its records; a shorter topic is refused.
    pub retention_days_min: u64,
    /// Read a topic of shorter retention all the same.
    pub allow_short_retention: bool,
    /// Offsets given up by the operator: lost ranges that may be passed over.
    pub accept_loss: Vec<AcceptedLoss>,
    /// A recreated topic (its new id) that may be read from its beginning.
    pub accept_topic: Option<String>,
}

/// What the outbox source is told beyond its URL.
#[derive(Debug, Clone)]
pub struct OutboxSettings {
    /// Sequences given up by the operator: lost ranges that may be passed over.
    pub accept_loss: Vec<AcceptedSequences>,
    /// How long a database that does not answer yet is waited for at the start.
    pub start_patience: Duration,
    /// How long another process that reads the same outbox may rest before this one takes over.
    pub take_over_after: Duration,
}

/// A setting is wrong; each message ends with what to do.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error(
        "cannot read the settings file {path}: {source}\nhint: --config and HOLDFAST_CONFIG name it; it is not needed where flags and environment say everything"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or a value has the wrong type.
    #[error(
        "the settings file {path} is not valid: {message}\nhint: `holdfast-ingest run --help` tells its keys; text stands in quotes, numbers and true or false do not"
    )]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and column.
        message: String,
    },
    /// The file has a key nobody reads.
    #[error("the settings file {path} has an unknown key {key:?}\nhint: {hint}")]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key, dotted.
        key: String,
        /// The nearest known key, or all of them.
        hint: String,
    },
    /// A required setting is given nowhere.
    #[error("no {what} is given\nhint: {hint}")]
    Missing {
        /// The setting.
        what: &'static str,
        /// How to give it.
        hint: &'static str,
    },
    /// A value makes no sense.
    #[error("{what} is {value:?}: {problem}\nhint: {hint}")]
    Value {
        /// The setting.
        what: &'static str,
        /// The value given.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// What to give instead.
        hint: String,
    },
}

impl Settings {
    /// Resolves flags (which hold the environment already), the file and the defaults.
    ///
    /// # Errors
    /// A setting is missing, unknown or senseless.
    pub fn resolve(
        flags: RunFlags,
        file: FileSettings,
        environment: &[(String, String)],
    ) -> Result<Self, SettingsError> {
        let flags_source = flags.source.clone();
        let source = flags.source.or(file.source).ok_or(SettingsError::Missing {
            what: "source",
            hint: "--source kafka://HOST:PORT/TOPIC?group=GROUP, --source outbox:sqlite://PATH or outbox:postgres://USER@HOST/DATABASE, or --source jsonl:PATH (jsonl:- reads standard input)",
        })?;
        let archive = flags.archive.or(file.archive).ok_or(SettingsError::Missing {
            what: "archive",
            hint: "--archive PATH or URI, or HOLDFAST_ARCHIVE; `holdfast init --archive URI` creates one",
        })?;
        // A variable that says no is stronger than a file that says yes.
        let named = |name: &str| environment.iter().any(|(known, _)| known == name);
        let switch = |flag: bool, name: &str, file: Option<bool>| {
            flag || !named(name) && file.unwrap_or(false)
        };
        let megabytes = |mib: u64| mib.saturating_mul(1024 * 1024);
        let flush = FlushSettings {
            rows: positive(
                "flush-rows",
                flags.flush_rows.or(file.flush.rows),
                default::FLUSH_ROWS,
            )?,
            bytes: megabytes(positive(
                "flush-mib",
                flags.flush_mib.or(file.flush.mib),
                default::FLUSH_MIB,
            )?),
            age: Duration::from_millis(positive(
                "flush-ms",
                flags.flush_ms.or(file.flush.ms),
                default::FLUSH_MS,
            )?),
        };
        let upkeep = UpkeepSettings {
            enabled: !switch(
                flags.no_upkeep,
                "HOLDFAST_NO_UPKEEP",
                file.upkeep.enabled.map(|enabled| !enabled),
            ),
            interval: Duration::from_secs(positive(
                "upkeep seconds",
                file.upkeep.seconds,
                default::UPKEEP_S,
            )?),
            rows_max: positive(
                "compaction rows",
                file.upkeep.rows_max,
                default::COMPACTION_ROWS_MAX,
            )?,
            bytes_max: megabytes(positive(
                "compaction MiB",
                file.upkeep.mib_max,
                default::COMPACTION_MIB_MAX,
            )?),
        };
        let source = source_spec(&source, flags_source.as_deref(), environment)?;
        let (mut accept_loss, mut accept_sequences) = (Vec::new(), Vec::new());
        for text in &flags.accept_loss {
            match source {
                SourceSpec::Outbox(_) => accept_sequences.push(text.parse()?),
                _ => accept_loss.push(text.parse()?),
            }
        }
        let mut properties = KafkaProperties::from_table(&file.kafka)?;
        properties.overlay_environment(environment)?;
        Ok(Self {
            source,
            archive,
            attachments: flags.attachments.or(file.attachments),
            until_idle: switch(flags.until_idle, "HOLDFAST_UNTIL_IDLE", file.until_idle),
            metrics: flags.metrics.or(file.metrics),
            flush,
            in_flight_bytes_max: megabytes(positive(
                "in-flight-mib",
                flags.in_flight_mib.or(file.in_flight_mib),
                default::IN_FLIGHT_MIB,
            )?),
            threads: flags
                .threads
                .or(file.threads)
                .map_or_else(available_threads, |n| n.max(1)),
            upkeep,
            kafka: KafkaSettings {
                properties,
                retention_days_min: flags
                    .retention_days_min
                    .or(file.retention_days_min)
                    .unwrap_or(default::RETENTION_DAYS_MIN),
                allow_short_retention: switch(
                    flags.allow_short_retention,
                    "HOLDFAST_ALLOW_SHORT_RETENTION",
                    file.allow_short_retention,
                ),
                accept_loss,
                accept_topic: flags.accept_topic,
            },
            outbox: OutboxSettings {
                accept_loss: accept_sequences,
                start_patience: default::OUTBOX_START_PATIENCE,
                // Whoever closes batches rarely moves the positions rarely.
                take_over_after: default::OUTBOX_TAKE_OVER_AFTER.max(flush.age * 2),
            },
        })
    }
}

/// The source, whose password may come from the file or the environment, and not from the command line: that shows in process lists.
fn source_spec(
    source: &str,
    flag: Option<&str>,
    environment: &[(String, String)],
) -> Result<SourceSpec, SettingsError> {
    let spec: SourceSpec = source.parse()?;
    let from_environment = |flag: &str| {
        environment
            .iter()
            .any(|(name, value)| name == "HOLDFAST_SOURCE" && value == flag)
    };
    if let SourceSpec::Outbox(url) = &spec
        && url.has_password()
        && flag.is_some_and(|flag| !from_environment(flag))
    {
        return Err(SettingsError::Value {
            what: "source",
            value: format!("outbox:{url}"),
            problem: "it holds a password, which would show in process lists".into(),
            hint: "give the URL in HOLDFAST_SOURCE or as source = \"…\" in the settings file, or the password alone in PGPASSWORD or ~/.pgpass".into(),
        });
    }
    Ok(spec)
}

/// As many threads as the machine gives this process; one when it does not say.
fn available_threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn positive(what: &'static str, given: Option<u64>, default: u64) -> Result<u64, SettingsError> {
    match given {
        Some(0) => Err(SettingsError::Value {
            what,
            value: "0".into(),
            problem: "it must be at least 1".into(),
            hint: format!("leave it out for the default, {default}"),
        }),
        Some(value) => Ok(value),
        None => Ok(default),
    }
}

#[cfg(test)]
mod tests;
