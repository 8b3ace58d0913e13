//! A borrowed serde parse of an event.

use std::borrow::Cow;

use anyhow::Result;
use holdfast_schemas::time::parse_rfc3339;
use holdfast_schemas::{Actor, Attachment, Event, Message, Room};
use serde::Deserialize;

/// The event as a borrowed serde struct, nothing checked.
#[derive(Deserialize)]
pub(super) struct Record<'a> {
    id: &'a str,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(rename = "type", borrow)]
    event_type: Cow<'a, str>,
    time: &'a str,
    #[serde(borrow)]
    origin: Cow<'a, str>,
    sequence: &'a str,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    room: Option<RoomRecord<'a>>,
    #[serde(borrow, default)]
    actor: Option<ActorRecord<'a>>,
    room_seq: Option<i64>,
    #[serde(borrow, default)]
    message: Option<MessageRecord<'a>>,
}

/// Text that borrows where serde's own `Cow` in an `Option` would copy.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

#[derive(Deserialize, Default)]
struct RoomRecord<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
    category: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct ActorRecord<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    uri: Option<Text<'a>>,
    name: Option<Text<'a>>,
    email: Option<Text<'a>>,
    internal: Option<bool>,
    kind: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
struct MessageRecord<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    kind: Option<Text<'a>>,
    title: Option<Text<'a>>,
    body: Option<Text<'a>>,
    reply_to: Option<Text<'a>>,
    #[serde(default)]
    attachments: Vec<AttachmentRecord<'a>>,
}

#[derive(Deserialize)]
struct AttachmentRecord<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    name: Option<Text<'a>>,
    media_type: Option<Text<'a>>,
    size: Option<i64>,
    sha256: Option<Text<'a>>,
}

fn borrowed(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|t| t.0)
}

impl<'a> Record<'a> {
    /// As the columns want it.
    pub(super) fn into_event(self) -> Result<Event<'a>> {
        let (room, actor) = (
            self.data.room.unwrap_or_default(),
            self.data.actor.unwrap_or_default(),
        );
        let message = self.data.message.unwrap_or_default();
        let attachments = message.attachments.into_iter().map(|file| Attachment {
            id: borrowed(file.id),
            name: borrowed(file.name),
            media_type: borrowed(file.media_type),
            size: file.size,
            sha256: borrowed(file.sha256),
        });
        Ok(Event {
            id: Cow::Borrowed(self.id),
            event_type: self.event_type,
            time_us: parse_rfc3339(self.time)?.us,
            source: self.source,
            origin: self.origin,
            sequence: self.sequence.parse()?,
            room: Room {
                id: borrowed(room.id),
                name: borrowed(room.name),
                category: borrowed(room.category),
            },
            actor: Actor {
                id: borrowed(actor.id),
                uri: borrowed(actor.uri),
                name: borrowed(actor.name),
                email: borrowed(actor.email),
                internal: actor.internal,
                kind: borrowed(actor.kind),
            },
            room_seq: self.data.room_seq,
            message: Message {
                id: borrowed(message.id),
                kind: borrowed(message.kind),
                title: borrowed(message.title),
                body: borrowed(message.body),
                reply_to: borrowed(message.reply_to),
            },
            attachments: attachments.collect(),
            extra: None,
            raw: None,
        })
    }
}
