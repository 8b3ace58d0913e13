//! Categories that keep no history for users keep messages just long enough for clients to reconnect.

use super::purge::forget_before;
use crate::args;
use crate::error::{ChatError, Result};
use crate::limits::RESUME_WINDOW;
use crate::model::{Source, load_room};
use crate::node::Node;

/// Deletes what is older than [`RESUME_WINDOW`] in such categories, as a purge does; how many entries. No event: it is the category's setting that acts.
///
/// # Errors
/// What the database says.
pub async fn prune(node: &Node) -> Result<u64> {
    let before_us =
        node.clock.now_us() - i64::try_from(RESUME_WINDOW.as_micros()).unwrap_or(i64::MAX);
    let sql = "select distinct m.room_id from messages m join rooms r on r.id = m.room_id join categories c on c.id = r.category_id \
               where not c.history and m.time_us < $1 order by m.room_id";
    let mut deleted = 0;
    for row in node.db.all(sql, args![before_us]).await? {
        deleted += prune_room(node, &row.text(0)?, before_us).await?;
    }
    Ok(deleted)
}

/// One room a transaction: posts to it wait meanwhile.
async fn prune_room(node: &Node, room_id: &str, before_us: i64) -> Result<u64> {
    let mut tx = node.db.begin().await?;
    let room = match load_room(&mut Source::Tx(&mut tx), room_id).await {
        Ok(room) if !room.history => room,
        // Since it was found, it was moved, or deleted.
        Ok(_) | Err(ChatError::NotFound { .. }) => return Ok(0),
        Err(error) => return Err(error),
    };
    let forgotten = forget_before(&mut tx, &room, before_us).await?;
    tx.commit().await?;
    Ok(forgotten.entries)
}
