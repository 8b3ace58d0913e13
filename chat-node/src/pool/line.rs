//! Lines of a link, bounded.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::handshake::{self, Line};
use crate::error::{ChatError, Result};

/// The reading half of a link.
pub(super) type Reader = BufReader<OwnedReadHalf>;

/// Reads a line of at most `bytes_max`; `false` at the end.
pub(super) async fn read_line(
    reader: &mut Reader,
    bytes_max: u64,
    line: &mut Vec<u8>,
) -> Result<bool> {
    line.clear();
    let read = (&mut *reader).take(bytes_max).read_until(b'\n', line).await;
    let broken = |error: std::io::Error| ChatError::Unavailable {
        problem: format!("the link broke: {error}"),
    };
    match read.map_err(broken)? {
        0 => Ok(false),
        _read if line.last() == Some(&b'\n') => Ok(true),
        _read => Err(ChatError::Unavailable {
            problem: "a line of the link is cut off or too long".into(),
        }),
    }
}

/// Writes a line of the handshake.
pub(super) async fn write_line(writer: &mut OwnedWriteHalf, line: &Line) -> Result<()> {
    let mut text =
        serde_json::to_string(line).map_err(|error| ChatError::Internal(error.to_string()))?;
    text.push('\n');
    writer
        .write_all(text.as_bytes())
        .await
        .map_err(|error| ChatError::Unavailable {
            problem: format!("the link broke: {error}"),
        })
}

/// Reads a line of the handshake.
pub(super) async fn read_handshake(reader: &mut Reader) -> Result<Line> {
    let mut line = Vec::new();
    if !read_line(reader, handshake::LINE_BYTES_MAX, &mut line).await? {
        return Err(ChatError::Unavailable {
            problem: "the other end hung up".into(),
        });
    }
    serde_json::from_slice(&line).map_err(|error| ChatError::Unauthorized {
        problem: format!("no handshake: {error}"),
    })
}
