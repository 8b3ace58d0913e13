//! Deletes a message: its author's, or an administrator's act. The text goes from the rooms; the archive has it.

use std::sync::Arc;

use holdfast_schemas::event_type;
use holdfast_schemas::limits::NAME_BYTES_MAX;
use serde_json::json;

use super::{append_entry, blank, locate_locked};
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Action, Caller, Entry, Person, Source};
use crate::node::Node;
use crate::ops::users::load_person;
use crate::outbox::Draft;
use crate::rules::{Operation, valid_text};

/// Deletes the message.
///
/// # Errors
/// The caller may not; it is deleted already.
pub async fn delete(
    node: &Arc<Node>,
    caller: &Caller,
    message_id: &str,
    reason: Option<String>,
) -> Result<Entry> {
    valid_text("reason", reason.as_deref().unwrap_or(""), NAME_BYTES_MAX)?;
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let located = locate_locked(&mut tx, caller, message_id).await?;
    let operation = if located.own {
        Operation::DeleteOwn
    } else {
        Operation::DeleteOther
    };
    located.permit(operation)?;
    if located.entry.deleted {
        return Err(ChatError::NotFound { what: "message" });
    }
    // The event's actor is whose message it is; `by` is who deleted it.
    let author: Person = load_person(&mut Source::Tx(&mut tx), &located.entry.author.id).await?;
    for sql in [
        "delete from message_versions where message_id = $1",
        "delete from reactions where message_id = $1",
        "update messages set title = null, body = null where id = $1 and action <> 'posted'",
    ] {
        tx.execute(sql, args![message_id]).await?;
    }
    let fact = Entry {
        action: Action::Deleted,
        deleted: true,
        reason: reason.clone(),
        ..blank(&located.entry)
    };
    let event = |entry: &Entry| {
        node.event(Draft {
            event_type: event_type::MESSAGE_DELETED,
            time_us: now_us,
            room: Some((&located.room).into()),
            actor: Some(&author),
            data: json!({
                "room_seq": entry.room_seq, "message": {"id": entry.id}, "by": caller.person.as_target(), "reason": reason,
            }),
        })
    };
    append_entry(node, tx, caller, &located, fact, event, now_us).await
}
