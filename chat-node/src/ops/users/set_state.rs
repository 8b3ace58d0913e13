//! Disables a user, or enables one again.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use super::load_person;
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, Source};
use crate::node::Node;
use crate::outbox::Draft;

/// Whether a user may do anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum UserState {
    /// Yes.
    Active,
    /// No; what they said stays.
    Disabled,
}

impl UserState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Disabled => "disabled",
        }
    }
}

/// Disables or enables `user`. Disabling ends the user's connections on every node.
///
/// # Errors
/// The caller is no administrator; there is no such user.
pub async fn set_state(
    node: &Arc<Node>,
    caller: &Caller,
    user: &str,
    state: UserState,
) -> Result<()> {
    if !caller.administrator {
        return Err(ChatError::Forbidden {
            reason: "only administrators manage users",
        });
    }
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    let person = load_person(&mut Source::Tx(&mut tx), user).await?;
    let sql = "select state from users where id = $1 and state <> 'deleted'";
    let before = tx
        .first(sql, args![user])
        .await?
        .ok_or(ChatError::NotFound { what: "user" })?
        .text(0)?;
    if before != state.as_str() {
        tx.execute(
            "update users set state = $2, updated_us = $3 where id = $1",
            args![user, state.as_str(), now_us],
        )
        .await?;
        let event_type = match state {
            UserState::Disabled => event_type::USER_DISABLED,
            UserState::Active => event_type::USER_UPDATED,
        };
        let data = json!({"user": person.as_target(), "before": {"state": before}, "after": {"state": state}});
        let draft = Draft {
            event_type,
            time_us: now_us,
            room: None,
            actor: Some(&caller.person),
            data,
        };
        node.commit(tx, vec![node.event(draft)?]).await?;
    }
    // Done already? Then the answer may have been lost, and with it this.
    match state {
        UserState::Disabled => node.end_user(user),
        UserState::Active => node.users.forget(user),
    }
    Ok(())
}
