//! Deletes a room with its content. The archive keeps what was said.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::db::Tx;
use crate::error::Result;
use crate::model::{Caller, Source, authorize};
use crate::node::Node;
use crate::ops::Expected;
use crate::outbox::Draft;
use crate::rules::Operation;

/// Deletes it, if it is as `expected`.
///
/// # Errors
/// The caller is no administrator; there is no such room; somebody else has changed it.
pub async fn delete(
    node: &Arc<Node>,
    caller: &Caller,
    id: &str,
    expected: &Expected,
) -> Result<()> {
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let (room, _standing) =
        authorize(&mut Source::Tx(&mut tx), caller, id, Operation::DeleteRoom).await?;
    expected.check("room", room.version)?;
    let files = delete_content(&mut tx, id).await?;
    tx.execute("delete from rooms where id = $1", args![id])
        .await?;
    let draft = Draft {
        event_type: event_type::ROOM_DELETED,
        time_us: now_us,
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data: json!({"before": {"last_seq": room.last_seq, "room": room.as_event()}}),
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    node.recheck(id, room.epoch + 1);
    tracing::info!(room = id, files, "a room was deleted");
    Ok(())
}

/// Everything that hangs on a room; how many files. Their bytes stay in the store: the archive copies them from there, and another room may have
/// the same ones.
///
/// # Errors
/// What the database says.
pub async fn delete_content(tx: &mut Tx, room_id: &str) -> Result<u64> {
    for sql in [
        "delete from reactions where message_id in (select id from messages where room_id = $1 and action = 'posted')",
        "delete from message_versions where message_id in (select id from messages where room_id = $1 and action = 'posted')",
        "delete from messages where room_id = $1",
        "delete from room_members where room_id = $1",
    ] {
        tx.execute(sql, args![room_id]).await?;
    }
    tx.execute("delete from files where room_id = $1", args![room_id])
        .await
}
