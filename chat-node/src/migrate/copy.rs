//! Copies table by table, and compares.

use sha2::{Digest, Sha256};
use sqlx::AssertSqlSafe;

use super::tables::{Kind, TABLES, Table};
use super::{MigrateError, Migrated};
use crate::clock::{Clock, SystemClock};
use crate::db::{Db, Dialect, Row, Tx, Value, chunk_sizes, placeholders};
use crate::error::{ChatError, Result};

/// Rows read at a time.
const PAGE: usize = 1000;
/// A node that beat within this is taken to run.
const BEAT_US: i64 = 5_000_000;

pub(super) async fn all(
    source: &Db,
    target: &Db,
) -> std::result::Result<Vec<Migrated>, MigrateError> {
    let beat = source
        .one(
            "select coalesce(max(beat_us), 0) from nodes where state <> 'down'",
            Vec::new(),
        )
        .await?
        .int(0)?;
    let age_us = SystemClock.now_us() - beat;
    if age_us < BEAT_US {
        return Err(MigrateError::Running(age_us / 1_000_000));
    }
    let mut tx = target.begin().await?;
    for table in TABLES {
        let rows = tx
            .one(
                AssertSqlSafe(format!("select count(*) from {}", table.name)),
                Vec::new(),
            )
            .await?
            .int(0)?;
        if rows > 0 {
            return Err(MigrateError::NotEmpty {
                table: table.name,
                rows,
            });
        }
    }
    let mut report = Vec::with_capacity(TABLES.len());
    for table in TABLES {
        let (from, from_hash) = copy(source, &mut tx, table).await?;
        let (to, to_hash) = hash(&mut tx, table).await?;
        if (from, &from_hash) != (to, &to_hash) {
            return Err(MigrateError::Differs {
                table: table.name,
                from,
                to,
                from_hash,
                to_hash,
            });
        }
        tracing::info!(table = table.name, rows = from, "copied and compared");
        report.push(Migrated {
            table: table.name,
            rows: from,
            sha256: from_hash,
        });
    }
    tx.commit().await?;
    Ok(report)
}

/// The statement that reads the page after a key. Text is compared byte by byte on both sides, whatever the database's collation.
fn select(table: &Table, dialect: Dialect, after: Option<&[Value]>) -> (String, Vec<Value>) {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _kind)| *name).collect();
    let keys: Vec<String> = table.columns[..table.key]
        .iter()
        .map(|(name, kind)| match (kind, dialect) {
            (Kind::Text, Dialect::Postgres) => format!("{name} collate \"C\""),
            (Kind::Text, Dialect::Sqlite) => format!("{name} collate binary"),
            (Kind::Int | Kind::Bool, _) => (*name).to_owned(),
        })
        .collect();
    let (condition, args) = match after {
        None => (String::new(), Vec::new()),
        Some(after) => {
            let types: Vec<&str> = table.columns[..table.key]
                .iter()
                .map(|(_name, kind)| type_of(*kind))
                .collect();
            (
                format!(
                    " where ({}) > {}",
                    keys.join(", "),
                    placeholders(1, 1, &types)
                ),
                after.to_vec(),
            )
        }
    };
    (
        format!(
            "select {} from {}{condition} order by {} limit {PAGE}",
            columns.join(", "),
            table.name,
            keys.join(", ")
        ),
        args,
    )
}

fn type_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text",
        Kind::Int => "bigint",
        Kind::Bool => "boolean",
    }
}

fn values(table: &Table, row: &Row) -> Result<Vec<Value>> {
    table
        .columns
        .iter()
        .enumerate()
        .map(|(index, (_name, kind))| {
            Ok(match kind {
                Kind::Text => Value::Text(row.text_opt(index)?),
                Kind::Int => Value::Int(row.int_opt(index)?),
                Kind::Bool => Value::Bool(row.bool(index)?),
            })
        })
        .collect()
}

/// A row's values so that no two rows look alike: kind, length, bytes.
fn digest(digest: &mut Sha256, values: &[Value]) {
    for value in values {
        match value {
            Value::Text(None) | Value::Int(None) => digest.update([0]),
            Value::Text(Some(text)) => {
                digest.update([1]);
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text.as_bytes());
            }
            Value::Int(Some(number)) => {
                digest.update([2]);
                digest.update(number.to_be_bytes());
            }
            Value::Bool(truth) => digest.update([3, u8::from(*truth)]),
        }
    }
}

async fn copy(source: &Db, tx: &mut Tx, table: &Table) -> Result<(u64, String)> {
    let mut hash = Sha256::new();
    let (mut count, mut after) = (0, None::<Vec<Value>>);
    loop {
        let (sql, args) = select(table, Dialect::Sqlite, after.as_deref());
        let rows = source.all(AssertSqlSafe(sql), args).await?;
        let page = rows
            .iter()
            .map(|row| values(table, row))
            .collect::<Result<Vec<Vec<Value>>>>()?;
        for row in &page {
            digest(&mut hash, row);
        }
        count += page.len() as u64;
        after = page.last().map(|row| row[..table.key].to_vec());
        let full = page.len() == PAGE;
        insert(tx, table, page).await?;
        if !full {
            break;
        }
    }
    if let Some(column) = table.identity {
        // Numbers given from here on come after those that were copied.
        let sql = format!(
            "select setval(pg_get_serial_sequence('{0}', '{column}'), (select coalesce(max({column}), 0) + 1 from {0}), false)",
            table.name
        );
        tx.one(AssertSqlSafe(sql), Vec::new()).await?;
    }
    Ok((count, hex::encode(hash.finalize())))
}

async fn insert(tx: &mut Tx, table: &Table, page: Vec<Vec<Value>>) -> Result<()> {
    let columns: Vec<&str> = table.columns.iter().map(|(name, _kind)| *name).collect();
    let types: Vec<&str> = table
        .columns
        .iter()
        .map(|(_name, kind)| type_of(*kind))
        .collect();
    let overriding = if table.identity.is_some() {
        " overriding system value"
    } else {
        ""
    };
    let sizes = chunk_sizes(page.len());
    let mut rows = page.into_iter();
    for size in sizes {
        let args: Vec<Value> = rows.by_ref().take(size).flatten().collect();
        let values = placeholders(1, size, &types);
        let sql = format!(
            "insert into {} ({}){overriding} values {values}",
            table.name,
            columns.join(", ")
        );
        let inserted = tx.execute(AssertSqlSafe(sql), args).await?;
        if inserted != size as u64 {
            return Err(ChatError::Internal(format!(
                "{} took {inserted} of {size} rows",
                table.name
            )));
        }
    }
    Ok(())
}

async fn hash(tx: &mut Tx, table: &Table) -> Result<(u64, String)> {
    let mut hash = Sha256::new();
    let (mut count, mut after) = (0, None::<Vec<Value>>);
    loop {
        let (sql, args) = select(table, Dialect::Postgres, after.as_deref());
        let rows = tx.all(AssertSqlSafe(sql), args).await?;
        for row in &rows {
            let row = values(table, row)?;
            digest(&mut hash, &row);
            after = Some(row[..table.key].to_vec());
        }
        count += rows.len() as u64;
        if rows.len() < PAGE {
            return Ok((count, hex::encode(hash.finalize())));
        }
    }
}
