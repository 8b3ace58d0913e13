//! `holdfast show`: one event with its versions, position and hash.

use clap::Args;
use holdfast_indexer::{HitBatch, SearchError};
use holdfast_schemas::columns::Rows;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{Row, time};
use jiff::tz::TimeZone;
use serde_json::json;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::hit::{self, HitJson, Marks, PositionJson, Standing, status_name};
use crate::open;
use crate::output::table::{self, plain};
use crate::output::text::{self, Line, Look, bytes};
use crate::output::{Ui, csv as safe, zone};

/// Options of `show`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast show 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001
  holdfast show 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001 --history
  holdfast --format json show 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001 | jq .event")]
pub struct ShowArgs {
    /// The event's id, as search prints it
    pub event_id: String,
    /// Also every other event of its message: posting, edits, replacements, deletion, reactions
    #[arg(long)]
    pub history: bool,
    /// Zone of times for people: an IANA name, UTC, or an offset like +02:00
    #[arg(long, env = "HOLDFAST_TZ", value_name = "ZONE", default_value = "UTC", value_parser = zone::parse, hide_env_values = true)]
    pub tz: TimeZone,
}

/// Shows an event.
///
/// # Errors
/// The archive cannot be read.
pub async fn run(args: &ShowArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let searcher = open::searcher(&opened.archive, global);
    let Some(found) = searcher.lookup(&opened.snapshot, &args.event_id).await? else {
        ui.note(&format!(
            "no event has the id `{}`",
            text::escape(&args.event_id)
        ));
        ui.hint("ids are whole, as `holdfast search` prints them");
        return Ok(Outcome::NothingFound);
    };
    let rows = Rows::new(&found.rows).map_err(SearchError::from)?;
    let row = rows.row(0);
    let history = match row.event.message.id.as_deref().filter(|_| args.history) {
        Some(message) => {
            searcher
                .message_events(
                    &opened.snapshot,
                    None,
                    row.event.room.id.as_deref(),
                    message,
                )
                .await?
        }
        None => None,
    };
    match ui.format {
        Format::Json | Format::Jsonl => {
            write_json(&row, &found, history.as_ref(), args.history, ui)?;
        }
        Format::Table => {
            write_people(&row, &found, history.as_ref(), args, &opened.archive, ui).await?;
        }
        Format::Csv => {
            let mut out = safe::writer(ui.out());
            out.write_record(hit::CSV_HEADER).map_err(safe::io_error)?;
            each(history.as_ref().unwrap_or(&found), |row, standing| {
                Ok(hit::write_csv(&mut out, row, standing)?)
            })?;
            out.flush()?;
        }
    }
    Ok(Outcome::Done)
}

