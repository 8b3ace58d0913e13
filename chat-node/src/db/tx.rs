//! A transaction. Dropped without [`Tx::commit`] it is rolled back.

use sqlx::{Postgres, SqlSafeStr, Sqlite, Transaction};

use super::{Dialect, Row, Value, value};
use crate::error::{ChatError, Result};

/// A transaction that writes.
#[derive(Debug)]
pub enum Tx {
    /// On SQLite.
    Sqlite(Transaction<'static, Sqlite>),
    /// On PostgreSQL.
    Postgres(Transaction<'static, Postgres>),
}

impl Tx {
    /// Which database this is.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// All rows of a statement.
    ///
    /// # Errors
    /// What the database says.
    pub async fn all(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Vec<Row>> {
        let rows = match self {
            Self::Sqlite(tx) => value::sqlite(sql, args)?
                .fetch_all(&mut **tx)
                .await?
                .into_iter()
                .map(Row::Sqlite)
                .collect(),
            Self::Postgres(tx) => value::postgres(sql, args)?
                .fetch_all(&mut **tx)
                .await?
                .into_iter()
                .map(Row::Postgres)
                .collect(),
        };
        Ok(rows)
    }

    /// The first row of a statement, if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub async fn first(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Option<Row>> {
        let row = match self {
            Self::Sqlite(tx) => value::sqlite(sql, args)?
                .fetch_optional(&mut **tx)
                .await?
                .map(Row::Sqlite),
            Self::Postgres(tx) => value::postgres(sql, args)?
                .fetch_optional(&mut **tx)
                .await?
                .map(Row::Postgres),
        };
        Ok(row)
    }

    /// The one row that a statement always has.
    ///
    /// # Errors
    /// What the database says, and no row.
    pub async fn one(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<Row> {
        self.first(sql, args)
            .await?
            .ok_or_else(|| ChatError::Internal("a statement that has one row had none".into()))
    }

    /// Runs a statement; how many rows it changed.
    ///
    /// # Errors
    /// What the database says.
    pub async fn execute(&mut self, sql: impl SqlSafeStr, args: Vec<Value>) -> Result<u64> {
        let count = match self {
            Self::Sqlite(tx) => value::sqlite(sql, args)?
                .execute(&mut **tx)
                .await?
                .rows_affected(),
            Self::Postgres(tx) => value::postgres(sql, args)?
                .execute(&mut **tx)
                .await?
                .rows_affected(),
        };
        Ok(count)
    }

    /// This transaction's commit need not be durable at once: a crash of the database may take it back, and that is harmless. Spares PostgreSQL a
    /// sync of its log, which posts would wait for; SQLite has nothing of the kind.
    ///
    /// # Errors
    /// What the database says.
    pub async fn relax(&mut self) -> Result<()> {
        match self {
            Self::Sqlite(_) => {}
            Self::Postgres(_) => {
                self.execute("set local synchronous_commit to off", Vec::new())
                    .await?;
            }
        }
        Ok(())
    }

    /// Makes it all durable.
    ///
    /// # Errors
    /// What the database says; whether the transaction happened is then unknown.
    pub async fn commit(self) -> Result<()> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }
}
