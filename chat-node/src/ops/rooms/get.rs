//! Shows a room.

use crate::error::Result;
use crate::model::{Caller, RoomView, Source, authorize};
use crate::node::Node;
use crate::rules::Operation;

/// The room with the caller's role, its version, and how many participants it has now.
///
/// # Errors
/// There is none, or the caller may not see it: the two look the same.
pub async fn get(node: &Node, caller: &Caller, id: &str) -> Result<(RoomView, i64, usize)> {
    let (room, standing) = authorize(&mut Source::Db(&node.db), caller, id, Operation::See).await?;
    let participants = node.hub.participants(id) + node.peers.participants(id);
    Ok((room.view(standing.role), room.version, participants))
}
