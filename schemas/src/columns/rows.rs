//! Arrow arrays back to rows.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BooleanArray, Int32Array, Int64Array, ListArray,
    RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Int64Type};

use super::{name, segment_schema};
use crate::event::{Actor, Attachment, Event, Intake, Message, Room, Row};

/// A column is not as the contract says.
#[derive(Debug, thiserror::Error)]
#[error("column {column} has type {found}, the contract says {expected}")]
pub struct ColumnError {
    /// The column's name.
    pub column: &'static str,
    /// The type found.
    pub found: DataType,
    /// The type of the contract.
    pub expected: DataType,
}

/// Typed view over a batch with the columns of [`segment_schema`], looked up by name: further columns are ignored, and columns left out
/// by a projection read as null, empty or zero.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    len: usize,
    event_id: Option<&'a StringArray>,
    event_type: Option<&'a StringArray>,
    event_time: Option<&'a TimestampMicrosecondArray>,
    ingest_time: Option<&'a TimestampMicrosecondArray>,
    origin: Option<&'a StringArray>,
    origin_seq: Option<&'a Int64Array>,
    source: Option<&'a StringArray>,
    kafka_topic: Option<&'a StringArray>,
    kafka_partition: Option<&'a Int32Array>,
    kafka_offset: Option<&'a Int64Array>,
    room_id: Option<&'a StringArray>,
    room_name: Option<&'a StringArray>,
    category: Option<&'a StringArray>,
    room_seq: Option<&'a Int64Array>,
    actor_id: Option<&'a StringArray>,
    actor_uri: Option<&'a StringArray>,
    actor_name: Option<&'a StringArray>,
    actor_email: Option<&'a StringArray>,
    actor_internal: Option<&'a BooleanArray>,
    actor_kind: Option<&'a StringArray>,
    message_id: Option<&'a StringArray>,
    message_kind: Option<&'a StringArray>,
    title: Option<&'a StringArray>,
    body: Option<&'a StringArray>,
    reply_to: Option<&'a StringArray>,
    attachments: Option<&'a ListArray>,
    extra: Option<&'a StringArray>,
    raw: Option<&'a BinaryArray>,
}

