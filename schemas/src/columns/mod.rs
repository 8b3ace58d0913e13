//! The archive's columns: rows to Arrow and back.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::{DataType, Field, Fields, Schema, SchemaRef, TimeUnit};

use crate::event::Event;
use crate::json::Json;
use crate::time::utc_year;

mod builder;
mod rows;

pub use builder::RowBuilder;
pub use rows::{ColumnError, Rows};

/// Names of the archive's columns, in their order in a segment.
pub mod name {
    #![allow(missing_docs)]
    pub const EVENT_ID: &str = "event_id";
    pub const EVENT_TYPE: &str = "event_type";
    pub const EVENT_TIME: &str = "event_time";
    pub const INGEST_TIME: &str = "ingest_time";
    pub const ORIGIN: &str = "origin";
    pub const ORIGIN_SEQ: &str = "origin_seq";
    pub const SOURCE: &str = "source";
    pub const KAFKA_TOPIC: &str = "kafka_topic";
    pub const KAFKA_PARTITION: &str = "kafka_partition";
    pub const KAFKA_OFFSET: &str = "kafka_offset";
    pub const ROOM_ID: &str = "room_id";
    pub const ROOM_NAME: &str = "room_name";
    pub const CATEGORY: &str = "category";
    pub const ROOM_SEQ: &str = "room_seq";
    pub const ACTOR_ID: &str = "actor_id";
    pub const ACTOR_URI: &str = "actor_uri";
    pub const ACTOR_NAME: &str = "actor_name";
    pub const ACTOR_EMAIL: &str = "actor_email";
    pub const ACTOR_INTERNAL: &str = "actor_internal";
    pub const ACTOR_KIND: &str = "actor_kind";
    pub const TARGET_ID: &str = "target_id";
    pub const MESSAGE_ID: &str = "message_id";
    pub const MESSAGE_KIND: &str = "message_kind";
    pub const TITLE: &str = "title";
    pub const BODY: &str = "body";
    pub const REPLY_TO: &str = "reply_to";
    pub const ATTACHMENTS: &str = "attachments";
    pub const EXTRA: &str = "extra";
    pub const RAW: &str = "raw";
    /// The partition column; a value of the file's folder, not of its bytes.
    pub const EVENT_YEAR: &str = "event_year";
}

/// Arrow type of `event_time` and `ingest_time`: UTC microseconds.
#[must_use]
pub fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// Fields of one element of the `attachments` list.
#[must_use]
pub fn attachment_fields() -> Fields {
    Fields::from(vec![
        Field::new("id", DataType::Utf8, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("media_type", DataType::Utf8, true),
        Field::new("size", DataType::Int64, true),
        Field::new("sha256", DataType::Utf8, true),
    ])
}

static SEGMENT_SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    use name::*;
    let text = |n: &str| Field::new(n, DataType::Utf8, true);
    let required = |n: &str| Field::new(n, DataType::Utf8, false);
    let element = Field::new("element", DataType::Struct(attachment_fields()), true);
    Arc::new(Schema::new(vec![
        required(EVENT_ID),
        required(EVENT_TYPE),
        Field::new(EVENT_TIME, timestamp(), false),
        Field::new(INGEST_TIME, timestamp(), false),
        required(ORIGIN),
        Field::new(ORIGIN_SEQ, DataType::Int64, false),
        required(SOURCE),
        text(KAFKA_TOPIC),
        Field::new(KAFKA_PARTITION, DataType::Int32, true),
        Field::new(KAFKA_OFFSET, DataType::Int64, true),
        text(ROOM_ID),
        text(ROOM_NAME),
        text(CATEGORY),
        Field::new(ROOM_SEQ, DataType::Int64, true),
        text(ACTOR_ID),
        text(ACTOR_URI),
        text(ACTOR_NAME),
        text(ACTOR_EMAIL),
        Field::new(ACTOR_INTERNAL, DataType::Boolean, true),
        text(ACTOR_KIND),
        text(TARGET_ID),
        text(MESSAGE_ID),
        text(MESSAGE_KIND),
        text(TITLE),
        text(BODY),
        text(REPLY_TO),
        Field::new(ATTACHMENTS, DataType::List(Arc::new(element)), true),
        text(EXTRA),
        Field::new(RAW, DataType::Binary, true),
    ]))
});

/// Schema of a segment's rows: every archive column but the partition column `event_year`.
#[must_use]
pub fn segment_schema() -> SchemaRef {
    Arc::clone(&SEGMENT_SCHEMA)
}

/// Partition value of a row: UTC year of its time. A quarantined row's time is its ingest time.
#[must_use]
pub fn event_year(event_time_us: i64) -> i32 {
    utc_year(event_time_us)
}

/// Whom or what an event is about: the id of `data.member`, `data.user` or `data.by`, whether that is an object or the id itself.
/// The column is for people and searches; the member stays in `extra`.
#[must_use]
pub fn target_id(event: &Event<'_>) -> Option<String> {
    let extra = event.extra.as_deref()?;
    if !extra.contains("\"member\"") && !extra.contains("\"user\"") && !extra.contains("\"by\"") {
        return None;
    }
    let overlay = Json::parse(extra).ok()?;
    let data = overlay.get("data")?;
    let target = ["member", "user", "by"]
        .into_iter()
        .find_map(|name| data.get(name))?;
    let id = target
        .as_str()
        .or_else(|| target.get("id").and_then(Json::as_str))?;
    (!id.is_empty()).then(|| id.to_owned())
}
