//! Creates a room; who does becomes its first manager, or nobody does.

use holdfast_schemas::event_type;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::check_texts;
use crate::args;
use crate::clock::new_id;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Category, Invitations, RoomView, Source, load_room};
use crate::node::Node;
use crate::outbox::Draft;
use crate::rules::{Privacy, Role, RoomKind, may_create_room, valid_name};

/// A room to be.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewRoom {
    /// Unique in the pool, up to 256 characters.
    pub name: String,
    /// The category's id.
    pub category: String,
    /// What it is about.
    #[serde(default)]
    pub description: String,
    /// `normal`, or `auditorium`: only presenters and managers post.
    #[serde(default = "normal", rename = "type")]
    pub kind: RoomKind,
    /// `open`, `closed` or `secret`.
    #[serde(default = "closed")]
    pub privacy: Privacy,
    /// `inherit` or `off`.
    #[serde(default = "inherit")]
    pub invitations: Invitations,
    /// A page that clients show beside the room.
    #[serde(default)]
    pub addin_url: Option<String>,
}

fn normal() -> RoomKind {
    RoomKind::Normal
}

fn closed() -> Privacy {
    Privacy::Closed
}

fn inherit() -> Invitations {
    Invitations::Inherit
}

/// Creates it.
///
/// # Errors
/// The caller is no creator of the category; a text is wrong; the name is taken.
pub async fn create(node: &Node, caller: &Caller, new: NewRoom) -> Result<RoomView> {
    create_with(node, caller, new, Some(Role::Manager)).await
}

/// Creates it with nobody in it, whoever creates it.
///
/// # Errors
/// As [`create`].
pub async fn create_empty(node: &Node, caller: &Caller, new: NewRoom) -> Result<RoomView> {
    create_with(node, caller, new, None).await
}

/// `role`: the one that the caller gets.
async fn create_with(
    node: &Node,
    caller: &Caller,
    new: NewRoom,
    role: Option<Role>,
) -> Result<RoomView> {
    let key = valid_name("name", &new.name)?;
    check_texts(&new.description, new.addin_url.as_deref())?;
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let category = Category::load(&mut Source::Tx(&mut tx), &new.category).await?;
    let lists = category.lists();
    if !caller.administrator && !lists.admits(&caller.principal) {
        return Err(ChatError::NotFound { what: "category" });
    }
    if !may_create_room(&lists, &caller.principal, caller.administrator) {
        return Err(ChatError::Forbidden {
            reason: "only the category's creators create rooms in it",
        });
    }
    let id = new_id("r");
    // The daily snapshot is due at once: membership can be told from the first moment on.
    let inserted = tx
        .execute(
            "insert into rooms (id, category_id, name, name_key, description, kind, privacy, invitations, addin_url, disabled, last_seq, epoch, \
             version, snapshot_due_us, created_us, updated_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 1, 1, $11, $11, $11)",
            args![
                &id,
                &new.category,
                &new.name,
                key,
                &new.description,
                new.kind.as_str(),
                new.privacy.as_str(),
                new.invitations.as_str(),
                new.addin_url,
                false,
                now_us,
            ],
        )
        .await;
    match inserted {
        Err(error) if error.is_unique_violation() => {
            return Err(ChatError::Conflict {
                problem: format!("the name {:?} is taken", new.name),
            });
        }
        other => other?,
    };
    let room = load_room(&mut Source::Tx(&mut tx), &id).await?;
    let draft = |event_type, data| Draft {
        event_type,
        time_us: now_us,
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data,
    };
    let mut events = vec![node.event(draft(
        event_type::ROOM_CREATED,
        json!({"after": room.as_event()}),
    ))?];
    // An administrator outside of the wall makes rooms for others and is in none of them.
    let role = role.filter(|_role| lists.admits(&caller.principal));
    if let Some(role) = role {
        let sql =
            "insert into room_members (room_id, user_id, role, added_us) values ($1, $2, $3, $4)";
        tx.execute(sql, args![&id, caller.id(), role.as_str(), now_us])
            .await?;
        let data = json!({"member": caller.person.as_target(), "role": role});
        events.push(node.event(draft(event_type::ROOM_MEMBER_ADDED, data))?);
    }
    node.commit(tx, events).await?;
    Ok(room.view(role))
}
