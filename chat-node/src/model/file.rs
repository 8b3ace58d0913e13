//! Files by id; their bytes are in the file store under their SHA-256.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Source;
use crate::args;
use crate::db::{Row, Value};
use crate::error::{ChatError, Result};

/// What is known about a file. This is also how events and messages carry it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct FileInfo {
    /// Its id.
    pub id: String,
    /// Its name as uploaded, without folders.
    pub name: String,
    /// Its media type as declared.
    pub media_type: String,
    /// Its length in bytes.
    pub size: i64,
    /// SHA-256 of its bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
}

impl FileInfo {
    /// From a row with the columns of `files`.
    pub(crate) fn from_row(row: &Row) -> Result<Self> {
        Ok(Self {
            id: row.text("id")?,
            name: row.text("name")?,
            media_type: row.text("media_type")?,
            size: row.int("size")?,
            sha256: row.text("sha256")?,
        })
    }
}

/// The files of these ids, in their order.
///
/// # Errors
/// One of them is not a file of this room.
pub async fn load_files(
    source: &mut Source<'_>,
    room_id: &str,
    ids: &[String],
) -> Result<Vec<FileInfo>> {
    let mut files = Vec::with_capacity(ids.len());
    for id in ids {
        let args: Vec<Value> = args![id, room_id];
        let row = source.first("select id, name, media_type, size, sha256 from files where id = $1 and room_id = $2", args).await?;
        let row = row.ok_or_else(|| {
            ChatError::invalid("attachments", format!("{id} is no file of this room"))
        })?;
        files.push(FileInfo::from_row(&row)?);
    }
    Ok(files)
}
