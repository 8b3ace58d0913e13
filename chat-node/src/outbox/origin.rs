//! The origin of a pool's events: its name and the incarnation of the database behind it.
//!
//! Sequences may repeat when a database is restored to yesterday, or fails over to a timeline that lacks the last commits. Then a new incarnation
//! begins, with sequences from 1.
//!
//! | database | its identity | a restored one is told by |
//! |---|---|---|
//! | PostgreSQL | system identifier, timeline, oids of the database and of the outbox's table | another identity: promotion and point-in-time recovery begin a timeline, `initdb` a system, a dump's restore new oids; or a mark in the folder of the leading node that is ahead: the server's disk was put back |
//! | SQLite | device and inode of the file | another identity, or a mark beside the file that is ahead of what the file holds |

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::args;
use crate::db::{Db, Tx};
use crate::error::{ChatError, Result};

/// An incarnation of a pool's outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// `pool.incarnation`: what events carry.
    pub name: String,
    /// From 1.
    pub incarnation: i64,
    /// The last sequence given.
    pub last_sequence: i64,
    /// The rolling digest over its events, 64 hexadecimal digits; of nothing at the beginning.
    pub digest: String,
}

/// The digest before the first event: SHA-256 of nothing.
pub const DIGEST_OF_NOTHING: &str =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// What a node remembers outside of the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    origin: String,
    last_sequence: i64,
}

/// Where the mark is: beside the database's file, or in the node's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkFile(PathBuf);

impl MarkFile {
    /// The mark of this database file.
    #[must_use]
    pub fn beside(database: &Path) -> Self {
        let mut name = database.as_os_str().to_owned();
        name.push(".mark");
        Self(PathBuf::from(name))
    }

    /// The mark of a node whose database is elsewhere.
    #[must_use]
    pub fn in_folder(data: &Path) -> Self {
        Self(data.join("outbox.mark"))
    }

    fn read(&self) -> Result<Option<Mark>> {
        match std::fs::read(&self.0) {
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(ChatError::Internal(format!(
                "{}: {error}",
                self.0.display()
            ))),
        }
    }

    /// Whether more is remembered than that the newest origin is `origin` and came to `last_sequence`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn is_ahead(&self, origin: &str, last_sequence: i64) -> Result<bool> {
        let found = split(origin).map(|(_pool, incarnation)| (incarnation, last_sequence));
        Ok(self.read()?.is_some_and(|mark| {
            split(&mark.origin).map(|(_pool, incarnation)| (incarnation, mark.last_sequence))
                > found
        }))
    }

    /// Remembers how far `origin` came. Replaces the file whole: a crash leaves the old one or the new one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, origin: &Origin) -> Result<()> {
        self.put(&origin.name, origin.last_sequence, "part")
    }

    /// [`MarkFile::write`], for a node that only looks on.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write_place(&self, origin: &str, last_sequence: i64) -> Result<()> {
        self.put(origin, last_sequence, "seen")
    }

    /// Two tasks may write at the change of a leader: each by a file of its own.
    fn put(&self, origin: &str, last_sequence: i64, part: &str) -> Result<()> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let failed =
            |error: std::io::Error| ChatError::Internal(format!("{}: {error}", self.0.display()));
        let mark = Mark {
            origin: origin.to_owned(),
            last_sequence,
        };
        let text =
            serde_json::to_vec(&mark).map_err(|error| ChatError::Internal(error.to_string()))?;
        let part = self.0.with_extension(format!("mark.{part}"));
        let mut options = std::fs::OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&part)
            .map_err(failed)?;
        file.write_all(&text)
            .and_then(|()| file.sync_data())
            .map_err(failed)?;
        std::fs::rename(&part, &self.0).map_err(failed)
    }
}

/// Pool and incarnation of an origin's name.
fn split(origin: &str) -> Option<(&str, i64)> {
    let (pool, incarnation) = origin.rsplit_once('.')?;
    Some((pool, incarnation.parse().ok()?))
}

