//! What a split holds: the Tantivy fields, and which property of the language is found where.

use std::sync::LazyLock;

use holdfast_query::plan::{KeywordField, TextField};
use tantivy::schema::{Field, IndexRecordOption, Schema, TextFieldIndexing, TextOptions};

/// Whole values in the field `keys`: each term is one of these bytes and a value folded by `fold_keyword`.
///
/// One field for all of them: a property costs a column pass and its own terms, not a dictionary of its own, and
/// properties that mean several columns (an actor's id, URI and address) are one lookup. The order is the order of the terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub(crate) enum Key {
    /// `actor_id`, `actor_uri`, `actor_email`.
    Actor = b'a',
    /// `category`.
    Category = b'c',
    /// `actor_kind`.
    ActorKind = b'd',
    /// The term `1` on rows with an attachment.
    HasAttachment = b'h',
    /// `message_kind`.
    Kind = b'k',
    /// `room_name`.
    RoomName = b'n',
    /// `origin`.
    Origin = b'o',
    /// `reply_to`.
    ReplyTo = b'p',
    /// `room_id`.
    RoomId = b'r',
    /// Sizes of attachments, eight bytes each, ordered as numbers.
    Size = b's',
    /// `event_type`.
    Type = b't',
    /// `target_id`.
    Target = b'u',
    /// Value of a reaction.
    Reaction = b'x',
}

/// Ids that are nearly unique: found by hash (see `invert::hashed`), compared on the row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Hashed {
    /// `event_id`.
    Id,
    /// `message_id`.
    Message,
}

impl Hashed {
    /// Name of its file in the bundle.
    pub(crate) fn file(self) -> &'static str {
        match self {
            Self::Id => "event_id.hashed",
            Self::Message => "message_id.hashed",
        }
    }
}

/// Where a split keeps a field of whole values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// As terms.
    Key(Key),
    /// As hashes.
    Hashed(Hashed),
}

/// Where a split keeps a field of whole values. An actor's id, URI and address share a key: what is asked of one is asked
/// of all three.
pub(crate) fn place(field: KeywordField) -> Place {
    Place::Key(match field {
        KeywordField::EventId => return Place::Hashed(Hashed::Id),
        KeywordField::MessageId => return Place::Hashed(Hashed::Message),
        KeywordField::EventType => Key::Type,
        KeywordField::Origin => Key::Origin,
        KeywordField::RoomId => Key::RoomId,
        KeywordField::RoomName => Key::RoomName,
        KeywordField::Category => Key::Category,
        KeywordField::ActorId | KeywordField::ActorUri | KeywordField::ActorEmail => Key::Actor,
        KeywordField::ActorKind => Key::ActorKind,
        KeywordField::TargetId => Key::Target,
        KeywordField::MessageKind => Key::Kind,
        KeywordField::ReplyTo => Key::ReplyTo,
        KeywordField::Reaction => Key::Reaction,
    })
}

/// The file of event times in the bundle, ascending.
pub(crate) const EVENT_TIMES: &str = "event_time.values";
/// The file of ingest times in the bundle.
pub(crate) const INGEST_TIMES: &str = "ingest_time.values";

/// The file of the filter of all words in the bundle.
pub(crate) const WORDS_FILTER: &str = "words.filter";

/// The fields of a split. They are the same in every split of one format version.
pub(crate) struct SplitSchema {
    /// For Tantivy.
    pub(crate) schema: Schema,
    pub(crate) title: Field,
    pub(crate) body: Field,
    pub(crate) filename: Field,
    pub(crate) person: Field,
    pub(crate) keys: Field,
}

impl SplitSchema {
    pub(crate) fn text(&self, field: TextField) -> Field {
        match field {
            TextField::Title => self.title,
            TextField::Body => self.body,
            TextField::AttachmentName => self.filename,
            TextField::ActorName => self.person,
        }
    }
}

/// The schema of this format version.
pub(crate) static SPLIT_SCHEMA: LazyLock<SplitSchema> = LazyLock::new(|| {
    let mut builder = Schema::builder();
    // Terms never pass through a tokenizer of Tantivy: `raw` only names one that exists. Scores never order evidence,
    // so there are no field norms.
    let options = |option| {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer("raw")
            .set_index_option(option)
            .set_fieldnorms(false);
        TextOptions::default().set_indexing_options(indexing)
    };
    let text = options(IndexRecordOption::WithFreqsAndPositions);
    let title = builder.add_text_field("title", text.clone());
    let body = builder.add_text_field("body", text.clone());
    let filename = builder.add_text_field("filename", text.clone());
    let person = builder.add_text_field("person", text);
    let keys = builder.add_text_field("keys", options(IndexRecordOption::Basic));
    SplitSchema {
        schema: builder.build(),
        title,
        body,
        filename,
        person,
        keys,
    }
});

/// A size as a term: eight bytes that sort as the numbers do.
#[must_use]
pub(crate) fn size_term(size: i64) -> [u8; 8] {
    (size.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}
