//! One found event as it is written: as JSON, as CSV, or for people.

use std::ops::Range;

use holdfast_indexer::Status;
use holdfast_query::matcher::Matcher;
use holdfast_query::plan::TextField;
use holdfast_schemas::{Event, Row, event_type, time};
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::output::table::{self, Cell, Column};
use crate::output::text::{self, Look, Span};
use crate::output::zone;

/// Lines of text a hit takes in a table, at most.
const TEXT_LINES_MAX: usize = 3;
/// Terminals at least this wide get the event id in a column of its own.
const WIDE: usize = 140;

/// The status as every output names it.
#[must_use]
pub fn status_name(status: Status) -> &'static str {
    match status {
        Status::Current => "current",
        Status::Superseded => "superseded",
        Status::Deleted => "deleted",
    }
}

/// Byte ranges that the query hit, ascending.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// In the title.
    pub title: Vec<Range<usize>>,
    /// In the body.
    pub body: Vec<Range<usize>>,
}

impl Marks {
    /// What a query hit in a row.
    #[must_use]
    pub fn of(matcher: &mut Matcher, row: &Row<'_>) -> Self {
        let mut marks = Self::default();
        for highlight in matcher.highlights(row) {
            let range = highlight.from..highlight.to;
            match highlight.field {
                TextField::Title => marks.title.push(range),
                TextField::Body => marks.body.push(range),
                TextField::AttachmentName | TextField::ActorName => {}
            }
        }
        marks
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

/// A hit part of the text. Counted in characters (Unicode scalar values), the end excluded: bytes would mean another thing
/// in each reader's language.
#[derive(Debug, Serialize, PartialEq, Eq)]
struct Highlight<'a> {
    field: &'static str,
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
        let mut highlights = Vec::with_capacity(marks.title.len() + marks.body.len());
        highlight(&mut highlights, "title", event.message.title.as_deref(), &marks.title);
        highlight(&mut highlights, "body", event.message.body.as_deref(), &marks.body);
        Self {
            event_id: &event.id,
            event_time: time::format_us(event.time_us),
            event_type: &event.event_type,
            room: Named { id: event.room.id.as_deref(), name: event.room.name.as_deref() },
            actor: Named { id: event.actor.id.as_deref(), name: event.actor.name.as_deref() },
            title: event.message.title.as_deref(),
            body: event.message.body.as_deref(),
            highlights,
            status: standing.status,
            position: PositionJson::new(row),
            responsive: standing.responsive,
        }
    }
}

fn highlight<'a>(out: &mut Vec<Highlight<'a>>, field: &'static str, text: Option<&'a str>, ranges: &[Range<usize>]) {
    let Some(text) = text else { return };
    let (mut byte, mut chars) = (0, 0);
    for range in ranges {
        let (Some(before), Some(hit)) = (text.get(byte..range.start), text.get(range.clone())) else { continue };
        chars += before.chars().count();
        let len = hit.chars().count();
        out.push(Highlight { field, from: chars, to: chars + len, text: hit });
        chars += len;
        byte = range.end;
    }
}

/// Header of a result as CSV.
pub const CSV_HEADER: [&str; 16] = [
    "event_id",
    "event_time",
    "event_type",
    "room_id",
    "room_name",
    "actor_id",
    "actor_name",
    "title",
    "body",
    "status",
    "responsive",
    "origin",
    "sequence",
    "topic",
    "partition",
    "offset",
];

/// A result's row as CSV, formulas defused.
///
/// # Errors
/// The writer's.
pub fn write_csv<W: std::io::Write>(out: &mut csv::Writer<W>, row: &Row<'_>, standing: Standing) -> std::io::Result<()> {
    let event = &row.event;
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    let time = time::format_us(event.time_us);
    let (sequence, partition) = (event.sequence.to_string(), number(row.intake.kafka_partition.map(i64::from)));
    let offset = number(row.intake.kafka_offset);
    let responsive = standing.responsive.map(|r| r.to_string()).unwrap_or_default();
    let cells: [&str; 16] = [
        &event.id,
        &time,
        &event.event_type,
        event.room.id.as_deref().unwrap_or_default(),
        event.room.name.as_deref().unwrap_or_default(),
        event.actor.id.as_deref().unwrap_or_default(),
        event.actor.name.as_deref().unwrap_or_default(),
        event.message.title.as_deref().unwrap_or_default(),
        event.message.body.as_deref().unwrap_or_default(),
        status_name(standing.status),
        &responsive,
        &event.origin,
        &sequence,
        row.intake.kafka_topic.as_deref().unwrap_or_default(),
        &partition,
        &offset,
    ];
    for cell in cells {
        out.write_field(crate::output::csv::defuse(cell).as_bytes()).map_err(crate::output::csv::io_error)?;
    }
    out.write_record(None::<&[u8]>).map_err(crate::output::csv::io_error)
}

/// Columns of a result for people.
#[must_use]
pub fn columns(width: usize) -> Vec<Column> {
    let mut columns = vec![Column::text("TIME", 25), Column::text("ROOM", 20), Column::text("FROM", 18)];
    if width >= WIDE {
        columns.push(Column::text("EVENT", 36));
    }
    columns.push(Column::text("TEXT", width));
    columns
}

