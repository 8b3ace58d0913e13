//! A hit for people: a row of a table, or a line of talk.

use holdfast_indexer::Status;
use holdfast_query::plan::{TextField, reaction};
use holdfast_schemas::{Event, Row, event_type};
use jiff::tz::TimeZone;

use super::{Marks, Standing, actor_name, status_name};
use crate::output::table::{self, Cell, Column};
use crate::output::text::{self, Look, Span};
use crate::output::zone;

/// Lines of text a hit takes in a table, at most.
const TEXT_LINES_MAX: usize = 3;
/// Bytes of an undecodable record that a table shows, at most.
const RAW_BYTES_SHOWN: usize = 200;
/// Terminals at least this wide get the event id in a column of its own.
const WIDE: usize = 140;

/// Columns of a result for people.
#[must_use]
pub fn columns(width: usize) -> Vec<Column> {
    let mut columns = vec![
        Column::text("TIME", 25),
        Column::text("ROOM", 20),
        Column::text("FROM", 18),
    ];
    if width >= WIDE {
        columns.push(Column::text("EVENT", 36));
    }
    columns.push(Column::text("TEXT", width));
    columns
}

/// A result's row for people. Context stands back.
#[must_use]
pub fn cells(
    row: &Row<'_>,
    marks: &Marks,
    standing: Standing,
    zone: &TimeZone,
    width: usize,
) -> Vec<Cell> {
    let event = &row.event;
    let look = if standing.responsive == Some(false) {
        Look::Dim
    } else {
        Look::Plain
    };
    let cell = |text: &str, columns: usize| {
        vec![Span {
            text: text::cut(text, columns),
            look,
        }]
    };
    let mut cells = vec![
        cell(&zone::seconds(event.time_us, zone), 25),
        cell(
            event
                .room
                .name
                .as_deref()
                .or(event.room.id.as_deref())
                .unwrap_or("-"),
            20,
        ),
        cell(actor_name(event), 18),
    ];
    let wide = width >= WIDE;
    if wide {
        cells.push(table::dim(&event.id));
    }
    let used = if wide {
        25 + 20 + 18 + 36 + 8
    } else {
        25 + 20 + 18 + 6
    };
    let columns = width.saturating_sub(used).max(20);
    let mut text = excerpt(
        text_line(event, marks, standing, look),
        columns * TEXT_LINES_MAX - columns / 3,
    );
    if !wide {
        text.push(Span {
            text: format!(" {}", text::escape(&event.id)),
            look: Look::Dim,
        });
    }
    cells.push(text);
    cells
}

/// What happened in one line: what a plain message says, or the kind of event in brackets and what is known of it.
#[must_use]
pub fn text_line(event: &Event<'_>, marks: &Marks, standing: Standing, look: Look) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut note = |text: &str| {
        spans.push(Span {
            text: format!("[{}] ", text::escape(text)),
            look: Look::Dim,
        });
    };
    if event.event_type != event_type::MESSAGE_POSTED {
        note(short_type(&event.event_type));
    }
    if standing.status != Status::Current {
        note(status_name(standing.status));
    }
    if let Some(title) = &event.message.title {
        spans.extend(text::mark(title, &marks.ranges(TextField::Title, 0), look));
        spans.push(Span {
            text: ": ".to_owned(),
            look,
        });
    }
    if let Some(body) = &event.message.body {
        spans.extend(text::mark(body, &marks.ranges(TextField::Body, 0), look));
    }
    for (index, attachment) in event.attachments.iter().enumerate() {
        let blank = if spans.is_empty() { "" } else { " " };
        spans.push(Span {
            text: format!("{blank}<"),
            look,
        });
        match attachment.name.as_deref() {
            Some(name) => spans.extend(text::mark(
                name,
                &marks.ranges(TextField::AttachmentName, index),
                look,
            )),
            None => spans.push(Span {
                text: text::escape(attachment.id.as_deref().unwrap_or("file")).into_owned(),
                look,
            }),
        }
        spans.push(Span {
            text: ">".to_owned(),
            look,
        });
    }
    if let Some(value) = reaction(event) {
        spans.push(Span {
            text: text::escape(&value).into_owned(),
            look,
        });
    }
    if let Some(raw) = &event.raw {
        let shown = raw.get(..RAW_BYTES_SHOWN).unwrap_or(raw);
        spans.push(Span {
            text: text::escape(&String::from_utf8_lossy(shown)).into_owned(),
            look,
        });
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
    let before_hit: usize = line
        .iter()
        .take_while(|s| s.look != Look::Hit)
        .map(|s| text::width(&s.text))
        .sum();
    let has_hit = line.iter().any(|s| s.look == Look::Hit);
    let skip = if has_hit {
        before_hit.saturating_sub(columns / 3)
    } else {
        0
    };
    let ellipsis = |look| Span {
        text: "…".to_owned(),
        look,
    };
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
                out.push(Span {
                    text: kept,
                    look: span.look,
                });
                return out;
            }
            used += wide;
            kept.push(c);
        }
        if !kept.is_empty() {
            out.push(Span {
                text: kept,
                look: span.look,
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_shows_the_first_hit() {
        let body = format!("{} needle {}", "before ".repeat(40), "after ".repeat(40));
        let at = body.find("needle").unwrap();
        let line = excerpt(
            text::mark(&body, std::slice::from_ref(&(at..at + 6)), Look::Plain),
            60,
        );
        assert!(
            line.iter()
                .any(|s| s.look == Look::Hit && s.text == "needle")
        );
        assert!(text::line_width(&line) <= 60);
        assert_eq!(line.first().map(|s| s.text.as_str()), Some("…"));
    }
}
