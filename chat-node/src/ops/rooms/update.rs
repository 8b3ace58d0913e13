//! Changes a room: settings, disabling and enabling, moving to another category.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::{Deserialize, Deserializer};
use serde_json::json;
use utoipa::ToSchema;

use super::check_texts;
use crate::args;
use crate::db::Tx;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Category, Invitations, Room, RoomView, Source, load_room, standing};
use crate::node::Node;
use crate::ops::members::{Expulsion, Rooms};
use crate::ops::{Expected, changes};
use crate::outbox::{Draft, EventRoom, OutboxRow};
use crate::rules::{Operation, Principal, Privacy, RoomKind, may_create_room, valid_name};

/// What to change; what is left out stays.
#[derive(Debug, Clone, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoomChange {
    /// A new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Another category's id. Members whom that category forbids are removed.
    #[serde(default)]
    pub category: Option<String>,
    /// What it is about.
    #[serde(default)]
    pub description: Option<String>,
    /// `normal` or `auditorium`.
    #[serde(default, rename = "type")]
    pub kind: Option<RoomKind>,
    /// `open`, `closed` or `secret`.
    #[serde(default)]
    pub privacy: Option<Privacy>,
    /// `inherit` or `off`.
    #[serde(default)]
    pub invitations: Option<Invitations>,
    /// A page that clients show beside the room; `null` takes it away.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    pub addin_url: Option<Option<String>>,
    /// `true`: everybody is disconnected and nobody finds it; the content stays.
    #[serde(default)]
    pub disabled: Option<bool>,
}

/// A member that is there, be it `null`.
#[allow(clippy::option_option)]
fn given<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(deserializer).map(Some)
}

impl RoomChange {
    /// Whether anything but `disabled` is to be changed.
    fn touches_settings(&self) -> bool {
        let Self {
            name,
            category,
            description,
            kind,
            privacy,
            invitations,
            addin_url,
            disabled: _,
        } = self;
        name.is_some()
            || category.is_some()
            || description.is_some()
            || kind.is_some()
            || privacy.is_some()
            || invitations.is_some()
            || addin_url.is_some()
    }
}

/// Changes it, if it is as `expected`; the room and its version now. What is as it shall be already is left, whatever its version: the
/// same change may be asked for again when its answer was lost.
///
/// # Errors
/// The caller may not; a text is wrong; the name is taken; somebody else has changed it.
pub async fn update(
    node: &Arc<Node>,
    caller: &Caller,
    id: &str,
    change: RoomChange,
    expected: &Expected,
) -> Result<(RoomView, i64)> {
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    if let Some(to) = &change.category {
        Category::lock(&mut tx, to).await?;
    }
    let before = load_room(&mut Source::Tx(&mut tx), id).await?;
    let standing = standing(&mut Source::Tx(&mut tx), &before, caller).await?;
    before.permit(Operation::See, standing)?;
    if change.touches_settings() || change.disabled.is_none() {
        before.permit(Operation::Update, standing)?;
    }
    if change.disabled.is_some() {
        before.permit(Operation::Disable, standing)?;
    }
    let category = match &change.category {
        Some(to) if *to != before.category_id => Some(target_category(&mut tx, caller, to).await?),
        Some(_) | None => None,
    };
    let after = changed(&before, change, category.as_ref());
    let key = valid_name("name", &after.name)?;
    check_texts(&after.description, after.addin_url.as_deref())?;
    let (was, is) = changes(&before.as_event(), &after.as_event());
    if is.as_object().is_none_or(serde_json::Map::is_empty) {
        return Ok((before.view(standing.role), before.version));
    }
    expected.check("room", before.version)?;
    store(&mut tx, &after, key, now_us).await?;
    let mut events = describe(node, caller, &before, &after, (was, is), now_us)?;
    if category.is_some() {
        let expulsion = Expulsion {
            caller,
            rooms: Rooms::One(id),
            category: &after.category,
            reason: "the room moved to a category that forbids this member",
            now_us,
        };
        let is_outside = |who: &Principal| !after.lists.admits(who);
        events.extend(expulsion.perform(node, &mut tx, is_outside).await?);
    }
    node.commit(tx, events).await?;
    if after.epoch > before.epoch {
        node.recheck(id, after.epoch);
    }
    Ok((after.view(standing.role), after.version))
}

