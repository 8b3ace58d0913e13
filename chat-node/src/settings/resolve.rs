//! Flags, environment and file to settings that are complete and sound.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Limits, ServeFlags};
use crate::db::{DatabaseUrl, OpenError};
use crate::outbox::relay::KafkaSettings;
use crate::rate::Rate;

/// A certificate and its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub cert: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// Everything that `serve` needs.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The node's folder.
    pub data: PathBuf,
    /// Where clients connect.
    pub listen: SocketAddr,
    /// The content database.
    pub database: DatabaseUrl,
    /// PostgreSQL connections.
    pub database_connections: u32,
    /// Kafka, when there is one.
    pub kafka: Option<KafkaSettings>,
    /// The pool.
    pub pool: String,
    /// This node.
    pub node: String,
    /// Where peers connect.
    pub peer_listen: Option<SocketAddr>,
    /// How peers reach it, when that is not `peer_listen`.
    pub peer_advertise: Option<String>,
    /// How clients reach it, when that is not `listen`.
    pub client_url: Option<String>,
    /// Begin as standby.
    pub standby: bool,
    /// The secret's file.
    pub secret_file: PathBuf,
    /// JWKS instead of the secret, with issuer and audience.
    pub jwks: Option<(url::Url, Option<String>, Option<String>)>,
    /// Folder or URL of files.
    pub files: String,
    /// TLS for clients.
    pub tls: Option<TlsFiles>,
    /// Limits.
    pub limits: Limits,
    /// Delivered events stay for this long.
    pub safety_period: Duration,
    /// Requests and clients get this long to end.
    pub drain: Duration,
}

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file.
    #[error("the configuration {path}: {problem}", path = path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// Something is missing.
    #[error("{what} is missing\nhint: {hint}")]
    Missing {
        /// What.
        what: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// Something is not as it must be.
    #[error("{what}: {problem}\nhint: {hint}")]
    Value {
        /// Which setting.
        what: &'static str,
        /// What is wrong.
        problem: String,
        /// What to do.
        hint: &'static str,
    },
    /// The database's URL.
    #[error(transparent)]
    Database(#[from] OpenError),
}

/// Passwords in it must not be read by others, so a file with any is refused when it can be.
fn read(path: &Path) -> Result<ServeFlags, SettingsError> {
    let failed = |problem: String| SettingsError::File {
        path: path.to_owned(),
        problem,
    };
    let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
    // A value may be a password: the error says where, not what.
    toml::from_str(&text).map_err(|error| {
        failed(format!(
            "{} (byte {:?})",
            error.message(),
            error.span().map(|span| span.start)
        ))
    })
}

/// A name that can stand in a URL path and an origin.
fn name(what: &'static str, text: String) -> Result<String, SettingsError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if text.is_empty() || text.len() > 64 || !text.chars().all(fine) {
        let problem = format!("{text:?} is no name");
        return Err(SettingsError::Value {
            what,
            problem,
            hint: "1 to 64 letters, digits, - and _",
        });
    }
    Ok(text)
}

fn kafka(flags: &ServeFlags) -> Result<Option<KafkaSettings>, SettingsError> {
    let Some(bootstrap) = flags.kafka.clone() else {
        return Ok(None);
    };
    let mut properties = Vec::new();
    for property in &flags.kafka_properties {
        match property.split_once('=') {
            Some((name, value)) if !name.trim().is_empty() => {
                properties.push((name.trim().to_owned(), value.to_owned()));
            }
            _malformed => {
                let problem = "is not NAME=VALUE".to_owned();
                return Err(SettingsError::Value {
                    what: "kafka-property",
                    problem,
                    hint: "such as security.protocol=SSL",
                });
            }
        }
    }
    let topic = flags
        .kafka_topic
        .clone()
        .unwrap_or_else(|| "compliance.events".into());
    Ok(Some(KafkaSettings {
        bootstrap,
        topic,
        properties,
    }))
}

fn url(what: &'static str, text: &str) -> Result<url::Url, SettingsError> {
    url::Url::parse(text).map_err(|error| SettingsError::Value {
        what,
        problem: error.to_string(),
        hint: "a whole URL, with its scheme",
    })
}

