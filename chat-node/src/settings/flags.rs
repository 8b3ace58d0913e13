//! The command line.

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use serde::Deserialize;

use crate::cli::AdminFlags;

/// A chat node: rooms on SQL content storage; every compliance event leaves by the outbox.
#[derive(Debug, Parser)]
#[command(name = "holdfast-chat", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start a node. `--data DIR` alone is a whole one: SQLite in DIR/chat.db, files in DIR/files, a generated secret.
    Serve(Box<ServeFlags>),
    /// Print a bearer token, signed with the node's secret.
    Token(TokenFlags),
    /// Administer a pool: categories, rooms, members, users, nodes, purge, replace, export, import.
    Admin(Box<AdminFlags>),
    /// Copy a SQLite node's content into an empty PostgreSQL database, and compare counts and hashes.
    Migrate(MigrateFlags),
}

/// `serve`. All of it can stand in a TOML file too, under the same names with underscores.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeFlags {
    /// The node's own folder: database, files, secret.
    #[arg(long, value_name = "DIR", env = "HOLDFAST_CHAT_DATA")]
    pub data: Option<PathBuf>,
    /// A TOML file with any of these settings; flags and environment win over it.
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// Where clients connect [default: 127.0.0.1:8010].
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// The content database: sqlite:///path or postgres://… [default: DIR/chat.db]. A URL with a password belongs into the environment or the file.
    #[arg(
        long,
        value_name = "URL",
        env = "HOLDFAST_CHAT_DATABASE",
        hide_env_values = true
    )]
    pub database: Option<String>,
    /// PostgreSQL connections of this node, two of them for its own work and at least two for users [default: 16].
    #[arg(long, value_name = "N")]
    pub database_connections: Option<u32>,
    /// Kafka's bootstrap servers; without it events stay in the outbox for `holdfast-ingest --source outbox:…`.
    #[arg(long, value_name = "HOST:PORT,…")]
    pub kafka: Option<String>,
    /// The topic of compliance events [default: compliance.events].
    #[arg(long, value_name = "TOPIC")]
    pub kafka_topic: Option<String>,
    /// A setting of librdkafka, such as security.protocol=SASL_SSL; repeatable. Passwords belong into the file.
    #[arg(long = "kafka-property", value_name = "NAME=VALUE")]
    pub kafka_properties: Vec<String>,
    /// The pool's name: the first part of its events' origin [default: main].
    #[arg(long, value_name = "NAME")]
    pub pool: Option<String>,
    /// This node's name, unique in the pool [default: the machine's name].
    #[arg(long, value_name = "NAME")]
    pub node: Option<String>,
    /// Where other nodes of the pool connect, usually port 8011; without it this node is alone.
    #[arg(long, value_name = "ADDR:PORT")]
    pub peer_listen: Option<SocketAddr>,
    /// The address of --peer-listen as other nodes see it [default: the same].
    #[arg(long, value_name = "HOST:PORT")]
    pub peer_advertise: Option<String>,
    /// The URL that clients of other nodes are told [default: http://LISTEN, or https with a certificate].
    #[arg(long, value_name = "URL")]
    pub client_url: Option<String>,
    /// Take users at once (active) or only when told to (standby) [default: active].
    #[arg(long)]
    pub standby: bool,
    /// The pool's secret: the same file on every node [default: DIR/secret, generated].
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Bearer tokens are signed with keys of this JWKS instead of the secret.
    #[arg(long, value_name = "URL")]
    pub jwks: Option<String>,
    /// The issuer that tokens of the JWKS must name.
    #[arg(long, value_name = "ISS")]
    pub jwt_issuer: Option<String>,
    /// The audience that tokens of the JWKS must name.
    #[arg(long, value_name = "AUD")]
    pub jwt_audience: Option<String>,
    /// Where files are kept: a folder, or s3://bucket/prefix, gs://, az:// [default: DIR/files]. Nodes of a pool share it.
    #[arg(long, value_name = "DIR|URL")]
    pub files: Option<String>,
    /// Largest file, in KB of 1,024 bytes [default: 20000].
    #[arg(long, value_name = "KB")]
    pub file_kb_max: Option<u64>,
    /// HTTP requests a second that one user may send to this node, and those of four seconds at once; more are answered 429 [default: 100].
    #[arg(long, value_name = "N")]
    pub requests_a_second: Option<NonZeroU32>,
    /// WebSockets that one user may have to this node; one more is closed with 4029 [default: 32].
    #[arg(long, value_name = "N")]
    pub connections_a_user: Option<NonZeroU32>,
    /// Seconds that the database gets for a batch of posts, and for a commit. What it has not answered by then is refused, or, when it may have happened,
    /// looked up [default: 10].
    #[arg(long, value_name = "SECONDS")]
    pub database_seconds: Option<NonZeroU32>,
    /// A certificate chain in PEM: clients connect by TLS.
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its private key in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Refuse posts with 503 while more events than this wait for Kafka or the archive [default: never refuse].
    #[arg(long, value_name = "EVENTS")]
    pub compliance_required: Option<i64>,
    /// Days that delivered events stay in the outbox [default: 30].
    #[arg(long, value_name = "DAYS")]
    pub safety_days: Option<u32>,
    /// Seconds that requests and clients get to end when the node stops [default: 20].
    #[arg(long, value_name = "SECONDS")]
    pub drain_seconds: Option<u64>,
    /// Log in JSON.
    #[arg(long)]
    pub log_json: bool,
}

/// `token`.
#[derive(Debug, Clone, Args)]
pub struct TokenFlags {
    /// The node's folder, with its secret.
    #[arg(long, value_name = "DIR", env = "HOLDFAST_CHAT_DATA")]
    pub data: Option<PathBuf>,
    /// The secret's file, when it is elsewhere.
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// The user's id.
    #[arg(long)]
    pub sub: String,
    /// The user's display name.
    #[arg(long)]
    pub name: Option<String>,
    /// The user's e-mail address.
    #[arg(long)]
    pub email: Option<String>,
    /// A role; `admin` makes an administrator. Repeatable.
    #[arg(long = "role", value_name = "ROLE")]
    pub roles: Vec<String>,
    /// A group. Repeatable.
    #[arg(long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// `user` or `bot`.
    #[arg(long)]
    pub kind: Option<String>,
    /// How long it is good for, in hours.
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub hours: u64,
}

/// `migrate`.
#[derive(Debug, Clone, Args)]
pub struct MigrateFlags {
    /// The SQLite node's folder, or its database file. The node must be stopped.
    #[arg(long, value_name = "DIR|FILE")]
    pub from: PathBuf,
    /// The PostgreSQL database, without content: postgres://…
    #[arg(
        long,
        value_name = "URL",
        env = "HOLDFAST_CHAT_DATABASE",
        hide_env_values = true
    )]
    pub to: String,
}
