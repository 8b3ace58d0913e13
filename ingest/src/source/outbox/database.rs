//! One connection to the database behind an outbox, made again when it breaks, and the statements of the contract.

use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use holdfast_schemas::outbox::{
    COUNT_UNSEQUENCED, SELECT_EVENTS, SELECT_OLDEST, SELECT_ORIGINS, UPSERT_READER,
};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions, Row};
use tokio::runtime::Handle;

use super::collect::Page;
use super::origins::Found;
use super::url::OutboxUrl;

/// How long connecting or a statement may take. They are all short: what takes longer hangs.
const ANSWER_TIME: Duration = Duration::from_secs(30);
/// How long SQLite waits for its write lock, which nodes hold for milliseconds.
const BUSY_TIME: Duration = Duration::from_secs(5);

/// Why the database did not answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum DatabaseError {
    /// What it says, or how the connection broke.
    #[error("{0}")]
    Sql(#[from] sqlx::Error),
    /// It says nothing.
    #[error("no answer within {ANSWER_TIME:?}")]
    Silent,
    /// The path names another file than the one that is open.
    #[error("the file was replaced or removed")]
    Replaced,
}

impl DatabaseError {
    /// Whether it may pass by itself: the database restarts, or is busy.
    pub(super) fn passes(&self) -> bool {
        let Self::Sql(error) = self else { return true };
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => true,
            sqlx::Error::Database(error) => {
                let code = error.code().unwrap_or_default();
                match code.parse::<i32>() {
                    // SQLite: busy, locked, I/O, cannot open, protocol; extended codes have more above the lowest byte.
                    Ok(number) if code.len() < 5 => matches!(number & 0xff, 5 | 6 | 10 | 14 | 15),
                    // PostgreSQL, by class: connection, resources, intervention, system, rollback.
                    _ => ["08", "53", "57", "58", "40"]
                        .iter()
                        .any(|class| code.starts_with(class)),
                }
            }
            _ => false,
        }
    }

    /// Whether it is one that a node, which makes the tables, ends when it starts.
    pub(super) fn may_come(&self) -> bool {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| code == "42P01")
                    || error.message().starts_with("no such table")
            }
            _ => false,
        }
    }
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

/// The same for either database: the statements are the same.
macro_rules! on_either {
    ($connection:expr, $inner:ident => $body:expr) => {
        match $connection {
            Connection::Sqlite($inner) => $body,
            Connection::Postgres($inner) => $body,
        }
    };
}

/// See the module.
pub(super) struct Database {
    url: OutboxUrl,
    runtime: Handle,
    connection: Option<Connection>,
    /// Device and inode of the SQLite file that is open.
    file: Option<(u64, u64)>,
}

impl Database {
    /// Not connected yet.
    pub(super) fn new(url: OutboxUrl, runtime: Handle) -> Self {
        Self {
            url,
            runtime,
            connection: None,
            file: None,
        }
    }

    /// Its name, without secrets.
    pub(super) fn name(&self) -> String {
        self.url.to_string()
    }

    /// The origins with their last sequences, oldest first. Also notices a SQLite file that was replaced, which an open connection does not.
    pub(super) fn origins(&mut self) -> Result<Vec<Found>, DatabaseError> {
        if let (Some(open), OutboxUrl::Sqlite(path)) = (self.file, &self.url)
            && file_id(path) != Some(open)
        {
            self.connection = None;
            self.file = None;
            return Err(DatabaseError::Replaced);
        }
        self.ask(async |connection| {
            on_either!(connection, inner => {
                let rows = sqlx::query(SELECT_ORIGINS).fetch_all(inner).await?;
                rows.iter().map(|row| Ok(Found {
                    name: row.try_get(0)?,
                    last_sequence: row.try_get(1)?,
                    created_us: row.try_get(2)?,
                })).collect()
            })
        })
    }

