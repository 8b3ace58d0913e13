//! Rows of the administrative commands, in every format.

use serde_json::Value;

use super::table::{self, Column, plain};
use super::{Ui, csv as safe};
use crate::Outcome;
use crate::cli::Format;
use crate::failure::Failure;

/// One row: its cells for people, and its object for programs.
#[derive(Debug, Clone)]
pub struct Item {
    /// A cell a column.
    pub cells: Vec<String>,
    /// The whole.
    pub json: Value,
}

/// Writes rows: a table, an array under `name` (json), an object a line (jsonl), or CSV.
///
/// # Errors
/// stdout does not take it.
pub fn write(
    name: &str,
    headings: &[&'static str],
    items: &[Item],
    ui: &mut Ui,
) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    match ui.format {
        Format::Table if items.is_empty() => {}
        Format::Table => {
            let columns: Vec<Column> = headings.iter().map(|h| Column::text(h, width)).collect();
            let rows: Vec<_> = items
                .iter()
                .map(|item| item.cells.iter().map(|cell| plain(cell)).collect())
                .collect();
            table::write(ui.out(), &columns, &rows, width, paint)?;
        }
        Format::Json => {
            let all: Vec<&Value> = items.iter().map(|item| &item.json).collect();
            ui.json_line(&serde_json::json!({ name: all }))?;
        }
        Format::Jsonl => {
            for item in items {
                ui.json_line(&item.json)?;
            }
        }
        Format::Csv => {
            let mut out = safe::writer(ui.out());
            out.write_record(headings.iter().map(|h| h.to_lowercase()))
                .map_err(safe::io_error)?;
            for item in items {
                out.write_record(
                    item.cells
                        .iter()
                        .map(|cell| safe::defuse(cell).into_owned()),
                )
                .map_err(safe::io_error)?;
            }
            out.flush()?;
        }
    }
    Ok(())
}

/// [`write`] of rows that were looked for; that there are none is said.
///
/// # Errors
/// stdout does not take it.
pub fn found(
    name: &str,
    headings: &[&'static str],
    items: &[Item],
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    write(name, headings, items, ui)?;
    if items.is_empty() && !ui.format.is_machine() {
        ui.note("nothing found");
    }
    Ok(Outcome::found(!items.is_empty()))
}

/// Says what was done: a line for people, an object for programs.
///
/// # Errors
/// stdout does not take it.
pub fn done(line: &str, json: &Value, ui: &mut Ui) -> Result<(), Failure> {
    match ui.format {
        Format::Table | Format::Csv => writeln!(ui.out(), "{}", super::text::escape(line))?,
        Format::Json | Format::Jsonl => ui.json_line(json)?,
    }
    Ok(())
}
