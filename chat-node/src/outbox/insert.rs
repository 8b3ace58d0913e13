//! Rows into the outbox, in the transaction of what they tell about.

use sqlx::AssertSqlSafe;

use super::OutboxRow;
use crate::db::{Tx, Value, chunk_sizes, placeholders};
use crate::error::Result;

/// Inserts rows: room, event, when. Gives their ids.
#[must_use]
pub fn insert_sql(count: usize) -> String {
    let values = placeholders(1, count, &["text", "text", "bigint"]);
    format!("insert into outbox (room_id, event, created_us) values {values} returning id")
}

/// By which a transaction is known again whose commit was not answered: one of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The row's id.
    pub(super) id: i64,
    /// The row's event. A database that failed may give out the id again; the event's own id it cannot.
    pub(super) event: String,
}

/// Inserts `rows` in their order; the receipt of the first one.
///
/// # Errors
/// What the database says; then the transaction must not be committed.
pub async fn insert(tx: &mut Tx, rows: Vec<OutboxRow>) -> Result<Option<Receipt>> {
    let first = rows.first().map(|row| row.event.clone());
    let sizes = chunk_sizes(rows.len());
    let mut rows = rows.into_iter();
    let mut first_id = None;
    for size in sizes {
        let mut args: Vec<Value> = Vec::with_capacity(size * 3);
        for row in rows.by_ref().take(size) {
            args.push(row.room_id.into());
            args.push(row.event.into());
            args.push(row.created_us.into());
        }
        for row in tx.all(AssertSqlSafe(insert_sql(size)), args).await? {
            // Ids grow in the order of insertion; in which order they are told is not said.
            let id = row.int(0)?;
            first_id = Some(first_id.map_or(id, |least: i64| least.min(id)));
        }
    }
    Ok(first_id.zip(first).map(|(id, event)| Receipt { id, event }))
}
