//! Deletes a category that holds no room.

use holdfast_schemas::event_type;
use serde_json::json;

use super::check_manager;
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Category, Source};
use crate::node::Node;
use crate::ops::Expected;
use crate::outbox::Draft;

/// Deletes it, if it is as `expected`.
///
/// # Errors
/// The caller is no administrator; it holds rooms; somebody else has changed it.
pub async fn delete(node: &Node, caller: &Caller, id: &str, expected: &Expected) -> Result<()> {
    check_manager(caller)?;
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let category = Category::load(&mut Source::Tx(&mut tx), id).await?;
    expected.check("category", category.version)?;
    // The foreign key of rooms would refuse too; this says how many.
    let rooms = tx
        .one(
            "select count(*) from rooms where category_id = $1",
            args![id],
        )
        .await?
        .int(0)?;
    if rooms > 0 {
        return Err(ChatError::Conflict {
            problem: format!("the category holds {rooms} rooms: move or delete them first"),
        });
    }
    tx.execute("delete from categories where id = $1", args![id])
        .await?;
    let data = json!({"before": category.as_event()});
    let draft = Draft {
        event_type: event_type::CATEGORY_DELETED,
        time_us: now_us,
        room: None,
        actor: Some(&caller.person),
        data,
    };
    node.commit(tx, vec![node.event(draft)?]).await
}
