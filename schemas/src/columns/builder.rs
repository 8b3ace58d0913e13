//! Rows to Arrow arrays.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Int32Builder, Int64Builder, ListBuilder, RecordBatch,
    RecordBatchOptions, StringBuilder, StructBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, Field};

use super::{attachment_fields, segment_schema, target_id};
use crate::event::{Attachment, Event, Row};

/// Appends rows to Arrow arrays with the schema of [`segment_schema`].
#[derive(Debug)]
pub struct RowBuilder {
    rows: usize,
    text_bytes: usize,
    event_id: StringBuilder,
    event_type: StringBuilder,
    event_time: TimestampMicrosecondBuilder,
    ingest_time: TimestampMicrosecondBuilder,
    origin: StringBuilder,
    origin_seq: Int64Builder,
    source: StringBuilder,
    kafka_topic: StringBuilder,
    kafka_partition: Int32Builder,
    kafka_offset: Int64Builder,
    room_id: StringBuilder,
    room_name: StringBuilder,
    category: StringBuilder,
    room_seq: Int64Builder,
    actor_id: StringBuilder,
    actor_uri: StringBuilder,
    actor_name: StringBuilder,
    actor_email: StringBuilder,
    actor_internal: BooleanBuilder,
    actor_kind: StringBuilder,
    target_id: StringBuilder,
    message_id: StringBuilder,
    message_kind: StringBuilder,
    title: StringBuilder,
    body: StringBuilder,
    reply_to: StringBuilder,
    attachments: ListBuilder<StructBuilder>,
    extra: StringBuilder,
    raw: BinaryBuilder,
}

/// Bytes a row takes beside its text: numbers, offsets and validity of every column.
const FIXED_BYTES_PER_ROW: usize = 150;

