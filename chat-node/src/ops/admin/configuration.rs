//! Categories and rooms, written down without what was said, for another pool or for the same one later: names instead of ids, so that taking it in
//! again changes nothing.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check_admin;
use super::export::{ExportedMember, PAGE_BYTES, members};
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Invitations, Room, SELECT_ROOM, Source};
use crate::node::Node;
use crate::ops::Expected;
use crate::ops::categories::{self, CategoryChange, NewCategory};
use crate::ops::members as membership;
use crate::ops::rooms::{self, NewRoom, RoomChange};
use crate::rules::{Privacy, Role, RoomKind, valid_name};

/// Rooms of one page.
const PAGE: i64 = 100;
/// What a member takes beside the id.
const MEMBER_BYTES: usize = 40;

/// A room's settings and members.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ConfiguredRoom {
    /// Its name.
    pub name: String,
    /// Its category's name.
    pub category: String,
    /// What it is about.
    pub description: String,
    /// Who posts.
    #[serde(rename = "type")]
    pub kind: RoomKind,
    /// Who finds and enters.
    pub privacy: Privacy,
    /// Whether adding a member tells them.
    pub invitations: Invitations,
    /// A page that clients show beside the room.
    pub addin_url: Option<String>,
    /// Nobody is in it.
    pub disabled: bool,
    /// Its members.
    pub members: Vec<ExportedMember>,
}

/// A page of a pool's categories and rooms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// All categories; on the first page only.
    pub categories: Vec<NewCategory>,
    /// Rooms, by name.
    pub rooms: Vec<ConfiguredRoom>,
    /// Where the next page begins, when there is one: give it as `after`.
    pub next_after: Option<String>,
}

/// What was made or changed to be as it was written down.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct Configured {
    /// Categories.
    pub categories: usize,
    /// Rooms.
    pub rooms: usize,
    /// Members who have their role now.
    pub members: usize,
    /// Members whom the category's lists keep out, or who are deleted here: they are not taken.
    pub refused: usize,
}

/// A page, from the rooms after the name `after` on.
///
/// # Errors
/// The caller is no administrator.
pub async fn configuration(
    node: &Node,
    caller: &Caller,
    after: Option<&str>,
) -> Result<Configuration> {
    check_admin(caller)?;
    let mut source = Source::Db(&node.db);
    let categories = match after {
        None => categories::list(node, caller).await?,
        Some(_) => Vec::new(),
    };
    let sql = format!("{SELECT_ROOM}where r.name_key > $1 order by r.name_key limit $2");
    let key = after.unwrap_or("").to_lowercase();
    let rows = source
        .all(sqlx::AssertSqlSafe(sql), args![key, PAGE])
        .await?;
    let mut rooms = Vec::with_capacity(rows.len());
    let mut bytes = 0;
    for row in &rows {
        let room = Room::from_row(row)?;
        let members = members(&mut source, &room.id).await?;
        bytes += members
            .iter()
            .map(|member| member.id.len() + MEMBER_BYTES)
            .sum::<usize>();
        rooms.push(written(room, members));
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    let full =
        rooms.len() < rows.len() || i64::try_from(rooms.len()).is_ok_and(|count| count == PAGE);
    Ok(Configuration {
        categories: categories.into_iter().map(NewCategory::from).collect(),
        next_after: rooms.last().filter(|_| full).map(|room| room.name.clone()),
        rooms,
    })
}

fn written(room: Room, members: Vec<ExportedMember>) -> ConfiguredRoom {
    ConfiguredRoom {
        name: room.name,
        category: room.category,
        description: room.description,
        kind: room.kind,
        privacy: room.privacy,
        invitations: room.invitations,
        addin_url: room.addin_url,
        disabled: room.disabled,
        members,
    }
}

/// Makes categories and rooms as they are written down: what is not there is created, what differs is changed, each with its compliance event; what is
/// here besides stays. Ends at the first that cannot be; taking it in again goes on.
///
/// # Errors
/// The caller is no administrator; a text is wrong; a room's category is not there.
pub async fn configure(
    node: &Arc<Node>,
    caller: &Caller,
    configuration: Configuration,
) -> Result<Configured> {
    check_admin(caller)?;
    let mut done = Configured::default();
    for category in configuration.categories {
        done.categories += usize::from(configure_category(node, caller, category).await?);
    }
    for room in configuration.rooms {
        configure_room(node, caller, room, &mut done).await?;
    }
    Ok(done)
}

/// The id behind a name.
async fn id_of(node: &Node, table: &'static str, name: &str) -> Result<Option<String>> {
    let key = valid_name("name", name)?;
    let sql = sqlx::AssertSqlSafe(format!("select id from {table} where name_key = $1"));
    let row = node.db.first(sql, args![key]).await?;
    row.map(|row| row.text(0)).transpose()
}

/// Whether anything was to be done.
async fn configure_category(node: &Arc<Node>, caller: &Caller, new: NewCategory) -> Result<bool> {
    let Some(id) = id_of(node, "categories", &new.name).await? else {
        categories::create(node, caller, new).await?;
        return Ok(true);
    };
    let before = categories::get(node, caller, &id).await?;
    let after = categories::update(
        node,
        caller,
        &id,
        CategoryChange::from(new),
        &Expected::AnyVersion,
    )
    .await?;
    Ok(after.version != before.version)
}

async fn configure_room(
    node: &Arc<Node>,
    caller: &Caller,
    room: ConfiguredRoom,
    done: &mut Configured,
) -> Result<()> {
    let category = id_of(node, "categories", &room.category).await?;
    let category = category.ok_or(ChatError::NotFound { what: "category" })?;
    let (id, before) = match id_of(node, "rooms", &room.name).await? {
        Some(id) => {
            let (_view, version) = rooms::get(node, caller, &id).await?;
            (id, Some(version))
        }
        None => {
            let new = new_room(&room, category.clone());
            // Not even the hand that writes is in it: what ends in the middle must leave nobody there.
            (rooms::create_empty(node, caller, new).await?.id, None)
        }
    };
    rooms::update(
        node,
        caller,
        &id,
        change_to(&room, category),
        &Expected::AnyVersion,
    )
    .await?;
    let (_view, after) = rooms::get(node, caller, &id).await?;
    done.rooms += usize::from(before != Some(after));
    for member in &room.members {
        let role = Role::parse(&member.role).ok_or_else(|| {
            ChatError::invalid("members", format!("{:?} is no role", member.role))
        })?;
        match membership::put(node, caller, &id, &member.id, role).await {
            Ok(_new) => done.members += 1,
            Err(ChatError::Forbidden { .. } | ChatError::NotFound { what: "user" }) => {
                done.refused += 1;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn new_room(room: &ConfiguredRoom, category: String) -> NewRoom {
    NewRoom {
        name: room.name.clone(),
        category,
        description: room.description.clone(),
        kind: room.kind,
        privacy: room.privacy,
        invitations: room.invitations,
        addin_url: room.addin_url.clone(),
    }
}

fn change_to(room: &ConfiguredRoom, category: String) -> RoomChange {
    RoomChange {
        name: Some(room.name.clone()),
        category: Some(category),
        description: Some(room.description.clone()),
        kind: Some(room.kind),
        privacy: Some(room.privacy),
        invitations: Some(room.invitations),
        addin_url: Some(room.addin_url.clone()),
        disabled: Some(room.disabled),
    }
}
