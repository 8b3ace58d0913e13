//! Hands out a file, whole or a range of it.

use bytes::Bytes;
use futures::stream::BoxStream;
use holdfast_schemas::event_type;
use serde_json::json;

use super::{hidden, load};
use crate::args;
use crate::error::{ChatError, Result};
use crate::model::{Caller, FileInfo, Source, standing};
use crate::node::Node;
use crate::ops::users::{load_person, load_principal};
use crate::outbox::Draft;
use crate::rules::Operation;

/// A download.
pub struct Download {
    /// The file.
    pub file: FileInfo,
    /// First byte and the one after the last.
    pub range: (u64, u64),
    /// The bytes.
    pub bytes: BoxStream<'static, std::io::Result<Bytes>>,
}

impl std::fmt::Debug for Download {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Download")
            .field("file", &self.file)
            .field("range", &self.range)
            .finish_non_exhaustive()
    }
}

/// The file for `caller`, or for whom `token` was made. Rights are judged now: a token does not outlive them. `range` picks the bytes.
///
/// # Errors
/// Neither may; there is no such file; the range is none of it.
pub async fn download(
    node: &Node,
    caller: Option<&Caller>,
    token: Option<&str>,
    file_id: &str,
    range: impl FnOnce(&FileInfo) -> Result<(u64, u64)>,
) -> Result<Download> {
    let mut source = Source::Db(&node.db);
    let by_token;
    let caller = match (caller, token) {
        (_, Some(token)) => {
            by_token = holder(node, token, file_id).await?;
            &by_token
        }
        (Some(caller), None) => caller,
        (None, None) => {
            return Err(ChatError::Unauthorized {
                problem: "neither a token of the file nor a bearer token".into(),
            });
        }
    };
    let (file, room) = load(&mut source, file_id).await?;
    let standing = standing(&mut source, &room, caller).await?;
    room.permit(Operation::Download, standing).map_err(hidden)?;
    let size = u64::try_from(file.size).unwrap_or(0);
    let range = range(&file)?;
    let bytes = node.files.get(&file.sha256, range.0, range.1).await?;
    let mut data = json!({"attachment": file});
    if range != (0, size) {
        data["range"] = json!({"from": range.0, "to": range.1});
    }
    let draft = Draft {
        event_type: event_type::FILE_DOWNLOADED,
        time_us: node.clock.now_us(),
        room: Some((&room).into()),
        actor: Some(&caller.person),
        data,
    };
    // Before the first byte: what was handed out has its event.
    node.writes
        .events(&room.id, vec![node.event(draft)?])
        .await?;
    Ok(Download { file, range, bytes })
}

/// Whom a token was made for, as they are known now.
async fn holder(node: &Node, token: &str, file_id: &str) -> Result<Caller> {
    let user = node
        .file_tokens
        .check(token, file_id, node.clock.now_us())?;
    node.rates.take(&user, node.clock.now_us())?;
    let mut source = Source::Db(&node.db);
    if source
        .first(
            "select 1 from users where id = $1 and state = 'active'",
            args![&user],
        )
        .await?
        .is_none()
    {
        return Err(ChatError::Forbidden {
            reason: "this user is disabled",
        });
    }
    let principal = load_principal(&mut source, &user).await?;
    Ok(Caller {
        person: load_person(&mut source, &user).await?,
        principal,
        administrator: false,
        expires_us: i64::MAX,
    })
}
