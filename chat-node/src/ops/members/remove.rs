//! Removes a member; everybody may remove themselves.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Source, load_room, standing};
use crate::node::Node;
use crate::ops::users::load_person;
use crate::outbox::Draft;
use crate::rules::Operation;

/// Removes `user` from the room, and ends the user's subscriptions to it.
///
/// # Errors
/// The caller is no manager and somebody else is to be removed; the user is no member.
pub async fn remove(node: &Arc<Node>, caller: &Caller, room_id: &str, user: &str) -> Result<()> {
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let mut source = Source::Tx(&mut tx);
    let room = load_room(&mut source, room_id).await?;
    let standing = standing(&mut source, &room, caller).await?;
    let leaving = user == caller.id() && standing.role.is_some();
    room.permit(
        if leaving {
            Operation::See
        } else {
            Operation::ManageMembers
        },
        standing,
    )?;
    let sql = "select role from room_members where room_id = $1 and user_id = $2";
    let role = source
        .first(sql, args![room_id, user])
        .await?
        .ok_or(ChatError::NotFound { what: "member" })?
        .text(0)?;
    let member = load_person(&mut source, user).await?;
    tx.execute(
        "delete from room_members where room_id = $1 and user_id = $2",
        args![room_id, user],
    )
    .await?;
    tx.execute(
        "update rooms set epoch = epoch + 1 where id = $1",
        args![room_id],
    )
    .await?;
    let draft = Draft {
        event_type: event_type::ROOM_MEMBER_REMOVED,
        time_us: now_us,
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data: json!({"member": member.as_target(), "role": role}),
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    node.recheck(room_id, room.epoch + 1);
    Ok(())
}
