//! `holdfast rooms`: rooms, and who was seen in them when.
//!
//! "Seen" is what the archived events say of a person in a room: posted, joined, was added, read its history. It is evidence of
//! presence, not a list of members; what a member could see is asked with `participants:` in a search.

use std::collections::BTreeMap;

use arrow::array::{Array, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::TimestampMicrosecondType;
use clap::Args;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::columns::name;
use holdfast_schemas::event_type;
use jiff::tz::TimeZone;
use serde::Serialize;
use serde_json::json;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::open;
use crate::output::progress::Progress;
use crate::output::table::{self, Column, plain};
use crate::output::text::{escape, grouped};
use crate::output::{Ui, csv as safe, zone};
use crate::scope;

/// Options of `rooms`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast rooms
  holdfast rooms --custodian ana@example.com --since 2026-11-01
  holdfast --format json rooms | jq '.rooms[] | {name, people}'

People are those whom archived events show in a room: they posted, joined, were added or read its history.")]
pub struct RoomsArgs {
    /// Only rooms this person was seen in, and when: id, name, e-mail address or URI
    #[arg(long, value_name = "PERSON")]
    pub custodian: Option<String>,
    /// From this day or time on, in the zone of --tz
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to and including this day or time
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// Zone of days and times: an IANA name, UTC, or an offset like +02:00
    #[arg(long, env = "HOLDFAST_TZ", value_name = "ZONE", default_value = "UTC", value_parser = zone::parse, hide_env_values = true)]
    pub tz: TimeZone,
}

/// A room.
#[derive(Debug, Serialize)]
struct Room {
    id: String,
    name: String,
    category: String,
    events: u64,
    messages: u64,
    #[serde(serialize_with = "time")]
    first: i64,
    #[serde(serialize_with = "time")]
    last: i64,
    people: Vec<Person>,
}

/// Somebody seen in a room.
#[derive(Debug, Clone, Serialize)]
struct Person {
    id: String,
    name: String,
    #[serde(serialize_with = "time")]
    first: i64,
    #[serde(serialize_with = "time")]
    last: i64,
    events: u64,
    /// Other ways to call the person: e-mail addresses and URIs, folded.
    #[serde(skip)]
    aliases: std::collections::BTreeSet<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn time<S: serde::Serializer>(us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&holdfast_schemas::time::format_us(*us))
}

/// Lists rooms.
///
/// # Errors
/// A date has a mistake, or the archive cannot be read.
pub async fn run(args: &RoomsArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let (from_us, to_us) = span(args)?;
    let opened = open::open(global).await?;
    let live = opened.snapshot.segments().await?;
    let mut progress = Progress::new(ui, "reading rooms", live.iter().map(|s| s.rows).sum());
    let mut tally = Tally::default();
    for segment in live
        .iter()
        .filter(|s| s.stats.event_time_us.0 <= to_us && s.stats.event_time_us.1 >= from_us)
    {
        let reader = SegmentReader::open(&opened.archive, segment).await?;
        let mut batches = reader.read(&ReadOptions {
            columns: Some(&COLUMNS),
            ..ReadOptions::default()
        })?;
        while let Some(batch) = batches.try_next().await? {
            tally.batch(&batch, from_us, to_us)?;
            progress.add(batch.num_rows() as u64);
        }
    }
    drop(progress);
    let rooms = tally.rooms(args.custodian.as_deref());
    write(&rooms, args, ui)?;
    if rooms.is_empty() {
        ui.note("no room found");
    }
    Ok(Outcome::found(!rooms.is_empty()))
}

/// The span in UTC microseconds, both ends included.
fn span(args: &RoomsArgs) -> Result<(i64, i64), Failure> {
    let bound = |option, text: Option<&String>| {
        text.map(|text| scope::date(option, text, &args.tz))
            .transpose()
    };
    let since = bound("--since", args.since.as_ref())?;
    let until = bound("--until", args.until.as_ref())?;
    Ok((
        since.map_or(i64::MIN, |span| span.from_us),
        until.map_or(i64::MAX, |span| span.to_us.saturating_sub(1)),
    ))
}

const COLUMNS: [&str; 10] = [
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::ROOM_NAME,
    name::CATEGORY,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
    name::TARGET_ID,
];

/// Rooms while they are counted.
#[derive(Default)]
struct Tally {
    rooms: BTreeMap<String, (Room, BTreeMap<String, Person>)>,
}

impl Tally {
    fn batch(&mut self, batch: &RecordBatch, from_us: i64, to_us: i64) -> Result<(), Failure> {
        let damaged = |column: &str| Failure::Damaged {
            place: "segment".to_owned(),
            message: format!("column `{column}` has another type"),
        };
        let text = |column: &'static str| -> Result<&StringArray, Failure> {
            batch
                .column_by_name(column)
                .and_then(|c| c.as_string_opt::<i32>())
                .ok_or_else(|| damaged(column))
        };
        let times: &TimestampMicrosecondArray = batch
            .column_by_name(name::EVENT_TIME)
            .and_then(|c| c.as_primitive_opt::<TimestampMicrosecondType>())
            .ok_or_else(|| damaged(name::EVENT_TIME))?;
        let (kinds, rooms) = (text(name::EVENT_TYPE)?, text(name::ROOM_ID)?);
        let (room_names, categories) = (text(name::ROOM_NAME)?, text(name::CATEGORY)?);
        let actors = [
            text(name::ACTOR_ID)?,
            text(name::ACTOR_URI)?,
            text(name::ACTOR_EMAIL)?,
        ];
        let (actor_names, targets) = (text(name::ACTOR_NAME)?, text(name::TARGET_ID)?);
        for row in 0..batch.num_rows() {
            let us = times.value(row);
            let Some(id) = some(rooms, row).filter(|_| (from_us..=to_us).contains(&us)) else {
                continue;
            };
            let (room, people) = self.room(id, us);
            keep_name(&mut room.name, some(room_names, row));
            keep_name(&mut room.category, some(categories, row));
            room.events += 1;
            room.messages += u64::from(kinds.value(row) == event_type::MESSAGE_POSTED);
            (room.first, room.last) = (room.first.min(us), room.last.max(us));
            let called: Vec<&str> = actors
                .iter()
                .filter_map(|column| some(column, row))
                .collect();
            if let Some(id) = called.first() {
                let person = seen(people, id, us);
                keep_name(&mut person.name, some(actor_names, row));
                for alias in &called[1..] {
                    if !person.aliases.contains(*alias) {
                        person.aliases.insert((*alias).to_owned());
                    }
                }
            }
            let about_member = matches!(
                kinds.value(row),
                event_type::ROOM_MEMBER_ADDED | event_type::ROOM_MEMBER_REMOVED
            );
            if let Some(id) = some(targets, row).filter(|_| about_member) {
                seen(people, id, us);
            }
        }
        Ok(())
    }

    fn room(&mut self, id: &str, us: i64) -> &mut (Room, BTreeMap<String, Person>) {
        self.rooms.entry(id.to_owned()).or_insert_with(|| {
            let room = Room {
                id: id.to_owned(),
                name: String::new(),
                category: String::new(),
                events: 0,
                messages: 0,
                first: us,
                last: us,
                people: Vec::new(),
            };
            (room, BTreeMap::new())
        })
    }

    /// The rooms by name; with a custodian, those the custodian was seen in, with nobody else.
    fn rooms(self, custodian: Option<&str>) -> Vec<Room> {
        let wanted = custodian.map(fold_keyword);
        let is_wanted = |person: &Person| {
            wanted.as_ref().is_none_or(|wanted| {
                fold_keyword(&person.id) == *wanted
                    || fold_keyword(&person.name) == *wanted
                    || person
                        .aliases
                        .iter()
                        .any(|alias| fold_keyword(alias) == *wanted)
            })
        };
        let mut rooms: Vec<Room> = self
            .rooms
            .into_values()
            .filter_map(|(mut room, people)| {
                room.people = people.into_values().filter(is_wanted).collect();
                (wanted.is_none() || !room.people.is_empty()).then_some(room)
            })
            .collect();
        rooms.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        rooms
    }
}

