//! Random events.

use holdfast_schemas::{Actor, Attachment, Event, Intake, Message, Room, Row};
use proptest::prelude::*;

/// Words of several scripts, chosen so that queries over the same list meet them often and nearly.
pub(super) const WORDS: [&str; 34] = [
    "keep",
    "Keep",
    "keeper",
    "plan",
    "plans",
    "R&D",
    "C++",
    "docs.rs",
    "naïve",
    "naive",
    "Straße",
    "STRASSE",
    "l'azienda",
    "azienda",
    "日本語",
    "日本",
    "東京都",
    "シャツ",
    "Tシャツ",
    "京",
    "да",
    "Привет",
    "привет",
    "สวัสดี",
    "한국어",
    "👍",
    "👍🏽",
    "❤️",
    "a",
    "b",
    "snake_case",
    "½",
    "verylongwordofmorethantwelvebytes",
    ",",
];
pub(super) const ROOMS: [&str; 3] = ["r-1", "R-2", "incident review"];
pub(super) const ACTORS: [(&str, &str, &str); 3] = [
    ("u-1", "Ana Pérez", "ana@example.com"),
    ("u-2", "Ben 山田", "Ben@Example.com"),
    ("ana@example.com", "ana", "u-1"),
];
pub(super) const MESSAGES: [&str; 4] = ["m-1", "m-2", "M-2", "m-3"];

/// 2020-12-31T23:59:59Z: corpora lie on both sides of a year's end.
pub(super) const YEAR_END_US: i64 = 1_609_459_199_000_000;

/// An event to be.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    kind: usize,
    time_us: i64,
    room: Option<usize>,
    actor: Option<usize>,
    message: Option<usize>,
    title: Option<String>,
    body: Option<String>,
    files: Vec<(Option<String>, Option<i64>)>,
    room_seq: Option<i64>,
    reply_to: Option<usize>,
}

const TYPES: [&str; 7] = [
    "chat.message.posted",
    "chat.message.posted",
    "chat.message.edited",
    "chat.message.deleted",
    "chat.message.replaced",
    "chat.reaction.added",
    "chat.room.joined",
];

fn text() -> impl Strategy<Value = String> {
    let separator = prop::sample::select(vec![" ", " ", " ", "", "-", ", ", "\n"]);
    prop::collection::vec((prop::sample::select(WORDS.to_vec()), separator), 1..9).prop_map(
        |words| {
            words
                .into_iter()
                .flat_map(|(word, separator)| [word, separator])
                .collect()
        },
    )
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    let ids = (
        0..TYPES.len(),
        -3_000_000..3_000_000_i64,
        prop::option::weighted(0.9, 0..ROOMS.len()),
        prop::option::weighted(0.9, 0..ACTORS.len()),
        prop::option::weighted(0.8, 0..MESSAGES.len()),
        prop::option::weighted(0.2, 0..MESSAGES.len()),
    );
    let texts = (
        prop::option::weighted(0.2, text()),
        prop::option::weighted(0.9, text()),
        prop::collection::vec(
            (prop::option::of(text()), prop::option::of(0..3_000_i64)),
            0..3,
        ),
        prop::option::of(0..20_i64),
    );
    (ids, texts).prop_map(
        |((kind, time_us, room, actor, message, reply_to), (title, body, files, room_seq))| Draft {
            kind,
            time_us: YEAR_END_US + time_us,
            room,
            actor,
            message,
            title,
            body,
            files,
            room_seq,
            reply_to,
        },
    )
}

impl Draft {
    /// A posted message.
    pub(super) fn plain(time_us: i64, body: String) -> Self {
        Self {
            kind: 0,
            time_us,
            room: Some(0),
            actor: Some(0),
            message: None,
            title: None,
            body: Some(body),
            files: Vec::new(),
            room_seq: None,
            reply_to: None,
        }
    }

    pub(super) fn row(&self, sequence: u64) -> Row<'static> {
        let owned =
            |text: &str| -> Option<std::borrow::Cow<'static, str>> { Some(text.to_owned().into()) };
        let event_type = TYPES[self.kind];
        let actor = self.actor.map(|actor| ACTORS[actor]);
        let extra = if self.kind == 5 {
            Some(r#"{"data":{"value":"👍"}}"#)
        } else {
            self.room_seq.map(|_| r#"{"data":{"by":{"id":"u-2"}}}"#)
        };
        let attachment = |(name, size): &(Option<String>, Option<i64>)| Attachment {
            id: owned("f-1"),
            name: name.as_deref().and_then(owned),
            size: *size,
            ..Attachment::default()
        };
        let event = Event {
            id: format!("0197c0de-0000-7000-8000-{sequence:012x}").into(),
            event_type: event_type.into(),
            time_us: self.time_us,
            source: "/pools/test".into(),
            origin: if sequence.is_multiple_of(3) {
                "Main.1".into()
            } else {
                "import".into()
            },
            sequence,
            room: Room {
                id: self.room.and_then(|room| owned(ROOMS[room])),
                name: self
                    .room
                    .and_then(|room| owned(ROOMS[(room + 1) % ROOMS.len()])),
                category: self
                    .room
                    .and_then(|room| owned(["engineering", "Legal", "legal"][room])),
            },
            actor: Actor {
                id: actor.and_then(|actor| owned(actor.0)),
                uri: actor.and_then(|actor| owned(&format!("sip:{}", actor.0))),
                name: actor.and_then(|actor| owned(actor.1)),
                email: actor.and_then(|actor| owned(actor.2)),
                kind: actor.and_then(|_| owned("user")),
                ..Actor::default()
            },
            room_seq: self.room_seq,
            message: Message {
                id: self.message.and_then(|message| owned(MESSAGES[message])),
                kind: self.title.as_ref().and_then(|_| owned("story")),
                title: self.title.as_deref().and_then(owned),
                body: self.body.as_deref().and_then(owned),
                reply_to: self.reply_to.and_then(|message| owned(MESSAGES[message])),
            },
            attachments: self.files.iter().map(attachment).collect(),
            extra: extra.map(Into::into),
            ..Event::default()
        };
        Row {
            event,
            intake: Intake {
                ingest_time_us: YEAR_END_US + 10_000_000 + sequence as i64,
                ..Intake::default()
            },
        }
    }
}
