//! Rooms and their people on stdout.

use holdfast_indexer::participants::SpanUs;
use jiff::tz::TimeZone;
use serde_json::json;

use super::{Person, Room};
use crate::cli::Format;
use crate::failure::Failure;
use crate::output::table::{self, Cell, Column, plain};
use crate::output::text::grouped;
use crate::output::{Ui, csv as safe, zone};

/// People of a room that its table shows.
const PEOPLE_SHOWN: usize = 10;
/// Stays of a person that a table of rooms shows.
const STAYS_SHOWN: usize = 3;

/// Writes rooms; those of a custodian as a table of when they were where.
///
/// # Errors
/// The writer's.
pub fn write(rooms: &[Room], custodian: bool, tz: &TimeZone, ui: &mut Ui) -> Result<(), Failure> {
    match ui.format {
        Format::Json => ui.json_line(&json!({ "rooms": rooms }))?,
        Format::Jsonl => {
            for room in rooms {
                ui.json_line(room)?;
            }
        }
        Format::Csv => write_csv(rooms, ui)?,
        Format::Table if rooms.is_empty() => {}
        Format::Table if custodian => write_stays(rooms, tz, ui)?,
        Format::Table => write_rooms(rooms, tz, ui)?,
    }
    Ok(())
}

/// One line a stay of a person in a room; one for a person who is known from other events only.
fn write_csv(rooms: &[Room], ui: &mut Ui) -> Result<(), Failure> {
    let mut out = safe::writer(ui.out());
    out.write_record([
        "room_id",
        "room_name",
        "category",
        "person_id",
        "person_name",
        "known_by",
        "from",
        "to",
        "first_seen",
        "last_seen",
        "events",
    ])
    .map_err(safe::io_error)?;
    let time = |us| super::text(us).unwrap_or_default();
    for room in rooms {
        for person in &room.people {
            let (first, last) = person.seen.unwrap_or((i64::MIN, i64::MAX));
            let seen = [time(first), time(last), person.events.to_string()];
            let stays = person.in_room.iter();
            let mut stays: Vec<_> = stays
                .map(|(from, to)| ["membership".to_owned(), time(*from), time(*to)])
                .collect();
            if stays.is_empty() {
                stays.push(["events".to_owned(), String::new(), String::new()]);
            }
            for stay in &stays {
                let who = [
                    &room.id,
                    &room.name,
                    &room.category,
                    &person.id,
                    &person.name,
                ];
                let cells = who.into_iter().chain(stay).chain(&seen);
                out.write_record(cells.map(|cell| safe::defuse(cell).into_owned()))
                    .map_err(safe::io_error)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}

fn write_rooms(rooms: &[Room], tz: &TimeZone, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    let columns = [
        Column::text("ROOM, PERSON", 32),
        Column::text("ID", 24),
        Column::text("CATEGORY", 16),
        Column::figure("EVENTS"),
        Column::figure("MESSAGES"),
        Column::figure("PEOPLE"),
        Column::text("WHEN", 60),
    ];
    let mut rows = Vec::new();
    let mut more = false;
    for room in rooms {
        let days = room
            .seen
            .map(|(first, last)| format!("{} to {}", zone::day(first, tz), zone::day(last, tz)));
        rows.push(vec![
            plain(&room.name),
            plain(&room.id),
            plain(&room.category),
            plain(&grouped(room.events)),
            plain(&grouped(room.messages)),
            plain(&grouped(room.people.len() as u64)),
            plain(&days.unwrap_or_default()),
        ]);
        for person in room.people.iter().take(PEOPLE_SHOWN) {
            let times = times(person, tz);
            let who = [format!("  {}", called(person)), person.id.clone()];
            let events = grouped(person.events);
            push(
                &mut rows,
                &times[..times.len().min(STAYS_SHOWN)],
                |first, time| {
                    let [name, id] = &who;
                    let blank = String::new();
                    let shown = if first {
                        [name, id, &blank, &events]
                    } else {
                        [&blank; 4]
                    };
                    let mut row: Vec<Cell> = shown.map(|cell| plain(cell)).into();
                    row.extend([plain(""), plain(""), plain(time)]);
                    row
                },
            );
            if let Some(left) = times.len().checked_sub(STAYS_SHOWN).filter(|n| *n > 0) {
                rows.push(note(&format!("and {} more", grouped(left as u64)), 6));
                more = true;
            }
        }
        if let Some(left) = room
            .people
            .len()
            .checked_sub(PEOPLE_SHOWN)
            .filter(|n| *n > 0)
        {
            rows.push(note(&format!("  and {} more", grouped(left as u64)), 0));
            more = true;
        }
    }
    table::write(ui.out(), &columns, &rows, width, paint)?;
    if more {
        ui.hint("`--format csv` names everybody and all times");
    }
    Ok(())
}

/// A row with one cell.
fn note(text: &str, at: usize) -> Vec<Cell> {
    (0..=at)
        .map(|column| plain(if column == at { text } else { "" }))
        .collect()
}

fn write_stays(rooms: &[Room], tz: &TimeZone, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    let columns = [
        Column::text("ROOM", 30),
        Column::text("ID", 24),
        Column::text("PERSON", 30),
        Column::figure("EVENTS"),
        Column::text("WHEN", 60),
    ];
    let mut rows = Vec::new();
    for room in rooms {
        for person in &room.people {
            let who = [&room.name, &room.id, called(person)];
            let events = grouped(person.events);
            push(&mut rows, &times(person, tz), |first, time| {
                let mut row: Vec<Cell> = who.map(|cell| plain(cell)).into();
                row.extend([plain(if first { &events } else { "" }), plain(time)]);
                row
            });
        }
    }
    table::write(ui.out(), &columns, &rows, width, paint)?;
    Ok(())
}

/// A row for each time; the first one knows that it is.
fn push(rows: &mut Vec<Vec<Cell>>, times: &[String], row: impl Fn(bool, &str) -> Vec<Cell>) {
    rows.extend(
        times
            .iter()
            .enumerate()
            .map(|(at, time)| row(at == 0, time)),
    );
}

fn called(person: &Person) -> &String {
    if person.name.is_empty() {
        &person.id
    } else {
        &person.name
    }
}

/// When somebody was in a room, or was seen in it where nothing says that they were.
fn times(person: &Person, tz: &TimeZone) -> Vec<String> {
    if person.in_room.is_empty() {
        let (first, last) = person.seen.unwrap_or_default();
        let (first, last) = (zone::seconds(first, tz), zone::seconds(last, tz));
        return vec![format!("seen {first} to {last}")];
    }
    person.in_room.iter().map(|span| stay(*span, tz)).collect()
}

fn stay((from, to): SpanUs, tz: &TimeZone) -> String {
    match (from != i64::MIN, to != i64::MAX) {
        (true, true) => format!("{} to {}", zone::seconds(from, tz), zone::seconds(to, tz)),
        (true, false) => format!("since {}", zone::seconds(from, tz)),
        (false, true) => format!("until {}", zone::seconds(to, tz)),
        (false, false) => "always".to_owned(),
    }
}
