//! Changes one's own message; what it said before is kept as a version, and in the archive.

use std::sync::Arc;

use holdfast_schemas::event_type;
use holdfast_schemas::limits::BODY_BYTES_MAX;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

use super::post::check_story_title;
use super::{append_entry, locate_locked};
use crate::args;
use crate::db::Tx;
use crate::error::{ChatError, Result};
use crate::model::{Action, Caller, Entry, MessageKind, Source, load_entries};
use crate::node::Node;
use crate::ops::Expected;
use crate::outbox::Draft;
use crate::rules::{Operation, valid_text};

/// The new text.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MessageChange {
    /// The new text.
    pub body: String,
    /// A story's new title; left out it stays.
    #[serde(default)]
    pub title: Option<String>,
}

/// Changes the message, if its last change is one `expected`. A text that it has already is no change, whatever the version: the same
/// change may be asked for again when its answer was lost.
///
/// # Errors
/// It is not the caller's, was deleted, or changed meanwhile; the text is wrong.
pub async fn edit(
    node: &Arc<Node>,
    caller: &Caller,
    message_id: &str,
    change: MessageChange,
    expected: &Expected,
) -> Result<Entry> {
    node.check_compliance()?;
    valid_text("body", &change.body, BODY_BYTES_MAX)?;
    if change.body.is_empty() {
        return Err(ChatError::invalid(
            "body",
            "is empty; a message is taken away with DELETE",
        ));
    }
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let located = locate_locked(&mut tx, caller, message_id).await?;
    let operation = if located.own {
        Operation::EditOwn
    } else {
        Operation::EditOther
    };
    located.permit(operation)?;
    let entry = &located.entry;
    if entry.deleted {
        return Err(ChatError::Conflict {
            problem: "the message was deleted".into(),
        });
    }
    let title = match (entry.kind, change.title) {
        (MessageKind::Story, Some(title)) => {
            check_story_title(Some(&title))?;
            Some(title)
        }
        (MessageKind::Story, None) => entry.title.clone(),
        (MessageKind::Plain | MessageKind::Alert, None) => None,
        (MessageKind::Plain | MessageKind::Alert, Some(_)) => {
            return Err(ChatError::invalid("title", "only a story has a title"));
        }
    };
    let last_seq = entry.edited_seq.unwrap_or(entry.room_seq);
    if title == entry.title && entry.body.as_ref() == Some(&change.body) {
        return fact(&mut tx, &entry.room, last_seq).await;
    }
    expected.check("message", last_seq)?;
    let previous = entry.body.clone().unwrap_or_default();
    tx.execute(
        "insert into message_versions (message_id, room_seq, title, body, time_us) values ($1, $2, $3, $4, $5)",
        args![message_id, last_seq, entry.title.clone(), &previous, now_us],
    )
    .await?;
    let changed = Entry {
        action: Action::Edited,
        title,
        body: Some(change.body),
        ..blank(entry)
    };
    let previous_sha256 = hex::encode(Sha256::digest(previous.as_bytes()));
    let event = |entry: &Entry| {
        node.event(Draft {
            event_type: event_type::MESSAGE_EDITED,
            time_us: now_us,
            room: Some((&located.room).into()),
            actor: Some(&caller.person),
            data: json!({
                "room_seq": entry.room_seq,
                "message": {"id": entry.id, "kind": entry.kind, "title": entry.title, "body": entry.body},
                "previous_sha256": previous_sha256,
            }),
        })
    };
    append_entry(node, tx, caller, &located, changed, event, now_us).await
}

/// The entry at a place.
async fn fact(tx: &mut Tx, room: &str, room_seq: i64) -> Result<Entry> {
    let conditions = "where m.room_id = $1 and m.room_seq = $2";
    let found = load_entries(&mut Source::Tx(tx), conditions, args![room, room_seq]).await?;
    // Purges take beginnings: while a message is there, so are its changes.
    found
        .into_iter()
        .next()
        .ok_or_else(|| ChatError::Internal(format!("room {room} has no entry {room_seq}")))
}

/// What a fact about a message has of its own: nothing of the message's lists.
pub(crate) fn blank(entry: &Entry) -> Entry {
    Entry {
        attachments: Vec::new(),
        mentions: Vec::new(),
        client_id: None,
        reply_to: None,
        edited_seq: None,
        deleted: false,
        reason: None,
        title: None,
        body: None,
        ..entry.clone()
    }
}
