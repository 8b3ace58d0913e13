//! `--as csv`: the archive's columns for a spreadsheet.

use base64::Engine;
use holdfast_schemas::{Row, columns, time};

use super::folder::{Folder, HashedFile};
use super::{Item, Place, Sink};
use crate::failure::Failure;
use crate::output::csv as safe;

/// The byte order mark by which spreadsheets recognise UTF-8.
const BOM: &[u8] = b"\xef\xbb\xbf";

const HEADER: [&str; 31] = {
    use columns::name::*;
    [
        EVENT_ID,
        EVENT_TYPE,
        EVENT_TIME,
        INGEST_TIME,
        ORIGIN,
        ORIGIN_SEQ,
        SOURCE,
        KAFKA_TOPIC,
        KAFKA_PARTITION,
        KAFKA_OFFSET,
        ROOM_ID,
        ROOM_NAME,
        CATEGORY,
        ROOM_SEQ,
        ACTOR_ID,
        ACTOR_URI,
        ACTOR_NAME,
        ACTOR_EMAIL,
        ACTOR_INTERNAL,
        ACTOR_KIND,
        TARGET_ID,
        MESSAGE_ID,
        MESSAGE_KIND,
        TITLE,
        BODY,
        REPLY_TO,
        ATTACHMENTS,
        EXTRA,
        RAW,
        "relevance",
        "status",
    ]
};

pub(super) struct CsvSink {
    out: csv::Writer<HashedFile>,
    rows: u64,
}

impl CsvSink {
    pub(super) fn new(folder: &Folder) -> Result<Self, Failure> {
        let mut file = folder.create("events.csv")?;
        file.put(BOM)?;
        let mut out = safe::writer(file);
        out.write_record(HEADER).map_err(write_failure)?;
        Ok(Self { out, rows: 0 })
    }
}

impl Sink for CsvSink {
    fn write(&mut self, _folder: &mut Folder, item: Item<'_>) -> Result<Place, Failure> {
        let row = item.row;
        for cell in cells(row) {
            self.out
                .write_field(safe::defuse(&cell).as_bytes())
                .map_err(write_failure)?;
        }
        let relevance = super::items::relevance(item.standing);
        self.out.write_field(relevance).map_err(write_failure)?;
        self.out
            .write_field(crate::hit::status_name(item.standing.status))
            .map_err(write_failure)?;
        self.out
            .write_record(None::<&[u8]>)
            .map_err(write_failure)?;
        self.rows += 1;
        Ok(Place {
            file: "events.csv".to_owned(),
            row: self.rows,
        })
    }

    fn finish(self: Box<Self>, folder: &mut Folder) -> Result<(), Failure> {
        let file = self
            .out
            .into_inner()
            .map_err(|e| Failure::Output(std::io::Error::other(e.to_string())))?;
        folder.add(file)
    }
}

fn write_failure(error: csv::Error) -> Failure {
    Failure::file("write", std::path::Path::new("events.csv"))(safe::io_error(error))
}

/// A row's cells, in the header's order up to `raw`.
fn cells<'a>(row: &'a Row<'_>) -> [std::borrow::Cow<'a, str>; 29] {
    use std::borrow::Cow;
    fn text<'a>(value: &'a Option<Cow<'_, str>>) -> Cow<'a, str> {
        Cow::Borrowed(value.as_deref().unwrap_or_default())
    }
    let number = |n: Option<i64>| Cow::Owned(n.map(|n| n.to_string()).unwrap_or_default());
    let (event, intake) = (&row.event, &row.intake);
    [
        Cow::Borrowed(&*event.id),
        Cow::Borrowed(&*event.event_type),
        Cow::Owned(time::format_us(event.time_us)),
        Cow::Owned(time::format_us(intake.ingest_time_us)),
        Cow::Borrowed(&*event.origin),
        Cow::Owned(event.sequence.to_string()),
        Cow::Borrowed(&*event.source),
        text(&intake.kafka_topic),
        number(intake.kafka_partition.map(i64::from)),
        number(intake.kafka_offset),
        text(&event.room.id),
        text(&event.room.name),
        text(&event.room.category),
        number(event.room_seq),
        text(&event.actor.id),
        text(&event.actor.uri),
        text(&event.actor.name),
        text(&event.actor.email),
        Cow::Borrowed(match event.actor.internal {
            Some(true) => "true",
            Some(false) => "false",
            None => "",
        }),
        text(&event.actor.kind),
        Cow::Owned(columns::target_id(event).unwrap_or_default()),
        text(&event.message.id),
        text(&event.message.kind),
        text(&event.message.title),
        text(&event.message.body),
        text(&event.message.reply_to),
        attachments(row),
        text(&event.extra),
        Cow::Owned(
            event
                .raw
                .as_deref()
                .map(|raw| base64::engine::general_purpose::STANDARD.encode(raw))
                .unwrap_or_default(),
        ),
    ]
}

/// The attachments as a JSON array; empty when there are none.
fn attachments<'a>(row: &Row<'_>) -> std::borrow::Cow<'a, str> {
    if row.event.attachments.is_empty() {
        return std::borrow::Cow::Borrowed("");
    }
    let list: Vec<_> = row
        .event
        .attachments
        .iter()
        .map(|a| serde_json::json!({ "id": a.id, "name": a.name, "media_type": a.media_type, "size": a.size, "sha256": a.sha256 }))
        .collect();
    std::borrow::Cow::Owned(serde_json::Value::Array(list).to_string())
}
