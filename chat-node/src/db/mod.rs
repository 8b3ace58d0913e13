//! SQLite and PostgreSQL behind one small interface: the same statements with `$n` parameters run on both.
//!
//! Where the two differ, the statement's file says so and asks [`Db::dialect`]. On SQLite all writing goes through one connection, so that
//! writers queue here and not in SQLite's busy loop; reading has connections of its own (WAL: readers and the writer do not block each other).

mod migrations;
mod open;
mod tx;
mod value;

pub use open::{DatabaseUrl, OpenError};
pub use tx::Tx;
pub use value::{Row, Value, chunk_sizes, padded, placeholders};

use std::time::Duration;

use sqlx::{PgPool, SqlSafeStr, SqlitePool};

use crate::error::{ChatError, Result};

/// Which database this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// SQLite in WAL mode.
    Sqlite,
    /// PostgreSQL 13 or newer.
    Postgres,
}

/// What is asked of the database, if it answers within `limit`. After that nobody waits for it any more, and the connection is taken back when it
/// answers, or ends.
///
/// # Errors
/// What the database says; [`ChatError::Unavailable`] when it says nothing in time.
pub async fn in_time<T>(limit: Duration, asked: impl Future<Output = Result<T>>) -> Result<T> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(ChatError::Unavailable {
            problem: format!(
                "the database did not answer within {} seconds; try again",
                limit.as_secs_f64()
            ),
        }),
    }
}

impl Dialect {
    /// What a `select` appends to lock its rows. SQLite's writer is alone and needs none.
    #[must_use]
    pub fn for_update(self) -> &'static str {
        match self {
            Self::Sqlite => "",
            Self::Postgres => " for update",
        }
    }
}

/// A pool of connections to the content database. Cheap to clone.
#[derive(Debug, Clone)]
pub enum Db {
    /// SQLite: one writing connection, several that read.
    Sqlite {
        /// The one that writes.
        writer: SqlitePool,
        /// Those that read.
        readers: SqlitePool,
    },
    /// PostgreSQL.
    Postgres(PgPool),
}

impl Db {
    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite { .. } => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// All rows of a reading statement.
    ///
    /// # Errors
    /// What the database says.
    pub async fn all(&self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Vec<Row>> {
        let rows = match self {
            Self::Sqlite { readers, .. } => value::sqlite(sql, args)?
                .fetch_all(readers)
                .await?
                .into_iter()
                .map(Row::Sqlite)
                .collect(),
            Self::Postgres(pool) => value::postgres(sql, args)?
                .fetch_all(pool)
                .await?
                .into_iter()
                .map(Row::Postgres)
                .collect(),
        };
        Ok(rows)
    }

    /// The first row of a reading statement, if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn first(&self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Option<Row>> {
        let row = match self {
            Self::Sqlite { readers, .. } => value::sqlite(sql, args)?
                .fetch_optional(readers)
                .await?
                .map(Row::Sqlite),
            Self::Postgres(pool) => value::postgres(sql, args)?
                .fetch_optional(pool)
                .await?
                .map(Row::Postgres),
        };
        Ok(row)
    }

    /// The one row that a reading statement always has.
    ///
    /// # Errors
    /// What the database says, and no row.
    pub async fn one(&self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Row> {
        self.first(sql, args)
            .await?
            .ok_or_else(|| ChatError::Internal("a statement that has one row had none".into()))
    }

    /// A transaction of its own for one writing statement; how many rows it changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn execute(&self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<u64> {
        let count = match self {
            Self::Sqlite { writer, .. } => value::sqlite(sql, args)?
                .execute(writer)
                .await?
                .rows_affected(),
            Self::Postgres(pool) => value::postgres(sql, args)?
                .execute(pool)
                .await?
                .rows_affected(),
        };
        Ok(count)
    }

    /// A transaction that writes. SQLite takes its write lock at once: a transaction that began by reading could not be upgraded.
    ///
    /// # Errors
    /// No connection within the pool's time limit.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(match self {
            Self::Sqlite { writer, .. } => Tx::Sqlite(writer.begin_with("begin immediate").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin().await?),
        })
    }

    /// Closes every connection after what it does.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pool) => pool.close().await,
        }
    }
}
