//! Members and the wall that their room's category draws: a list that changes, and a room that moves, put out whom they forbid. Whom a token's new
//! groups put outside stays on the list, and is as good as no member meanwhile.

use holdfast_schemas::event_type;
use serde_json::json;
use sqlx::AssertSqlSafe;

use crate::args;
use crate::db::{Row, Tx, Value, padded, placeholders};
use crate::error::Result;
use crate::model::{Caller, Person, Source};
use crate::node::Node;
use crate::ops::users::{person_from, with_groups};
use crate::outbox::{Draft, EventRoom, OutboxRow};
use crate::rules::Principal;

/// Users of one statement.
const USERS_AT_ONCE: usize = 256;

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

/// The rooms that members are put out of. They are locked before, so that nobody comes in meanwhile.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) enum Rooms<'a> {
    /// The one of this id.
    One(&'a str),
    /// All of the category of this id.
    OfCategory(&'a str),
}

impl Rooms<'_> {
    fn id(self) -> Value {
        match self {
            Self::One(id) | Self::OfCategory(id) => id.into(),
        }
    }

    /// Their ids, with [`Self::id`] as the first parameter.
    fn sql(self) -> &'static str {
        match self {
            Self::One(_) => "select id from rooms where id = $1",
            Self::OfCategory(_) => "select id from rooms where category_id = $1",
        }
    }
}

/// Who puts members out, from where, and why.
#[derive(Debug, Clone, Copy)]
pub(in crate::ops) struct Expulsion<'a> {
    /// Who.
    pub(in crate::ops) caller: &'a Caller,
    /// From where.
    pub(in crate::ops) rooms: Rooms<'a>,
    /// Name of the rooms' category.
    pub(in crate::ops) category: &'a str,
    /// Why, in the events.
    pub(in crate::ops) reason: &'a str,
    /// When.
    pub(in crate::ops) now_us: i64,
}

impl Expulsion<'_> {
    /// Removes the members of whom `is_outside` is true; an event for each.
    pub(in crate::ops) async fn perform(
        self,
        node: &Node,
        tx: &mut Tx,
        is_outside: impl Fn(&Principal) -> bool,
    ) -> Result<Vec<OutboxRow>> {
        let sql = format!(
            "select m.user_id, g.group_id from (select distinct user_id from room_members where room_id in ({})) m \
             left join user_groups g on g.user_id = m.user_id order by m.user_id",
            self.rooms.sql()
        );
        let mut source = Source::Tx(tx);
        let members = with_groups(&mut source, AssertSqlSafe(sql), vec![self.rooms.id()]).await?;
        let outside: Vec<String> = members
            .into_iter()
            .filter(|(who, _row)| is_outside(who))
            .map(|(who, _row)| who.user_id)
            .collect();
        let mut events = Vec::new();
        for users in outside.chunks(USERS_AT_ONCE) {
            for row in self.remove(tx, users).await? {
                events.push(self.event(node, &row)?);
            }
        }
        Ok(events)
    }

    /// Removes these users from the rooms; their memberships as they were.
    async fn remove(self, tx: &mut Tx, users: &[String]) -> Result<Vec<Row>> {
        let tuples: Vec<[&str; 1]> = users.iter().map(|user| [user.as_str()]).collect();
        let (count, values) = padded(tuples.iter().map(<[&str; 1]>::as_slice));
        let (rooms, users) = (self.rooms.sql(), placeholders(2, count, &["text"]));
        let args: Vec<Value> = std::iter::once(self.rooms.id()).chain(values).collect();
        let sql = format!(
            "select m.room_id, r.name as room_name, m.role, m.user_id, u.id, u.uri, u.name, u.email, u.internal, u.kind from room_members m \
             join rooms r on r.id = m.room_id left join users u on u.id = m.user_id \
             where m.room_id in ({rooms}) and m.user_id in (values {users}) order by m.room_id, m.user_id"
        );
        let removed = tx.all(AssertSqlSafe(sql), args.clone()).await?;
        let sql = format!(
            "delete from room_members where room_id in ({rooms}) and user_id in (values {users})"
        );
        tx.execute(AssertSqlSafe(sql), args).await?;
        Ok(removed)
    }

    fn event(self, node: &Node, row: &Row) -> Result<OutboxRow> {
        let (room, name) = (row.text("room_id")?, row.text("room_name")?);
        let member = match row.text_opt("id")? {
            Some(_seen) => person_from(row)?,
            None => Person::unknown(&row.text("user_id")?),
        };
        node.event(Draft {
            event_type: event_type::ROOM_MEMBER_REMOVED,
            time_us: self.now_us,
            room: Some(EventRoom {
                id: &room,
                name: &name,
                category: self.category,
            }),
            actor: Some(&self.caller.person),
            data: json!({"member": member.as_target(), "role": row.text("role")?, "reason": self.reason}),
        })
    }
}
