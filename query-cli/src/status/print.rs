//! The state for people.

use std::io::{self, Write};

use jiff::tz::TimeZone;

use super::{Origin, Status};
use crate::output::table::{self, Column, plain};
use crate::output::text::{Line, bytes, counted, grouped};
use crate::output::{Paint, duration, zone};
use crate::verify::origins;

/// Writes the state; ages are measured from `now_us`.
///
/// # Errors
/// The writer's.
pub fn write(
    out: &mut dyn Write,
    status: &Status,
    now_us: i64,
    width: usize,
    paint: Paint,
) -> io::Result<()> {
    table::write_fields(out, &fields(status, now_us), paint)?;
    if !status.years.is_empty() {
        writeln!(out)?;
        let columns = [
            Column::text("YEAR", 6),
            Column::figure("EVENTS"),
            Column::figure("SEGMENTS"),
            Column::figure("SIZE"),
        ];
        let rows: Vec<_> = status
            .years
            .iter()
            .map(|y| {
                vec![
                    plain(&y.year.to_string()),
                    plain(&grouped(y.events)),
                    plain(&grouped(y.segments)),
                    plain(&bytes(y.bytes)),
                ]
            })
            .collect();
        table::write(out, &columns, &rows, width, paint)?;
    }
    if !status.origins.is_empty() {
        writeln!(out)?;
        let columns = [
            Column::text("ORIGIN", 40),
            Column::figure("ARCHIVED"),
            Column::figure("LAG"),
            Column::figure("LAST SEEN"),
            Column::text("COMPLETENESS", 60),
        ];
        let rows: Vec<_> = status
            .origins
            .iter()
            .map(|o| origin_row(o, now_us))
            .collect();
        table::write(out, &columns, &rows, width, paint)?;
    }
    if !status.positions.is_empty() {
        writeln!(out)?;
        let columns = [Column::text("SOURCE", 70), Column::figure("POSITION")];
        let rows: Vec<_> = status
            .positions
            .iter()
            .map(|p| vec![plain(&p.source), plain(&p.position.to_string())])
            .collect();
        table::write(out, &columns, &rows, width, paint)?;
    }
    Ok(())
}

fn fields(status: &Status, now_us: i64) -> Vec<(&'static str, Vec<Line>)> {
    let s = &status.splits;
    let times = match status.event_time_us {
        Some((from, to)) => format!(
            "{} to {}",
            zone::seconds(from, &TimeZone::UTC),
            zone::seconds(to, &TimeZone::UTC)
        ),
        None => "none".to_owned(),
    };
    let one = |text: String| vec![plain(&text)];
    let mut fields = vec![
        ("archive", one(status.archive.clone())),
        ("version", one(status.version.to_string())),
        ("events", one(grouped(status.events))),
        ("event times", one(times)),
        (
            "segments",
            one(format!(
                "{}, {}",
                grouped(status.segments),
                bytes(status.segment_bytes)
            )),
        ),
        (
            "splits",
            one(format!(
                "{} current, {} outdated, {} missing, {}",
                s.current,
                s.outdated,
                s.missing,
                bytes(status.split_bytes)
            )),
        ),
        ("unindexed", one(counted(s.unindexed_events, "event"))),
        (
            "attachments",
            one(match status.attachments_undigested {
                None => format!("{} pending", status.attachments_pending.len()),
                Some(without) => format!(
                    "{} pending, {} without a digest",
                    status.attachments_pending.len(),
                    grouped(without)
                ),
            }),
        ),
    ];
    if let Some(governed) = &status.governance {
        let ago = |us: i64| format!("{} ago", duration::people(now_us.saturating_sub(us)));
        let verified = governed.verified.as_ref().map(|last| match last.problems {
            0 => ago(last.time_us),
            problems => format!("{}, {}", ago(last.time_us), counted(problems, "problem")),
        });
        let never = || "never".to_owned();
        fields.push(("ledger", one(counted_entries(governed.entries))));
        fields.push((
            "holds",
            one(format!("{} in force", grouped(governed.holds))),
        ));
        fields.push(("verified", one(verified.unwrap_or_else(never))));
        fields.push(("anchored", one(governed.anchored.map_or_else(never, ago))));
        if governed.out > 0 {
            let due = grouped(governed.purge_due);
            let out = counted(governed.out, "run");
            fields.push(("restorable", one(format!("{out}, {due} due for purging"))));
        }
    }
    fields
}

fn counted_entries(entries: u64) -> String {
    match entries {
        1 => "1 entry".to_owned(),
        n => format!("{} entries", grouped(n)),
    }
}

fn origin_row(origin: &Origin, now_us: i64) -> Vec<Line> {
    let completeness = match (origin.complete, origin.newest_ingest) {
        (None, _) => "not sequenced".to_owned(),
        (Some(true), _) => format!("complete through {}", grouped(origin.last_sequence)),
        (Some(false), _) => format!("sequences missing: {}", origins::list(&origin.gaps)),
    };
    let seen = match origin.newest_ingest {
        Some(us) => format!("{} ago", duration::people(now_us.saturating_sub(us))),
        None => "never".to_owned(),
    };
    let lag = origin.lag_us.map(duration::people).unwrap_or_default();
    vec![
        plain(&origin.origin),
        plain(&grouped(origin.archived)),
        plain(&lag),
        plain(&seen),
        plain(&completeness),
    ]
}