/// Which database this is.
///
/// # Errors
/// What the database or the file system says.
pub async fn identity(db: &Db, sqlite_path: Option<&Path>) -> Result<String> {
    if let Some(path) = sqlite_path {
        let file = std::fs::metadata(path)
            .map_err(|error| ChatError::Internal(format!("{}: {error}", path.display())))?;
        return Ok(format!("sqlite/{}/{}", file.dev(), file.ino()));
    }
    let sql = "select 'postgres/' || (select system_identifier from pg_control_system()) || '/' || \
               substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8) || '/' || \
               (select oid from pg_database where datname = current_database()) || '/' || cast(cast('outbox' as regclass) as oid)";
    db.one(sql, Vec::new()).await?.text(0)
}

/// Whether the newest incarnation goes on: pure, given what is stored and what is found.
#[must_use]
pub fn continues(
    stored_identity: &str,
    stored_last: i64,
    stored_name: &str,
    identity: &str,
    mark: Option<(&str, i64)>,
) -> bool {
    let ahead = mark.is_some_and(|(origin, last)| origin != stored_name || last > stored_last);
    stored_identity == identity && !ahead
}

/// The origin to sequence with: the newest incarnation, or a new one.
///
/// # Errors
/// What the database says.
pub async fn open(
    tx: &mut Tx,
    pool: &str,
    identity: &str,
    mark: Option<&MarkFile>,
    now_us: i64,
) -> Result<Origin> {
    let sql = "select origin, incarnation, identity, last_sequence, digest from outbox_origins where pool = $1 order by incarnation desc limit 1";
    let newest = tx.first(sql, args![pool]).await?;
    let mark = mark.map(MarkFile::read).transpose()?.flatten();
    // A mark of a later incarnation than the database knows: its numbers were used too.
    let marked = mark
        .as_ref()
        .and_then(|mark| split(&mark.origin).filter(|(marked, _incarnation)| *marked == pool))
        .map_or(0, |(_pool, incarnation)| incarnation);
    let mut incarnation = marked + 1;
    if let Some(row) = newest {
        let origin = Origin {
            name: row.text("origin")?,
            incarnation: row.int("incarnation")?,
            last_sequence: row.int("last_sequence")?,
            digest: row.text("digest")?,
        };
        let mark = mark
            .as_ref()
            .map(|mark| (mark.origin.as_str(), mark.last_sequence));
        if continues(
            &row.text("identity")?,
            origin.last_sequence,
            &origin.name,
            identity,
            mark,
        ) {
            return Ok(origin);
        }
        incarnation = origin.incarnation.max(marked) + 1;
    }
    if incarnation > 1 {
        tracing::warn!(
            pool,
            incarnation,
            "the database was restored, replaced or failed over: a new incarnation of the outbox begins"
        );
    }
    let origin = Origin {
        name: format!("{pool}.{incarnation}"),
        incarnation,
        last_sequence: 0,
        digest: DIGEST_OF_NOTHING.into(),
    };
    let sql = "insert into outbox_origins (origin, pool, incarnation, identity, last_sequence, digest, created_us) values ($1, $2, $3, $4, 0, $5, $6)";
    tx.execute(
        sql,
        args![
            &origin.name,
            pool,
            incarnation,
            identity,
            DIGEST_OF_NOTHING,
            now_us
        ],
    )
    .await?;
    Ok(origin)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restored_or_foreign_database_does_not_continue() {
        let stored = |identity, mark| continues("sqlite/1/2", 100, "main.1", identity, mark);
        assert!(stored("sqlite/1/2", None));
        assert!(stored("sqlite/1/2", Some(("main.1", 100))));
        assert!(
            stored("sqlite/1/2", Some(("main.1", 90))),
            "the mark may be behind: a crash came before it"
        );
        assert!(
            !stored("sqlite/1/2", Some(("main.1", 101))),
            "the file lost what was sequenced"
        );
        assert!(
            !stored("sqlite/1/2", Some(("main.2", 5))),
            "the file is older than its newest incarnation"
        );
        assert!(!stored("sqlite/1/3", Some(("main.1", 100))), "another file");
    }

    #[test]
    fn the_first_digest_is_of_nothing() {
        use sha2::{Digest, Sha256};
        assert_eq!(DIGEST_OF_NOTHING, hex::encode(Sha256::digest(b"")));
    }
}
