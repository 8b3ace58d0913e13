//! `holdfast show`: one event with its versions, position, hash, and why it is kept.

use clap::Args;
use holdfast_governance::family::{Class, class_of};
use holdfast_governance::policy::Verdict;
use holdfast_indexer::{HitBatch, SearchError, Searcher, Status};
use holdfast_schemas::columns::Rows;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::{Row, time};
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::hit::{self, HitJson, Marks, PositionJson, Standing, status_name};
use crate::kept;
use crate::ledger::Acting;
use crate::open::{self, Opened};
use crate::output::table::{self, plain};
use crate::output::text::{self, Line, Look, bytes};
use crate::output::{Ui, csv as safe, zone};
use crate::scope::Zone;

/// One event with its versions, position, hash, and why it is kept
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast show 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001
  holdfast show 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001 --history
  holdfast --format json show 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001 | jq .event

`kept` is what holds and policies say of the event's message, custodians being where the ledger last knew
them. `holdfast explain` also judges by what shares the message's files, and gives the reasons.")]
pub struct ShowArgs {
    /// The event's id, as search prints it
    pub event_id: String,
    /// Also every other event of its message: posting, edits, replacements, deletion, reactions
    #[arg(long)]
    pub history: bool,
    /// The zone of times.
    #[command(flatten)]
    pub zone: Zone,
}

/// Shows an event.
///
/// # Errors
/// The archive cannot be read.
pub async fn run(args: &ShowArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    let event = Some(args.event_id.as_str());
    let version = opened.snapshot.version();
    acting.looked("show", version, &[("event", event)]).await?;
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
    let rows: Vec<_> = (0..rows.len()).map(|n| rows.row(n)).collect();
    let mut history = Vec::new();
    if args.history {
        for (room, message) in messages(&rows) {
            let events = searcher
                .message_events(&opened.snapshot, None, room, message)
                .await?;
            history.extend(events);
        }
    }
    // The event is shown whatever the ledger says: a policy that cannot be judged by hides nothing.
    let judged = verdicts(&rows, &acting, &searcher, &opened).await;
    let why = judged.as_deref().unwrap_or_default();
    if let Err(failure) = &judged {
        ui.warn(&format!("why it is kept is not known: {failure}"));
    }
    match ui.format {
        Format::Json | Format::Jsonl => {
            let history = args.history.then_some(&history);
            ui.json_line(&json(&rows, &found, why, history)?)?;
        }
        Format::Table => {
            for (at, row) in rows.iter().enumerate() {
                if at > 0 {
                    writeln!(ui.out())?;
                }
                let mut fields = fields(row, found.status.get(at), &args.zone.tz, ui.width);
                fields.push(("kept", vec![plain(&kept_words(why.get(at)))]));
                fields.push(("attachments", attachments(row, &opened.archive).await?));
                fields.retain(|(_, lines)| !lines.is_empty());
                let paint = ui.paint;
                table::write_fields(ui.out(), &fields, paint)?;
            }
            write_history(&history, args, ui)?;
        }
        Format::Csv => {
            let mut out = safe::writer(ui.out());
            out.write_record(hit::CSV_HEADER).map_err(safe::io_error)?;
            let batches = if history.is_empty() {
                std::slice::from_ref(&found)
            } else {
                &history
            };
            for batch in batches {
                each(batch, |row, standing| {
                    Ok(hit::write_csv(&mut out, row, standing)?)
                })?;
            }
            out.flush()?;
        }
    }
    if rows.len() > 1 {
        ui.warn(&format!(
            "{} events have this id; all are shown",
            rows.len()
        ));
    }
    Ok(Outcome::Done)
}

