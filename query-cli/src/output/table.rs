//! Tables for people. Programs read `--format json`, `jsonl` or `csv`.

use std::io::{self, Write};

use super::Paint;
use super::text::{self, Line, Look, Span};

/// Columns between two cells.
const GAP: usize = 2;

/// One column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its heading.
    pub heading: &'static str,
    /// At most this wide.
    pub width_max: usize,
    /// Figures stand on the right.
    pub right: bool,
}

impl Column {
    /// Text, at most `width_max` wide.
    #[must_use]
    pub fn text(heading: &'static str, width_max: usize) -> Self {
        Self {
            heading,
            width_max,
            right: false,
        }
    }

    /// A figure.
    #[must_use]
    pub fn figure(heading: &'static str) -> Self {
        Self {
            heading,
            width_max: 26,
            right: true,
        }
    }
}

/// One cell: spans that are wrapped into its column.
pub type Cell = Line;

/// A cell of plain text.
#[must_use]
pub fn plain(text: &str) -> Cell {
    vec![Span {
        text: text::escape(text).into_owned(),
        look: Look::Plain,
    }]
}

/// A cell that stands back.
#[must_use]
pub fn dim(text: &str) -> Cell {
    vec![Span {
        text: text::escape(text).into_owned(),
        look: Look::Dim,
    }]
}

/// Writes the table with its headings. The last column takes what the terminal leaves.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    columns: &[Column],
    rows: &[Vec<Cell>],
    total: usize,
    paint: Paint,
) -> io::Result<()> {
    let widths = widths(columns, rows, total);
    let headings: Vec<Cell> = columns
        .iter()
        .map(|c| {
            vec![Span {
                text: c.heading.to_owned(),
                look: Look::Bold,
            }]
        })
        .collect();
    write_row(out, columns, &headings, &widths, paint)?;
    for row in rows {
        write_row(out, columns, row, &widths, paint)?;
    }
    Ok(())
}

fn widths(columns: &[Column], rows: &[Vec<Cell>], total: usize) -> Vec<usize> {
    let mut widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(i, column)| {
            let widest = rows
                .iter()
                .filter_map(|r| r.get(i))
                .map(|c| text::line_width(c))
                .max()
                .unwrap_or(0);
            widest
                .max(text::width(column.heading))
                .min(column.width_max)
        })
        .collect();
    if let Some((last, others)) = widths.split_last_mut() {
        let used: usize = others.iter().map(|w| w + GAP).sum();
        *last = (*last).min(total.saturating_sub(used).max(20));
    }
    widths
}

fn write_row(
    out: &mut dyn Write,
    columns: &[Column],
    row: &[Cell],
    widths: &[usize],
    paint: Paint,
) -> io::Result<()> {
    let cells: Vec<Vec<Line>> = row
        .iter()
        .zip(widths)
        .map(|(cell, width)| text::wrap(cell, *width))
        .collect();
    let height = cells.iter().map(Vec::len).max().unwrap_or(0);
    for i in 0..height {
        let mut line = String::new();
        let mut behind = 0;
        for ((cell, width), column) in cells.iter().zip(widths).zip(columns) {
            let empty = Vec::new();
            let content = cell.get(i).unwrap_or(&empty);
            let blank = width.saturating_sub(text::line_width(content));
            // Blanks are written only when something follows them: no line ends in blanks.
            let (before, after) = if column.right { (blank, 0) } else { (0, blank) };
            if !content.is_empty() {
                line.push_str(&" ".repeat(behind + before));
                line.push_str(&text::paint(content, paint));
                behind = after + GAP;
            } else {
                behind += width + GAP;
            }
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Writes `name  value` lines with the values in one column.
///
/// # Errors
/// The writer's.
pub fn write_fields(
    out: &mut dyn Write,
    fields: &[(&str, Vec<Line>)],
    paint: Paint,
) -> io::Result<()> {
    let width = fields
        .iter()
        .map(|(n, _)| text::width(n))
        .max()
        .unwrap_or(0);
    for (name, lines) in fields {
        for (i, line) in lines.iter().enumerate() {
            let label = if i == 0 { *name } else { "" };
            let blank = " ".repeat(width - text::width(label) + GAP);
            let text = text::paint(line, paint);
            writeln!(
                out,
                "{}{}",
                paint.dim(label),
                format!("{blank}{text}").trim_end()
            )?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_no_line_ends_in_blanks() {
        let columns = [
            Column::text("ROOM", 10),
            Column::figure("EVENTS"),
            Column::text("TEXT", 40),
        ];
        let rows = vec![
            vec![
                plain("日本"),
                plain("12"),
                plain("a text that is wrapped because it is long"),
            ],
            vec![plain("a name far too long for it"), plain("3"), plain("x")],
        ];
        let mut out = Vec::new();
        write(&mut out, &columns, &rows, 44, Paint::OFF).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "ROOM        EVENTS  TEXT\n\
             日本            12  a text that is wrapped\n                    because it is long\n\
             a name far       3  x\ntoo long\nfor it\n"
        );
    }
}
