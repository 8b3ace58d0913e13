//! Deletes messages, or puts another text in their place, by user, date or words.

use std::sync::Arc;

use holdfast_schemas::event_type;
use holdfast_schemas::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::check_admin;
use crate::args;
use crate::db::Value;
use crate::error::{ChatError, Result};
use crate::model::{Action, Caller, Entry, Source, load_entries, load_room};
use crate::node::Node;
use crate::ops::messages::{append_entry, blank, delete, locate_locked};
use crate::ops::users::load_person;
use crate::outbox::Draft;
use crate::rules::{search_terms, valid_text, words};

/// Messages of one call; call again while it answers this many.
pub(crate) const MESSAGES_MAX: usize = 1000;

/// Which messages, and what becomes of them.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Replace {
    /// The room.
    pub room: String,
    /// Messages of this user.
    #[serde(default)]
    pub from: Option<String>,
    /// Messages from this time on, RFC 3339.
    #[serde(default)]
    pub since: Option<String>,
    /// Messages before this time, RFC 3339.
    #[serde(default)]
    pub until: Option<String>,
    /// Messages with these words and "phrases", in any case.
    #[serde(default)]
    pub words: Option<String>,
    /// The text in their place; left out they are deleted.
    #[serde(default)]
    pub replacement: Option<String>,
    /// Why, for the record.
    #[serde(default)]
    pub reason: Option<String>,
}

fn time(place: &'static str, text: Option<&str>, otherwise: i64) -> Result<i64> {
    match text {
        Some(text) => holdfast_schemas::time::parse_rfc3339(text)
            .map(|time| time.us)
            .map_err(|error| ChatError::invalid(place, error.to_string())),
        None => Ok(otherwise),
    }
}

/// Whether a text has all terms, each as words side by side, in any case.
fn has_terms(entry: &Entry, terms: &[Vec<String>]) -> bool {
    let text = format!(
        "{} {}",
        entry.title.as_deref().unwrap_or(""),
        entry.body.as_deref().unwrap_or("")
    )
    .to_lowercase();
    let words: Vec<&str> = words(&text).collect();
    terms.iter().all(|term| {
        words
            .windows(term.len())
            .any(|window| window.iter().zip(term).all(|(a, b)| *a == b.to_lowercase()))
    })
}

/// Replaces or deletes; how many messages were picked (at most 1,000 a call): one that somebody else deleted since is among them, and stays deleted.
///
/// # Errors
/// The caller is no administrator; nothing picks messages; a text or time is wrong.
pub async fn replace(node: &Arc<Node>, caller: &Caller, replace: &Replace) -> Result<usize> {
    check_admin(caller)?;
    if replace.from.is_none()
        && replace.since.is_none()
        && replace.until.is_none()
        && replace.words.is_none()
    {
        return Err(ChatError::invalid(
            "from, since, until, words",
            "at least one of them picks the messages; purge empties a room",
        ));
    }
    valid_text(
        "replacement",
        replace.replacement.as_deref().unwrap_or(""),
        BODY_BYTES_MAX,
    )?;
    valid_text(
        "reason",
        replace.reason.as_deref().unwrap_or(""),
        NAME_BYTES_MAX,
    )?;
    let terms = replace
        .words
        .as_deref()
        .map(|words| search_terms("words", words))
        .transpose()?
        .unwrap_or_default();
    let since = time("since", replace.since.as_deref(), i64::MIN)?;
    let until = time("until", replace.until.as_deref(), i64::MAX)?;
    let mut source = Source::Db(&node.db);
    load_room(&mut source, &replace.room).await?;
    let mut picked = Vec::new();
    let mut after = 0;
    loop {
        let args: Vec<Value> = args![&replace.room, after, since, until, replace.from.as_deref()];
        // The cast tells PostgreSQL the type of a parameter that is only compared with null.
        let conditions = "where m.room_id = $1 and m.room_seq > $2 and m.time_us >= $3 and m.time_us < $4 and m.action = 'posted' \
                          and not m.deleted and (cast($5 as text) is null or m.author_id = $5) order by m.room_seq limit 1000";
        let entries = load_entries(&mut source, conditions, args).await?;
        let Some(last) = entries.last() else { break };
        after = last.room_seq;
        // What already is the replacement is done: a call that was cut off can be repeated.
        let undone =
            |entry: &Entry| replace.replacement.is_none() || entry.body != replace.replacement;
        picked.extend(
            entries
                .into_iter()
                .filter(|entry| has_terms(entry, &terms) && undone(entry))
                .map(|entry| entry.id),
        );
        if picked.len() >= MESSAGES_MAX {
            picked.truncate(MESSAGES_MAX);
            break;
        }
    }
    for id in &picked {
        let done = match &replace.replacement {
            Some(text) => replace_one(node, caller, id, text, replace.reason.as_deref()).await,
            None => delete(node, caller, id, replace.reason.clone()).await,
        };
        match done {
            // Deleted or purged since it was picked: what it said is gone, and the others are still to be done.
            Ok(_) | Err(ChatError::NotFound { what: "message" }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(picked.len())
}

/// Puts `text` in the place of a message's own.
///
/// # Errors
/// [`ChatError::NotFound`] when the message was deleted since it was picked: another text would bring it back.
async fn replace_one(
    node: &Arc<Node>,
    caller: &Caller,
    message_id: &str,
    text: &str,
    reason: Option<&str>,
) -> Result<Entry> {
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let located = locate_locked(&mut tx, caller, message_id).await?;
    if located.entry.deleted {
        return Err(ChatError::NotFound { what: "message" });
    }
    let author = load_person(&mut Source::Tx(&mut tx), &located.entry.author.id).await?;
    // What is replaced is meant to be gone from the rooms: earlier versions go too.
    tx.execute(
        "delete from message_versions where message_id = $1",
        args![message_id],
    )
    .await?;
    tx.execute(
        "update messages set title = null, body = null where id = $1 and action <> 'posted'",
        args![message_id],
    )
    .await?;
    let fact = Entry {
        action: Action::Replaced,
        body: Some(text.to_owned()),
        reason: reason.map(str::to_owned),
        ..blank(&located.entry)
    };
    let event = |entry: &Entry| {
        node.event(Draft {
            event_type: event_type::MESSAGE_REPLACED,
            time_us: now_us,
            room: Some((&located.room).into()),
            actor: Some(&author),
            data: json!({
                "room_seq": entry.room_seq, "message": {"id": entry.id, "body": text}, "by": caller.person.as_target(), "reason": reason,
            }),
        })
    };
    append_entry(node, tx, caller, &located, fact, event, now_us).await
}
