//! A record's bytes to the normalised event.
//!
//! Two ways that agree: the usual event is read in one borrowed pass; whatever is unusual in any way (extra members, foreign types,
//! other spellings, mistakes) takes the thorough way through [`crate::json`], which keeps or names everything.

use std::borrow::Cow;

use serde::Deserialize;

use crate::event::{Actor, Attachment, Event, Message, Room};
use crate::event_type;
use crate::json::{DecodeError, Json, Str};
use crate::limits::{ATTACHMENTS_MAX, BODY_BYTES_MAX, EVENT_BYTES_MAX, NAME_BYTES_MAX};
use crate::normalise;
use crate::time::parse_rfc3339;

/// `specversion` of every event.
pub const SPEC_VERSION: &str = "1.0";
/// `datacontenttype` unless an event says otherwise.
pub const DATA_CONTENT_TYPE: &str = "application/json";
/// `dataschema` unless an event says otherwise.
pub const DATA_SCHEMA: &str = "urn:holdfast:compliance-event:1";

/// Reads one record: a CloudEvents 1.0 JSON object in structured mode.
///
/// # Errors
/// The record is over the size limit, not UTF-8, not I-JSON, or breaks a rule of the contract; the error names the member.
pub fn decode(record: &[u8]) -> Result<Event<'_>, DecodeError> {
    if record.len() > EVENT_BYTES_MAX {
        let message = format!("{} bytes, the limit is {EVENT_BYTES_MAX}", record.len());
        return Err(DecodeError::new("", message));
    }
    let text = simdutf8::compat::from_utf8(record)
        .map_err(|e| DecodeError::new("", format!("not UTF-8 at byte {}", e.valid_up_to())))?;
    if let Some(event) = serde_json::from_str::<Usual<'_>>(text)
        .ok()
        .and_then(Usual::into_event)
    {
        return Ok(event);
    }
    let event = normalise::event(Json::parse(text)?)?;
    check_limits(&event)?;
    Ok(event)
}

/// A UUIDv7 in the canonical lower-case spelling (RFC 9562).
pub(crate) fn is_uuid_v7(id: &str) -> bool {
    is_uuid(id, b'7')
}