fn some(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

/// The last name read wins; segments come by year, so it is about the newest.
fn keep_name(name: &mut String, new: Option<&str>) {
    if let Some(new) = new.filter(|new| *new != name.as_str()) {
        new.clone_into(name);
    }
}

fn seen<'a>(people: &'a mut BTreeMap<String, Person>, id: &str, us: i64) -> &'a mut Person {
    let person = people.entry(id.to_owned()).or_insert_with(|| Person {
        id: id.to_owned(),
        name: String::new(),
        first: us,
        last: us,
        events: 0,
        aliases: std::collections::BTreeSet::new(),
    });
    (person.first, person.last) = (person.first.min(us), person.last.max(us));
    person.events += 1;
    person
}

fn write(rooms: &[Room], args: &RoomsArgs, ui: &mut Ui) -> Result<(), Failure> {
    match ui.format {
        Format::Json => ui.json_line(&json!({ "rooms": rooms }))?,
        Format::Jsonl => {
            for room in rooms {
                ui.json_line(room)?;
            }
        }
        Format::Csv => write_csv(rooms, ui)?,
        Format::Table if args.custodian.is_some() => write_presence(rooms, args, ui)?,
        Format::Table => write_rooms(rooms, args, ui)?,
    }
    Ok(())
}

fn write_csv(rooms: &[Room], ui: &mut Ui) -> Result<(), Failure> {
    let mut out = safe::writer(ui.out());
    out.write_record([
        "room_id",
        "room_name",
        "category",
        "person_id",
        "person_name",
        "first_seen",
        "last_seen",
        "events",
    ])
    .map_err(safe::io_error)?;
    for room in rooms {
        for person in &room.people {
            let times = [person.first, person.last].map(holdfast_schemas::time::format_us);
            let events = person.events.to_string();
            let cells = [
                &room.id,
                &room.name,
                &room.category,
                &person.id,
                &person.name,
                &times[0],
                &times[1],
                &events,
            ];
            out.write_record(cells.map(|cell| safe::defuse(cell).into_owned()))
                .map_err(safe::io_error)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn write_rooms(rooms: &[Room], args: &RoomsArgs, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    let columns = [
        Column::text("ROOM", 30),
        Column::text("ID", 24),
        Column::text("CATEGORY", 16),
        Column::figure("EVENTS"),
        Column::figure("MESSAGES"),
        Column::figure("PEOPLE"),
        Column::text("FIRST TO LAST", 40),
    ];
    let rows: Vec<_> = rooms
        .iter()
        .map(|room| {
            let days = format!(
                "{} to {}",
                zone::day(room.first, &args.tz),
                zone::day(room.last, &args.tz)
            );
            vec![
                plain(&room.name),
                plain(&room.id),
                plain(&room.category),
                plain(&grouped(room.events)),
                plain(&grouped(room.messages)),
                plain(&grouped(room.people.len() as u64)),
                plain(&days),
            ]
        })
        .collect();
    if !rows.is_empty() {
        table::write(ui.out(), &columns, &rows, width, paint)?;
    }
    Ok(())
}

fn write_presence(rooms: &[Room], args: &RoomsArgs, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    let columns = [
        Column::text("ROOM", 30),
        Column::text("ID", 24),
        Column::text("PERSON", 30),
        Column::figure("EVENTS"),
        Column::text("SEEN", 60),
    ];
    let mut rows = Vec::new();
    for room in rooms {
        for person in &room.people {
            let name = if person.name.is_empty() {
                escape(&person.id)
            } else {
                escape(&person.name)
            };
            let times = format!(
                "{} to {}",
                zone::seconds(person.first, &args.tz),
                zone::seconds(person.last, &args.tz)
            );
            rows.push(vec![
                plain(&room.name),
                plain(&room.id),
                plain(&name),
                plain(&grouped(person.events)),
                plain(&times),
            ]);
        }
    }
    if !rows.is_empty() {
        table::write(ui.out(), &columns, &rows, width, paint)?;
    }
    Ok(())
}
