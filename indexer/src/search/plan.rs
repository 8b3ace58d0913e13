//! A query as the splits can answer it.

use crate::docs::Distance;
use crate::schema::{Hashed, Key, TextField};
use crate::search::prune::Bounds;
use crate::search::words::Wildcard;

/// What rows must be. Every leaf finds exactly the rows that the matcher accepts for it, or says that it finds more.
#[derive(Debug)]
pub(crate) enum Plan {
    /// Anything.
    All,
    /// Nothing.
    Nothing,
    /// All of these.
    And(Vec<Plan>),
    /// One of these.
    Or(Vec<Plan>),
    /// Not this.
    Not(Box<Plan>),
    /// Words in one of some fields.
    Text { fields: Vec<TextField>, words: Words },
    /// A whole value.
    Key { key: Key, value: Value },
    /// An id: by hash, judged on the row.
    Hashed { id: Hashed, folded: String },
    /// Event time, UTC microseconds, both ends included.
    EventTime { from_us: i64, to_us: i64 },
    /// Ingest time, UTC microseconds, both ends included.
    IngestTime { from_us: i64, to_us: i64 },
    /// Size of an attachment in bytes, both ends included.
    Size { from: i64, to: i64 },
    /// Rows of the inner plan, of which each is judged: what no dictionary can tell (spelling, diacritics, whole text).
    Judged(Box<Plan>),
}

/// A whole value, folded.
#[derive(Debug)]
pub(crate) enum Value {
    /// This one.
    Exact(String),
    /// Any that the wildcard stands for.
    Wildcard(Wildcard),
}

/// Words of one field.
#[derive(Debug)]
pub(crate) enum Words {
    /// One after another.
    Phrase(Vec<Word>),
    /// Any of these.
    Any(Vec<Words>),
    /// Near each other.
    Near { left: Box<Words>, right: Box<Words>, distance: Distance },
}

/// What stands at one position.
#[derive(Debug)]
pub(crate) enum Word {
    /// A term.
    Term(String),
    /// Any term that a wildcard stands for.
    Wildcard(Wildcard),
}

impl Plan {
    /// Outside of these spans no row fits.
    pub(crate) fn bounds(&self) -> Bounds {
        match self {
            Self::Nothing => Bounds::EMPTY,
            Self::And(all) => all.iter().fold(Bounds::UNBOUNDED, |bounds, plan| bounds.and(plan.bounds())),
            Self::Or(any) => any.iter().fold(Bounds::EMPTY, |bounds, plan| bounds.or(plan.bounds())),
            Self::EventTime { from_us, to_us } => Bounds { event_time_us: (*from_us, *to_us), ..Bounds::UNBOUNDED },
            Self::IngestTime { from_us, to_us } => Bounds { ingest_time_us: (*from_us, *to_us), ..Bounds::UNBOUNDED },
            Self::Judged(inner) => inner.bounds(),
            // What a row must not be says nothing about where it is.
            Self::All | Self::Not(_) | Self::Text { .. } | Self::Key { .. } | Self::Hashed { .. } | Self::Size { .. } => {
                Bounds::UNBOUNDED
            }
        }
    }
}
