//! Frames of the node's WebSocket, as much of them as a client that measures needs.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;

/// A frame from the node.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Frame<'a> {
    #[serde(borrow)]
    Message(Message<'a>),
    #[serde(borrow)]
    Joined(Joined<'a>),
    Ack(Ack),
    Nodes(serde::de::IgnoredAny),
    Event(serde::de::IgnoredAny),
    #[serde(borrow)]
    Error(Refusal<'a>),
}

#[derive(Debug, Deserialize)]
pub(crate) struct Message<'a> {
    pub(crate) room: &'a str,
    pub(crate) room_seq: i64,
    #[serde(borrow, default)]
    pub(crate) body: Option<std::borrow::Cow<'a, str>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Joined<'a> {
    pub(crate) room: &'a str,
    pub(crate) last_seq: i64,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Ack {
    pub(crate) client_id: String,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Refusal<'a> {
    pub(crate) of: &'a str,
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    pub(crate) status: u16,
    #[serde(borrow)]
    pub(crate) detail: std::borrow::Cow<'a, str>,
}

/// The present, comparable between the processes of one machine.
pub(crate) fn now_us() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
    })
}

/// A body that carries when it was due, and then says as much as messages say.
pub(crate) fn body(due_us: u64, number: u64) -> String {
    const WORDS: [&str; 16] = [
        "order", "client", "tomorrow", "please", "confirm", "price", "the", "desk", "before",
        "noon", "thanks", "settle", "book", "and", "call", "report",
    ];
    let mut text = format!("{due_us}");
    let mut pick = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for _word in 0..14 {
        text.push(' ');
        text.push_str(WORDS[usize::try_from(pick >> 60).unwrap_or(0)]);
        pick = pick.rotate_left(4).wrapping_add(number);
    }
    text
}

/// When a message was due, out of its body.
pub(crate) fn due_us(body: &str) -> Option<u64> {
    body.split(' ').next()?.parse().ok()
}

pub(crate) fn subscribe(room: &str, after_seq: i64) -> String {
    format!(r#"{{"subscribe":{{"room":"{room}","after_seq":{after_seq}}}}}"#)
}

pub(crate) fn unsubscribe(room: &str) -> String {
    format!(r#"{{"unsubscribe":{{"room":"{room}"}}}}"#)
}

pub(crate) fn post(room: &str, client_id: u64, body: &str) -> String {
    format!(r#"{{"post":{{"room":"{room}","client_id":"{client_id}","body":"{body}"}}}}"#)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_carry_their_time() {
        let text = body(1_700_000_000_000_000, 7);
        assert_eq!(due_us(&text), Some(1_700_000_000_000_000));
        assert!((80..200).contains(&text.len()), "{text}");
        assert_ne!(body(1, 7), body(1, 8));
    }

    #[test]
    fn frames_are_understood() {
        let frame = r#"{"message":{"room":"s-1","room_seq":4,"action":"posted","id":"m","body":"a \"b\"","author":{"id":"u"}}}"#;
        let Frame::Message(message) = serde_json::from_str(frame).unwrap() else {
            panic!("a message");
        };
        assert_eq!(
            (message.room, message.room_seq, message.body.as_deref()),
            ("s-1", 4, Some("a \"b\""))
        );
        for other in [
            r#"{"event":{"kind":"joined"}}"#,
            r#"{"nodes":[{"node":"a","url":"http://x","state":"active"}]}"#,
        ] {
            serde_json::from_str::<Frame<'_>>(other).unwrap();
        }
    }
}
