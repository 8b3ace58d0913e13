//! A frame as it goes over the wire, encoded once for all who get it.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use bytes::{BufMut, Bytes, BytesMut};

/// The last fragment of a message, which is text.
const FINAL_TEXT: u8 = 0x81;
const HEAD_BYTES_MAX: usize = 10;

/// A text frame from the node. Cheap to clone: it waits in the queues of thousands.
#[derive(Debug, Clone)]
pub struct SharedFrame(Arc<Encoded>);

#[derive(Debug)]
struct Encoded {
    bytes: Bytes,
    /// A part of `bytes`.
    text: Utf8Bytes,
}

impl SharedFrame {
    /// Its text.
    #[must_use]
    pub fn text(&self) -> &Utf8Bytes {
        &self.0.text
    }

    /// All of it, as a server sends it: RFC 6455, section 5.2, without a mask.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.0.bytes
    }
}

impl From<&str> for SharedFrame {
    fn from(text: &str) -> Self {
        let mut bytes = BytesMut::with_capacity(HEAD_BYTES_MAX + text.len());
        bytes.put_u8(FINAL_TEXT);
        match (u8::try_from(text.len()), u16::try_from(text.len())) {
            (Ok(length @ ..=125), _) => bytes.put_u8(length),
            (_, Ok(length)) => {
                bytes.put_u8(126);
                bytes.put_u16(length);
            }
            _ => {
                bytes.put_u8(127);
                bytes.put_u64(text.len() as u64);
            }
        }
        let head = bytes.len();
        bytes.put_slice(text.as_bytes());
        let bytes = bytes.freeze();
        // It is the text that was put in.
        let text = Utf8Bytes::try_from(bytes.slice(head..)).unwrap_or_default();
        Self(Arc::new(Encoded { bytes, text }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What RFC 6455 gives as lengths at which the head changes.
    #[test]
    fn the_head_tells_the_length() {
        for (length, head) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 0xff, 0xff]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let text = "x".repeat(length);
            let frame = SharedFrame::from(text.as_str());
            assert_eq!(frame.text().as_str(), text);
            assert_eq!(frame.bytes()[..head.len()], head);
            assert_eq!(&frame.bytes()[head.len()..], text.as_bytes());
        }
    }
}
