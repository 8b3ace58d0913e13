//! Files of rooms.

mod download;
mod token;
mod upload;

pub use download::{Download, download};
pub use token::{FileToken, token};
pub(crate) use upload::check_media_type;
pub use upload::{Incoming, clean_name, enter, receive};

use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{FileInfo, Room, Source, load_room};

/// A file with its room.
async fn load(source: &mut Source<'_>, file_id: &str) -> Result<(FileInfo, Room)> {
    let sql = "select id, room_id, name, media_type, size, sha256 from files where id = $1";
    let row = source
        .first(sql, args![file_id])
        .await?
        .ok_or(ChatError::NotFound { what: "file" })?;
    let room = load_room(source, &row.text("room_id")?)
        .await
        .map_err(hidden)?;
    Ok((FileInfo::from_row(&row)?, room))
}

/// A file of a room that is not there for the caller is not there either.
fn hidden(error: ChatError) -> ChatError {
    match error {
        ChatError::NotFound { .. } => ChatError::NotFound { what: "file" },
        other => other,
    }
}
