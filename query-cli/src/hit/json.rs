//! The JSON shape of a hit.

use std::ops::Range;

use holdfast_indexer::Status;
use holdfast_query::plan::TextField;
use holdfast_schemas::{Attachment, Row, time};
use serde::Serialize;

use super::{Marks, Standing};

/// A found event as JSON.
#[derive(Debug, Serialize)]
pub struct HitJson<'a> {
    event_id: &'a str,
    event_time: String,
    event_type: &'a str,
    room: Named<'a>,
    actor: Named<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    body: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachments: Vec<AttachmentJson<'a>>,
    highlights: Vec<Highlight<'a>>,
    status: Status,
    position: PositionJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    responsive: Option<bool>,
}

#[derive(Debug, Serialize)]
struct Named<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
}

/// A file that the event refers to.
#[derive(Debug, Serialize)]
struct AttachmentJson<'a> {
    id: Option<&'a str>,
    name: Option<&'a str>,
    media_type: Option<&'a str>,
    size: Option<i64>,
    sha256: Option<&'a str>,
}

impl<'a> AttachmentJson<'a> {
    fn new(attachment: &'a Attachment<'_>) -> Self {
        Self {
            id: attachment.id.as_deref(),
            name: attachment.name.as_deref(),
            media_type: attachment.media_type.as_deref(),
            size: attachment.size,
            sha256: attachment.sha256.as_deref(),
        }
    }
}

/// A hit part of the text. Counted in characters (Unicode scalar values), the end excluded: bytes would mean another thing
/// in each reader's language.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Highlight<'a> {
    field: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    attachment: Option<usize>,
    from: usize,
    to: usize,
    text: &'a str,
}

/// Where an event came from.
#[derive(Debug, Serialize)]
pub struct PositionJson<'a> {
    origin: &'a str,
    sequence: u64,
    topic: Option<&'a str>,
    partition: Option<i32>,
    offset: Option<i64>,
}

impl<'a> PositionJson<'a> {
    /// Of a row.
    #[must_use]
    pub fn new(row: &'a Row<'_>) -> Self {
        Self {
            origin: &row.event.origin,
            sequence: row.event.sequence,
            topic: row.intake.kafka_topic.as_deref(),
            partition: row.intake.kafka_partition,
            offset: row.intake.kafka_offset,
        }
    }
}

impl<'a> HitJson<'a> {
    /// The JSON shape of a row.
    #[must_use]
    pub fn new(row: &'a Row<'_>, marks: &Marks, standing: Standing) -> Self {
        let event = &row.event;
        let mut highlights = Vec::new();
        for field in TextField::ALL {
            for value in field.values(event) {
                let attachment = (field == TextField::AttachmentName).then_some(value.index);
                highlight(
                    &mut highlights,
                    field_name(field),
                    attachment,
                    value.text,
                    &marks.ranges(field, value.index),
                );
            }
        }
        Self {
            event_id: &event.id,
            event_time: time::format_us(event.time_us),
            event_type: &event.event_type,
            room: Named {
                id: event.room.id.as_deref(),
                name: event.room.name.as_deref(),
            },
            actor: Named {
                id: event.actor.id.as_deref(),
                name: event.actor.name.as_deref(),
            },
            title: event.message.title.as_deref(),
            body: event.message.body.as_deref(),
            attachments: event.attachments.iter().map(AttachmentJson::new).collect(),
            highlights,
            status: standing.status,
            position: PositionJson::new(row),
            responsive: standing.responsive,
        }
    }
}

/// The name of the query's property for a field.
fn field_name(field: TextField) -> &'static str {
    match field {
        TextField::Title => "title",
        TextField::Body => "body",
        TextField::AttachmentName => "filename",
        TextField::ActorName => "from",
    }
}

fn highlight<'a>(
    out: &mut Vec<Highlight<'a>>,
    field: &'static str,
    attachment: Option<usize>,
    text: &'a str,
    ranges: &[Range<usize>],
) {
    let (mut byte, mut chars) = (0, 0);
    for range in ranges {
        let (Some(before), Some(hit)) = (text.get(byte..range.start), text.get(range.clone()))
        else {
            continue;
        };
        chars += before.chars().count();
        let len = hit.chars().count();
        out.push(Highlight {
            field,
            attachment,
            from: chars,
            to: chars + len,
            text: hit,
        });
        chars += len;
        byte = range.end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_count_characters() {
        let mut out = Vec::new();
        highlight(
            &mut out,
            "body",
            None,
            "日本 keep 保存 keep",
            &[7..11, 19..23],
        );
        assert_eq!(out.len(), 2);
        assert_eq!((out[0].from, out[0].to, out[0].text), (3, 7, "keep"));
        assert_eq!((out[1].from, out[1].to, out[1].text), (11, 15, "keep"));
    }
}
