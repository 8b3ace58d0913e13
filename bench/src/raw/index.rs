//! The fields of a split, indexed by Tantivy as anybody would.

use anyhow::Result;
use holdfast_schemas::Event;
use tantivy::directory::RamDirectory;
use tantivy::index::SegmentComponent::{FastFields, FieldNorms, Positions, Postings, Store, Terms};
use tantivy::indexer::SingleSegmentIndexWriter;
use tantivy::schema::{
    DateOptions, Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::tokenizer::{LowerCaser, SimpleTokenizer, TextAnalyzer, TokenizerManager};
use tantivy::{DateTime, Index, IndexSettings, TantivyDocument};

/// Memory of one writer: never reached, since a piece is one segment.
const WRITER_BYTES: usize = 1 << 30;
/// Room for the text of most documents.
const DOCUMENT_BYTES: usize = 512;

/// Fields indexed as whole values, in the order of [`keys_of`].
const KEYS: [&str; 14] = [
    "event_id",
    "event_type",
    "origin",
    "room_id",
    "room_name",
    "category",
    "actor_id",
    "actor_uri",
    "actor_email",
    "actor_kind",
    "target_id",
    "message_id",
    "message_kind",
    "reply_to",
];
/// Fields indexed as text with positions, in the order of [`texts_of`]; names of attachments are the fourth.
const TEXTS: [&str; 4] = ["title", "body", "actor_name", "filename"];

/// What is indexed, and how.
pub(super) struct Fields {
    schema: Schema,
    tokenizers: TokenizerManager,
    keys: Vec<Field>,
    texts: Vec<Field>,
    event_time: Field,
    ingest_time: Field,
}

impl Fields {
    pub(super) fn new() -> Self {
        let mut builder = Schema::builder();
        let options = |tokenizer: &str, record| {
            let indexing = TextFieldIndexing::default()
                .set_tokenizer(tokenizer)
                .set_index_option(record)
                .set_fieldnorms(false);
            TextOptions::default().set_indexing_options(indexing)
        };
        let key = options("raw", IndexRecordOption::Basic);
        let text = options("simple", IndexRecordOption::WithFreqsAndPositions);
        let keys = KEYS.map(|name| builder.add_text_field(name, key.clone()));
        let texts = TEXTS.map(|name| builder.add_text_field(name, text.clone()));
        let event_time = builder.add_date_field("event_time", DateOptions::default().set_fast());
        let ingest_time = builder.add_date_field("ingest_time", DateOptions::default().set_fast());
        let tokenizers = TokenizerManager::default();
        let simple = TextAnalyzer::builder(SimpleTokenizer::default()).filter(LowerCaser);
        tokenizers.register("simple", simple.build());
        Self {
            schema: builder.build(),
            tokenizers,
            keys: keys.into(),
            texts: texts.into(),
            event_time,
            ingest_time,
        }
    }

    /// An index in memory that is one segment.
    pub(super) fn writer(&self) -> Result<SingleSegmentIndexWriter> {
        let settings = IndexSettings {
            // Nothing is stored: there is no work for a thread of its own.
            docstore_compress_dedicated_thread: false,
            ..IndexSettings::default()
        };
        let builder = Index::builder()
            .schema(self.schema.clone())
            .settings(settings)
            .tokenizers(self.tokenizers.clone());
        Ok(builder.single_segment_index_writer(RamDirectory::create(), WRITER_BYTES)?)
    }

    pub(super) fn document(&self, event: &Event<'_>, target: Option<&str>) -> TantivyDocument {
        let mut document = TantivyDocument::with_capacity(DOCUMENT_BYTES);
        let mut add = |field: &Field, value: Option<&str>| {
            if let Some(value) = value {
                document.add_text(*field, value);
            }
        };
        for (field, value) in self.keys.iter().zip(keys_of(event, target)) {
            add(field, value);
        }
        for (field, value) in self.texts.iter().zip(texts_of(event)) {
            add(field, value);
        }
        for file in &event.attachments {
            add(&self.texts[TEXTS.len() - 1], file.name.as_deref());
        }
        let time = DateTime::from_timestamp_micros;
        document.add_date(self.event_time, time(event.time_us));
        document.add_date(self.ingest_time, time(0));
        document
    }
}

fn keys_of<'a>(event: &'a Event<'_>, target: Option<&'a str>) -> [Option<&'a str>; KEYS.len()] {
    let (room, actor, message) = (&event.room, &event.actor, &event.message);
    [
        Some(&event.id),
        Some(&event.event_type),
        Some(&event.origin),
        room.id.as_deref(),
        room.name.as_deref(),
        room.category.as_deref(),
        actor.id.as_deref(),
        actor.uri.as_deref(),
        actor.email.as_deref(),
        actor.kind.as_deref(),
        target,
        message.id.as_deref(),
        message.kind.as_deref(),
        message.reply_to.as_deref(),
    ]
}

fn texts_of<'a>(event: &'a Event<'_>) -> [Option<&'a str>; TEXTS.len() - 1] {
    [
        event.message.title.as_deref(),
        event.message.body.as_deref(),
        event.actor.name.as_deref(),
    ]
}

/// Ends an index and returns the bytes of all its files.
pub(super) fn finish(writer: SingleSegmentIndexWriter) -> Result<Vec<u8>> {
    let index = writer.finalize()?;
    let mut bytes = Vec::new();
    for segment in index.searchable_segments()? {
        for component in [Postings, Positions, Terms, Store, FastFields, FieldNorms] {
            bytes.extend_from_slice(&segment.open_read(component)?.read_bytes()?);
        }
    }
    Ok(bytes)
}
