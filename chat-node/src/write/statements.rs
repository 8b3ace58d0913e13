//! The statements of a batch that write.

use sqlx::AssertSqlSafe;

use super::context::Context;
use super::sql;
use crate::db::{Tx, Value, chunk_sizes};
use crate::error::Result;
use crate::model::Entry;

/// Gives rooms their new `last_seq`. Their rows are locked since the batch began: places are dense, in the order of commits.
pub(super) async fn advance_rooms(tx: &mut Tx, context: &Context) -> Result<()> {
    let rooms = context.advanced();
    let mut rest = rooms.as_slice();
    for size in chunk_sizes(rooms.len()) {
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let args: Vec<Value> = chunk
            .iter()
            .flat_map(|(id, seq)| [Value::from(*id), Value::from(*seq)])
            .collect();
        tx.execute(AssertSqlSafe(sql::advance_rooms(size)), args)
            .await?;
    }
    Ok(())
}

/// Inserts posts.
pub(super) async fn insert_messages(tx: &mut Tx, entries: &[&Entry], now_us: i64) -> Result<()> {
    let mut rest = entries;
    for size in chunk_sizes(entries.len()) {
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let mut args: Vec<Value> = Vec::with_capacity(size * sql::MESSAGE.len());
        for entry in chunk {
            let attachments =
                serde_json::to_string(&entry.attachments).unwrap_or_else(|_never| "[]".into());
            args.extend([
                Value::from(&entry.room),
                entry.room_seq.into(),
                Value::from(&entry.id),
                entry.action.as_str().into(),
                Value::from(&entry.author.id),
                entry.kind.as_str().into(),
                entry.title.clone().into(),
                entry.body.clone().into(),
                entry.reply_to.clone().into(),
                attachments.into(),
                crate::model::list_to_json(&entry.mentions).into(),
                entry.client_id.clone().into(),
                now_us.into(),
                false.into(),
            ]);
        }
        tx.execute(AssertSqlSafe(sql::insert_messages(size)), args)
            .await?;
    }
    Ok(())
}
