//! `chat.room.snapshot`: who is in a room, told daily, at its creation, and whenever a group or a category's lists change, so that membership can
//! be told for any time.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use holdfast_schemas::event_type;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::args;
use crate::db::Tx;
use crate::error::Result;
use crate::model::{Room, Source, load_room};
use crate::node::Node;
use crate::ops::members::listed;
use crate::ops::users::with_groups;
use crate::outbox::{Draft, OutboxRow};
use crate::rules::Privacy;

const DAY_US: i64 = 86_400_000_000;
const LOOK: Duration = Duration::from_secs(2);
/// Rooms of one transaction: posts to them wait for it.
const ROOMS_AT_ONCE: i64 = 5;
/// Members of one event: a larger room is told in several parts, so that each event keeps far below 2 MiB.
const MEMBERS_AN_EVENT: usize = 2000;

/// Emits what is due, whenever this node leads the pool's outbox, until `end` fires.
pub async fn watch(node: Arc<Node>, end: CancellationToken) {
    loop {
        if node
            .backlog
            .leading
            .load(std::sync::atomic::Ordering::Relaxed)
        {
            match emit_due(&node).await {
                Ok(count) if i64::try_from(count).is_ok_and(|count| count == ROOMS_AT_ONCE) => {
                    continue;
                }
                Ok(_few) => {}
                Err(error) => tracing::warn!(error = %error, "snapshots of rooms wait"),
            }
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = end.cancelled() => return,
        }
    }
}

/// Emits snapshots of rooms that are due, at most [`ROOMS_AT_ONCE`]; how many rooms.
///
/// # Errors
/// What the database says.
pub async fn emit_due(node: &Node) -> Result<usize> {
    let now_us = node.clock.now_us();
    // Looking first spares a transaction that writes.
    if node
        .db
        .first(
            "select 1 from rooms where snapshot_due_us <= $1 limit 1",
            args![now_us],
        )
        .await?
        .is_none()
    {
        return Ok(0);
    }
    let mut tx = node.db.begin().await?;
    let lock = tx.dialect().for_update();
    let sql =
        format!("select id from rooms where snapshot_due_us <= $1 order by id limit $2{lock}");
    let rows = tx
        .all(sqlx::AssertSqlSafe(sql), args![now_us, ROOMS_AT_ONCE])
        .await?;
    let mut events = Vec::new();
    for row in &rows {
        // Read behind its lock.
        let room = load_room(&mut Source::Tx(&mut tx), &row.text(0)?).await?;
        events.extend(snapshot(node, &mut tx, &room, now_us).await?);
        tx.execute(
            "update rooms set snapshot_due_us = $2 where id = $1",
            args![&room.id, now_us + DAY_US],
        )
        .await?;
    }
    node.commit(tx, events).await?;
    Ok(rows.len())
}

async fn snapshot(node: &Node, tx: &mut Tx, room: &Room, now_us: i64) -> Result<Vec<OutboxRow>> {
    let listed = listed(&mut Source::Tx(tx), &room.id).await?;
    let mut members: Vec<Value> = listed
        .iter()
        // Whom a new group of theirs puts outside of the wall is on the list and cannot enter.
        .map(|(who, role)| json!({"id": who.user_id, "role": role, "admitted": room.lists.admits(who)}))
        .collect();
    if room.privacy == Privacy::Open {
        let known = listed.into_iter().map(|(who, _role)| who.user_id).collect();
        members.extend(admitted_by_group(tx, room, known).await?);
    }
    let person = node.person();
    let parts = members.len().div_ceil(MEMBERS_AN_EVENT).max(1);
    (0..parts)
        .map(|part| {
            let from = part * MEMBERS_AN_EVENT;
            let chunk: Vec<Value> = members.iter().skip(from).take(MEMBERS_AN_EVENT).cloned().collect();
            node.event(Draft {
                event_type: event_type::ROOM_SNAPSHOT,
                time_us: now_us,
                room: Some(room.into()),
                actor: Some(&person),
                data: json!({
                    "name": room.name, "category": room.category, "privacy": room.privacy, "type": room.kind, "disabled": room.disabled,
                    "allowed": room.lists.allowed, "denied": room.lists.denied, "members": chunk, "part": part + 1, "parts": parts,
                }),
            })
        })
        .collect()
}

/// Users whom an open room's category lets in through a group, with the groups resolved; `known` are those that are told already.
async fn admitted_by_group(
    tx: &mut Tx,
    room: &Room,
    mut known: BTreeSet<String>,
) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let groups = room
        .lists
        .allowed
        .iter()
        .filter_map(|entry| entry.strip_prefix("group:"));
    for group in groups {
        let sql = "select i.user_id, g.group_id, i.group_id from user_groups i join user_groups g on g.user_id = i.user_id \
                   where i.group_id = $1 order by i.user_id";
        for (who, row) in with_groups(&mut Source::Tx(tx), sql, args![group]).await? {
            if room.lists.admits(&who) && known.insert(who.user_id.clone()) {
                let group = row.text(2)?;
                found.push(
                    json!({"id": who.user_id, "role": "member", "group": group, "admitted": true}),
                );
            }
        }
    }
    Ok(found)
}