impl ServeFlags {
    /// These over `file`.
    fn over(self, file: Self) -> Self {
        let properties = if self.kafka_properties.is_empty() {
            file.kafka_properties
        } else {
            self.kafka_properties
        };
        Self {
            data: self.data.or(file.data),
            config: self.config,
            listen: self.listen.or(file.listen),
            database: self.database.or(file.database),
            database_connections: self.database_connections.or(file.database_connections),
            kafka: self.kafka.or(file.kafka),
            kafka_topic: self.kafka_topic.or(file.kafka_topic),
            kafka_properties: properties,
            pool: self.pool.or(file.pool),
            node: self.node.or(file.node),
            peer_listen: self.peer_listen.or(file.peer_listen),
            peer_advertise: self.peer_advertise.or(file.peer_advertise),
            client_url: self.client_url.or(file.client_url),
            standby: self.standby || file.standby,
            secret_file: self.secret_file.or(file.secret_file),
            jwks: self.jwks.or(file.jwks),
            jwt_issuer: self.jwt_issuer.or(file.jwt_issuer),
            jwt_audience: self.jwt_audience.or(file.jwt_audience),
            files: self.files.or(file.files),
            file_kb_max: self.file_kb_max.or(file.file_kb_max),
            requests_a_second: self.requests_a_second.or(file.requests_a_second),
            connections_a_user: self.connections_a_user.or(file.connections_a_user),
            database_seconds: self.database_seconds.or(file.database_seconds),
            tls_cert: self.tls_cert.or(file.tls_cert),
            tls_key: self.tls_key.or(file.tls_key),
            compliance_required: self.compliance_required.or(file.compliance_required),
            safety_days: self.safety_days.or(file.safety_days),
            drain_seconds: self.drain_seconds.or(file.drain_seconds),
            log_json: self.log_json || file.log_json,
        }
    }
}

impl Settings {
    /// Settings from the command line and the file that it names.
    ///
    /// # Errors
    /// See [`SettingsError`].
    pub fn resolve(flags: ServeFlags) -> Result<Self, SettingsError> {
        let flags = match &flags.config {
            Some(path) => {
                let file = read(path)?;
                flags.over(file)
            }
            None => flags,
        };
        let kafka = kafka(&flags)?;
        let data = flags.data.ok_or(SettingsError::Missing {
            what: "--data",
            hint: "--data DIR: the folder of this node",
        })?;
        let database = match &flags.database {
            Some(text) => text.parse()?,
            None => DatabaseUrl::Sqlite(data.join("chat.db")),
        };
        if database.sqlite_path().is_some() && flags.peer_listen.is_some() {
            return Err(SettingsError::Value {
                what: "peer-listen",
                problem: "a pool of several nodes needs PostgreSQL".into(),
                hint: "holdfast-chat migrate moves a SQLite node to PostgreSQL",
            });
        }
        let machine = || {
            whoami::hostname()
                .unwrap_or_default()
                .split('.')
                .next()
                .unwrap_or("")
                .to_owned()
        };
        let node = flags.node.unwrap_or_else(|| {
            Some(machine())
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| "chat-1".into())
        });
        let jwks = match &flags.jwks {
            Some(text) => Some((url("jwks", text)?, flags.jwt_issuer, flags.jwt_audience)),
            None => None,
        };
        let tls = flags
            .tls_cert
            .zip(flags.tls_key)
            .map(|(cert, key)| TlsFiles { cert, key });
        Ok(Self {
            listen: flags
                .listen
                .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8010))),
            database,
            database_connections: flags.database_connections.unwrap_or(16),
            kafka,
            pool: name("pool", flags.pool.unwrap_or_else(|| "main".into()))?,
            node: name("node", node)?,
            peer_listen: flags.peer_listen,
            peer_advertise: flags.peer_advertise,
            client_url: flags
                .client_url
                .map(|text| url("client-url", &text).map(|_valid| text))
                .transpose()?,
            standby: flags.standby,
            secret_file: flags.secret_file.unwrap_or_else(|| data.join("secret")),
            jwks,
            files: flags
                .files
                .unwrap_or_else(|| data.join("files").display().to_string()),
            tls,
            limits: Limits {
                file_bytes_max: flags
                    .file_kb_max
                    .map_or(crate::limits::FILE_BYTES_DEFAULT, |kb| {
                        kb.saturating_mul(1024)
                    }),
                requests: flags
                    .requests_a_second
                    .map_or(crate::limits::REQUESTS_DEFAULT, |count| {
                        Rate::a_second(count.get())
                    }),
                connections: flags
                    .connections_a_user
                    .map_or(crate::limits::CONNECTIONS_DEFAULT, |count| {
                        usize::try_from(count.get()).unwrap_or(usize::MAX)
                    }),
                database_answer: flags
                    .database_seconds
                    .map_or(crate::limits::DATABASE_ANSWER_DEFAULT, |seconds| {
                        Duration::from_secs(seconds.get().into())
                    }),
                compliance_backlog_max: flags.compliance_required,
            },
            safety_period: Duration::from_secs(u64::from(flags.safety_days.unwrap_or(30)) * 86_400),
            drain: Duration::from_secs(flags.drain_seconds.unwrap_or(20)),
            data,
        })
    }
}