/// A result's row for people. Context stands back.
#[must_use]
pub fn cells(row: &Row<'_>, marks: &Marks, standing: Standing, zone: &TimeZone, width: usize) -> Vec<Cell> {
    let event = &row.event;
    let look = if standing.responsive == Some(false) { Look::Dim } else { Look::Plain };
    let cell = |text: &str, columns: usize| vec![Span { text: text::cut(text, columns), look }];
    let mut cells = vec![
        cell(&zone::seconds(event.time_us, zone), 25),
        cell(event.room.name.as_deref().or(event.room.id.as_deref()).unwrap_or("-"), 20),
        cell(actor_name(event), 18),
    ];
    let wide = width >= WIDE;
    if wide {
        cells.push(table::dim(&event.id));
    }
    let used = if wide { 25 + 20 + 18 + 36 + 8 } else { 25 + 20 + 18 + 6 };
    let columns = width.saturating_sub(used).max(20);
    let mut text = excerpt(text_line(event, marks, standing, look), columns * TEXT_LINES_MAX - columns / 3);
    if !wide {
        text.push(Span { text: format!(" {}", text::escape(&event.id)), look: Look::Dim });
    }
    cells.push(text);
    cells
}

/// Who did it, as people call them.
#[must_use]
pub fn actor_name<'a>(event: &'a Event<'_>) -> &'a str {
    let actor = &event.actor;
    actor.name.as_deref().or(actor.email.as_deref()).or(actor.uri.as_deref()).or(actor.id.as_deref()).unwrap_or("-")
}

/// What happened in one line: what a plain message says, or the kind of event in brackets and what is known of it.
#[must_use]
pub fn text_line(event: &Event<'_>, marks: &Marks, standing: Standing, look: Look) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut note = |text: &str| spans.push(Span { text: format!("[{}] ", text::escape(text)), look: Look::Dim });
    if event.event_type != event_type::MESSAGE_POSTED {
        note(short_type(&event.event_type));
    }
    if standing.status != Status::Current {
        note(status_name(standing.status));
    }
    if let Some(title) = &event.message.title {
        spans.extend(text::mark(title, &marks.title, look));
        spans.push(Span { text: ": ".to_owned(), look });
    }
    if let Some(body) = &event.message.body {
        spans.extend(text::mark(body, &marks.body, look));
    }
    for attachment in &event.attachments {
        let name = attachment.name.as_deref().or(attachment.id.as_deref()).unwrap_or("file");
        let blank = if spans.is_empty() { "" } else { " " };
        spans.push(Span { text: format!("{blank}<{}>", text::escape(name)), look });
    }
    spans
}

/// `room.joined` for `chat.room.joined`.
fn short_type(event_type: &str) -> &str {
    event_type.strip_prefix("chat.").unwrap_or(event_type)
}

/// At most `columns` of a line, chosen so that the first hit is in it.
fn excerpt(line: Vec<Span>, columns: usize) -> Vec<Span> {
    if text::line_width(&line) <= columns {
        return line;
    }
    let before_hit: usize = line.iter().take_while(|s| s.look != Look::Hit).map(|s| text::width(&s.text)).sum();
    let has_hit = line.iter().any(|s| s.look == Look::Hit);
    let skip = if has_hit { before_hit.saturating_sub(columns / 3) } else { 0 };
    let ellipsis = |look| Span { text: "…".to_owned(), look };
    let mut out = Vec::new();
    if skip > 0 {
        out.push(ellipsis(Look::Dim));
    }
    let (mut at, mut used) = (0, out.len());
    for span in line {
        let mut kept = String::new();
        for c in span.text.chars() {
            let wide = text::width(c.encode_utf8(&mut [0; 4]));
            at += wide;
            if at <= skip {
                continue;
            }
            if used + wide + 1 > columns {
                kept.push('…');
                out.push(Span { text: kept, look: span.look });
                return out;
            }
            used += wide;
            kept.push(c);
        }
        if !kept.is_empty() {
            out.push(Span { text: kept, look: span.look });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_count_characters() {
        let mut out = Vec::new();
        highlight(&mut out, "body", Some("日本 keep 保存 keep"), &[7..11, 19..23]);
        assert_eq!(out.len(), 2);
        assert_eq!((out[0].from, out[0].to, out[0].text), (3, 7, "keep"));
        assert_eq!((out[1].from, out[1].to, out[1].text), (11, 15, "keep"));
    }

    #[test]
    fn an_excerpt_shows_the_first_hit() {
        let body = format!("{} needle {}", "before ".repeat(40), "after ".repeat(40));
        let at = body.find("needle").unwrap();
        let line = excerpt(text::mark(&body, &[at..at + 6], Look::Plain), 60);
        assert!(line.iter().any(|s| s.look == Look::Hit && s.text == "needle"));
        assert!(text::line_width(&line) <= 60);
        assert_eq!(line.first().map(|s| s.text.as_str()), Some("…"));
    }
}
