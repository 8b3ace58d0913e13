//! Takes in an exported room: a new room of this pool, with new ids, whose messages keep authors, times and order. Each is posted with its
//! compliance event, which says where it came from; and each page has one that says who brought it.

mod check;

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use self::check::{Message, check};
use super::check_admin;
use super::export::ExportedRoom;
use crate::args;
use crate::clock::new_id;
use crate::db::Tx;
use crate::error::{ChatError, Result};
use crate::model::{Caller, FileInfo, Room, Source, load_room};
use crate::node::Node;
use crate::ops::rooms::{NewRoom, create_empty};
use crate::ops::users::{load_person, load_principal};
use crate::outbox::{Draft, OutboxRow};
use crate::rules::Role;

/// What was taken in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Imported {
    /// The new room.
    pub room: String,
    /// Members.
    pub members: usize,
    /// Members whom the category's lists keep out, or who are deleted here: they are not taken.
    pub refused: usize,
    /// Messages.
    pub messages: usize,
    /// Files: their bytes must be in this pool's store under their SHA-256.
    pub files: usize,
}

/// Takes a room in, or a further page of it (`into`: the room that the first page made).
///
/// # Errors
/// The caller is no administrator; the category (by name) is not there; the name is taken; a text, an id, a role or a time is wrong.
pub async fn import(
    node: &Arc<Node>,
    caller: &Caller,
    exported: ExportedRoom,
    into: Option<&str>,
) -> Result<Imported> {
    check_admin(caller)?;
    let page = check(&exported)?;
    let room_id = match into {
        Some(room) => room.to_owned(),
        None => new_room(node, caller, &exported).await?,
    };
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let room = load_room(&mut Source::Tx(&mut tx), &room_id).await?;
    let mut events = Vec::new();
    let mut imported = Imported {
        room: room_id,
        members: 0,
        refused: 0,
        messages: 0,
        files: 0,
    };
    let files = if into.is_none() {
        (imported.members, imported.refused) = take_members(
            node,
            caller,
            &mut tx,
            &room,
            &page.members,
            &mut events,
            now_us,
        )
        .await?;
        take_files(
            node,
            caller,
            &mut tx,
            &room,
            &page.files,
            &mut events,
            now_us,
        )
        .await?
    } else {
        known_files(&mut tx, &room, &page.files).await?
    };
    imported.files = if into.is_none() { files.len() } else { 0 };
    let last_seq;
    (imported.messages, last_seq) =
        take_messages(node, &mut tx, &room, &page.messages, &files, &mut events).await?;
    events.push(page_taken(
        node, caller, &room, last_seq, &imported, now_us,
    )?);
    node.commit(tx, events).await?;
    node.catch_up(&room.id, last_seq, room.epoch);
    Ok(imported)
}

/// The administrator's act. The events of the messages have the authors as actors, and a page may bring messages of anybody.
fn page_taken(
    node: &Node,
    caller: &Caller,
    room: &Room,
    last_seq: i64,
    imported: &Imported,
    now_us: i64,
) -> Result<OutboxRow> {
    node.event(Draft {
        event_type: event_type::ROOM_UPDATED,
        time_us: now_us,
        room: Some(room.into()),
        actor: Some(&caller.person),
        data: json!({
            "before": {"last_seq": room.last_seq}, "after": {"last_seq": last_seq},
            "imported": {"messages": imported.messages, "members": imported.members, "refused": imported.refused, "files": imported.files},
        }),
    })
}

/// The room, with nobody in it: its members are those of the export.
async fn new_room(node: &Node, caller: &Caller, exported: &ExportedRoom) -> Result<String> {
    let row = node
        .db
        .first(
            "select id from categories where name = $1",
            args![&exported.category],
        )
        .await?;
    let category = row
        .ok_or(ChatError::NotFound { what: "category" })?
        .text(0)?;
    let new = NewRoom {
        name: exported.name.clone(),
        category,
        description: exported.description.clone(),
        kind: exported.kind,
        privacy: exported.privacy,
        invitations: exported.invitations,
        addin_url: exported.addin_url.clone(),
    };
    Ok(create_empty(node, caller, new).await?.id)
}

/// Whether the room may have this member: as everywhere, nobody whom the category's lists keep out, and nobody who is deleted here.
async fn takes(tx: &mut Tx, room: &Room, user: &str) -> Result<bool> {
    let mut source = Source::Tx(tx);
    if !room.lists.admits(&load_principal(&mut source, user).await?) {
        return Ok(false);
    }
    let sql = "select 1 from users where id = $1 and state = 'deleted'";
    Ok(source.first(sql, args![user]).await?.is_none())
}

/// How many members were taken, and how many refused.
async fn take_members(
    node: &Node,
    caller: &Caller,
    tx: &mut Tx,
    room: &Room,
    members: &[(&str, Role)],
    events: &mut Vec<OutboxRow>,
    now_us: i64,
) -> Result<(usize, usize)> {
    let (mut taken, mut refused) = (0, 0);
    for &(member, role) in members {
        if !takes(tx, room, member).await? {
            refused += 1;
            continue;
        }
        taken += 1;
        let sql = "insert into room_members (room_id, user_id, role, added_us) values ($1, $2, $3, $4) \
                   on conflict (room_id, user_id) do update set role = excluded.role";
        tx.execute(sql, args![&room.id, member, role.as_str(), now_us])
            .await?;
        let person = load_person(&mut Source::Tx(tx), member).await?;
        events.push(node.event(Draft {
            event_type: event_type::ROOM_MEMBER_ADDED,
            time_us: now_us,
            room: Some(room.into()),
            actor: Some(&caller.person),
            data: json!({"member": person.as_target(), "role": role, "imported": true}),
        })?);
    }
    Ok((taken, refused))
}

