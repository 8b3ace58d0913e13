//! Rooms, and what a caller may do in one.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{Caller, Source, list_from_json};
use crate::args;
use crate::db::{Db, Dialect, Row, Tx, Value, padded, placeholders};
use crate::error::{ChatError, Result};
use crate::rules::{
    Decision, Lists, Operation, Privacy, Role, RoomFacts, RoomKind, Standing, decide,
};

/// Whether adding a member tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Invitations {
    /// As the category says.
    Inherit,
    /// Never.
    Off,
}

impl Invitations {
    /// As stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inherit => "inherit",
            Self::Off => "off",
        }
    }
}

/// A room with what its category decides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Room {
    /// Its id.
    pub id: String,
    /// Its name, unique in the pool.
    pub name: String,
    /// What it is about.
    pub description: String,
    /// Who posts.
    pub kind: RoomKind,
    /// Who finds and enters.
    pub privacy: Privacy,
    /// Whether adding a member tells them.
    pub invitations: Invitations,
    /// A page that clients show beside the room.
    pub addin_url: Option<String>,
    /// Everybody is out and nobody finds it.
    pub disabled: bool,
    /// The last place given in the room's order.
    pub last_seq: i64,
    /// Grows whenever somebody may have lost the right to read.
    pub epoch: i64,
    /// Grows with every change; the ETag.
    pub version: i64,
    /// Its category's id.
    pub category_id: String,
    /// Its category's name.
    pub category: String,
    /// Its category's lists.
    pub lists: Lists,
    /// Its category's switch.
    pub category_invitations: bool,
    /// Its category's switch.
    pub files: bool,
    /// Its category's switch.
    pub history: bool,
}

/// A room as interfaces show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct RoomView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its category's id.
    pub category: String,
    /// Its category's name.
    pub category_name: String,
    /// What it is about.
    pub description: String,
    /// `normal` or `auditorium`.
    #[serde(rename = "type")]
    pub kind: RoomKind,
    /// `open`, `closed` or `secret`.
    pub privacy: Privacy,
    /// `inherit` or `off`.
    pub invitations: Invitations,
    /// A page that clients show beside the room.
    pub addin_url: Option<String>,
    /// Everybody is out and nobody finds it.
    pub disabled: bool,
    /// The last place given in the room's order.
    pub last_seq: i64,
    /// The caller's role in the room, when there is one.
    pub role: Option<Role>,
}

/// Columns of a room with its category; completed by conditions.
pub(crate) const SELECT_ROOM: &str = "select r.id, r.name, r.description, r.kind, r.privacy, r.invitations, r.addin_url, r.disabled, \
     r.last_seq, r.epoch, r.version, r.category_id, c.name as category_name, c.allowed, c.denied, c.creators, \
     c.invitations as category_invitations, c.files, c.history from rooms r join categories c on c.id = r.category_id ";

impl Room {
    /// From a row of [`SELECT_ROOM`].
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        let unknown =
            |what: &str| ChatError::Internal(format!("a stored room has an unknown {what}"));
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            description: row.text("description")?,
            kind: RoomKind::parse(&row.text("kind")?).ok_or_else(|| unknown("type"))?,
            privacy: Privacy::parse(&row.text("privacy")?).ok_or_else(|| unknown("privacy"))?,
            invitations: match row.text("invitations")?.as_str() {
                "inherit" => Invitations::Inherit,
                "off" => Invitations::Off,
                _other => return Err(unknown("invitations")),
            },
            addin_url: row.text_opt("addin_url")?,
            disabled: row.bool("disabled")?,
            last_seq: row.int("last_seq")?,
            epoch: row.int("epoch")?,
            version: row.int("version")?,
            category_id: row.text("category_id")?,
            category: row.text("category_name")?,
            lists: Lists {
                allowed: list_from_json(&row.text("allowed")?)?,
                denied: list_from_json(&row.text("denied")?)?,
                creators: list_from_json(&row.text("creators")?)?,
            },
            category_invitations: row.bool("category_invitations")?,
            files: row.bool("files")?,
            history: row.bool("history")?,
        })
    }

    /// What decides about it.
    #[must_use]
    pub fn facts(&self) -> RoomFacts {
        RoomFacts {
            kind: self.kind,
            privacy: self.privacy,
            disabled: self.disabled,
            files: self.files,
            history: self.history,
        }
    }

    /// What decides about `caller`, whose role in the room's list of members is `role`.
    #[must_use]
    pub fn standing(&self, caller: &Caller, role: Option<Role>) -> Standing {
        Standing {
            administrator: caller.administrator,
            admitted: self.lists.admits(&caller.principal),
            role,
        }
    }

    /// Whether `caller` may do `operation`: a hidden room is not found, a refused operation forbidden.
    ///
    /// # Errors
    /// [`ChatError::NotFound`] or [`ChatError::Forbidden`].
    pub fn permit(&self, operation: Operation, standing: Standing) -> Result<()> {
        match decide(operation, standing, self.facts()) {
            Decision::Allow => Ok(()),
            Decision::Deny(reason) => Err(ChatError::Forbidden { reason }),
            Decision::Hide => Err(ChatError::NotFound { what: "room" }),
        }
    }

    /// As interfaces show it.
    #[must_use]
    pub fn view(&self, role: Option<Role>) -> RoomView {
        RoomView {
            id: self.id.clone(),
            name: self.name.clone(),
            category: self.category_id.clone(),
            category_name: self.category.clone(),
            description: self.description.clone(),
            kind: self.kind,
            privacy: self.privacy,
            invitations: self.invitations,
            addin_url: self.addin_url.clone(),
            disabled: self.disabled,
            last_seq: self.last_seq,
            role,
        }
    }

    /// As an event's `before` or `after`.
    #[must_use]
    pub fn as_event(&self) -> serde_json::Value {
        serde_json::json!({
            "name": self.name, "category": self.category, "description": self.description, "type": self.kind, "privacy": self.privacy,
            "invitations": self.invitations, "addin_url": self.addin_url, "disabled": self.disabled,
        })
    }
}

