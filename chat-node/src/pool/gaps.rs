//! Looks in SQL for rooms whose last message this node's subscribers did not get: a link broke, or its queue was full, and nothing followed that
//! would have shown the gap.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::args;
use crate::db::{Dialect, Value, placeholders};
use crate::error::Result;
use crate::node::Node;

const LOOK: Duration = Duration::from_millis(500);
/// Rows behind the newest seen that are looked at again: transactions commit in another order than they take their ids.
const MARGIN: i64 = 1000;
const ROOMS_AT_ONCE: usize = 64;

/// Looks until `end` fires. A node on SQLite is alone: nobody else writes.
pub async fn watch(node: Arc<Node>, end: CancellationToken) {
    if node.db.dialect() == Dialect::Sqlite {
        return;
    }
    let mut seen = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = end.cancelled() => return,
        }
        if let Err(error) = look(&node, &mut seen).await {
            tracing::warn!(error = %error, "missed messages cannot be looked for");
        }
    }
}

async fn look(node: &Arc<Node>, seen: &mut Option<i64>) -> Result<()> {
    let newest = node
        .db
        .one("select coalesce(max(id), 0) from outbox", Vec::new())
        .await?
        .int(0)?;
    let Some(from) = seen.replace(newest) else {
        return Ok(());
    };
    if !node.has_company() {
        return Ok(());
    }
    let sql = "select distinct room_id from outbox where id > $1 and room_id is not null";
    let rows = node.db.all(sql, args![from - MARGIN]).await?;
    let mut active = Vec::new();
    for row in &rows {
        active.push(row.text(0)?);
    }
    let delivered: HashMap<String, i64> = node
        .hub
        .rooms()
        .into_iter()
        .map(|(room, last, _count)| (room.to_string(), last))
        .collect();
    active.retain(|room| delivered.contains_key(room));
    for chunk in active.chunks(ROOMS_AT_ONCE) {
        let ids = chunk
            .iter()
            .chain(std::iter::repeat(&chunk[0]))
            .take(ROOMS_AT_ONCE);
        let args: Vec<Value> = ids.map(Value::from).collect();
        let sql = format!(
            "select id, last_seq, epoch from rooms where id in (values {})",
            placeholders(1, ROOMS_AT_ONCE, &["text"])
        );
        for row in node.db.all(AssertSqlSafe(sql), args).await? {
            node.catch_up(&row.text(0)?, row.int(1)?, row.int(2)?);
        }
    }
    Ok(())
}
