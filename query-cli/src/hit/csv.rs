//! A hit as a row of CSV.

use holdfast_schemas::{Row, time};

use super::{Standing, status_name};
use crate::output::csv as safe;

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
pub fn write_csv<W: std::io::Write>(
    out: &mut csv::Writer<W>,
    row: &Row<'_>,
    standing: Standing,
) -> std::io::Result<()> {
    let event = &row.event;
    let number = |n: Option<i64>| n.map(|n| n.to_string()).unwrap_or_default();
    let time = time::format_us(event.time_us);
    let (sequence, partition) = (
        event.sequence.to_string(),
        number(row.intake.kafka_partition.map(i64::from)),
    );
    let offset = number(row.intake.kafka_offset);
    let responsive = standing
        .responsive
        .map(|r| r.to_string())
        .unwrap_or_default();
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
        out.write_field(safe::defuse(cell).as_bytes())
            .map_err(safe::io_error)?;
    }
    out.write_record(None::<&[u8]>).map_err(safe::io_error)
}
