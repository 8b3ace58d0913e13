//! Adds a member, or gives one another role.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Invitations, RoomEvent, Source, authorize};
use crate::node::Node;
use crate::ops::users::{load_person, load_principal};
use crate::outbox::Draft;
use crate::rules::{Operation, Role, valid_user_id};

/// Makes `user` a member with `role`; whether the user was none before. Somebody who was never seen can be added; the category's wall is judged
/// again when they come.
///
/// # Errors
/// It is no id of a user; the caller is no manager; the category's lists keep the user out.
pub async fn put(
    node: &Arc<Node>,
    caller: &Caller,
    room_id: &str,
    user: &str,
    role: Role,
) -> Result<bool> {
    valid_user_id("user", user)?;
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let mut source = Source::Tx(&mut tx);
    let (room, _standing) =
        authorize(&mut source, caller, room_id, Operation::ManageMembers).await?;
    if !room.lists.admits(&load_principal(&mut source, user).await?) {
        return Err(ChatError::Forbidden {
            reason: "the category's lists keep this user out of its rooms",
        });
    }
    if source
        .first(
            "select 1 from users where id = $1 and state = 'deleted'",
            args![user],
        )
        .await?
        .is_some()
    {
        return Err(ChatError::NotFound { what: "user" });
    }
    let member = load_person(&mut source, user).await?;
    let before = source
        .first(
            "select role from room_members where room_id = $1 and user_id = $2",
            args![room_id, user],
        )
        .await?;
    let before = before.map(|row| row.text(0)).transpose()?;
    if before.as_deref() == Some(role.as_str()) {
        return Ok(false);
    }
    tx.execute(
        "insert into room_members (room_id, user_id, role, added_us) values ($1, $2, $3, $4) \
         on conflict (room_id, user_id) do update set role = excluded.role",
        args![room_id, user, role.as_str(), now_us],
    )
    .await?;
    let mut data = json!({"member": member.as_target(), "role": role});
    if let Some(before) = &before {
        data["before"] = json!({"role": before});
    }
    let draft = Draft {
        event_type: event_type::ROOM_MEMBER_ADDED,
        time_us: now_us,
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data,
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    let added = before.is_none();
    if added && room.category_invitations && room.invitations == Invitations::Inherit {
        let invited = RoomEvent::Invited {
            room: &room.id,
            name: &room.name,
            by: caller.author(),
        };
        node.tell_user(user, invited);
    }
    Ok(added)
}
