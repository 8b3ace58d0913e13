//! The normalised event: what every producer's record becomes, what the archive's columns hold, what is hashed.

use std::borrow::Cow;

/// One compliance event, normalised (event contract, version 1). Text is borrowed from the record or the column it came from.
///
/// An absent member and a null or empty one are the same thing: `None`, or an empty list.
/// Whatever no field holds (unknown attributes, members of `data` that only some types have, the original of a lossy
/// normalisation) is in [`Event::extra`], so that nothing a producer wrote is dropped.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Event<'a> {
    /// CloudEvents `id`, unique for ever (a UUID in lower case).
    pub id: Cow<'a, str>,
    /// CloudEvents `type`: one of [`crate::event_type::KNOWN`] or a foreign one.
    pub event_type: Cow<'a, str>,
    /// When it happened: microseconds since 1970-01-01T00:00:00Z.
    pub time_us: i64,
    /// CloudEvents `source`: who emitted it.
    pub source: Cow<'a, str>,
    /// The outbox that sequenced it.
    pub origin: Cow<'a, str>,
    /// Dense from 1 within the origin.
    pub sequence: u64,
    /// `data.room`.
    pub room: Room<'a>,
    /// `data.actor`.
    pub actor: Actor<'a>,
    /// `data.room_seq`: the place of the event in its room.
    pub room_seq: Option<i64>,
    /// `data.message`; its attachments, or the one attachment of a file event, are in [`Event::attachments`].
    pub message: Message<'a>,
    /// `data.message.attachments`, or `[data.attachment]` of `chat.file.*`.
    pub attachments: Vec<Attachment<'a>>,
    /// Canonical JSON object of everything no other field holds, merged over the rebuilt event; `None` when nothing is left.
    pub extra: Option<Cow<'a, str>>,
    /// The raw record (`data.raw`, base64 in JSON); only on `holdfast.quarantined`.
    pub raw: Option<Cow<'a, [u8]>>,
}

/// `data.room`.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Room<'a> {
    /// The room's id; equals the CloudEvents `subject` unless `extra` says otherwise.
    pub id: Option<Cow<'a, str>>,
    /// The room's name at the time.
    pub name: Option<Cow<'a, str>>,
    /// The category's name at the time.
    pub category: Option<Cow<'a, str>>,
}

/// `data.actor`: who did it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Actor<'a> {
    /// Stable id.
    pub id: Option<Cow<'a, str>>,
    /// SIP or other URI.
    pub uri: Option<Cow<'a, str>>,
    /// Display name at the time.
    pub name: Option<Cow<'a, str>>,
    /// E-mail address at the time.
    pub email: Option<Cow<'a, str>>,
    /// Whether the actor belongs to the organisation.
    pub internal: Option<bool>,
    /// `user`, `bot` or `system`.
    pub kind: Option<Cow<'a, str>>,
}

/// `data.message` without its attachments.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message<'a> {
    /// The message's id; edits, deletions and reactions name the original's.
    pub id: Option<Cow<'a, str>>,
    /// `plain`, `alert` or `story`.
    pub kind: Option<Cow<'a, str>>,
    /// A story's title.
    pub title: Option<Cow<'a, str>>,
    /// The text.
    pub body: Option<Cow<'a, str>>,
    /// Id of the message it answers.
    pub reply_to: Option<Cow<'a, str>>,
}

/// One file that an event refers to; its bytes are stored by their SHA-256.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Attachment<'a> {
    /// The file's id in the chat system.
    pub id: Option<Cow<'a, str>>,
    /// File name as uploaded.
    pub name: Option<Cow<'a, str>>,
    /// Media type as declared.
    pub media_type: Option<Cow<'a, str>>,
    /// Length in bytes.
    pub size: Option<i64>,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: Option<Cow<'a, str>>,
}

/// How a record came into the archive: the columns beside the event that its hash does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Intake<'a> {
    /// When ingest took the record: microseconds since 1970-01-01T00:00:00Z.
    pub ingest_time_us: i64,
    /// Kafka topic, if it came that way.
    pub kafka_topic: Option<Cow<'a, str>>,
    /// Kafka partition.
    pub kafka_partition: Option<i32>,
    /// Kafka offset.
    pub kafka_offset: Option<i64>,
}

/// One row of the archive: the event and how it came in.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row<'a> {
    /// The event.
    pub event: Event<'a>,
    /// Its intake.
    pub intake: Intake<'a>,
}
