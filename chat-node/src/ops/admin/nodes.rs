//! The pool's nodes: which take users, which stand by, which are being emptied.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::check_admin;
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::Caller;
use crate::node::Node;
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
    Ok(node.nodes.borrow().clone())
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
    if node
        .db
        .execute(
            "update nodes set state = $2 where id = $1 and state <> 'down'",
            args![name, text],
        )
        .await?
        == 0
    {
        return Err(ChatError::NotFound { what: "node" });
    }
    tracing::info!(
        node = name,
        state = text,
        by = caller.id(),
        "an administrator changed a node's state"
    );
    registry::beat_once(node).await
}
