//! Finds rooms by name or description, among those that the caller may see.

use sqlx::AssertSqlSafe;

use crate::db::Value;
use crate::error::{ChatError, Result};
use crate::limits::LIST_PAGE_MAX;
use crate::model::{Caller, Room, RoomView, SELECT_ROOM};
use crate::node::Node;
use crate::rules::{Decision, Operation, Role, decide, valid_text};

/// What to look for.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Text in name or description, in any case.
    pub q: Option<String>,
    /// Only this category.
    pub category: Option<String>,
    /// Only rooms that the caller is a member of.
    pub mine: bool,
    /// Only rooms whose names come after this one: the next page.
    pub after: Option<String>,
    /// How many, at most [`LIST_PAGE_MAX`].
    pub limit: Option<i64>,
}

/// Rooms read at a time: some of them are hidden from the caller.
const READ: i64 = 500;

/// The rooms, by name.
///
/// # Errors
/// The filter is wrong; what the database says.
pub async fn list(node: &Node, caller: &Caller, filter: Filter) -> Result<Vec<RoomView>> {
    let limit = filter.limit.unwrap_or(100);
    if !(1..=LIST_PAGE_MAX).contains(&limit) {
        return Err(ChatError::invalid(
            "limit",
            format!("must be from 1 to {LIST_PAGE_MAX}"),
        ));
    }
    for (place, text) in [
        ("q", &filter.q),
        ("category", &filter.category),
        ("after", &filter.after),
    ] {
        valid_text(
            place,
            text.as_deref().unwrap_or(""),
            holdfast_schemas::limits::NAME_BYTES_MAX,
        )?;
    }
    let mut found: Vec<RoomView> = Vec::new();
    let mut after = filter.after.as_deref().unwrap_or("").to_lowercase();
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    loop {
        let rows = page(node, caller, &filter, &after).await?;
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == READ);
        for (room, role) in rows {
            after = room.name.to_lowercase();
            if decide(Operation::See, room.standing(caller, role), room.facts()) == Decision::Allow
            {
                found.push(room.view(role));
                if found.len() == wanted {
                    return Ok(found);
                }
            }
        }
        if !full {
            return Ok(found);
        }
    }
}

async fn page(
    node: &Node,
    caller: &Caller,
    filter: &Filter,
    after: &str,
) -> Result<Vec<(Room, Option<Role>)>> {
    let mut args: Vec<Value> = vec![caller.id().into(), after.into(), READ.into()];
    let mut conditions = String::from("where r.name_key > $2");
    if let Some(q) = &filter.q {
        args.push(q.to_lowercase().into());
        // Without patterns: what somebody types is text. (`instr` and `strpos` differ in name only.)
        let find = match node.db.dialect() {
            crate::db::Dialect::Sqlite => "instr",
            crate::db::Dialect::Postgres => "strpos",
        };
        let number = args.len();
        conditions.push_str(&format!(" and ({find}(r.name_key, ${number}) > 0 or {find}(lower(r.description), ${number}) > 0)"));
    }
    if let Some(category) = &filter.category {
        args.push(category.into());
        conditions.push_str(&format!(" and r.category_id = ${}", args.len()));
    }
    if filter.mine {
        conditions.push_str(" and m.role is not null");
    }
    let select = SELECT_ROOM.replacen(" from rooms r", ", m.role as member_role from rooms r", 1);
    let sql = format!(
        "{select}left join room_members m on m.room_id = r.id and m.user_id = $1 {conditions} order by r.name_key limit $3"
    );
    let rows = node.db.all(AssertSqlSafe(sql), args).await?;
    rows.iter()
        .map(|row| {
            Ok((
                Room::from_row(row)?,
                row.text_opt("member_role")?
                    .as_deref()
                    .and_then(Role::parse),
            ))
        })
        .collect()
}
