//! Posts a message: everything that can be checked without the room's lock is checked here, the rest in the batch (`write/`).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use holdfast_schemas::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::args;
use crate::error::{ChatError, Result};
use crate::limits::{CLIENT_ID_BYTES_MAX, MENTIONS_MAX, MESSAGE_ATTACHMENTS_MAX};
use crate::model::{Caller, MessageKind, Source, authorize, load_files};
use crate::node::Node;
use crate::rules::{Operation, valid_text};
use crate::write::{NewMessage, Posted};

/// A message to be.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPost {
    /// `plain`, `alert` (urgent) or `story` (title and body).
    #[serde(default)]
    pub kind: MessageKind,
    /// A story's title.
    #[serde(default)]
    pub title: Option<String>,
    /// The text, up to 256 KiB.
    #[serde(default)]
    pub body: String,
    /// Id of a message of the same room.
    #[serde(default)]
    pub reply_to: Option<String>,
    /// Ids of files of the same room.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// Ids of users it mentions.
    #[serde(default)]
    pub mentions: Vec<String>,
    /// The client's own id: posting again with the same one is the same post.
    #[serde(default)]
    pub client_id: Option<String>,
}

/// What a story's title must be, when it is posted and when it is edited: there.
///
/// # Errors
/// There is none, or it is too long or no text.
pub(super) fn check_story_title(title: Option<&str>) -> Result<()> {
    match title {
        Some(title) if !title.is_empty() => valid_text("title", title, NAME_BYTES_MAX),
        Some(_) | None => Err(ChatError::invalid("title", "a story has a title")),
    }
}

/// What a message's title must be: there when it is a story, and else not.
///
/// # Errors
/// It is not so, or the title is too long or no text.
pub(crate) fn check_title(kind: MessageKind, title: Option<&str>) -> Result<()> {
    match (kind, title) {
        (MessageKind::Story, title) => check_story_title(title),
        (MessageKind::Plain | MessageKind::Alert, None) => Ok(()),
        (MessageKind::Plain | MessageKind::Alert, Some(_)) => {
            Err(ChatError::invalid("title", "only a story has a title"))
        }
    }
}

/// Checks a message by itself.
fn check(post: &NewPost) -> Result<()> {
    valid_text("body", &post.body, BODY_BYTES_MAX)?;
    if post.body.is_empty() && post.attachments.is_empty() {
        return Err(ChatError::invalid(
            "body",
            "is empty, and there is no attachment",
        ));
    }
    check_title(post.kind, post.title.as_deref())?;
    if post.attachments.len() > MESSAGE_ATTACHMENTS_MAX {
        return Err(ChatError::invalid(
            "attachments",
            format!("more than {MESSAGE_ATTACHMENTS_MAX}"),
        ));
    }
    if post.mentions.len() > MENTIONS_MAX {
        return Err(ChatError::invalid(
            "mentions",
            format!("more than {MENTIONS_MAX}"),
        ));
    }
    for mention in &post.mentions {
        valid_text("mentions", mention, NAME_BYTES_MAX)?;
    }
    for text in post.reply_to.iter().chain(&post.attachments) {
        valid_text("reply_to and attachments", text, NAME_BYTES_MAX)?;
    }
    if let Some(client_id) = &post.client_id {
        valid_text("client_id", client_id, CLIENT_ID_BYTES_MAX)?;
        if client_id.is_empty() {
            return Err(ChatError::invalid("client_id", "is empty"));
        }
    }
    Ok(())
}

/// Posts it.
///
/// # Errors
/// The message is wrong, the caller may not, compliance is required and behind, or more is written than the database takes.
pub async fn post(
    node: &Node,
    caller: &Arc<Caller>,
    room_id: &str,
    post: NewPost,
) -> Result<Posted> {
    let begun = Instant::now();
    node.check_compliance()?;
    check(&post)?;
    let mut source = Source::Db(&node.db);
    if post.reply_to.is_some() || !post.attachments.is_empty() {
        // Before anything about the room's content is answered: may the caller know it?
        authorize(&mut source, caller, room_id, Operation::Post).await?;
    }
    if let Some(reply_to) = &post.reply_to {
        let sql = "select 1 from messages where id = $1 and room_id = $2 and action = 'posted'";
        if source.first(sql, args![reply_to, room_id]).await?.is_none() {
            return Err(ChatError::invalid("reply_to", "is no message of this room"));
        }
    }
    let attachments = load_files(&mut source, room_id, &post.attachments).await?;
    let mentions: BTreeSet<String> = post.mentions.into_iter().collect();
    let message = NewMessage {
        kind: post.kind,
        title: post.title,
        body: post.body,
        reply_to: post.reply_to,
        attachments,
        mentions: mentions.into_iter().collect(),
        client_id: post.client_id,
    };
    let posted = node
        .writes
        .post(room_id, Arc::clone(caller), message)
        .await?;
    node.metrics.post_took(begun.elapsed());
    Ok(posted)
}
