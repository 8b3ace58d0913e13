//! Judges an export by itself, all of it before anything is written. What is left to ask is what is stored here.

use std::collections::HashSet;

use holdfast_schemas::limits::{BODY_BYTES_MAX, NAME_BYTES_MAX};

use crate::error::{ChatError, Result};
use crate::model::{Entry, FileInfo, MessageKind};
use crate::ops::admin::export::{ExportedMember, ExportedRoom};
use crate::ops::files::{check_media_type, clean_name};
use crate::ops::messages::check_title;
use crate::rules::{Role, valid_name, valid_text, valid_user_id};

/// An export that is right by itself.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// Users' ids, each once, with their roles.
    pub(super) members: Vec<(&'a str, Role)>,
    /// Files by their old ids, with clean names.
    pub(super) files: Vec<FileInfo>,
    /// Messages in their order.
    pub(super) messages: Vec<Message<'a>>,
}

/// A message of it.
#[derive(Debug)]
pub(super) struct Message<'a> {
    /// As it was exported.
    pub(super) entry: &'a Entry,
    /// The kind that it gets here.
    pub(super) kind: MessageKind,
    /// Its time: microseconds since 1970-01-01T00:00:00Z.
    pub(super) time_us: i64,
}

/// The export's members, files and messages.
///
/// # Errors
/// What is wrong with the first one that is.
pub(super) fn check(exported: &ExportedRoom) -> Result<Page<'_>> {
    valid_name("category", &exported.category)?;
    let files = exported.files.iter().map(check_file);
    let messages = exported.messages.iter().map(check_message);
    Ok(Page {
        members: check_members(&exported.members)?,
        files: files.collect::<Result<_>>()?,
        messages: messages.collect::<Result<_>>()?,
    })
}

fn check_members(members: &[ExportedMember]) -> Result<Vec<(&str, Role)>> {
    let wrong = |problem| ChatError::invalid("members", problem);
    let mut seen = HashSet::with_capacity(members.len());
    let checked = members.iter().map(|member| {
        valid_user_id("members", &member.id)?;
        if !seen.insert(&member.id) {
            return Err(wrong(format!("{:?} is listed twice", member.id)));
        }
        let role = Role::parse(&member.role)
            .ok_or_else(|| wrong(format!("{:?} is no role", member.role)))?;
        Ok((member.id.as_str(), role))
    });
    checked.collect()
}

fn check_file(file: &FileInfo) -> Result<FileInfo> {
    let hash = file.sha256.len() == 64
        && file
            .sha256
            .bytes()
            .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if !hash || file.size < 0 {
        return Err(ChatError::invalid(
            "files",
            format!("{:?} has no SHA-256 or no size", file.name),
        ));
    }
    check_media_type(&file.media_type)?;
    Ok(FileInfo {
        name: clean_name(&file.name)?,
        ..file.clone()
    })
}

fn check_message(entry: &Entry) -> Result<Message<'_>> {
    valid_text(
        "messages",
        entry.body.as_deref().unwrap_or(""),
        BODY_BYTES_MAX,
    )?;
    valid_user_id("messages", &entry.author.id)?;
    for text in [&entry.id, &entry.author.name]
        .into_iter()
        .chain(&entry.mentions)
    {
        valid_text("messages", text, NAME_BYTES_MAX)?;
    }
    let kind = kind_here(entry);
    check_title(kind, entry.title.as_deref())?;
    let time = holdfast_schemas::time::parse_rfc3339(&entry.time)
        .map_err(|error| ChatError::invalid("messages", error.to_string()))?;
    Ok(Message {
        entry,
        kind,
        time_us: time.us,
    })
}

/// A story whose text an administrator replaced has lost its title with it, and comes as plain text: a story has a title.
fn kind_here(entry: &Entry) -> MessageKind {
    match entry.kind {
        MessageKind::Story if entry.title.is_none() && entry.edited_seq.is_some() => {
            MessageKind::Plain
        }
        kind => kind,
    }
}
