//! Changes a category. Its lists decide who may be in its rooms: a change is felt at once by everybody who is in one.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{NewCategory, check_list, check_manager};
use crate::args;
use crate::db::Tx;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Category, Source, list_to_json, lock_rooms};
use crate::node::Node;
use crate::ops::members::{Expulsion, Rooms};
use crate::ops::{Expected, changes};
use crate::outbox::{Draft, OutboxRow};
use crate::rules::{Principal, valid_name};

/// What to change; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CategoryChange {
    /// A new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Who may be in its rooms. Members whom the lists kept in and keep out now are removed, by the groups of their last token.
    #[serde(default)]
    pub allowed: Option<Vec<String>>,
    /// Who may not.
    #[serde(default)]
    pub denied: Option<Vec<String>>,
    /// Who may create rooms.
    #[serde(default)]
    pub creators: Option<Vec<String>>,
    /// Whether adding somebody to a room tells them.
    #[serde(default)]
    pub invitations: Option<bool>,
    /// Whether users upload files.
    #[serde(default)]
    pub files: Option<bool>,
    /// Whether users see what was said before.
    #[serde(default)]
    pub history: Option<bool>,
}

/// To be like this one.
impl From<NewCategory> for CategoryChange {
    fn from(new: NewCategory) -> Self {
        Self {
            name: Some(new.name),
            allowed: Some(new.allowed),
            denied: Some(new.denied),
            creators: Some(new.creators),
            invitations: Some(new.invitations),
            files: Some(new.files),
            history: Some(new.history),
        }
    }
}

/// Changes it, if it is as `expected`. What is as it shall be already is left, whatever its version: the same change may be asked for
/// again when its answer was lost.
///
/// # Errors
/// The caller is no administrator; a text is wrong; the name is taken; somebody else has changed it.
pub async fn update(
    node: &Arc<Node>,
    caller: &Caller,
    id: &str,
    change: CategoryChange,
    expected: &Expected,
) -> Result<Category> {
    check_manager(caller)?;
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let before = Category::load(&mut Source::Tx(&mut tx), id).await?;
    let after = Category {
        id: before.id.clone(),
        name: change.name.unwrap_or_else(|| before.name.clone()),
        allowed: change.allowed.unwrap_or_else(|| before.allowed.clone()),
        denied: change.denied.unwrap_or_else(|| before.denied.clone()),
        creators: change.creators.unwrap_or_else(|| before.creators.clone()),
        invitations: change.invitations.unwrap_or(before.invitations),
        files: change.files.unwrap_or(before.files),
        history: change.history.unwrap_or(before.history),
        version: before.version + 1,
    };
    let key = valid_name("name", &after.name)?;
    for (place, list) in [
        ("allowed", &after.allowed),
        ("denied", &after.denied),
        ("creators", &after.creators),
    ] {
        check_list(place, list)?;
    }
    let (was, is) = changes(&before.as_event(), &after.as_event());
    if is.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok(before);
    }
    expected.check("category", before.version)?;
    let updated = tx
        .execute(
            "update categories set name = $2, name_key = $3, allowed = $4, denied = $5, creators = $6, invitations = $7, files = $8, \
             history = $9, version = $10, updated_us = $11 where id = $1",
            args![
                id,
                &after.name,
                key,
                list_to_json(&after.allowed),
                list_to_json(&after.denied),
                list_to_json(&after.creators),
                after.invitations,
                after.files,
                after.history,
                after.version,
                now_us,
            ],
        )
        .await;
    match updated {
        Err(error) if error.is_unique_violation() => {
            return Err(ChatError::Conflict {
                problem: format!("there is a category named {:?}", after.name),
            });
        }
        other => other?,
    };
    let data = json!({"category": {"id": id, "name": after.name}, "before": was, "after": is});
    let draft = Draft {
        event_type: event_type::CATEGORY_UPDATED,
        time_us: now_us,
        room: None,
        actor: Some(&caller.person),
        data,
    };
    let mut events = vec![node.event(draft)?];
    let mut rooms = Vec::new();
    if before.lists() != after.lists() {
        rooms = begin_epoch(&mut tx, id, now_us).await?;
        events.extend(expel(node, caller, &mut tx, (&before, &after), now_us).await?);
    }
    node.commit(tx, events).await?;
    // Nothing may fail from here on: it is done.
    for (room, epoch) in rooms {
        node.recheck(&room, epoch);
    }
    Ok(after)
}

/// Locks the category's rooms and begins their next epoch, in which everybody's right to read is looked at anew; the rooms with that epoch.
async fn begin_epoch(tx: &mut Tx, category: &str, now_us: i64) -> Result<Vec<(String, i64)>> {
    lock_rooms(tx, "category_id = $1", args![category]).await?;
    let sql = "update rooms set epoch = epoch + 1, snapshot_due_us = $2 where category_id = $1 returning id, epoch";
    let rows = tx.all(sql, args![category, now_us]).await?;
    rows.iter()
        .map(|row| Ok((row.text(0)?, row.int(1)?)))
        .collect()
}

/// Removes the members whom the new lists keep out, unless the old ones did: those are on the members' lists although a token put them outside.
async fn expel(
    node: &Node,
    caller: &Caller,
    tx: &mut Tx,
    (before, after): (&Category, &Category),
    now_us: i64,
) -> Result<Vec<OutboxRow>> {
    let expulsion = Expulsion {
        caller,
        rooms: Rooms::OfCategory(&after.id),
        category: &after.name,
        reason: "the category's lists forbid this member",
        now_us,
    };
    let (old, new) = (before.lists(), after.lists());
    let is_outside = |who: &Principal| old.admits(who) && !new.admits(who);
    expulsion.perform(node, tx, is_outside).await
}