impl RowBuilder {
    /// An empty builder with room for `rows` rows of chat.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        let text = |bytes_each: usize| StringBuilder::with_capacity(rows, rows * bytes_each);
        let time = || TimestampMicrosecondBuilder::with_capacity(rows).with_timezone("UTC");
        let element = Field::new("element", DataType::Struct(attachment_fields()), true);
        Self {
            rows: 0,
            text_bytes: 0,
            event_id: text(36),
            event_type: text(20),
            event_time: time(),
            ingest_time: time(),
            origin: text(8),
            origin_seq: Int64Builder::with_capacity(rows),
            source: text(24),
            kafka_topic: text(0),
            kafka_partition: Int32Builder::with_capacity(rows),
            kafka_offset: Int64Builder::with_capacity(rows),
            room_id: text(18),
            room_name: text(18),
            category: text(16),
            room_seq: Int64Builder::with_capacity(rows),
            actor_id: text(18),
            actor_uri: text(32),
            actor_name: text(12),
            actor_email: text(0),
            actor_internal: BooleanBuilder::with_capacity(rows),
            actor_kind: text(4),
            target_id: text(0),
            message_id: text(10),
            message_kind: text(5),
            title: text(0),
            body: text(80),
            reply_to: text(0),
            attachments: ListBuilder::new(StructBuilder::from_fields(attachment_fields(), 0))
                .with_field(element),
            extra: text(0),
            raw: BinaryBuilder::new(),
        }
    }

    /// Adds one row.
    pub fn append(&mut self, row: &Row<'_>) {
        let (event, intake) = (&row.event, &row.intake);
        self.rows += 1;
        self.ingest_time.append_value(intake.ingest_time_us);
        self.optional(|b| &mut b.kafka_topic, intake.kafka_topic.as_ref());
        self.kafka_partition.append_option(intake.kafka_partition);
        self.kafka_offset.append_option(intake.kafka_offset);
        self.append_event(event);
        self.append_attachments(&event.attachments);
        let target = target_id(event).map(Cow::Owned);
        self.optional(|b| &mut b.target_id, target.as_ref());
        self.raw.append_option(event.raw.as_deref());
        self.text_bytes += event.raw.as_ref().map_or(0, |raw| raw.len());
    }

    fn append_event(&mut self, event: &Event<'_>) {
        self.required(|b| &mut b.event_id, &event.id);
        self.required(|b| &mut b.event_type, &event.event_type);
        self.event_time.append_value(event.time_us);
        self.required(|b| &mut b.origin, &event.origin);
        // Decoding admits no sequence beyond i64.
        self.origin_seq.append_value(event.sequence.cast_signed());
        self.required(|b| &mut b.source, &event.source);
        self.optional(|b| &mut b.room_id, event.room.id.as_ref());
        self.optional(|b| &mut b.room_name, event.room.name.as_ref());
        self.optional(|b| &mut b.category, event.room.category.as_ref());
        self.room_seq.append_option(event.room_seq);
        self.optional(|b| &mut b.actor_id, event.actor.id.as_ref());
        self.optional(|b| &mut b.actor_uri, event.actor.uri.as_ref());
        self.optional(|b| &mut b.actor_name, event.actor.name.as_ref());
        self.optional(|b| &mut b.actor_email, event.actor.email.as_ref());
        self.actor_internal.append_option(event.actor.internal);
        self.optional(|b| &mut b.actor_kind, event.actor.kind.as_ref());
        self.optional(|b| &mut b.message_id, event.message.id.as_ref());
        self.optional(|b| &mut b.message_kind, event.message.kind.as_ref());
        self.optional(|b| &mut b.title, event.message.title.as_ref());
        self.optional(|b| &mut b.body, event.message.body.as_ref());
        self.optional(|b| &mut b.reply_to, event.message.reply_to.as_ref());
        self.optional(|b| &mut b.extra, event.extra.as_ref());
    }

    fn required(&mut self, column: impl FnOnce(&mut Self) -> &mut StringBuilder, text: &str) {
        self.text_bytes += text.len();
        column(self).append_value(text);
    }

    fn optional(
        &mut self,
        column: impl FnOnce(&mut Self) -> &mut StringBuilder,
        text: Option<&Cow<'_, str>>,
    ) {
        match text {
            Some(text) => self.required(column, text),
            None => column(self).append_null(),
        }
    }

    fn append_attachments(&mut self, files: &[Attachment<'_>]) {
        if files.is_empty() {
            self.attachments.append_null();
            return;
        }
        let element = self.attachments.values();
        for file in files {
            let texts = [
                (0, &file.id),
                (1, &file.name),
                (2, &file.media_type),
                (4, &file.sha256),
            ];
            for (column, text) in texts {
                if let Some(builder) = element.field_builder::<StringBuilder>(column) {
                    builder.append_option(text.as_deref());
                    self.text_bytes += text.as_ref().map_or(0, |t| t.len());
                }
            }
            if let Some(builder) = element.field_builder::<Int64Builder>(3) {
                builder.append_option(file.size);
            }
            element.append(true);
        }
        self.attachments.append(true);
    }

    /// Rows so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether no row was added since the last [`RowBuilder::finish`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes that the rows so far take in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text_bytes + self.rows * FIXED_BYTES_PER_ROW
    }

    /// The rows as one batch; the builder is empty afterwards.
    ///
    /// # Errors
    /// A column grew beyond what Arrow's 32-bit offsets address (2 GiB of text).
    pub fn finish(&mut self) -> Result<RecordBatch, arrow::error::ArrowError> {
        let rows = std::mem::take(&mut self.rows);
        self.text_bytes = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.event_id.finish()),
            Arc::new(self.event_type.finish()),
            Arc::new(self.event_time.finish()),
            Arc::new(self.ingest_time.finish()),
            Arc::new(self.origin.finish()),
            Arc::new(self.origin_seq.finish()),
            Arc::new(self.source.finish()),
            Arc::new(self.kafka_topic.finish()),
            Arc::new(self.kafka_partition.finish()),
            Arc::new(self.kafka_offset.finish()),
            Arc::new(self.room_id.finish()),
            Arc::new(self.room_name.finish()),
            Arc::new(self.category.finish()),
            Arc::new(self.room_seq.finish()),
            Arc::new(self.actor_id.finish()),
            Arc::new(self.actor_uri.finish()),
            Arc::new(self.actor_name.finish()),
            Arc::new(self.actor_email.finish()),
            Arc::new(self.actor_internal.finish()),
            Arc::new(self.actor_kind.finish()),
            Arc::new(self.target_id.finish()),
            Arc::new(self.message_id.finish()),
            Arc::new(self.message_kind.finish()),
            Arc::new(self.title.finish()),
            Arc::new(self.body.finish()),
            Arc::new(self.reply_to.finish()),
            Arc::new(self.attachments.finish()),
            Arc::new(self.extra.finish()),
            Arc::new(self.raw.finish()),
        ];
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(segment_schema(), columns, &options)
    }
}
