//! Members and the wall that their room's category draws: who is outside of it is no member.

use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::db::Tx;
use crate::error::Result;
use crate::model::{Caller, Room, Source};
use crate::node::Node;
use crate::ops::users::{load_person, with_groups};
use crate::outbox::{Draft, OutboxRow};
use crate::rules::Principal;

/// A room's members, each with their groups and their role, by id.
pub(in crate::ops) async fn listed(
    source: &mut Source<'_>,
    room_id: &str,
) -> Result<Vec<(Principal, String)>> {
    let sql = "select m.user_id, g.group_id, m.role from room_members m left join user_groups g on g.user_id = m.user_id \
               where m.room_id = $1 order by m.user_id";
    with_groups(source, sql, args![room_id])
        .await?
        .into_iter()
        .map(|(who, row)| Ok((who, row.text(2)?)))
        .collect()
}

/// Removes from `room` the members whom its category's lists keep out; an event for each, which gives `reason`.
pub(in crate::ops) async fn expel(
    node: &Node,
    caller: &Caller,
    tx: &mut Tx,
    room: &Room,
    reason: &str,
    now_us: i64,
) -> Result<Vec<OutboxRow>> {
    let mut events = Vec::new();
    for (who, role) in listed(&mut Source::Tx(tx), &room.id).await? {
        if room.lists.admits(&who) {
            continue;
        }
        tx.execute(
            "delete from room_members where room_id = $1 and user_id = $2",
            args![&room.id, &who.user_id],
        )
        .await?;
        let member = load_person(&mut Source::Tx(tx), &who.user_id).await?;
        let draft = Draft {
            event_type: event_type::ROOM_MEMBER_REMOVED,
            time_us: now_us,
            room: Some(room.into()),
            actor: Some(&caller.person),
            data: json!({"member": member.as_target(), "role": role, "reason": reason}),
        };
        events.push(node.event(draft)?);
    }
    Ok(events)
}
