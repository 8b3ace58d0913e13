//! Rows into the outbox, in the transaction of what they tell about.

use sqlx::AssertSqlSafe;

use super::OutboxRow;
use crate::db::{Tx, Value, chunk_sizes, placeholders};
use crate::error::Result;

/// Inserts rows: room, event, when.
#[must_use]
pub fn insert_sql(count: usize) -> String {
    let values = placeholders(1, count, &["text", "text", "bigint"]);
    format!("insert into outbox (room_id, event, created_us) values {values}")
}

/// Inserts `rows` in their order.
///
/// # Errors
/// What the database says; then the transaction must not be committed.
pub async fn insert(tx: &mut Tx, rows: Vec<OutboxRow>) -> Result<()> {
    let sizes = chunk_sizes(rows.len());
    let mut rows = rows.into_iter();
    for size in sizes {
        let mut args: Vec<Value> = Vec::with_capacity(size * 3);
        for row in rows.by_ref().take(size) {
            args.push(row.room_id.into());
            args.push(row.event.into());
            args.push(row.created_us.into());
        }
        tx.execute(AssertSqlSafe(insert_sql(size)), args).await?;
    }
    Ok(())
}
