//! `holdfast-chat migrate`: a SQLite node's content into an empty PostgreSQL database, with counts and hashes compared.
//!
//! All of it is one transaction on the PostgreSQL side, and nothing is written on the SQLite side: a migration that fails or is killed has not
//! happened. The outbox goes along with its sequences; PostgreSQL being another database, the pool's first start on it begins a new incarnation of
//! its origin.

mod copy;
mod tables;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::db::{DatabaseUrl, Db, Dialect, OpenError};
use crate::error::ChatError;

/// Why a migration did not happen.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// One of the databases.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// There is no SQLite node.
    #[error("{path} holds no chat.db\nhint: --from is the node's folder, or its database file", path = path.display())]
    NoSource {
        /// What was named.
        path: PathBuf,
    },
    /// The target is no PostgreSQL.
    #[error("--to is no PostgreSQL database\nhint: postgres://user@host/database")]
    NoTarget,
    /// The target has content.
    #[error(
        "the PostgreSQL database has {rows} rows in {table}\nhint: migrate into an empty database; nothing was changed"
    )]
    NotEmpty {
        /// Where.
        table: &'static str,
        /// How many.
        rows: i64,
    },
    /// The node runs.
    #[error(
        "the SQLite node seems to run: it beat {0} seconds ago\nhint: stop it, so that nothing is posted that would be left behind"
    )]
    Running(i64),
    /// What arrived is not what was sent.
    #[error(
        "{table}: {from} rows with hash {from_hash} became {to} rows with hash {to_hash}\nhint: nothing was changed; please report this"
    )]
    Differs {
        /// Where.
        table: &'static str,
        /// Rows in SQLite.
        from: u64,
        /// Rows in PostgreSQL.
        to: u64,
        /// SHA-256 over the rows in SQLite.
        from_hash: String,
        /// SHA-256 over the rows in PostgreSQL.
        to_hash: String,
    },
    /// Anything else.
    #[error(transparent)]
    Chat(#[from] ChatError),
}

/// One table, arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Migrated {
    /// Its name.
    pub table: &'static str,
    /// Its rows, on both sides.
    pub rows: u64,
    /// SHA-256 over its rows in the order of their keys, on both sides.
    pub sha256: String,
}

/// Migrates.
///
/// # Errors
/// See [`MigrateError`].
pub async fn run(from: &Path, to: &str) -> Result<Vec<Migrated>, MigrateError> {
    let file = if from.is_dir() {
        from.join("chat.db")
    } else {
        from.to_owned()
    };
    if !file.is_file() {
        return Err(MigrateError::NoSource {
            path: from.to_owned(),
        });
    }
    let source = Db::open(&DatabaseUrl::Sqlite(file), 1).await?;
    let target = Db::open(&to.parse()?, 2).await?;
    if target.dialect() != Dialect::Postgres {
        return Err(MigrateError::NoTarget);
    }
    let outcome = Box::pin(copy::all(&source, &target)).await;
    source.close().await;
    target.close().await;
    outcome
}