impl<'a> Rows<'a> {
    /// Looks the columns up by name.
    ///
    /// # Errors
    /// A column has another type than the contract says.
    pub fn new(batch: &'a RecordBatch) -> Result<Self, ColumnError> {
        let text = |column| find(batch, column, |a| a.as_string_opt::<i32>());
        let time = |column| {
            find(batch, column, |a| {
                a.as_any().downcast_ref::<TimestampMicrosecondArray>()
            })
        };
        let long = |column| find(batch, column, |a| a.as_primitive_opt::<Int64Type>());
        Ok(Self {
            len: batch.num_rows(),
            event_id: text(name::EVENT_ID)?,
            event_type: text(name::EVENT_TYPE)?,
            event_time: time(name::EVENT_TIME)?,
            ingest_time: time(name::INGEST_TIME)?,
            origin: text(name::ORIGIN)?,
            origin_seq: long(name::ORIGIN_SEQ)?,
            source: text(name::SOURCE)?,
            kafka_topic: text(name::KAFKA_TOPIC)?,
            kafka_partition: find(batch, name::KAFKA_PARTITION, |a| {
                a.as_any().downcast_ref::<Int32Array>()
            })?,
            kafka_offset: long(name::KAFKA_OFFSET)?,
            room_id: text(name::ROOM_ID)?,
            room_name: text(name::ROOM_NAME)?,
            category: text(name::CATEGORY)?,
            room_seq: long(name::ROOM_SEQ)?,
            actor_id: text(name::ACTOR_ID)?,
            actor_uri: text(name::ACTOR_URI)?,
            actor_name: text(name::ACTOR_NAME)?,
            actor_email: text(name::ACTOR_EMAIL)?,
            actor_internal: find(batch, name::ACTOR_INTERNAL, |a| a.as_boolean_opt())?,
            actor_kind: text(name::ACTOR_KIND)?,
            message_id: text(name::MESSAGE_ID)?,
            message_kind: text(name::MESSAGE_KIND)?,
            title: text(name::TITLE)?,
            body: text(name::BODY)?,
            reply_to: text(name::REPLY_TO)?,
            attachments: find(batch, name::ATTACHMENTS, |a| a.as_list_opt::<i32>())?,
            extra: text(name::EXTRA)?,
            raw: find(batch, name::RAW, |a| a.as_binary_opt::<i32>())?,
        })
    }

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The row at `index`, borrowing from the batch.
    ///
    /// # Panics
    /// `index` is not below [`Rows::len`].
    #[must_use]
    pub fn row(&self, index: usize) -> Row<'a> {
        Row {
            event: self.event(index),
            intake: self.intake(index),
        }
    }

    /// The event at `index`, borrowing from the batch.
    ///
    /// # Panics
    /// `index` is not below [`Rows::len`].
    #[must_use]
    pub fn event(&self, i: usize) -> Event<'a> {
        Event {
            id: text(self.event_id, i).unwrap_or_default(),
            event_type: text(self.event_type, i).unwrap_or_default(),
            time_us: self.event_time.map_or(0, |column| column.value(i)),
            source: text(self.source, i).unwrap_or_default(),
            origin: text(self.origin, i).unwrap_or_default(),
            sequence: self
                .origin_seq
                .map_or(0, |column| column.value(i))
                .cast_unsigned(),
            room: Room {
                id: text(self.room_id, i),
                name: text(self.room_name, i),
                category: text(self.category, i),
            },
            actor: Actor {
                id: text(self.actor_id, i),
                uri: text(self.actor_uri, i),
                name: text(self.actor_name, i),
                email: text(self.actor_email, i),
                internal: self
                    .actor_internal
                    .filter(|a| a.is_valid(i))
                    .map(|a| a.value(i)),
                kind: text(self.actor_kind, i),
            },
            room_seq: long(self.room_seq, i),
            message: Message {
                id: text(self.message_id, i),
                kind: text(self.message_kind, i),
                title: text(self.title, i),
                body: text(self.body, i),
                reply_to: text(self.reply_to, i),
            },
            attachments: self
                .attachments
                .map_or_else(Vec::new, |column| attachments(column, i)),
            extra: text(self.extra, i),
            raw: self
                .raw
                .filter(|a| a.is_valid(i))
                .map(|a| Cow::Borrowed(a.value(i))),
        }
    }

    fn intake(&self, i: usize) -> Intake<'a> {
        Intake {
            ingest_time_us: self.ingest_time.map_or(0, |column| column.value(i)),
            kafka_topic: text(self.kafka_topic, i),
            kafka_partition: self
                .kafka_partition
                .filter(|a| a.is_valid(i))
                .map(|a| a.value(i)),
            kafka_offset: long(self.kafka_offset, i),
        }
    }
}

fn find<'a, A>(
    batch: &'a RecordBatch,
    column: &'static str,
    downcast: impl FnOnce(&'a ArrayRef) -> Option<&'a A>,
) -> Result<Option<&'a A>, ColumnError> {
    let Some(array) = batch.column_by_name(column) else {
        return Ok(None);
    };
    match downcast(array) {
        Some(typed) => Ok(Some(typed)),
        None => {
            let expected = segment_schema()
                .field_with_name(column)
                .map_or(DataType::Null, |f| f.data_type().clone());
            Err(ColumnError {
                column,
                found: array.data_type().clone(),
                expected,
            })
        }
    }
}

fn text<'a>(column: Option<&'a StringArray>, i: usize) -> Option<Cow<'a, str>> {
    column
        .filter(|a| a.is_valid(i))
        .map(|a| Cow::Borrowed(a.value(i)))
}

fn long(column: Option<&Int64Array>, i: usize) -> Option<i64> {
    column.filter(|a| a.is_valid(i)).map(|a| a.value(i))
}

fn attachments(column: &ListArray, i: usize) -> Vec<Attachment<'_>> {
    // Most events carry none: a null list or an empty one.
    if column.is_null(i) || column.value_length(i) == 0 {
        return Vec::new();
    }
    let Some(files) = column.values().as_struct_opt() else {
        return Vec::new();
    };
    let member = |name: &str| {
        files
            .column_by_name(name)
            .and_then(|a| a.as_string_opt::<i32>())
    };
    let (id, file_name, media_type, sha256) = (
        member("id"),
        member("name"),
        member("media_type"),
        member("sha256"),
    );
    let size = files
        .column_by_name("size")
        .and_then(|a| a.as_primitive_opt::<Int64Type>());
    let offsets = column.value_offsets();
    let range = offsets[i]..offsets[i + 1];
    range
        .filter_map(|j| usize::try_from(j).ok())
        .map(|j| Attachment {
            id: text(id, j),
            name: text(file_name, j),
            media_type: text(media_type, j),
            size: long(size, j),
            sha256: text(sha256, j),
        })
        .collect()
}
