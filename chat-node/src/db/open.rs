//! Connecting, and bringing the schema up to date.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection};

use super::{Db, migrations};

/// Connections that read SQLite beside the one that writes.
const SQLITE_READERS: u32 = 4;
/// How long a request waits for a connection before it is answered 503.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// A node that hangs in the middle of a transaction (its process stopped, its machine gone) must not hold rooms and the relay's lease for ever: the
/// server ends its session.
const HUNG_ENDS: &str = "set idle_in_transaction_session_timeout = 3000";

/// Which database, as `--database` says.
#[derive(Clone, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// A file.
    Sqlite(PathBuf),
    /// `postgres://user@host/database`, with all of libpq's usual forms. May hold a password: not for logs.
    Postgres(String),
}

/// Why the database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Neither form.
    #[error(
        "{0:?} names no database\nhint: sqlite:///path/chat.db or postgres://user@host/database"
    )]
    Url(String),
    /// No connection.
    #[error("cannot open the database: {0}\nhint: does it run, and may this user connect to it?")]
    Connect(#[source] sqlx::Error),
    /// The schema could not be brought up to date.
    #[error(
        "cannot bring the database's schema up to date: {0}\nhint: a newer holdfast-chat may have been here; nothing was changed"
    )]
    Migrate(#[source] MigrateError),
}

/// Without the password that a URL may hold.
impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Sqlite(path) => f.debug_tuple("Sqlite").field(path).finish(),
            Self::Postgres(_url) => f.write_str("Postgres(…)"),
        }
    }
}

impl FromStr for DatabaseUrl {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(text.to_owned()));
        }
        match text
            .strip_prefix("sqlite://")
            .or_else(|| text.strip_prefix("sqlite:"))
        {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            // A postgres URL that was mistyped may hold a password: only its beginning is repeated.
            _other => Err(OpenError::Url(
                text.chars().take_while(|c| *c != ':').collect(),
            )),
        }
    }
}

impl DatabaseUrl {
    /// The file, when it is one.
    #[must_use]
    pub fn sqlite_path(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl Db {
    /// Connects, creating a SQLite file that is not there, and brings the schema up to date.
    /// `connections` is for PostgreSQL: how many this process may have.
    ///
    /// # Errors
    /// No connection, or a schema that this program does not know.
    pub async fn open(url: &DatabaseUrl, connections: u32) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Sqlite(path) => open_sqlite(path).await,
            DatabaseUrl::Postgres(url) => {
                let pool = connect_postgres(url, 0, connections).await?;
                migrations::postgres()
                    .run(&pool)
                    .await
                    .map_err(OpenError::Migrate)?;
                Ok(Self::Postgres(pool))
            }
        }
    }

    /// Connections to the same database that nobody else waits for or takes, all of them opened, and kept open, by the runtime that this is called
    /// in. SQLite has one writer: there they are the same ones.
    ///
    /// # Errors
    /// No connection.
    pub async fn beside(&self, url: &DatabaseUrl, connections: u32) -> Result<Self, OpenError> {
        match url {
            DatabaseUrl::Sqlite(_) => Ok(self.clone()),
            DatabaseUrl::Postgres(url) => {
                let pool = connect_postgres(url, connections, connections).await?;
                Ok(Self::Postgres(pool))
            }
        }
    }
}

/// SQLite makes its files readable by everybody, and those beside it as the first one is: so the first one is made here.
fn make_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map(|_file| ())
}

async fn open_sqlite(path: &Path) -> Result<Db, OpenError> {
    make_private(path).map_err(|error| OpenError::Connect(sqlx::Error::Io(error)))?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // NORMAL would lose acknowledged posts when the power fails.
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(Duration::from_secs(10))
        .statement_cache_capacity(256)
        .foreign_keys(true)
        .disable_statement_logging();
    let writer = SqlitePoolOptions::new()
        .max_connections(1)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // SQLite itself rolls back what it could not commit (a full disk), or write; sqlx then holds the transaction to be open for ever, and no
        // other can begin on this connection: the next one gets a new connection.
        .before_acquire(|connection, _meta| {
            let usable = !connection.is_in_transaction();
            Box::pin(std::future::ready(Ok(usable)))
        });
    let writer = writer
        .connect_with(options.clone())
        .await
        .map_err(OpenError::Connect)?;
    migrations::sqlite()
        .run(&writer)
        .await
        .map_err(OpenError::Migrate)?;
    let readers = SqlitePoolOptions::new()
        .max_connections(SQLITE_READERS)
        .acquire_timeout(ACQUIRE_TIMEOUT);
    let readers = readers
        .connect_with(options.read_only(true))
        .await
        .map_err(OpenError::Connect)?;
    Ok(Db::Sqlite { writer, readers })
}

async fn connect_postgres(url: &str, least: u32, most: u32) -> Result<PgPool, OpenError> {
    let options = PgConnectOptions::from_str(url)
        .map_err(OpenError::Connect)?
        .application_name("holdfast-chat")
        .statement_cache_capacity(256)
        .disable_statement_logging();
    let pool = PgPoolOptions::new()
        .min_connections(least)
        .max_connections(most.max(2))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .after_connect(|connection, _meta| {
            Box::pin(async move {
                sqlx::query(HUNG_ENDS).execute(connection).await?;
                Ok(())
            })
        });
    pool.connect_with(options).await.map_err(OpenError::Connect)
}
