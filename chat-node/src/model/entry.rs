//! What stands in a room's order: posts, and the facts of edits, deletions and replacements.

use serde::{Deserialize, Serialize};
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;

use super::{FileInfo, Source, time_text};
use crate::db::{Row, Value};
use crate::error::{ChatError, Result};

/// Kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MessageKind {
    /// Ordinary text.
    #[default]
    Plain,
    /// Urgent.
    Alert,
    /// A title and a long text.
    Story,
}

/// What happened at a place of a room's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// A message was posted.
    Posted,
    /// Its author changed it.
    Edited,
    /// Its author or an administrator deleted it.
    Deleted,
    /// An administrator put another text in its place.
    Replaced,
}

macro_rules! spelled {
    ($name:ident: $($variant:ident = $text:literal),*) => {
        impl $name {
            /// As stored and shown.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// From the stored text.
            pub(crate) fn parse(text: &str) -> Result<Self> {
                match text {
                    $($text => Ok(Self::$variant),)*
                    other => Err(ChatError::Internal(format!("a stored message has the unknown {} {other:?}", stringify!($name)))),
                }
            }
        }
    };
}

spelled!(MessageKind: Plain = "plain", Alert = "alert", Story = "story");
spelled!(Action: Posted = "posted", Edited = "edited", Deleted = "deleted", Replaced = "replaced");

/// Who wrote something, as rooms show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Author {
    /// The user's id.
    pub id: String,
    /// The user's name: of the time on live frames, of today in history.
    pub name: String,
}

/// One entry of a room's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Entry {
    /// The room.
    pub room: String,
    /// Its place: dense from 1 in each room.
    pub room_seq: i64,
    /// What happened.
    pub action: Action,
    /// The message it is about.
    pub id: String,
    /// When, RFC 3339 in UTC.
    pub time: String,
    /// Who did it.
    pub author: Author,
    /// `plain`, `alert` or `story`.
    pub kind: MessageKind,
    /// A story's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The text: on a post the current one. Missing when the message was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Id of the message it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<String>,
    /// Its files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attachments: Vec<FileInfo>,
    /// Ids of the users it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// The author's client's own id of the post.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// On a post that was changed: the place of the last change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edited_seq: Option<i64>,
    /// The message was deleted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
    /// Why, when a deletion says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Columns of entries; completed by conditions over `m`.
pub(crate) const SELECT_ENTRY: &str = "select m.room_id, m.room_seq, m.action, m.id, m.time_us, m.author_id, u.name as author_name, m.kind, \
     m.title, m.body, m.reply_to, m.attachments, m.mentions, m.client_id, m.edited_seq, m.deleted, m.reason \
     from messages m left join users u on u.id = m.author_id ";

impl Entry {
    /// From a row of [`SELECT_ENTRY`].
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let author_id = row.text("author_id")?;
        let stored = |error: serde_json::Error| {
            ChatError::Internal(format!("a stored message's list is no JSON: {error}"))
        };
        Ok(Self {
            room: row.text("room_id")?,
            room_seq: row.int("room_seq")?,
            action: Action::parse(&row.text("action")?)?,
            id: row.text("id")?,
            time: time_text(row.int("time_us")?),
            author: Author {
                name: row
                    .text_opt("author_name")?
                    .unwrap_or_else(|| author_id.clone()),
                id: author_id,
            },
            kind: MessageKind::parse(&row.text("kind")?)?,
            title: row.text_opt("title")?,
            body: row.text_opt("body")?,
            reply_to: row.text_opt("reply_to")?,
            attachments: serde_json::from_str(&row.text("attachments")?).map_err(stored)?,
            mentions: serde_json::from_str(&row.text("mentions")?).map_err(stored)?,
            client_id: row.text_opt("client_id")?,
            edited_seq: row.int_opt("edited_seq")?,
            deleted: row.bool("deleted")?,
            reason: row.text_opt("reason")?,
        })
    }
}

/// Entries by conditions over `m`, which hold no text from outside.
///
/// # Errors
/// What the database says.
pub async fn load_entries(
    source: &mut Source<'_>,
    conditions: &str,
    args: Vec<Value>,
) -> Result<Vec<Entry>> {
    let rows = source
        .all(AssertSqlSafe(format!("{SELECT_ENTRY}{conditions}")), args)
        .await?;
    rows.iter().map(Entry::from_row).collect()
}
