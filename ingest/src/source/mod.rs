//! Where records come from. A source turns what it reads into [`Draft`]s, on a thread of its own, and hands them to a [`Feed`].
//!
//! A source that keeps positions (Kafka, an outbox) takes them from the table through [`Feed::positions`], names in each draft the
//! positions it moves, and listens to [`Feed::feedback`] for what was committed and for the order to start over. A source without
//! positions (JSON lines) moves none: what it reads again is dropped as archived already.

mod feed;
pub mod jsonl;
pub mod kafka;
pub mod outbox;
mod spec;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use holdfast_schemas::limits::EVENT_BYTES_MAX;
use holdfast_schemas::quarantine::Position;

use crate::pipeline::Grant;

pub use feed::{Feed, Feedback, Pushed};
pub use spec::SourceSpec;

/// Something that records can be read from.
pub trait Source: Send {
    /// Reads until there is nothing more, the feed says to stop, or something is wrong. Runs on its own thread; on a
    /// graceful stop it returns only after everything it pushed has been committed or dropped, if it has to answer for that.
    ///
    /// # Errors
    /// The source cannot go on without losing records, or cannot be read at all.
    fn run(self: Box<Self>, feed: Feed) -> Result<(), SourceError>;
}

/// What a source hands over: records in the order read.
#[derive(Debug)]
pub struct Draft {
    /// The publishing generation they were read under ([`crate::pipeline::Gate`]).
    pub generation: u64,
    /// The records' bytes.
    pub bytes: Vec<u8>,
    /// Where each of them is, and where it came from.
    pub records: Records,
    /// Positions that move once all of them are archived.
    pub positions: Vec<Moved>,
    /// Whether the batch is to be closed behind it: there is nothing more for now.
    pub flush: bool,
}

impl Draft {
    /// Records in it, empty lines included.
    #[must_use]
    pub fn record_count(&self) -> u64 {
        match &self.records {
            Records::Lines { .. } => memchr::memchr_iter(b'\n', &self.bytes).count() as u64,
            Records::Oversized { .. } => 1,
            Records::Messages { messages, .. } => messages.len() as u64,
            Records::Rows { rows, .. } => rows.len() as u64,
        }
    }

    /// A draft without records that closes the open batch.
    #[must_use]
    pub fn flush(generation: u64) -> Self {
        let records = Records::Lines {
            file: Arc::from(""),
            first_line: 1,
        };
        Self {
            generation,
            bytes: Vec::new(),
            records,
            positions: Vec::new(),
            flush: true,
        }
    }
}

/// A draft that was admitted: numbered, and paid for from the memory budget.
#[derive(Debug)]
pub struct Chunk {
    /// Dense from 0 within a run: the order in which the batcher takes chunks.
    pub number: u64,
    /// The draft.
    pub draft: Draft,
    /// Its share of the memory budget.
    pub grant: Grant,
    /// When it was admitted.
    pub at: Instant,
    /// When it was admitted, microseconds since 1970: the rows' `ingest_time`.
    pub ingest_time_us: i64,
}

/// Bytes kept of a line over the size limit: all of it, up to four times that limit, where a topic that the contract's events fit in ends, too.
/// Of a longer one, which is none of ours, the beginning, so that memory stays bounded.
pub const OVERSIZED_BYTES_KEPT: usize = 4 * EVENT_BYTES_MAX;

/// Records of a draft.
#[derive(Debug)]
pub enum Records {
    /// Whole lines of a file; the decoder splits them. One over the size limit may be among them, where a block held it by chance: it becomes
    /// what it is as [`Records::Oversized`].
    Lines {
        /// The file, as given.
        file: Arc<str>,
        /// Number of the first line, from 1.
        first_line: u64,
    },
    /// One line over the size limit: the bytes hold it, or its beginning ([`OVERSIZED_BYTES_KEPT`]).
    Oversized {
        /// The file, as given.
        file: Arc<str>,
        /// Its line, from 1.
        line: u64,
        /// Its length in bytes.
        bytes: u64,
    },
    /// Kafka records of one topic.
    Messages {
        /// The topic.
        topic: Arc<KafkaTopic>,
        /// Where each record lies in the bytes.
        messages: Vec<Message>,
    },
    /// Rows of one origin of an outbox.
    Rows {
        /// The origin.
        origin: Arc<str>,
        /// Where each row's event lies in the bytes.
        rows: Vec<OutboxRecord>,
    },
}

