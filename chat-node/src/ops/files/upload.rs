//! Takes a file into a room.

use bytes::Bytes;
use futures::stream::BoxStream;
use holdfast_schemas::event_type;
use serde_json::json;

use crate::args;
use crate::clock::new_id;
use crate::error::{ChatError, Result};
use crate::model::{Caller, FileInfo, Source, authorize};
use crate::node::Node;
use crate::outbox::Draft;
use crate::rules::{Operation, valid_name, valid_text};

/// A file as it comes in.
#[derive(Debug)]
pub struct Incoming {
    /// Its name as the client says it.
    pub name: String,
    /// Its media type as the client says it.
    pub media_type: String,
}

/// The last part of a name, whatever folders a client put before it; nothing of it is ever a path here, but people save files under it.
///
/// # Errors
/// Nothing is left, or it is no name.
pub fn clean_name(name: &str) -> Result<String> {
    let last = name
        .rsplit(['/', '\\'])
        .next()
        .unwrap_or("")
        .trim()
        .trim_start_matches('.');
    let clean: String = last.chars().filter(|c| !c.is_control()).collect();
    valid_name("file", &clean)?;
    Ok(clean)
}

/// What a media type must be: short, and one line.
///
/// # Errors
/// It is not.
pub(crate) fn check_media_type(media_type: &str) -> Result<()> {
    valid_text("media_type", media_type, 255)?;
    if media_type.chars().any(char::is_control) {
        return Err(ChatError::invalid("media_type", "holds control characters"));
    }
    Ok(())
}

/// Stores the bytes under their SHA-256. The file is in no room until it is [entered](enter): bytes that never are stay behind, as those of a commit
/// that failed do, and are stored once however often they come.
///
/// # Errors
/// The caller may not; the file is too large; its name is none.
pub async fn receive<E>(
    node: &Node,
    caller: &Caller,
    room_id: &str,
    incoming: Incoming,
    bytes: BoxStream<'_, std::result::Result<Bytes, E>>,
) -> Result<FileInfo>
where
    E: std::fmt::Display + Send,
{
    let name = clean_name(&incoming.name)?;
    check_media_type(&incoming.media_type)?;
    // Before the bytes: nobody stores what they may not.
    authorize(
        &mut Source::Db(&node.db),
        caller,
        room_id,
        Operation::Upload,
    )
    .await?;
    let stored = node.files.put(bytes, node.limits.file_bytes_max).await?;
    let size = i64::try_from(stored.size)
        .map_err(|_huge| ChatError::Internal("a file of more than 8 EiB".into()))?;
    Ok(FileInfo {
        id: new_id("f"),
        name,
        media_type: incoming.media_type,
        size,
        sha256: stored.sha256,
    })
}

/// Takes a file whose bytes are [stored](receive) into the room, with its event.
///
/// # Errors
/// The caller may not, or no longer.
pub async fn enter(node: &Node, caller: &Caller, room_id: &str, file: &FileInfo) -> Result<()> {
    let now_us = node.clock.now_us();
    let mut tx = node.db.begin().await?;
    // And again with the room locked: the upload may have taken minutes.
    let (room, _standing) =
        authorize(&mut Source::Tx(&mut tx), caller, room_id, Operation::Upload).await?;
    tx.execute(
        "insert into files (id, room_id, name, media_type, size, sha256, uploader_id, time_us) values ($1, $2, $3, $4, $5, $6, $7, $8)",
        args![&file.id, room_id, &file.name, &file.media_type, file.size, &file.sha256, caller.id(), now_us],
    )
    .await?;
    let draft = Draft {
        event_type: event_type::FILE_UPLOADED,
        time_us: now_us,
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data: json!({"attachment": file}),
    };
    node.commit(tx, vec![node.event(draft)?]).await
}

#[cfg(test)]
mod tests {
    use super::clean_name;

    #[test]
    fn folders_and_tricks_are_taken_off() {
        for (given, kept) in [
            ("plan.pdf", "plan.pdf"),
            ("../../etc/passwd", "passwd"),
            ("C:\\Users\\ana\\plan.pdf", "plan.pdf"),
            ("/etc/../x", "x"),
            (".htaccess", "htaccess"),
            ("a\u{0}b\n.txt", "ab.txt"),
        ] {
            assert_eq!(clean_name(given).unwrap(), kept);
        }
        for bad in ["", "..", "a/", "\\", "\u{0}"] {
            assert!(clean_name(bad).is_err(), "{bad:?}");
        }
    }
}
