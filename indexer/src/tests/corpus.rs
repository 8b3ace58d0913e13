//! Random events.

use holdfast_schemas::{Actor, Attachment, Event, Intake, Message, Room, Row};
use proptest::prelude::*;
use serde_json::json;

use super::membership::{Told, told};

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
/// Ids, names and addresses. Two have the same family name, two the same first name, one is known as another, and one by a name alone.
pub(super) const ACTORS: [(&str, &str, &str); 5] = [
    ("u-1", "Ana Pérez", "ana@example.com"),
    ("u-2", "Ben 山田", "Ben@Example.com"),
    ("ana@example.com", "ana", "u-1"),
    ("u-3", "Ana 山田", "ana.y@example.com"),
    ("", "Cem", ""),
];
const ACTOR_KINDS: [&str; 4] = ["user", "bot", "system", "Bot"];
const MESSAGE_KINDS: [&str; 4] = ["plain", "alert", "story", "Story"];
/// Sizes that queries ask for, and their neighbours.
const SIZES: [i64; 8] = [0, 7, 500, 501, 999, 1_000, 1_001, 2_000];
pub(super) const MESSAGES: [&str; 4] = ["m-1", "m-2", "M-2", "m-3"];

/// 2020-12-31T23:59:59Z: corpora lie on both sides of a year's end.
pub(super) const YEAR_END_US: i64 = 1_609_459_199_000_000;

/// An event to be.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    event_type: &'static str,
    time_us: i64,
    room: Option<usize>,
    actor: Option<usize>,
    actor_kind: Option<usize>,
    message: Option<usize>,
    message_kind: Option<usize>,
    title: Option<String>,
    body: Option<String>,
    files: Vec<(Option<String>, Option<i64>)>,
    room_seq: Option<i64>,
    reply_to: Option<usize>,
    told: Told,
}

const TYPES: [&str; 19] = [
    "chat.message.posted",
    "chat.message.posted",
    "chat.message.posted",
    "chat.message.posted",
    "chat.message.edited",
    "chat.message.deleted",
    "chat.message.replaced",
    "chat.reaction.added",
    "chat.room.joined",
    "chat.room.joined",
    "chat.room.left",
    "chat.room.left",
    "chat.room.member_added",
    "chat.room.member_added",
    "chat.room.member_removed",
    "chat.room.member_removed",
    "chat.room.snapshot",
    "chat.room.snapshot",
    "chat.user.updated",
];

/// Some words, or one alone: then a query for the whole value may mean it.
fn text() -> impl Strategy<Value = String> {
    let separator = prop::sample::select(vec![" ", " ", " ", "", "-", ", ", "\n"]);
    let word = || prop::sample::select(WORDS.to_vec());
    let words = prop::collection::vec((word(), separator), 1..9).prop_map(|words| {
        words
            .into_iter()
            .flat_map(|(word, separator)| [word, separator])
            .collect()
    });
    prop_oneof![4 => words, 1 => word().prop_map(str::to_owned)]
}

/// Any microsecond, or one of those at which much happens.
fn time_us() -> impl Strategy<Value = i64> {
    prop_oneof![
        3 => -3_000_000..3_000_000_i64,
        2 => (-6..7_i64).prop_map(|half| half * 500_000),
    ]
}

pub(super) fn draft() -> impl Strategy<Value = Draft> {
    draft_of(TYPES.to_vec())
}

/// One that mostly tells who is where.
pub(super) fn draft_of_people() -> impl Strategy<Value = Draft> {
    draft_of(TYPES[7..].to_vec())
}

fn draft_of(types: Vec<&'static str>) -> impl Strategy<Value = Draft> {
    let ids = (
        prop::sample::select(types),
        time_us(),
        prop::option::weighted(0.9, 0..ROOMS.len()),
        prop::option::weighted(0.9, 0..ACTORS.len()),
        prop::option::weighted(0.9, 0..ACTOR_KINDS.len()),
        prop::option::weighted(0.8, 0..MESSAGES.len()),
        prop::option::weighted(0.7, 0..MESSAGE_KINDS.len()),
        prop::option::weighted(0.2, 0..MESSAGES.len()),
    );
    let size = prop_oneof![2 => prop::sample::select(SIZES.to_vec()), 1 => 0..3_000_i64];
    let texts = (
        prop::option::weighted(0.2, text()),
        prop::option::weighted(0.9, text()),
        prop::collection::vec((prop::option::of(text()), prop::option::of(size)), 0..3),
        prop::option::of(0..20_i64),
        told(),
    );
    (ids, texts).prop_map(|(ids, (title, body, files, room_seq, told))| {
        let (event_type, time_us, room, actor, actor_kind, message, message_kind, reply_to) = ids;
        Draft {
            event_type,
            time_us: YEAR_END_US + time_us,
            room,
            actor,
            actor_kind,
            message,
            message_kind,
            title,
            body,
            files,
            room_seq,
            reply_to,
            told,
        }
    })
}

impl Draft {
    /// A posted message.
    pub(super) fn plain(time_us: i64, body: String) -> Self {
        Self {
            event_type: TYPES[0],
            time_us,
            room: Some(0),
            actor: Some(0),
            actor_kind: None,
            message: None,
            message_kind: None,
            title: None,
            body: Some(body),
            files: Vec::new(),
            room_seq: None,
            reply_to: None,
            told: Told::nothing(),
        }
    }

    /// What no column holds of `data`.
    fn data(&self) -> Option<serde_json::Value> {
        if self.event_type == "chat.reaction.added" {
            return Some(json!({"value": "👍"}));
        }
        let by = || self.room_seq.map(|_| json!({"by": {"id": "u-2"}}));
        self.told.data(self.event_type).or_else(by)
    }

    pub(super) fn row(&self, sequence: u64) -> Row<'static> {
        let owned =
            |text: &str| -> Option<std::borrow::Cow<'static, str>> { Some(text.to_owned().into()) };
        let given = |text: &str| owned(text).filter(|text| !text.is_empty());
        let actor = self.actor.map(|actor| ACTORS[actor]);
        let attachment = |(name, size): &(Option<String>, Option<i64>)| Attachment {
            id: owned("f-1"),
            name: name.as_deref().and_then(owned),
            size: *size,
            ..Attachment::default()
        };
        let event = Event {
            id: format!("0197c0de-0000-7000-8000-{sequence:012x}").into(),
            event_type: self.event_type.into(),
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
                id: actor.and_then(|actor| given(actor.0)),
                uri: actor.and_then(|actor| Some(format!("sip:{}", given(actor.0)?).into())),
                name: actor.and_then(|actor| given(actor.1)),
                email: actor.and_then(|actor| given(actor.2)),
                kind: self.actor_kind.and_then(|kind| owned(ACTOR_KINDS[kind])),
                ..Actor::default()
            },
            room_seq: self.room_seq,
            message: Message {
                id: self.message.and_then(|message| owned(MESSAGES[message])),
                kind: self
                    .message_kind
                    .and_then(|kind| owned(MESSAGE_KINDS[kind])),
                title: self.title.as_deref().and_then(owned),
                body: self.body.as_deref().and_then(owned),
                reply_to: self.reply_to.and_then(|message| owned(MESSAGES[message])),
            },
            attachments: self.files.iter().map(attachment).collect(),
            extra: self
                .data()
                .map(|data| json!({ "data": data }).to_string().into()),
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
