//! Deletes rows that nobody can need any more.

use std::time::Duration;

use super::lease::Lease;
use crate::args;
use crate::error::Result;
use crate::node::Node;

const CHUNK_ROWS: i64 = 2000;

/// Through which sequence an origin's rows may go, as far as positions decide; `None`: none of them.
///
/// `readers` are the positions of programs that read the outbox itself. Without Kafka they are the only way out, so that without any of them
/// nothing may go; with Kafka delivered rows may, but never beyond a reader.
#[must_use]
pub fn deletable_through(readers: &[i64], kafka: bool) -> Option<i64> {
    match readers.iter().min() {
        Some(through) => Some(*through),
        None if kafka => Some(i64::MAX),
        None => None,
    }
}

/// Deletes rows that were delivered (with Kafka) or archived (without) and are older than the safety period; how many.
///
/// # Errors
/// What the database says.
pub async fn run(node: &Node, lease: &Lease, kafka: bool, safety_period: Duration) -> Result<u64> {
    let safety_us = i64::try_from(safety_period.as_micros()).unwrap_or(i64::MAX);
    let before_us = node.clock.now_us().saturating_sub(safety_us);
    let mut deleted = 0;
    for row in node
        .db
        .all("select origin from outbox_origins", Vec::new())
        .await?
    {
        let origin = row.text(0)?;
        let positions = node
            .db
            .all(
                "select through_sequence from outbox_readers where origin = $1",
                args![&origin],
            )
            .await?;
        let positions = positions
            .iter()
            .map(|row| row.int(0))
            .collect::<Result<Vec<i64>>>()?;
        let Some(through) = deletable_through(&positions, kafka) else {
            continue;
        };
        loop {
            let mut tx = node.db.begin().await?;
            if !lease.holds(&mut tx).await? {
                return Ok(deleted);
            }
            // Times grow with ids, nearly: the oldest rows are at the front of the index on (origin, sequence).
            let sql = if kafka {
                "delete from outbox where id in (select id from outbox where origin = $1 and sequence <= $2 and created_us < $3 \
                 and delivered_us < $3 order by sequence limit $4)"
            } else {
                "delete from outbox where id in (select id from outbox where origin = $1 and sequence <= $2 and created_us < $3 \
                 order by sequence limit $4)"
            };
            let rows = tx
                .execute(sql, args![&origin, through, before_us, CHUNK_ROWS])
                .await?;
            tx.commit().await?;
            deleted += rows;
            if rows < CHUNK_ROWS.unsigned_abs() {
                break;
            }
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::deletable_through;

    #[test]
    fn the_slowest_reader_decides() {
        assert_eq!(deletable_through(&[10, 7, 12], true), Some(7));
        assert_eq!(deletable_through(&[10, 7, 12], false), Some(7));
        assert_eq!(deletable_through(&[], true), Some(i64::MAX));
        assert_eq!(deletable_through(&[], false), None);
    }
}
