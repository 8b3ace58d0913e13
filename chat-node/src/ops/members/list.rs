//! Shows a room's members.

use serde::Serialize;
use utoipa::ToSchema;

use crate::args;
use crate::error::{ChatError, Result};
use crate::limits::LIST_PAGE_MAX;
use crate::model::{Caller, Source, authorize};
use crate::node::Node;
use crate::rules::Operation;

/// One member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Member {
    /// The user's id.
    pub id: String,
    /// The user's name.
    pub name: String,
    /// `member`, `presenter` or `manager`.
    pub role: String,
}

/// Members by id, after `after`.
///
/// # Errors
/// The caller may not; there is no such room.
pub async fn list(
    node: &Node,
    caller: &Caller,
    room_id: &str,
    after: Option<&str>,
) -> Result<Vec<Member>> {
    let mut source = Source::Db(&node.db);
    authorize(&mut source, caller, room_id, Operation::ListMembers).await?;
    let sql = "select m.user_id, coalesce(u.name, m.user_id) as name, m.role from room_members m left join users u on u.id = m.user_id \
               where m.room_id = $1 and m.user_id > $2 order by m.user_id limit $3";
    let rows = source
        .all(sql, args![room_id, after.unwrap_or(""), LIST_PAGE_MAX])
        .await?;
    rows.iter()
        .map(|row| {
            Ok::<_, ChatError>(Member {
                id: row.text(0)?,
                name: row.text(1)?,
                role: row.text(2)?,
            })
        })
        .collect()
}
