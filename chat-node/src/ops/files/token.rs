//! Gives out a token for a file.

use serde::Serialize;
use utoipa::ToSchema;

use super::{hidden, load};
use crate::error::Result;
use crate::model::{Caller, Source, standing, time_text};
use crate::node::Node;
use crate::rules::Operation;

/// A token, good for one file on every node of the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FileToken {
    /// For `GET /v1/files/{id}?token=`.
    pub token: String,
    /// When it ends: 30 minutes from now.
    pub expires: String,
}

/// A token for `file_id`.
///
/// # Errors
/// The caller may not download it; there is no such file.
pub async fn token(node: &Node, caller: &Caller, file_id: &str) -> Result<FileToken> {
    let mut source = Source::Db(&node.db);
    let (_file, room) = load(&mut source, file_id).await?;
    let standing = standing(&mut source, &room, caller).await?;
    room.permit(Operation::Download, standing).map_err(hidden)?;
    let (token, ends_us) = node
        .file_tokens
        .make(caller.id(), file_id, node.clock.now_us())?;
    Ok(FileToken {
        token,
        expires: time_text(ends_us),
    })
}
