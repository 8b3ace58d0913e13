//! Looks in SQL for rooms whose last message this node's subscribers did not get: a link broke, or its queue was full, and nothing followed that
//! would have shown the gap.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::AssertSqlSafe;
use tokio_util::sync::CancellationToken;

use crate::args;
use crate::db::{Dialect, Value, placeholders};
use crate::error::Result;
use crate::node::Node;

const LOOK: Duration = Duration::from_millis(500);
/// Rows are looked at as soon as they are seen, and once more so much later: transactions commit in another order than they take their ids.
const LATE: Duration = Duration::from_secs(10);
/// At the start, rows behind the newest are looked at for the same reason.
const MARGIN: i64 = 1000;
const ROOMS_AT_ONCE: usize = 64;

/// Looks until `end` fires. A node on SQLite is alone: nobody else writes.
pub async fn watch(node: Arc<Node>, end: CancellationToken) {
    if node.db.dialect() == Dialect::Sqlite {
        return;
    }
    let mut looks = VecDeque::new();
    loop {
        // A look that fails is made up for by the next.
        match look(&node, &looks).await {
            Ok(now) => looks = now,
            Err(error) => tracing::warn!(error = %error, "missed messages cannot be looked for"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = end.cancelled() => return,
        }
    }
}

/// When there was a look, and what the newest row was.
type Looks = VecDeque<(Instant, i64)>;

/// Looks, given those before; answers them with this one.
async fn look(node: &Arc<Node>, before: &Looks) -> Result<Looks> {
    let mut looks = before.clone();
    let newest = node
        .db
        .one("select coalesce(max(id), 0) from outbox", Vec::new())
        .await?
        .int(0)?;
    let now = Instant::now();
    let Some((_at, seen)) = looks.back().copied() else {
        looks.push_back((now, newest - MARGIN));
        return Ok(looks);
    };
    let (again, again_to) = late(&mut looks, now);
    looks.push_back((now, newest));
    let sql = "select distinct room_id from outbox where room_id is not null and (id > $1 and id <= $2 or id > $3 and id <= $4)";
    let args = args![seen, newest, again, again_to];
    let rows = node.db.all(sql, args).await?;
    let mut active = Vec::new();
    for row in &rows {
        let room = row.text(0)?;
        if node.hub.is_heard(&room) {
            active.push(room);
        }
    }
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
    Ok(looks)
}

/// The rows to be looked at once more, after one and through the other: those that were new [`LATE`] ago. Forgets looks before.
fn late(looks: &mut Looks, now: Instant) -> (i64, i64) {
    let from = looks.front().map_or(0, |(_at, newest)| *newest);
    let is_late = |(at, _newest): &(Instant, i64)| now.duration_since(*at) >= LATE;
    // The last one of them stays: the next rows to be looked at again come after it.
    while looks.get(1).is_some_and(is_late) {
        looks.pop_front();
    }
    let to = looks.front().map_or(0, |(_at, newest)| *newest);
    (from, to)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn each_row_is_looked_at_once_more_when_late_ones_have_come() {
        let start = Instant::now();
        let mut looks = VecDeque::new();
        let mut again = Vec::new();
        for n in 0..60_u32 {
            let now = start + LOOK * n;
            let (from, to) = late(&mut looks, now);
            again.push((now, from, to));
            looks.push_back((now, i64::from(n) * 10));
        }
        // One range begins where the last one ended, and lies as far back as it has to.
        for pair in again.windows(2) {
            assert_eq!(pair[0].2, pair[1].1, "{pair:?}");
        }
        let (now, _from, to) = again[50];
        assert_eq!((now - start, to), (25 * SECOND, 300));
        let covered: i64 = again.iter().map(|(_at, from, to)| to - from).sum();
        assert_eq!(covered, again[59].2);
    }
}