    /// Fills a page with the rows behind its position, `rows` at most.
    pub(super) fn events(&mut self, page: &mut Page, rows: usize) -> Result<(), DatabaseError> {
        let (origin, after) = (Arc::clone(&page.origin), page.last);
        let limit = i64::try_from(rows).unwrap_or(i64::MAX);
        self.ask(async |connection| {
            on_either!(connection, inner => {
                let mut rows = sqlx::query(SELECT_EVENTS)
                    .bind(&*origin).bind(after).bind(limit)
                    .fetch(inner);
                while let Some(row) = rows.try_next().await? {
                    // Whatever the column holds: SQLite keeps any type in it, and what is no text is quarantined.
                    let event: &[u8] = row.try_get_unchecked(1)?;
                    if page.take(row.try_get(0)?, event).is_break() {
                        break;
                    }
                }
                Ok(())
            })
        })
    }

    /// How many rows have no sequence yet.
    pub(super) fn unsequenced(&mut self) -> Result<i64, DatabaseError> {
        self.ask(async |connection| {
            on_either!(connection, inner => {
                sqlx::query(COUNT_UNSEQUENCED).fetch_one(inner).await?.try_get(0)
            })
        })
    }

    /// When the first event of an origin behind a position happened, microseconds since 1970.
    pub(super) fn oldest_us(
        &mut self,
        origin: &str,
        position: i64,
    ) -> Result<Option<i64>, DatabaseError> {
        self.ask(async |connection| {
            on_either!(connection, inner => {
                let row = sqlx::query(SELECT_OLDEST).bind(origin).bind(position);
                row.fetch_optional(inner).await?.map(|row| row.try_get(0)).transpose()
            })
        })
    }

    /// Tells how far an origin is archived.
    pub(super) fn tell(
        &mut self,
        reader: &str,
        origin: &str,
        through: i64,
        now_us: i64,
    ) -> Result<(), DatabaseError> {
        self.ask(async |connection| {
            on_either!(connection, inner => {
                let told = sqlx::query(UPSERT_READER)
                    .bind(reader).bind(origin).bind(through).bind(now_us);
                told.execute(inner).await.map(drop)
            })
        })
    }

    /// Connects if need be, and asks; a connection that failed is not used again.
    fn ask<T>(
        &mut self,
        question: impl AsyncFnOnce(&mut Connection) -> Result<T, sqlx::Error>,
    ) -> Result<T, DatabaseError> {
        let runtime = self.runtime.clone();
        runtime.block_on(async {
            let mut connection = match self.connection.take() {
                Some(connection) => connection,
                None => {
                    // Before opening it: a file that is replaced in between is noticed then, not missed.
                    self.file = match &self.url {
                        OutboxUrl::Sqlite(path) => file_id(path),
                        OutboxUrl::Postgres(_) => None,
                    };
                    in_time(connect(&self.url)).await?
                }
            };
            let answer = in_time(question(&mut connection)).await?;
            self.connection = Some(connection);
            Ok(answer)
        })
    }

    /// Ends the connection as the database likes it.
    pub(super) fn close(&mut self) {
        use sqlx::Connection as _;
        let Some(connection) = self.connection.take() else {
            return;
        };
        let closing = async { on_either!(connection, inner => inner.close().await) };
        if let Err(error) = self.runtime.block_on(in_time(closing)) {
            tracing::debug!(%error, "closing the outbox's connection");
        }
    }
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, DatabaseError> {
    match tokio::time::timeout(ANSWER_TIME, work).await {
        Ok(result) => Ok(result?),
        Err(_elapsed) => Err(DatabaseError::Silent),
    }
}

fn file_id(path: &Path) -> Option<(u64, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

async fn connect(url: &OutboxUrl) -> Result<Connection, sqlx::Error> {
    match url {
        OutboxUrl::Sqlite(path) => {
            let options = SqliteConnectOptions::new()
                .filename(path)
                .create_if_missing(false)
                .busy_timeout(BUSY_TIME)
                // What this process writes, a position, may be lost with the power: it is told again. So the node's write lock is held for
                // microseconds, not for a sync, and the node's log is the node's to put back into the database.
                .synchronous(SqliteSynchronous::Normal)
                .pragma("wal_autocheckpoint", "0")
                .disable_statement_logging();
            Ok(Connection::Sqlite(options.connect().await?))
        }
        OutboxUrl::Postgres(text) => {
            let options = PgConnectOptions::from_str(text)?
                .application_name("holdfast-ingest")
                .disable_statement_logging();
            Ok(Connection::Postgres(options.connect().await?))
        }
    }
}
