//! How far behind the outbox is: what is not delivered to Kafka, or, without Kafka, not archived by its readers.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::MarkFile;
use crate::args;
use crate::db::Dialect;
use crate::error::Result;
use crate::node::Node;

const LOOK: Duration = Duration::from_secs(2);

/// Keeps [`crate::node::Backlog`] current, until `end` fires. Every node does: each decides for itself whether posts are refused, and each remembers how
/// far the outbox came, so that whoever leads after the database was put back to an earlier day knows.
pub async fn watch_backlog(node: Arc<Node>, kafka: bool, mark: MarkFile, end: CancellationToken) {
    let mut marked = None;
    loop {
        if let Err(error) = remember(&node, &mark, &mut marked).await {
            tracing::warn!(error = %error, "how far the outbox came cannot be remembered");
        }
        match look(&node, kafka).await {
            Ok((rows, oldest_us)) => {
                node.backlog.rows.store(rows, Ordering::Relaxed);
                node.backlog.oldest_us.store(oldest_us, Ordering::Relaxed);
            }
            Err(error) => tracing::warn!(error = %error, "the outbox's backlog cannot be counted"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = end.cancelled() => return,
        }
    }
}

/// The leader remembers by itself, before it goes on.
async fn remember(node: &Node, mark: &MarkFile, marked: &mut Option<(String, i64)>) -> Result<()> {
    if node.db.dialect() == Dialect::Sqlite || node.backlog.leading.load(Ordering::Relaxed) {
        return Ok(());
    }
    let sql = "select origin, last_sequence from outbox_origins where pool = $1 order by incarnation desc limit 1";
    let Some(row) = node.db.first(sql, args![&node.pool]).await? else {
        return Ok(());
    };
    let place = (row.text(0)?, row.int(1)?);
    // A database that was put back says less than is remembered: its next leader has to know that.
    let goes_on = marked
        .as_ref()
        .is_none_or(|(origin, last)| *origin != place.0 || *last < place.1);
    let behind = mark.is_ahead(&place.0, place.1)?;
    if goes_on && !behind {
        mark.write_place(&place.0, place.1)?;
        *marked = Some(place);
    }
    Ok(())
}

/// Rows behind, and when the oldest of them was written (0: none). Reads ends of indexes only: a backlog of a day must not slow its own counting.
async fn look(node: &Node, kafka: bool) -> Result<(i64, i64)> {
    let unsequenced = node
        .db
        .one(
            "select count(*), coalesce(min(created_us), 0) from outbox where sequence is null",
            Vec::new(),
        )
        .await?;
    let (mut rows, mut oldest_us) = (unsequenced.int(0)?, unsequenced.int(1)?);
    for origin in node
        .db
        .all(
            "select origin, last_sequence from outbox_origins",
            Vec::new(),
        )
        .await?
    {
        let (name, last) = (origin.text(0)?, origin.int(1)?);
        let first = if kafka {
            let sql = "select sequence, created_us from outbox where origin = $1 and delivered_us is null order by sequence limit 1";
            node.db.first(sql, args![&name]).await?
        } else {
            let sql = "select sequence, created_us from outbox where origin = $1 and sequence > \
                       (select coalesce(min(through_sequence), 0) from outbox_readers where origin = $1) order by sequence limit 1";
            node.db.first(sql, args![&name]).await?
        };
        if let Some(row) = first {
            rows += last - row.int(0)? + 1;
            let created_us = row.int(1)?;
            oldest_us = if oldest_us == 0 {
                created_us
            } else {
                oldest_us.min(created_us)
            };
        }
    }
    Ok((rows, oldest_us))
}