/// Calls `f` for each row with its standing.
fn each(
    batch: &HitBatch,
    mut f: impl FnMut(&Row<'_>, Standing) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
    for (index, status) in batch.status.iter().enumerate() {
        f(
            &rows.row(index),
            Standing {
                status: *status,
                responsive: None,
            },
        )?;
    }
    Ok(())
}

fn write_json(
    row: &Row<'_>,
    found: &HitBatch,
    history: Option<&HitBatch>,
    wants_history: bool,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let mut scratch = Vec::new();
    let hash = event_hash(&row.event, &mut scratch);
    let event: serde_json::Value =
        serde_json::from_slice(&scratch).map_err(std::io::Error::from)?;
    let mut value = json!({
        "event": event,
        "event_hash": hex::encode(hash),
        "status": found.status.first(),
        "ingest_time": time::format_us(row.intake.ingest_time_us),
        "position": PositionJson::new(row),
    });
    if wants_history {
        let mut list = Vec::new();
        if let Some(history) = history {
            each(history, |row, standing| {
                list.push(
                    serde_json::to_value(HitJson::new(row, &Marks::default(), standing))
                        .map_err(std::io::Error::from)?,
                );
                Ok(())
            })?;
        }
        value["history"] = serde_json::Value::Array(list);
    }
    ui.json_line(&value)?;
    Ok(())
}

async fn write_people(
    row: &Row<'_>,
    found: &HitBatch,
    history: Option<&HitBatch>,
    args: &ShowArgs,
    archive: &holdfast_archive::Archive,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    let mut fields = fields(row, found, &args.tz, width);
    fields.push(("attachments", attachments(row, archive).await?));
    fields.retain(|(_, lines)| !lines.is_empty());
    table::write_fields(ui.out(), &fields, paint)?;
    if found.rows.num_rows() > 1 {
        ui.warn(&format!(
            "{} rows have this id; the first is shown",
            found.rows.num_rows()
        ));
    }
    if let Some(history) = history {
        let mut rows = Vec::new();
        each(history, |row, standing| {
            rows.push(hit::cells(
                row,
                &Marks::default(),
                standing,
                &args.tz,
                width,
            ));
            Ok(())
        })?;
        writeln!(ui.out())?;
        table::write(ui.out(), &hit::columns(width), &rows, width, paint)?;
    }
    Ok(())
}

fn fields(
    row: &Row<'_>,
    found: &HitBatch,
    zone: &TimeZone,
    width: usize,
) -> Vec<(&'static str, Vec<Line>)> {
    let (event, intake) = (&row.event, &row.intake);
    let mut scratch = Vec::new();
    let hash = hex::encode(event_hash(event, &mut scratch));
    let one = |text: &str| vec![plain(text)];
    let some = |text: Option<&str>| text.map(one).unwrap_or_default();
    let room = named(event.room.id.as_deref(), event.room.name.as_deref());
    let actor = named(
        event
            .actor
            .id
            .as_deref()
            .or(event.actor.uri.as_deref())
            .or(event.actor.email.as_deref()),
        event.actor.name.as_deref(),
    );
    let kafka = intake.kafka_topic.as_deref().map(|topic| {
        format!(
            "{topic} partition {} offset {}",
            intake.kafka_partition.unwrap_or_default(),
            intake.kafka_offset.unwrap_or_default()
        )
    });
    let status = found.status.first().map(|s| status_name(*s));
    let text_width = width.saturating_sub(14);
    vec![
        ("event", one(&event.id)),
        ("type", one(&event.event_type)),
        ("time", one(&zone::micros(event.time_us, zone))),
        ("archived", one(&zone::micros(intake.ingest_time_us, zone))),
        ("status", some(status)),
        ("room", some(room.as_deref())),
        ("category", some(event.room.category.as_deref())),
        ("from", some(actor.as_deref())),
        ("message", some(event.message.id.as_deref())),
        ("kind", some(event.message.kind.as_deref())),
        ("answers", some(event.message.reply_to.as_deref())),
        ("title", some(event.message.title.as_deref())),
        (
            "body",
            event
                .message
                .body
                .as_deref()
                .map(|body| paragraphs(body, text_width))
                .unwrap_or_default(),
        ),
        ("source", one(&event.source)),
        (
            "origin",
            one(&format!("{} sequence {}", event.origin, event.sequence)),
        ),
        ("kafka", some(kafka.as_deref())),
        (
            "extra",
            event
                .extra
                .as_deref()
                .map(|extra| paragraphs(extra, text_width))
                .unwrap_or_default(),
        ),
        (
            "raw",
            event
                .raw
                .as_deref()
                .map(|raw| paragraphs(&String::from_utf8_lossy(raw), text_width))
                .unwrap_or_default(),
        ),
        ("hash", one(&hash)),
    ]
}

/// `name (id)`.
fn named(id: Option<&str>, name: Option<&str>) -> Option<String> {
    match (name, id) {
        (Some(name), Some(id)) if name != id => Some(format!("{name} ({id})")),
        (name, id) => name.or(id).map(str::to_owned),
    }
}

/// Text with its own line ends, each line wrapped.
fn paragraphs(text: &str, width: usize) -> Vec<Line> {
    text.lines()
        .flat_map(|line| text::wrap(&text::mark(line, &[], Look::Plain), width))
        .collect()
}

async fn attachments(
    row: &Row<'_>,
    archive: &holdfast_archive::Archive,
) -> Result<Vec<Line>, Failure> {
    let mut lines = Vec::new();
    for attachment in &row.event.attachments {
        let name = attachment
            .name
            .as_deref()
            .or(attachment.id.as_deref())
            .unwrap_or("file");
        let size = attachment
            .size
            .and_then(|s| u64::try_from(s).ok())
            .map_or_else(|| "size unknown".to_owned(), bytes);
        let there = match attachment.sha256.as_deref() {
            None => "no SHA-256 given",
            Some(digest) => match archive.attachment_size(digest).await {
                Ok(Some(_)) => "archived",
                Ok(None) => "not archived yet",
                Err(holdfast_archive::ArchiveError::Invalid(_)) => "its SHA-256 is none",
                Err(e) => return Err(e.into()),
            },
        };
        let media = attachment.media_type.as_deref().unwrap_or("type unknown");
        lines.push(plain(&format!("{name}, {media}, {size}, {there}")));
    }
    Ok(lines)
}
