//! Writes a room down, for another pool to take it in: one JSON object with its settings, members, messages and the descriptions of its files.

use holdfast_schemas::event_type;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::check_admin;
use crate::args;
use crate::error::Result;
use crate::model::{Caller, Entry, FileInfo, Invitations, Room, Source, load_entries, load_room};
use crate::node::Node;
use crate::outbox::{Draft, OutboxRow};
use crate::rules::{Privacy, RoomKind};

/// A member of an exported room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportedMember {
    /// The user's id.
    pub id: String,
    /// `member`, `presenter` or `manager`.
    pub role: String,
}

/// A room, written down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ExportedRoom {
    /// Its name.
    pub name: String,
    /// Its category's name.
    pub category: String,
    /// What it is about.
    pub description: String,
    /// Who posts.
    #[serde(rename = "type")]
    pub kind: RoomKind,
    /// Who finds and enters.
    pub privacy: Privacy,
    /// Whether adding a member tells them.
    pub invitations: Invitations,
    /// A page that clients show beside the room.
    pub addin_url: Option<String>,
    /// Its members.
    pub members: Vec<ExportedMember>,
    /// Its posts, with their current text, in order. Edits and deletions are in the archive.
    pub messages: Vec<Entry>,
    /// Its files; bytes are copied from store to store.
    pub files: Vec<FileInfo>,
    /// Where the next page begins, when there is one: give it as `after_seq`.
    pub next_after_seq: Option<i64>,
}

/// Messages of one page.
const PAGE: i64 = 500;
/// Text of one page, in bytes: with this much it ends early, so that import takes every page.
pub(super) const PAGE_BYTES: usize = 16 * 1024 * 1024;

/// How many of the first messages a page takes: one at least.
fn fitting(messages: &[Entry]) -> usize {
    let mut bytes = 0;
    let fit = messages.iter().take_while(|entry| {
        let before = bytes;
        bytes += entry.body.as_ref().map_or(0, String::len);
        before < PAGE_BYTES
    });
    fit.count()
}

/// A room's members.
pub(super) async fn members(source: &mut Source<'_>, room_id: &str) -> Result<Vec<ExportedMember>> {
    let sql = "select user_id, role from room_members where room_id = $1 order by user_id";
    let rows = source.all(sql, args![room_id]).await?;
    rows.iter()
        .map(|row| {
            Ok(ExportedMember {
                id: row.text(0)?,
                role: row.text(1)?,
            })
        })
        .collect()
}

/// The event of an export. A page without messages is one too: it shows settings and members, and that there is nothing more; its places are 0, where
/// no message is.
fn exported(node: &Node, caller: &Caller, room: &Room, messages: &[Entry]) -> Result<OutboxRow> {
    let place = |entry: Option<&Entry>| entry.map_or(0, |entry| entry.room_seq);
    node.event(Draft {
        event_type: event_type::HISTORY_VIEWED,
        time_us: node.clock.now_us(),
        room: Some(room.into()),
        actor: Some(&caller.person),
        data: json!({
            "from_seq": place(messages.first()), "to_seq": place(messages.last()), "messages": messages.len(), "export": true,
        }),
    })
}

/// A page of a room, from the messages after `after_seq` on.
///
/// # Errors
/// The caller is no administrator; there is no such room.
pub async fn export(
    node: &Node,
    caller: &Caller,
    room_id: &str,
    after_seq: i64,
) -> Result<ExportedRoom> {
    check_admin(caller)?;
    let mut source = Source::Db(&node.db);
    let room = load_room(&mut source, room_id).await?;
    let members = members(&mut source, room_id).await?;
    let conditions = "where m.room_id = $1 and m.room_seq > $2 and m.action = 'posted' and not m.deleted order by m.room_seq limit $3";
    let mut messages =
        load_entries(&mut source, conditions, args![room_id, after_seq, PAGE]).await?;
    let read = messages.len();
    messages.truncate(fitting(&messages));
    let sql = "select id, name, media_type, size, sha256 from files where room_id = $1 order by id";
    let files = source
        .all(sql, args![room_id])
        .await?
        .iter()
        .map(FileInfo::from_row)
        .collect::<Result<Vec<FileInfo>>>()?;
    let full = messages.len() < read || i64::try_from(read).is_ok_and(|count| count == PAGE);
    let next_after_seq = messages
        .last()
        .filter(|_last| full)
        .map(|entry| entry.room_seq);
    let event = exported(node, caller, &room, &messages)?;
    node.writes.events(room_id, vec![event]).await?;
    Ok(ExportedRoom {
        name: room.name,
        category: room.category,
        description: room.description,
        kind: room.kind,
        privacy: room.privacy,
        invitations: room.invitations,
        addin_url: room.addin_url,
        members,
        messages,
        files,
        next_after_seq,
    })
}
