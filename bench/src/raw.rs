//! The raw limit of ingest: the same events, columns and indexed fields by the libraries alone. A borrowed serde parse, the Parquet
//! writer, and Tantivy with its simple tokenizer, on both cores. No hash, no order, no deduplication, no commit, no fsync.

use std::borrow::Cow;
use std::fs::File;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use arrow::array::RecordBatch;
use holdfast_schemas::columns::{RowBuilder, name};
use holdfast_schemas::time::parse_rfc3339;
use holdfast_schemas::{Actor, Attachment, Event, Intake, Message, Room, Row};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use serde::Deserialize;
use tantivy::directory::RamDirectory;
use tantivy::index::SegmentComponent::{FastFields, FieldNorms, Positions, Postings, Store, Terms};
use tantivy::indexer::SingleSegmentIndexWriter;
use tantivy::schema::{
    DateOptions, Field, IndexRecordOption, STRING, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{LowerCaser, SimpleTokenizer, TextAnalyzer, TokenizerManager};
use tantivy::{DateTime, Index, TantivyDocument};

/// Events of one Parquet file and one index.
const CHUNK_EVENTS: usize = 200_000;
/// Memory of one Tantivy writer: never reached, so that a chunk is one segment.
const WRITER_BYTES: usize = 1 << 30;

/// Reads `events`, writes Parquet files and Tantivy indexes to `out`.
pub(crate) fn run(events: &Path, out: &Path) -> Result<()> {
    std::fs::create_dir_all(out)?;
    let bytes = std::fs::read(events)?;
    let lines: Vec<&[u8]> = bytes
        .split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .collect();
    let chunks: Vec<_> = lines.chunks(CHUNK_EVENTS).collect();
    let next = AtomicUsize::new(0);
    let worker = || -> Result<()> {
        while let Some((number, chunk)) = take(&next, &chunks) {
            write_chunk(chunk, &out.join(number.to_string()))?;
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers
            .into_iter()
            .try_for_each(|w| w.join().map_err(|_| anyhow::anyhow!("a worker panicked"))?)
    })
}

fn take<'a, T: ?Sized>(next: &AtomicUsize, chunks: &[&'a T]) -> Option<(usize, &'a T)> {
    let number = next.fetch_add(1, Ordering::Relaxed);
    chunks.get(number).map(|chunk| (number, *chunk))
}

fn write_chunk(lines: &[&[u8]], out: &Path) -> Result<()> {
    let mut builder = RowBuilder::with_capacity(lines.len());
    for line in lines {
        let record: Record<'_> = serde_json::from_slice(line)?;
        builder.append(&Row {
            event: record.into_event()?,
            intake: Intake::default(),
        });
    }
    let batch = builder.finish()?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .build();
    let mut parquet = ArrowWriter::try_new(
        File::create(out.with_extension("parquet"))?,
        batch.schema(),
        Some(properties),
    )?;
    parquet.write(&batch)?;
    parquet.close()?;
    std::fs::write(out.with_extension("tantivy"), index(&batch)?)?;
    Ok(())
}

/// Columns indexed as whole values.
const KEYS: [&str; 14] = [
    name::EVENT_ID,
    name::EVENT_TYPE,
    name::ORIGIN,
    name::ROOM_ID,
    name::ROOM_NAME,
    name::CATEGORY,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_EMAIL,
    name::ACTOR_KIND,
    name::TARGET_ID,
    name::MESSAGE_ID,
    name::MESSAGE_KIND,
    name::REPLY_TO,
];
/// Columns indexed as text with positions. Names of attachments are the fourth text field.
const TEXTS: [&str; 3] = [name::TITLE, name::BODY, name::ACTOR_NAME];

struct Fields {
    schema: Schema,
    keys: Vec<Field>,
    texts: Vec<Field>,
    event_time: Field,
    ingest_time: Field,
}

fn fields() -> Fields {
    let mut builder = Schema::builder();
    let indexing = TextFieldIndexing::default()
        .set_tokenizer("simple")
        .set_index_option(IndexRecordOption::WithFreqsAndPositions)
        .set_fieldnorms(false);
    let text = TextOptions::default().set_indexing_options(indexing);
    let keys = KEYS
        .iter()
        .map(|column| builder.add_text_field(column, STRING))
        .collect();
    let mut texts: Vec<_> = TEXTS
        .iter()
        .map(|column| builder.add_text_field(column, text.clone()))
        .collect();
    texts.push(builder.add_text_field("filename", text));
    let event_time = builder.add_date_field("event_time", DateOptions::default().set_fast());
    let ingest_time = builder.add_date_field("ingest_time", DateOptions::default().set_fast());
    Fields {
        schema: builder.build(),
        keys,
        texts,
        event_time,
        ingest_time,
    }
}

/// Indexes a batch in memory and returns the bytes of all files.
fn index(batch: &RecordBatch) -> Result<Vec<u8>> {
    let fields = fields();
    let tokenizers = TokenizerManager::default();
    tokenizers.register(
        "simple",
        TextAnalyzer::builder(SimpleTokenizer::default())
            .filter(LowerCaser)
            .build(),
    );
    let builder = Index::builder()
        .schema(fields.schema.clone())
        .tokenizers(tokenizers);
    let mut writer: SingleSegmentIndexWriter =
        builder.single_segment_index_writer(RamDirectory::create(), WRITER_BYTES)?;
    let column = |name: &str| {
        let array = batch
            .column_by_name(name)
            .with_context(|| name.to_owned())?;
        arrow::array::AsArray::as_string_opt::<i32>(array.as_ref()).with_context(|| name.to_owned())
    };
    let columns = KEYS
        .iter()
        .chain(&TEXTS)
        .map(|name| column(name))
        .collect::<Result<Vec<_>>>()?;
    let rows = holdfast_schemas::columns::Rows::new(batch)?;
    for row in 0..batch.num_rows() {
        let mut document = TantivyDocument::new();
        for (array, field) in columns.iter().zip(fields.keys.iter().chain(&fields.texts)) {
            if arrow::array::Array::is_valid(array, row) {
                document.add_text(*field, array.value(row));
            }
        }
        let event = rows.event(row);
        for file in &event.attachments {
            document.add_text(
                fields.texts[TEXTS.len()],
                file.name.as_deref().unwrap_or_default(),
            );
        }
        document.add_date(
            fields.event_time,
            DateTime::from_timestamp_micros(event.time_us),
        );
        document.add_date(fields.ingest_time, DateTime::from_timestamp_micros(0));
        writer.add_document(document)?;
    }
    let index = writer.finalize()?;
    let mut bytes = Vec::new();
    for segment in index.searchable_segments()? {
        for component in [Postings, Positions, Terms, Store, FastFields, FieldNorms] {
            bytes.extend_from_slice(&segment.open_read(component)?.read_bytes()?);
        }
    }
    Ok(bytes)
}

/// The event as a borrowed serde struct, nothing checked.
#[derive(Deserialize)]
struct Record<'a> {
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
    fn into_event(self) -> Result<Event<'a>> {
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
