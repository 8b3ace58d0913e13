//! Shows a room's members.

use serde::Serialize;
use utoipa::ToSchema;

use crate::args;
use crate::error::Result;
use crate::limits::LIST_PAGE_MAX;
use crate::model::{Caller, Source, authorize};
use crate::node::Node;
use crate::ops::users::with_groups;
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
    /// Whether the category's lists let them in. They are judged anew whenever a token names other groups, and who is kept out by these is as good as
    /// no member until it changes back.
    pub admitted: bool,
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
    let (room, _standing) = authorize(&mut source, caller, room_id, Operation::ListMembers).await?;
    let sql = "select m.user_id, g.group_id, coalesce(u.name, m.user_id), m.role from \
               (select user_id, role from room_members where room_id = $1 and user_id > $2 order by user_id limit $3) m \
               left join users u on u.id = m.user_id left join user_groups g on g.user_id = m.user_id order by m.user_id";
    let page = args![room_id, after.unwrap_or(""), LIST_PAGE_MAX];
    with_groups(&mut source, sql, page)
        .await?
        .into_iter()
        .map(|(who, row)| {
            Ok(Member {
                name: row.text(2)?,
                role: row.text(3)?,
                admitted: room.lists.admits(&who),
                id: who.user_id,
            })
        })
        .collect()
}