async fn target_category(tx: &mut Tx, caller: &Caller, id: &str) -> Result<Category> {
    let category = Category::load(&mut Source::Tx(tx), id).await?;
    if may_create_room(&category.lists(), &caller.principal, caller.administrator) {
        Ok(category)
    } else {
        Err(ChatError::Forbidden {
            reason: "only the other category's creators move rooms into it",
        })
    }
}

/// The room as it will be; its epoch grows when somebody may lose the right to read.
fn changed(before: &Room, change: RoomChange, category: Option<&Category>) -> Room {
    let mut after = Room {
        name: change.name.unwrap_or_else(|| before.name.clone()),
        description: change
            .description
            .unwrap_or_else(|| before.description.clone()),
        kind: change.kind.unwrap_or(before.kind),
        privacy: change.privacy.unwrap_or(before.privacy),
        invitations: change.invitations.unwrap_or(before.invitations),
        addin_url: change.addin_url.unwrap_or_else(|| before.addin_url.clone()),
        disabled: change.disabled.unwrap_or(before.disabled),
        version: before.version + 1,
        ..before.clone()
    };
    if let Some(category) = category {
        after.category_id = category.id.clone();
        after.category = category.name.clone();
        after.lists = category.lists();
        after.category_invitations = category.invitations;
        after.files = category.files;
        after.history = category.history;
    }
    let closes = before.privacy != after.privacy
        || (!before.disabled && after.disabled)
        || category.is_some();
    after.epoch += i64::from(closes);
    after
}

async fn store(tx: &mut Tx, after: &Room, key: String, now_us: i64) -> Result<()> {
    let updated = tx
        .execute(
            "update rooms set name = $2, name_key = $3, description = $4, kind = $5, privacy = $6, invitations = $7, addin_url = $8, \
             disabled = $9, category_id = $10, epoch = $11, version = $12, updated_us = $13, snapshot_due_us = $13 where id = $1",
            args![
                &after.id,
                &after.name,
                key,
                &after.description,
                after.kind.as_str(),
                after.privacy.as_str(),
                after.invitations.as_str(),
                after.addin_url.clone(),
                after.disabled,
                &after.category_id,
                after.epoch,
                after.version,
                now_us,
            ],
        )
        .await;
    match updated {
        Err(error) if error.is_unique_violation() => Err(ChatError::Conflict {
            problem: format!("the name {:?} is taken", after.name),
        }),
        other => other.map(|_rows| ()),
    }
}

/// Disabling and enabling have event types of their own; what else changed is an update.
fn describe(
    node: &Node,
    caller: &Caller,
    before: &Room,
    after: &Room,
    (mut was, mut is): (serde_json::Value, serde_json::Value),
    now_us: i64,
) -> Result<Vec<OutboxRow>> {
    let draft = |event_type, data| Draft {
        event_type,
        time_us: now_us,
        room: Some(EventRoom::from(after)),
        actor: Some(&caller.person),
        data,
    };
    let mut events = Vec::new();
    for side in [&mut was, &mut is] {
        if let Some(members) = side.as_object_mut() {
            members.remove("disabled");
        }
    }
    if is.as_object().is_some_and(|members| !members.is_empty()) {
        events.push(node.event(draft(
            event_type::ROOM_UPDATED,
            json!({"before": was, "after": is}),
        ))?);
    }
    if before.disabled != after.disabled {
        let event_type = if after.disabled {
            event_type::ROOM_DISABLED
        } else {
            event_type::ROOM_ENABLED
        };
        let data =
            json!({"before": {"disabled": before.disabled}, "after": {"disabled": after.disabled}});
        events.push(node.event(draft(event_type, data))?);
    }
    Ok(events)
}
