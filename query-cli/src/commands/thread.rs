//! `holdfast thread`: the conversation around an event.

use clap::Args;
use holdfast_indexer::{SearchError, Status};
use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::{Event, event_type};

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::context::{Context, HitKey, Source, Window};
use crate::failure::Failure;
use crate::hit::{self, HitJson, Marks, Standing};
use crate::ledger;
use crate::open;
use crate::output::text::{self, Look, Span};
use crate::output::{Ui, csv as safe, zone};
use crate::scope::Zone;

/// The conversation around an event
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast thread incident-review --around 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001
  holdfast thread r-42 --around 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001 --context 12h --tz Europe/Berlin")]
pub struct ThreadArgs {
    /// The room, by id or name
    pub room: String,
    /// The event's id, as search prints it
    #[arg(long, value_name = "EVENT_ID")]
    pub around: String,
    /// How much: N messages, or a time like 12h, before and after
    #[arg(long, value_name = "N|DURATION", default_value = "10")]
    pub context: Context,
    /// The zone of times.
    #[command(flatten)]
    pub zone: Zone,
}

/// Shows a conversation.
///
/// # Errors
/// The event is of another room, or the archive cannot be read.
pub async fn run(args: &ThreadArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let place = [
        ("room", Some(args.room.as_str())),
        ("around", Some(args.around.as_str())),
    ];
    ledger::looked(&opened, global, "thread", &place).await?;
    let searcher = open::searcher(&opened.archive, global);
    let Some(found) = searcher.lookup(&opened.snapshot, &args.around).await? else {
        ui.note(&format!(
            "no event has the id `{}`",
            text::escape(&args.around)
        ));
        ui.hint("ids are whole, as `holdfast search` prints them");
        return Ok(Outcome::NothingFound);
    };
    let rows = Rows::new(&found.rows).map_err(SearchError::from)?;
    let event = rows.event(0);
    check_room(&event, &args.room)?;
    let source = Source {
        searcher: &searcher,
        snapshot: &opened.snapshot,
        as_of: None,
    };
    let windows = source.windows(&[HitKey::of(&event)], args.context).await?;
    write(&windows, args, ui)?;
    Ok(Outcome::found(!windows.is_empty()))
}

/// The room is asked for although the event names it: somebody who mistypes an id must not read another room's talk as this one's.
fn check_room(event: &Event<'_>, room: &str) -> Result<(), Failure> {
    let wanted = fold_keyword(room);
    let is = |value: Option<&str>| value.is_some_and(|v| fold_keyword(v) == wanted);
    if is(event.room.id.as_deref()) || is(event.room.name.as_deref()) {
        return Ok(());
    }
    let hint = match event.room.name.as_deref().or(event.room.id.as_deref()) {
        Some(name) => format!("the event is in room `{name}`: `holdfast thread` with that name"),
        None => "the event belongs to no room: `holdfast show` shows it".to_owned(),
    };
    Err(Failure::mistake(
        format!("event `{}` is not in room `{room}`", event.id),
        hint,
    ))
}

fn write(windows: &[Window], args: &ThreadArgs, ui: &mut Ui) -> Result<(), Failure> {
    match ui.format {
        Format::Table => {}
        Format::Json => ui.out().write_all(b"{\"hits\":[")?,
        Format::Jsonl => {}
        Format::Csv => {
            let mut out = safe::writer(ui.out());
            out.write_record(hit::CSV_HEADER).map_err(safe::io_error)?;
            out.flush()?;
        }
    }
    let mut first = true;
    for window in windows {
        if ui.format == Format::Table && !first {
            writeln!(ui.out(), "--")?;
        }
        for entry in &window.entries {
            let rows = Rows::new(&entry.batch.rows).map_err(SearchError::from)?;
            let row = rows.row(entry.index);
            let status = entry
                .batch
                .status
                .get(entry.index)
                .copied()
                .unwrap_or(Status::Current);
            let standing = Standing {
                status,
                responsive: Some(entry.is_hit),
            };
            match ui.format {
                Format::Table => write_line(&row.event, standing, args, ui)?,
                Format::Json => {
                    ui.out().write_all(if first { b"\n" } else { b",\n" })?;
                    crate::output::json::write(
                        ui.out(),
                        &HitJson::new(&row, &Marks::default(), standing),
                    )?;
                }
                Format::Jsonl => {
                    crate::output::json::write(
                        ui.out(),
                        &HitJson::new(&row, &Marks::default(), standing),
                    )?;
                    ui.out().write_all(b"\n")?;
                }
                Format::Csv => {
                    let mut out = safe::writer(ui.out());
                    hit::write_csv(&mut out, &row, standing)?;
                    out.flush()?;
                }
            }
            first = false;
        }
    }
    if ui.format == Format::Json {
        ui.out().write_all(b"\n]}\n")?;
    }
    Ok(())
}

/// One line of talk: `> ` marks the event asked for, so that it is found without colours.
fn write_line(
    event: &Event<'_>,
    standing: Standing,
    args: &ThreadArgs,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let (paint, width) = (ui.paint, ui.width);
    let asked = standing.responsive == Some(true);
    let time = zone::seconds(event.time_us, &args.zone.tz);
    let said = matches!(&*event.event_type, event_type::MESSAGE_POSTED);
    let colon = if said { ":" } else { "" };
    let mut line = vec![Span {
        text: format!("{}{colon} ", text::cut(hit::actor_name(event), 40)),
        look: Look::Bold,
    }];
    line.extend(hit::text_line(
        event,
        &Marks::default(),
        standing,
        Look::Plain,
    ));
    let mark = if asked { "> " } else { "  " };
    let indent = mark.len() + time.len() + 2;
    for (i, part) in text::wrap(&line, width.saturating_sub(indent))
        .iter()
        .enumerate()
    {
        let part = text::paint(part, paint);
        if i == 0 {
            let mark = if asked {
                paint.hit(mark)
            } else {
                mark.to_owned()
            };
            writeln!(
                ui.out(),
                "{}",
                format!("{mark}{}  {part}", paint.dim(&time)).trim_end()
            )?;
        } else {
            writeln!(ui.out(), "{}{part}", " ".repeat(indent))?;
        }
    }
    Ok(())
}
