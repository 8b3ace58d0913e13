//! Deletes a user: out of every room, and never in again under the same id. What they said stays.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde_json::json;

use super::load_person;
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Source, lock_rooms};
use crate::node::Node;
use crate::outbox::Draft;

/// Rooms that the user is a member of.
const THEIR_ROOMS: &str = "id in (select room_id from room_members where user_id = $1)";

/// Deletes `user`.
///
/// # Errors
/// The caller is no administrator; there is no such user.
pub async fn delete(node: &Arc<Node>, caller: &Caller, user: &str) -> Result<()> {
    if !caller.administrator {
        return Err(ChatError::Forbidden {
            reason: "only administrators manage users",
        });
    }
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let person = load_person(&mut Source::Tx(&mut tx), user).await?;
    let sql =
        "update users set state = 'deleted', updated_us = $2 where id = $1 and state <> 'deleted'";
    if tx.execute(sql, args![user, now_us]).await? == 0 {
        // Nobody, or deleted already: then the answer may have been lost, and with it this.
        node.end_user(user);
        return Err(ChatError::NotFound { what: "user" });
    }
    lock_rooms(&mut tx, THEIR_ROOMS, args![user]).await?;
    let sql =
        format!("update rooms set epoch = epoch + 1, snapshot_due_us = $2 where {THEIR_ROOMS}");
    tx.execute(sqlx::AssertSqlSafe(sql), args![user, now_us])
        .await?;
    let rooms = tx
        .all(
            "select room_id, role from room_members where user_id = $1 order by room_id",
            args![user],
        )
        .await?;
    let mut memberships = Vec::with_capacity(rooms.len());
    for row in &rooms {
        memberships.push(json!({"room": row.text(0)?, "role": row.text(1)?}));
    }
    tx.execute("delete from room_members where user_id = $1", args![user])
        .await?;
    tx.execute("delete from user_groups where user_id = $1", args![user])
        .await?;
    let data = json!({"user": person.as_target(), "before": {"rooms": memberships}});
    let draft = Draft {
        event_type: event_type::USER_DELETED,
        time_us: now_us,
        room: None,
        actor: Some(&caller.person),
        data,
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    node.end_user(user);
    Ok(())
}
