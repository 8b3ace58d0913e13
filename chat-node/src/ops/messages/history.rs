//! Reads what was said. Reading is an event of its own: "who could have seen it" must have an answer.

use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::db::Value;
use crate::error::{ChatError, Result};
use crate::limits::{HISTORY_PAGE_BYTES, HISTORY_PAGE_DEFAULT, HISTORY_PAGE_MAX};
use crate::model::{Caller, Entry, Room, Source, authorize, load_entries};
use crate::node::Node;
use crate::outbox::{Draft, OutboxRow};
use crate::rules::Operation;

/// Entries read at a time.
const READ: i64 = 50;

/// Which entries. With neither bound: the last ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Page {
    /// The first ones after this place.
    pub after_seq: Option<i64>,
    /// The last ones before this place.
    pub before_seq: Option<i64>,
    /// How many, at most [`HISTORY_PAGE_MAX`].
    pub limit: Option<i64>,
}

/// Entries of a room in their order; fewer than asked for, where there are no more or where they are large.
///
/// # Errors
/// The caller may not; the page is wrong.
pub async fn history(
    node: &Node,
    caller: &Caller,
    room_id: &str,
    page: Page,
) -> Result<Vec<Entry>> {
    let limit = page.limit.unwrap_or(HISTORY_PAGE_DEFAULT);
    if !(1..=HISTORY_PAGE_MAX).contains(&limit) {
        return Err(ChatError::invalid(
            "limit",
            format!("must be from 1 to {HISTORY_PAGE_MAX}"),
        ));
    }
    let mut source = Source::Db(&node.db);
    let (room, _standing) = authorize(&mut source, caller, room_id, Operation::ReadHistory).await?;
    let entries = load(&mut source, room_id, page, limit).await?;
    if let (Some(first), Some(last)) = (entries.first(), entries.last()) {
        let row = viewed(node, caller, &room, first.room_seq, last.room_seq)?;
        node.writes.events(room_id, vec![row]).await?;
    }
    Ok(entries)
}

/// Reads few entries at a time, so that a page of the largest texts takes no more memory than it may.
async fn load(
    source: &mut Source<'_>,
    room_id: &str,
    page: Page,
    limit: i64,
) -> Result<Vec<Entry>> {
    let (mut after, mut before) = (
        page.after_seq.unwrap_or(0),
        page.before_seq.unwrap_or(i64::MAX),
    );
    let forward = page.after_seq.is_some();
    let order = if forward { "asc" } else { "desc" };
    let conditions = format!(
        "where m.room_id = $1 and m.room_seq > $2 and m.room_seq < $3 order by m.room_seq {order} limit $4"
    );
    let (mut entries, mut bytes, mut left) = (Vec::new(), 0, limit);
    while left > 0 && bytes < HISTORY_PAGE_BYTES {
        let count = left.min(READ);
        let args: Vec<Value> = args![room_id, after, before, count];
        let read = load_entries(source, &conditions, args).await?;
        let full = i64::try_from(read.len()).is_ok_and(|read| read == count);
        bytes += read
            .iter()
            .map(|entry| entry.body.as_ref().map_or(0, String::len))
            .sum::<usize>();
        if let Some(last) = read.last() {
            if forward {
                after = last.room_seq;
            } else {
                before = last.room_seq;
            }
        }
        entries.extend(read);
        if !full {
            break;
        }
        left -= count;
    }
    if !forward {
        entries.reverse();
    }
    Ok(entries)
}

/// The event of reading `from_seq` to `to_seq`.
///
/// # Errors
/// None that happens: the event is small.
pub fn viewed(
    node: &Node,
    caller: &Caller,
    room: &Room,
    from_seq: i64,
    to_seq: i64,
) -> Result<OutboxRow> {
    node.event(Draft {
        event_type: event_type::HISTORY_VIEWED,
        time_us: node.clock.now_us(),
        room: Some(room.into()),
        actor: Some(&caller.person),
        data: json!({"from_seq": from_seq, "to_seq": to_seq}),
    })
}