/// Identity of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaTopic {
    /// Id of the cluster.
    pub cluster_id: String,
    /// Id of the topic: a recreated topic has another one.
    pub topic_id: String,
    /// Name of the topic.
    pub name: String,
}

impl KafkaTopic {
    /// The position's application id: `kafka/<cluster id>/<topic id>/<partition>`.
    #[must_use]
    pub fn app_id(&self, partition: i32) -> String {
        format!("kafka/{}/{}/{partition}", self.cluster_id, self.topic_id)
    }
}

/// One Kafka record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its value's place in the draft's bytes; nothing for a record without a value.
    pub value: Option<Range<u32>>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
}

/// One row of an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutboxRecord {
    /// Its event's place in the draft's bytes.
    pub value: Range<u32>,
    /// Its sequence.
    pub sequence: i64,
    /// Whether the bytes are the whole event; if not they are what is stored, which is no JSON object.
    pub whole: bool,
}

/// A position that a draft moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Its application id in the table.
    pub app_id: Arc<str>,
    /// Where it stood before the draft; nothing when the table has no such position.
    pub from: Option<i64>,
    /// Where it stands after it.
    pub to: i64,
}

/// Where one record came from: for `holdfast.quarantined`.
///
/// A line has no number of its own, although sequences by line would make a much smaller set than those derived from its bytes (some two bytes a
/// line where most are odd, instead of some twenty: each derived sequence has a container of its own). A file changes: after line 5 was
/// quarantined and disposed of, another line 5 would be taken for it and dropped, since all that is left of what was disposed of is its sequence.
/// Only a sequence that depends on the bytes keeps the two apart. A partition's offset never gets another record, so offsets are numbers.
#[must_use]
pub fn line_position(file: &str, line: u64) -> Position {
    Position {
        source: "jsonl".to_owned(),
        place: format!("{file} line {line}"),
        number: None,
    }
}

/// Where one Kafka record came from.
#[must_use]
pub fn message_position(topic: &KafkaTopic, partition: i32, offset: i64) -> Position {
    Position {
        source: topic.app_id(partition),
        place: format!("topic {} offset {offset}", topic.name),
        number: u64::try_from(offset).ok(),
    }
}

/// What an origin of an outbox is called as a source: also the application id of its position.
#[must_use]
pub fn row_source(origin: &str) -> String {
    format!("outbox/{origin}")
}

/// Where one row of an outbox came from. A sequence never gets another event: when sequences may repeat a new origin begins.
#[must_use]
pub fn row_position(origin: &str, sequence: i64) -> Position {
    Position {
        source: row_source(origin),
        place: format!("sequence {sequence}"),
        // Numbers count from 0, as offsets do, sequences from 1: so a quarantined row's own sequence is the outbox's.
        number: u64::try_from(sequence - 1).ok(),
    }
}

/// A source cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file cannot be read.
    #[error(
        "cannot read {file}: {source}\nhint: check the path and its permissions; what was read before is archived or will be dropped as a duplicate when the file is read again"
    )]
    File {
        /// The file.
        file: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A pipe would have to be read again.
    #[error(
        "what was read from {input} has to be read again, and a pipe cannot be: {reason}\nhint: run again with a file as source; what is archived is dropped as a duplicate"
    )]
    CannotReplay {
        /// The pipe.
        input: String,
        /// What the committer found.
        reason: String,
    },
    /// Kafka's side; each message says what was lost, if anything, and what to do.
    #[error(transparent)]
    Kafka(#[from] kafka::KafkaSourceError),
    /// The outbox's side; each message says what was lost, if anything, and what to do.
    #[error(transparent)]
    Outbox(#[from] outbox::OutboxSourceError),
    /// The table cannot be asked for positions.
    #[error("cannot read positions from the archive: {0}")]
    Archive(#[from] holdfast_archive::ArchiveError),
}