/// Locks rooms, in the order of their ids, as everybody does who locks several at once: nobody waits for another in a circle of rooms. They are read by a later
/// statement: PostgreSQL joins a row that it waited for, as it is now, with the category as it was before, its wall too. SQLite's writer is alone.
pub(crate) async fn lock_rooms(tx: &mut Tx, condition: &str, args: Vec<Value>) -> Result<()> {
    if tx.dialect() == Dialect::Postgres {
        let sql = format!("select 1 from rooms where {condition} order by id for update");
        tx.execute(sqlx::AssertSqlSafe(sql), args).await?;
    }
    Ok(())
}

/// The room of this id; locked when inside of a transaction.
///
/// # Errors
/// There is none.
pub async fn load_room(source: &mut Source<'_>, id: &str) -> Result<Room> {
    if let Source::Tx(tx) = source {
        lock_rooms(tx, "id = $1", args![id]).await?;
    }
    let sql = sqlx::AssertSqlSafe(format!("{SELECT_ROOM}where r.id = $1"));
    let row = source.first(sql, args![id]).await?;
    Room::from_row(&row.ok_or(ChatError::NotFound { what: "room" })?)
}

/// What decides about `caller` in `room`.
///
/// # Errors
/// What the database says.
pub async fn standing(source: &mut Source<'_>, room: &Room, caller: &Caller) -> Result<Standing> {
    let row = source
        .first(
            "select role from room_members where room_id = $1 and user_id = $2",
            args![&room.id, caller.id()],
        )
        .await?;
    let role = match row {
        Some(row) => Some(known_role(&row.text(0)?)?),
        None => None,
    };
    Ok(room.standing(caller, role))
}

/// The room, if `caller` may do `operation` in it, and the caller's standing.
///
/// # Errors
/// [`ChatError::NotFound`] when there is none or it is hidden from the caller, [`ChatError::Forbidden`] when the caller may not.
pub async fn authorize(
    source: &mut Source<'_>,
    caller: &Caller,
    room_id: &str,
    operation: Operation,
) -> Result<(Room, Standing)> {
    let room = load_room(source, room_id).await?;
    let standing = standing(source, &room, caller).await?;
    room.permit(operation, standing)?;
    Ok((room, standing))
}

/// Rooms of these ids with `caller`'s standing in each, by one question. Those that do not exist are missing. At most 256.
///
/// # Errors
/// What the database says.
pub async fn load_rooms(
    db: &Db,
    caller: &Caller,
    ids: &[&str],
) -> Result<HashMap<String, (Room, Standing)>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let (count, mut args) = padded(ids.iter().map(std::slice::from_ref));
    let select = SELECT_ROOM.replacen(" from rooms r", ", m.role as member_role from rooms r", 1);
    let sql = format!(
        "{select}left join room_members m on m.room_id = r.id and m.user_id = ${} where r.id in (values {})",
        count + 1,
        placeholders(1, count, &["text"])
    );
    args.push(caller.id().into());
    let mut rooms = HashMap::with_capacity(ids.len());
    for row in db.all(sqlx::AssertSqlSafe(sql), args).await? {
        let room = Room::from_row(&row)?;
        let role = match row.text_opt("member_role")? {
            Some(role) => Some(known_role(&role)?),
            None => None,
        };
        let standing = room.standing(caller, role);
        rooms.insert(room.id.clone(), (room, standing));
    }
    Ok(rooms)
}

pub(crate) fn known_role(role: &str) -> Result<Role> {
    Role::parse(role)
        .ok_or_else(|| ChatError::Internal("a stored member has an unknown role".into()))
}
