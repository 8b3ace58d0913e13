//! Purges a room: everything said before a date goes from the rooms, for good. The archive keeps it.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::check_admin;
use crate::args;
use crate::db::Tx;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Room, RoomEvent, Source, load_room};
use crate::node::Node;
use crate::outbox::Draft;

/// What to purge.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Purge {
    /// The room.
    pub room: String,
    /// Entries before this time, RFC 3339.
    pub before: String,
}

/// What was purged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
pub struct Purged {
    /// Entries deleted.
    pub entries: u64,
    /// The first place that is left (one after the last, when none is).
    pub first_seq: i64,
}

/// Purges.
///
/// # Errors
/// The caller is no administrator; there is no such room; the time is none.
pub async fn purge(node: &Arc<Node>, caller: &Caller, purge: &Purge) -> Result<Purged> {
    check_admin(caller)?;
    let before = holdfast_schemas::time::parse_rfc3339(&purge.before)
        .map_err(|error| ChatError::invalid("before", error.to_string()))?;
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let room = load_room(&mut Source::Tx(&mut tx), &purge.room).await?;
    let Purged { entries, first_seq } = forget_before(&mut tx, &room, before.us, i64::MAX).await?;
    let draft = Draft {
        event_type: event_type::ROOM_PURGED,
        time_us: now_us,
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data: json!({"before": {"last_seq": room.last_seq, "until": purge.before}, "after": {"first_seq": first_seq, "deleted": entries}}),
    };
    node.commit(tx, vec![node.event(draft)?]).await?;
    let purged = RoomEvent::Purged {
        room: &room.id,
        first_seq,
    };
    node.tell_room(&room.id, purged);
    Ok(Purged { entries, first_seq })
}

/// Takes what was said in a room before a time, with all that belongs to it: earlier texts and reactions. The room is locked, so that nothing is added
/// to what goes. At most so many places of the room's order.
///
/// # Errors
/// What the database says.
pub(super) async fn forget_before(
    tx: &mut Tx,
    room: &Room,
    before_us: i64,
    places_max: i64,
) -> Result<Purged> {
    // Times do not fall within a room, but for clocks that were set back and for imports: what goes is a beginning of the room's order.
    let sql =
        "select coalesce(min(room_seq), $2) from messages where room_id = $1 and time_us >= $3";
    let later = tx
        .one(sql, args![&room.id, room.last_seq + 1, before_us])
        .await?
        .int(0)?;
    let sql = "select coalesce(min(room_seq), $2) from messages where room_id = $1";
    let lowest = tx.one(sql, args![&room.id, later]).await?.int(0)?;
    let first_seq = later.min(lowest.saturating_add(places_max));
    let posts =
        "select id from messages where room_id = $1 and room_seq < $2 and action = 'posted'";
    for table in ["reactions", "message_versions"] {
        let sql = sqlx::AssertSqlSafe(format!("delete from {table} where message_id in ({posts})"));
        tx.execute(sql, args![&room.id, first_seq]).await?;
    }
    let entries = tx
        .execute(
            "delete from messages where room_id = $1 and room_seq < $2",
            args![&room.id, first_seq],
        )
        .await?;
    Ok(Purged { entries, first_seq })
}
