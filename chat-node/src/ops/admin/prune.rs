//! Categories that keep no history for users keep messages just long enough for clients to reconnect.

use super::purge::forget_before;
use crate::args;
use crate::error::{ChatError, Result};
use crate::limits::RESUME_WINDOW;
use crate::model::{Source, load_room};
use crate::node::Node;

/// Places of a room's order that a transaction takes.
const PLACES_AT_ONCE: i64 = 1000;

/// Deletes what is older than [`RESUME_WINDOW`] in such categories, as a purge does; how many entries. No event: it is the category's setting that acts.
///
/// # Errors
/// What the database says.
pub async fn prune(node: &Node) -> Result<u64> {
    let before_us =
        node.clock.now_us() - i64::try_from(RESUME_WINDOW.as_micros()).unwrap_or(i64::MAX);
    let rooms = "select r.id from rooms r join categories c on c.id = r.category_id where not c.history order by r.id";
    let old = "select 1 from messages where room_id = $1 and time_us < $2 limit 1";
    let mut deleted = 0;
    for row in node.db.all(rooms, Vec::new()).await? {
        let room = row.text(0)?;
        while node.db.first(old, args![&room, before_us]).await?.is_some() {
            match prune_some(node, &room, before_us).await? {
                // What is old came after what is not: it goes with that.
                0 => break,
                some => deleted += some,
            }
        }
    }
    Ok(deleted)
}

/// Some of one room: posts to it wait meanwhile.
async fn prune_some(node: &Node, room_id: &str, before_us: i64) -> Result<u64> {
    let mut tx = node.db.begin().await?;
    let room = match load_room(&mut Source::Tx(&mut tx), room_id).await {
        Ok(room) if !room.history => room,
        // Since it was found, it was moved, or deleted.
        Ok(_) | Err(ChatError::NotFound { .. }) => return Ok(0),
        Err(error) => return Err(error),
    };
    let forgotten = forget_before(&mut tx, &room, before_us, PLACES_AT_ONCE).await?;
    tx.commit().await?;
    Ok(forgotten.entries)
}
