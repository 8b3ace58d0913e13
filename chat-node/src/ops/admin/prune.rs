//! Categories that keep no history for users keep messages just long enough for clients to reconnect.

use crate::args;
use crate::error::Result;
use crate::limits::RESUME_WINDOW;
use crate::node::Node;

/// Deletes what is older than [`RESUME_WINDOW`] in such categories; how many entries. No event: it is the category's setting that acts.
///
/// # Errors
/// What the database says.
pub async fn prune(node: &Node) -> Result<u64> {
    let categories = node
        .db
        .all("select id from categories where not history", Vec::new())
        .await?;
    let before = node.clock.now_us() - i64::try_from(RESUME_WINDOW.as_micros()).unwrap_or(i64::MAX);
    let mut deleted = 0;
    for row in categories {
        let mut tx = node.db.begin().await?;
        let sql = "delete from messages where time_us < $2 and room_id in (select id from rooms where category_id = $1)";
        deleted += tx.execute(sql, args![row.text(0)?, before]).await?;
        tx.commit().await?;
    }
    Ok(deleted)
}