/// Files get new ids; by their old ones, for the messages that refer to them.
async fn take_files(
    node: &Node,
    caller: &Caller,
    tx: &mut Tx,
    room: &Room,
    files: &[FileInfo],
    events: &mut Vec<OutboxRow>,
    now_us: i64,
) -> Result<HashMap<String, FileInfo>> {
    let mut taken = HashMap::new();
    for file in files {
        let new = FileInfo {
            id: new_id("f"),
            ..file.clone()
        };
        tx.execute(
            "insert into files (id, room_id, name, media_type, size, sha256, uploader_id, time_us) values ($1, $2, $3, $4, $5, $6, $7, $8)",
            args![&new.id, &room.id, &new.name, &new.media_type, new.size, &new.sha256, caller.id(), now_us],
        )
        .await?;
        events.push(node.event(Draft {
            event_type: event_type::FILE_UPLOADED,
            time_us: now_us,
            room: Some(room.into()),
            actor: Some(&caller.person),
            data: json!({"attachment": new, "imported": true}),
        })?);
        taken.insert(file.id.clone(), new);
    }
    Ok(taken)
}

/// Files that the first page brought, for the messages of a further one: by their old ids, which every page lists.
async fn known_files(
    tx: &mut Tx,
    room: &Room,
    files: &[FileInfo],
) -> Result<HashMap<String, FileInfo>> {
    let mut known = HashMap::new();
    let sql = "select id, name, media_type, size, sha256 from files where room_id = $1 and name = $2 and sha256 = $3 order by id limit 1";
    for file in files {
        let same = args![&room.id, &file.name, &file.sha256];
        if let Some(row) = tx.first(sql, same).await? {
            known.insert(file.id.clone(), FileInfo::from_row(&row)?);
        }
    }
    Ok(known)
}

/// Under which a message is known that was taken in: the same page again brings nothing twice, and answers find what they answer on earlier pages.
fn import_id(old: &str) -> String {
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(old);
    format!("import-{}", hex::encode(&digest[..16]))
}

/// The new id of a message that was taken in before.
async fn taken_before(tx: &mut Tx, room: &Room, old: &str) -> Result<Option<String>> {
    let sql = "select id from messages where room_id = $1 and client_id = $2 and action = 'posted'";
    let row = tx.first(sql, args![&room.id, import_id(old)]).await?;
    row.map(|row| row.text(0)).transpose()
}

/// How many messages were taken, and the room's last place after them.
async fn take_messages(
    node: &Node,
    tx: &mut Tx,
    room: &Room,
    messages: &[Message<'_>],
    files: &HashMap<String, FileInfo>,
    events: &mut Vec<OutboxRow>,
) -> Result<(usize, i64)> {
    let mut count = 0;
    let mut seq = room.last_seq;
    for Message {
        entry: message,
        kind,
        time_us,
    } in messages
    {
        let sql = "select 1 from messages where room_id = $1 and author_id = $2 and client_id = $3";
        let own = args![&room.id, &message.author.id, import_id(&message.id)];
        if tx.first(sql, own).await?.is_some() {
            continue;
        }
        seq += 1;
        count += 1;
        let id = new_id("m");
        let reply_to = match &message.reply_to {
            Some(old) => taken_before(tx, room, old).await?,
            None => None,
        };
        let attachments: Vec<FileInfo> = message
            .attachments
            .iter()
            .filter_map(|old| files.get(&old.id).cloned())
            .collect();
        let listed = serde_json::to_string(&attachments)
            .map_err(|error| ChatError::Internal(error.to_string()))?;
        tx.execute(
            "insert into messages (room_id, room_seq, id, action, author_id, kind, title, body, reply_to, attachments, mentions, time_us, deleted, client_id) \
             values ($1, $2, $3, 'posted', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            args![
                &room.id,
                seq,
                &id,
                &message.author.id,
                kind.as_str(),
                message.title.clone(),
                message.body.clone(),
                reply_to.clone(),
                listed,
                crate::model::list_to_json(&message.mentions),
                *time_us,
                false,
                import_id(&message.id),
            ],
        )
        .await?;
        let author = load_person(&mut Source::Tx(tx), &message.author.id).await?;
        events.push(node.event(Draft {
            event_type: event_type::MESSAGE_POSTED,
            time_us: *time_us,
            room: Some(room.into()),
            actor: Some(&author),
            data: json!({
                "room_seq": seq, "imported": {"id": message.id, "room_seq": message.room_seq},
                "message": {"id": id, "kind": kind, "title": message.title, "body": message.body, "reply_to": reply_to,
                            "attachments": attachments, "mentions": message.mentions},
            }),
        })?);
    }
    tx.execute(
        "update rooms set last_seq = $2 where id = $1",
        args![&room.id, seq],
    )
    .await?;
    Ok((count, seq))
}
