//! Shows a room.

use crate::error::Result;
use crate::model::{Caller, RoomView, Source, authorize};
use crate::node::Node;
use crate::rules::Operation;

/// The room with the caller's role, and its version.
///
/// # Errors
/// There is none, or the caller may not see it: the two look the same.
pub async fn get(node: &Node, caller: &Caller, id: &str) -> Result<(RoomView, i64)> {
    let (room, standing) = authorize(&mut Source::Db(&node.db), caller, id, Operation::See).await?;
    Ok((room.view(standing.role), room.version))
}

/// How many take part in a room now, in the whole pool.
#[must_use]
pub fn participants(node: &Node, id: &str) -> usize {
    node.hub.participants(id) + node.peers.participants(id)
}
