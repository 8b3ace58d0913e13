//! Reactions: each user has each value once on a message.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{locate, locate_locked};
use crate::args;
use crate::error::{ChatError, Result};
use crate::limits::REACTION_BYTES_MAX;
use crate::model::{Caller, RoomEvent, Source};
use crate::node::Node;
use crate::outbox::Draft;
use crate::rules::{Operation, valid_text};

/// A reaction of somebody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Reaction {
    /// The user's id.
    pub user: String,
    /// What: an emoji, or a short name.
    pub value: String,
}

/// Adds the caller's reaction (`on`), or takes it back; whether anything changed.
///
/// # Errors
/// The caller may not; there is no such message.
pub async fn react(
    node: &Arc<Node>,
    caller: &Caller,
    message_id: &str,
    value: &str,
    on: bool,
) -> Result<bool> {
    valid_text("value", value, REACTION_BYTES_MAX)?;
    if value.is_empty() || value.chars().any(char::is_control) {
        return Err(ChatError::invalid(
            "value",
            "is empty or holds control characters",
        ));
    }
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let located = locate_locked(&mut tx, caller, message_id).await?;
    located.permit(Operation::React)?;
    if located.entry.deleted {
        return Err(ChatError::NotFound { what: "message" });
    }
    let rows = if on {
        let sql = "insert into reactions (message_id, user_id, value, time_us) values ($1, $2, $3, $4) on conflict do nothing";
        tx.execute(sql, args![message_id, caller.id(), value, now_us])
            .await?
    } else {
        let sql = "delete from reactions where message_id = $1 and user_id = $2 and value = $3";
        tx.execute(sql, args![message_id, caller.id(), value])
            .await?
    };
    if rows == 0 {
        return Ok(false);
    }
    let draft = Draft {
        event_type: if on {
            event_type::REACTION_ADDED
        } else {
            event_type::REACTION_REMOVED
        },
        time_us: now_us,
        room: Some((&located.room).into()),
        actor: Some(&caller.person),
        data: json!({"message": {"id": message_id}, "value": value}),
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    let (room, message, user) = (located.room.id.as_str(), message_id, caller.author());
    let event = if on {
        RoomEvent::ReactionAdded {
            room,
            message,
            value,
            user,
        }
    } else {
        RoomEvent::ReactionRemoved {
            room,
            message,
            value,
            user,
        }
    };
    node.tell_room(room, event);
    Ok(true)
}

/// All reactions to a message.
///
/// # Errors
/// The caller may not; there is no such message.
pub async fn reactions(node: &Node, caller: &Caller, message_id: &str) -> Result<Vec<Reaction>> {
    let mut source = Source::Db(&node.db);
    let located = locate(&mut source, caller, message_id).await?;
    located.permit(Operation::Join)?;
    let sql = "select user_id, value from reactions where message_id = $1 order by time_us, user_id, value limit 1000";
    let rows = source.all(sql, args![message_id]).await?;
    rows.iter()
        .map(|row| {
            Ok(Reaction {
                user: row.text(0)?,
                value: row.text(1)?,
            })
        })
        .collect()
}