/// What is decided on each event.
async fn verdicts(
    rows: &[Row<'_>],
    acting: &Acting,
    searcher: &Searcher,
    opened: &Opened,
) -> Result<Vec<Verdict>, Failure> {
    let mut judge = kept::Judge::new(&acting.ledger.state(), acting.ledger.now_us())?;
    let mut why = Vec::with_capacity(rows.len());
    for row in rows {
        why.push(why_kept(row, &mut judge, searcher, opened).await?);
    }
    Ok(why)
}

/// What is decided on an event's message, every event of which counts; of an event alone where it is of no message.
async fn why_kept(
    row: &Row<'_>,
    judge: &mut kept::Judge,
    searcher: &Searcher,
    opened: &Opened,
) -> Result<Verdict, Failure> {
    let event = &row.event;
    let of_message = matches!(class_of(&event.event_type), Class::Message { .. });
    let message = event.message.id.as_deref().filter(|_| of_message);
    let room = event.room.id.as_deref();
    let others = match message {
        Some(message) => {
            let events = searcher.message_events(&opened.snapshot, None, room, message);
            events.await?
        }
        None => None,
    };
    let Some(others) = others else {
        return judge.verdict(&[row]);
    };
    let others = Rows::new(&others.rows).map_err(SearchError::from)?;
    let others: Vec<_> = (0..others.len()).map(|place| others.row(place)).collect();
    let of_family =
        |other: &&Row<'_>| matches!(class_of(&other.event.event_type), Class::Message { .. });
    let family: Vec<_> = std::iter::once(row)
        .chain(others.iter().filter(of_family))
        .collect();
    judge.verdict(&family)
}

/// The verdict without its "kept: ", which the field's name says.
fn kept_words(verdict: Option<&Verdict>) -> String {
    let Some(verdict) = verdict else {
        return "not known".to_owned();
    };
    let words = kept::words(verdict);
    for lead in ["kept: ", "kept "] {
        if let Some(rest) = words.strip_prefix(lead) {
            return rest.to_owned();
        }
    }
    words
}

/// The messages that rows speak of, with their rooms, each once.
fn messages<'a>(rows: &'a [Row<'_>]) -> Vec<(Option<&'a str>, &'a str)> {
    let mut messages = Vec::new();
    for event in rows.iter().map(|row| &row.event) {
        if let Some(message) = event.message.id.as_deref() {
            let of = (event.room.id.as_deref(), message);
            if !messages.contains(&of) {
                messages.push(of);
            }
        }
    }
    messages
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

/// An event with what is known of it; those that share its id under `others`.
fn json(
    rows: &[Row<'_>],
    found: &HitBatch,
    why: &[Verdict],
    history: Option<&Vec<HitBatch>>,
) -> Result<Value, Failure> {
    let mut events = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        events.push(event_json(row, found.status.get(at), why.get(at))?);
    }
    let mut events = events.into_iter();
    let mut value = events.next().unwrap_or_default();
    if events.len() > 0 {
        value["others"] = events.collect();
    }
    if let Some(history) = history {
        let mut list = Vec::new();
        for batch in history {
            each(batch, |row, standing| {
                let hit = serde_json::to_value(HitJson::new(row, &Marks::default(), standing));
                list.push(hit.map_err(std::io::Error::from)?);
                Ok(())
            })?;
        }
        value["history"] = Value::Array(list);
    }
    Ok(value)
}

fn event_json(
    row: &Row<'_>,
    status: Option<&Status>,
    kept: Option<&Verdict>,
) -> Result<Value, Failure> {
    let mut scratch = Vec::new();
    let hash = event_hash(&row.event, &mut scratch);
    let event: Value = serde_json::from_slice(&scratch).map_err(std::io::Error::from)?;
    Ok(json!({
        "event": event,
        "event_hash": hex::encode(hash),
        "status": status,
        "ingest_time": time::format_us(row.intake.ingest_time_us),
        "position": PositionJson::new(row),
        "kept": kept,
    }))
}

fn write_history(history: &[HitBatch], args: &ShowArgs, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    for batch in history {
        let mut rows = Vec::new();
        each(batch, |row, standing| {
            let marks = Marks::default();
            rows.push(hit::cells(row, &marks, standing, &args.zone.tz, width));
            Ok(())
        })?;
        writeln!(ui.out())?;
        table::write(ui.out(), &hit::columns(width), &rows, width, paint)?;
    }
    Ok(())
}

fn fields(
    row: &Row<'_>,
    status: Option<&Status>,
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
    let status = status.map(|status| status_name(*status));
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
            Some(spelled) => match holdfast_archive::attachments::digest(spelled) {
                None => "its SHA-256 is none",
                Some(digest) => match archive.attachment_size(&digest).await? {
                    Some(_) => "archived",
                    None => "not archived yet",
                },
            },
        };
        let media = attachment.media_type.as_deref().unwrap_or("type unknown");
        lines.push(plain(&format!("{name}, {media}, {size}, {there}")));
    }
    Ok(lines)
}