/// A UUID of the version whose digit is given, in lower case.
pub(crate) fn is_uuid(id: &str, version: u8) -> bool {
    let b = id.as_bytes();
    b.len() == 36
        && b[14] == version
        && matches!(b[19], b'8' | b'9' | b'a' | b'b')
        && b.iter().enumerate().all(|(i, c)| match i {
            8 | 13 | 18 | 23 => *c == b'-',
            _ => matches!(c, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// A `sequence`: 20 digits, at least 1, within a signed 64-bit column.
pub(crate) fn sequence(text: &str) -> Option<u64> {
    let digits = text.len() == 20 && text.bytes().all(|b| b.is_ascii_digit());
    let value = digits.then(|| text.parse::<u64>().ok()).flatten()?;
    (1..=i64::MAX.cast_unsigned())
        .contains(&value)
        .then_some(value)
}

/// The usual event: every member in its place, nothing beside. Anything else fails to deserialise and goes the thorough way.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Usual<'a> {
    specversion: &'a str,
    #[serde(borrow)]
    id: &'a str,
    source: Str<'a>,
    #[serde(rename = "type")]
    event_type: &'a str,
    subject: Option<Str<'a>>,
    time: &'a str,
    datacontenttype: &'a str,
    dataschema: &'a str,
    partitionkey: Option<Str<'a>>,
    origin: Str<'a>,
    sequence: &'a str,
    data: UsualData<'a>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct UsualData<'a> {
    #[serde(borrow)]
    room: Option<UsualRoom<'a>>,
    actor: Option<UsualActor<'a>>,
    room_seq: Option<i64>,
    message: Option<UsualMessage<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct UsualRoom<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    name: Option<Str<'a>>,
    category: Option<Str<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct UsualActor<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    uri: Option<Str<'a>>,
    name: Option<Str<'a>>,
    email: Option<Str<'a>>,
    internal: Option<bool>,
    kind: Option<Str<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct UsualMessage<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    kind: Option<Str<'a>>,
    title: Option<Str<'a>>,
    body: Option<Str<'a>>,
    reply_to: Option<Str<'a>>,
    attachments: Option<Vec<UsualAttachment<'a>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UsualAttachment<'a> {
    #[serde(borrow)]
    id: Option<Str<'a>>,
    name: Option<Str<'a>>,
    media_type: Option<Str<'a>>,
    size: Option<i64>,
    sha256: Option<Str<'a>>,
}

impl<'a> Usual<'a> {
    /// `None` when a value is not the usual one after all.
    fn into_event(self) -> Option<Event<'a>> {
        let known = event_type::known(self.event_type)?;
        let constants = self.specversion == SPEC_VERSION
            && self.datacontenttype == DATA_CONTENT_TYPE
            && self.dataschema == DATA_SCHEMA;
        let (room, subject, key) = (
            self.data.room.unwrap_or_default(),
            filled(self.subject),
            filled(self.partitionkey),
        );
        let room = Room {
            id: filled(room.id),
            name: filled(room.name),
            category: filled(room.category),
        };
        let routed =
            subject == room.id && key == room.id && (room.id.is_some() || !known.room_bound);
        let time = parse_rfc3339(self.time).ok().filter(|t| !t.lossy)?;
        let special = event_type::carries_single_attachment(self.event_type)
            || self.event_type == event_type::QUARANTINED;
        if !constants || !routed || special || !is_uuid_v7(self.id) {
            return None;
        }
        let (actor, message) = (
            self.data.actor.unwrap_or_default(),
            self.data.message.unwrap_or_default(),
        );
        let attachments = message
            .attachments
            .unwrap_or_default()
            .into_iter()
            .map(UsualAttachment::into_attachment);
        let event = Event {
            id: Cow::Borrowed(self.id),
            event_type: Cow::Borrowed(known.name),
            time_us: time.us,
            source: filled(Some(self.source))?,
            origin: filled(Some(self.origin))?,
            sequence: sequence(self.sequence)?,
            room,
            actor: Actor {
                id: filled(actor.id),
                uri: filled(actor.uri),
                name: filled(actor.name),
                email: filled(actor.email),
                internal: actor.internal,
                kind: filled(actor.kind),
            },
            room_seq: self.data.room_seq,
            message: Message {
                id: filled(message.id),
                kind: filled(message.kind),
                title: filled(message.title),
                body: filled(message.body),
                reply_to: filled(message.reply_to),
            },
            attachments: attachments.collect(),
            extra: None,
            raw: None,
        };
        check_limits(&event).is_ok().then_some(event)
    }
}

impl<'a> UsualAttachment<'a> {
    fn into_attachment(self) -> Attachment<'a> {
        Attachment {
            id: filled(self.id),
            name: filled(self.name),
            media_type: filled(self.media_type),
            size: self.size,
            sha256: filled(self.sha256),
        }
    }
}

/// A known member that is null or empty is the same as an absent one.
fn filled(text: Option<Str<'_>>) -> Option<Cow<'_, str>> {
    text.map(|s| s.0).filter(|s| !s.is_empty())
}

/// The limits of the contract on the columns' values.
fn check_limits(event: &Event<'_>) -> Result<(), DecodeError> {
    let (room, actor, message) = (&event.room, &event.actor, &event.message);
    let names = [
        ("type", Some(&event.event_type)),
        ("source", Some(&event.source)),
        ("origin", Some(&event.origin)),
        ("data.room.id", room.id.as_ref()),
        ("data.room.name", room.name.as_ref()),
        ("data.room.category", room.category.as_ref()),
        ("data.actor.id", actor.id.as_ref()),
        ("data.actor.uri", actor.uri.as_ref()),
        ("data.actor.name", actor.name.as_ref()),
        ("data.actor.email", actor.email.as_ref()),
        ("data.actor.kind", actor.kind.as_ref()),
        ("data.message.id", message.id.as_ref()),
        ("data.message.kind", message.kind.as_ref()),
        ("data.message.reply_to", message.reply_to.as_ref()),
    ];
    for (place, text) in names {
        check_length(place, text, NAME_BYTES_MAX)?;
    }
    check_length("data.message.title", message.title.as_ref(), BODY_BYTES_MAX)?;
    check_length("data.message.body", message.body.as_ref(), BODY_BYTES_MAX)?;
    if event.attachments.len() > ATTACHMENTS_MAX {
        let message = format!(
            "{} attachments, the limit is {ATTACHMENTS_MAX}",
            event.attachments.len()
        );
        return Err(DecodeError::new("data.message.attachments", message));
    }
    for (i, file) in event.attachments.iter().enumerate() {
        for (member, text) in [
            ("id", &file.id),
            ("name", &file.name),
            ("media_type", &file.media_type),
            ("sha256", &file.sha256),
        ] {
            if text.as_ref().is_some_and(|t| t.len() > NAME_BYTES_MAX) {
                check_length(
                    &format!("attachments[{i}].{member}"),
                    text.as_ref(),
                    NAME_BYTES_MAX,
                )?;
            }
        }
    }
    Ok(())
}

fn check_length(
    place: &str,
    text: Option<&Cow<'_, str>>,
    bytes_max: usize,
) -> Result<(), DecodeError> {
    match text {
        Some(t) if t.len() > bytes_max => Err(DecodeError::new(
            place,
            format!("{} bytes, the limit is {bytes_max}", t.len()),
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_agree_on_the_usual_event() {
        let records = [
            r#"{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001","source":"/p","type":"chat.message.posted","subject":"r-1",
            "time":"2026-11-20T05:10:45.123456Z","datacontenttype":"application/json","dataschema":"urn:holdfast:compliance-event:1",
            "partitionkey":"r-1","origin":"main.1","sequence":"00000000000000000001","data":{"room":{"id":"r-1","name":"a\"b","category":""},
            "actor":{"id":"u-1","email":null,"internal":false},"room_seq":7,"message":{"id":"m","kind":"plain","title":null,
            "body":"x","reply_to":null,"attachments":[{"id":"f","name":"n","media_type":"","size":3,"sha256":null}]}}}"#,
            r#"{"specversion":"1.0","id":"0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001","source":"/p","type":"chat.node.started",
            "time":"2026-11-20T05:10:45Z","datacontenttype":"application/json","dataschema":"urn:holdfast:compliance-event:1",
            "origin":"main.1","sequence":"00000000000000000001","data":{}}"#,
        ];
        for record in records {
            let usual = serde_json::from_str::<Usual<'_>>(record)
                .unwrap()
                .into_event()
                .unwrap();
            assert_eq!(
                usual,
                normalise::event(Json::parse(record).unwrap()).unwrap()
            );
        }
    }
}
