//! The pool's nodes: which take users, which stand by, which are being emptied.

use std::sync::Arc;

use holdfast_schemas::event_type;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::AssertSqlSafe;
use utoipa::ToSchema;

use super::check_admin;
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::Caller;
use crate::node::Node;
use crate::outbox::Draft;
use crate::pool::{NodeInfo, registry};

/// What a node is told to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NodeState {
    /// Takes users.
    Active,
    /// Runs, and takes users when it is told to.
    Standby,
    /// Takes no more users and sends those it has to the others.
    Draining,
}

/// All nodes.
///
/// # Errors
/// The caller is no administrator.
pub fn nodes(node: &Node, caller: &Caller) -> Result<Vec<NodeInfo>> {
    check_admin(caller)?;
    Ok(node.nodes().clone())
}

/// Tells a node what to be; it follows with its next beat.
///
/// # Errors
/// The caller is no administrator; there is no such node, or it is down.
pub async fn set_node_state(
    node: &Arc<Node>,
    caller: &Caller,
    name: &str,
    state: NodeState,
) -> Result<()> {
    check_admin(caller)?;
    let text = match state {
        NodeState::Active => "active",
        NodeState::Standby => "standby",
        NodeState::Draining => "draining",
    };
    let mut tx = node.db.begin().await?;
    let lock = tx.dialect().for_update();
    let sql = AssertSqlSafe(format!(
        "select state from nodes where id = $1 and state <> 'down'{lock}"
    ));
    let before = tx
        .first(sql, args![name])
        .await?
        .ok_or(ChatError::NotFound { what: "node" })?
        .text(0)?;
    if before == text {
        return Ok(());
    }
    tx.execute(
        "update nodes set state = $2 where id = $1",
        args![name, text],
    )
    .await?;
    // For users the node begins or ends with this, whatever its process does.
    let event_type = match state {
        NodeState::Active => event_type::NODE_STARTED,
        NodeState::Standby | NodeState::Draining => event_type::NODE_STOPPED,
    };
    let told = Draft {
        event_type,
        time_us: node.clock.now_us(),
        room: None,
        actor: Some(&caller.person),
        data: json!({"node": name, "before": {"state": before}, "after": {"state": text}}),
    };
    node.commit(tx, vec![node.event(told)?]).await?;
    tracing::info!(
        node = name,
        state = text,
        by = caller.id(),
        "an administrator changed a node's state"
    );
    registry::beat_once(node).await
}
