//! One found event as it is written: as JSON, as CSV, or for people.

mod csv;
mod json;
mod people;

use std::ops::Range;

use holdfast_indexer::Status;
use holdfast_query::matcher::Matcher;
use holdfast_query::plan::TextField;
use holdfast_schemas::{Event, Row};

pub use csv::{CSV_HEADER, write_csv};
pub use json::{HitJson, PositionJson};
pub use people::{cells, columns, text_line};

/// The status as every output names it.
#[must_use]
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Current => "current",
        Status::Superseded => "superseded",
        Status::Deleted => "deleted",
    }
}

/// Where the query hit an event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks(Vec<holdfast_query::Highlight>);

impl Marks {
    /// What a query hit in a row.
    #[must_use]
    pub fn of(matcher: &mut Matcher, row: &Row<'_>) -> Self {
        Self(matcher.highlights(row))
    }

    /// Byte ranges hit in a field, ascending; `index` is the attachment's, 0 for other fields.
    fn ranges(&self, field: TextField, index: usize) -> Vec<Range<usize>> {
        let here = self
            .0
            .iter()
            .filter(|h| h.field == field && h.index == index);
        here.map(|h| h.from..h.to).collect()
    }

    /// The parts of an event's text that were hit.
    pub fn texts<'a>(&'a self, event: &'a Event<'_>) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter_map(|h| {
            let value = h.field.values(event).find(|value| value.index == h.index)?;
            value.text.get(h.from..h.to)
        })
    }
}

/// What an event is in a result.
#[derive(Debug, Clone, Copy)]
pub struct Standing {
    /// What became of it.
    pub status: Status,
    /// Whether the query hit it, when context was asked for.
    pub responsive: Option<bool>,
}

/// Who did it, as people call them.
#[must_use]
pub fn actor_name<'a>(event: &'a Event<'_>) -> &'a str {
    let actor = &event.actor;
    actor
        .name
        .as_deref()
        .or(actor.email.as_deref())
        .or(actor.uri.as_deref())
        .or(actor.id.as_deref())
        .unwrap_or("-")
}
