//! The statement of completeness: asked for, entered into the report, and shown.

use std::collections::BTreeMap;
use std::sync::Arc;

use holdfast_archive::Segment;
use holdfast_schemas::ledger::hold::HoldScope;
use holdfast_schemas::time::format_us;
use roaring::RoaringTreemap;

use super::completeness::{self, Asked, Completeness, Gap};
use super::dispositions::Gone;
use super::heartbeats::{self, Beats};
use super::origins::{Present, list};
use super::report::{Problem, Report};
use super::rows::{Marks, Origins};
use super::walk::walk;
use crate::cli::Global;
use crate::commands::verify::VerifyArgs;
use crate::failure::Failure;
use crate::governance;
use crate::ledger::Acting;
use crate::open::{self, Opened};
use crate::output::Ui;
use crate::output::table::{self, Column, plain};
use crate::output::text::{counted, grouped};

/// Name of this check.
pub const CHECK: &str = "completeness";
/// Rooms that a table shows, those with gaps first.
const ROOMS_MAX: usize = 50;

/// What verification found out before.
pub struct Known<'k> {
    /// Every origin's set of archived sequences.
    pub archived: &'k BTreeMap<String, RoaringTreemap>,
    /// Sequences as the rows have them.
    pub present: &'k Present,
    /// The rows, by segment.
    pub marks: &'k [Marks],
    /// Names of their origins.
    pub origins: &'k Origins,
    /// What was removed.
    pub gone: &'k Gone,
}

/// What the options ask about.
///
/// # Errors
/// A date or a name has a mistake, or the archive cannot be read.
pub async fn asked(args: &VerifyArgs, opened: &Opened, global: &Global) -> Result<Asked, Failure> {
    let (since, until) = args.dates.bounds()?;
    let mut asked = Asked {
        since_us: since.map(|span| span.from_us),
        until_us: until.map(|span| span.to_us),
        seen: None,
    };
    if args.custodian.is_empty() {
        return Ok(asked);
    }
    let acting = Acting::open(&opened.archive, global).await?;
    let searcher = open::searcher(&opened.archive, global);
    let custodians =
        governance::custodians(&args.custodian, &acting, &searcher, &opened.snapshot).await?;
    let scope = HoldScope {
        custodians,
        ..HoldScope::default()
    };
    let (archive, snapshot) = (&opened.archive, &opened.snapshot);
    asked.seen = Some(holdfast_governance::hold::whereabouts(archive, snapshot, &scope).await?);
    Ok(asked)
}

/// Makes the statement and enters what is wrong.
///
/// # Errors
/// The archive cannot be read.
pub async fn enter(
    opened: &Opened,
    live: &[Arc<Segment>],
    asked: &Asked,
    known: &Known<'_>,
    report: &mut Report,
) -> Result<(), Failure> {
    let walked = walk(&opened.archive, live, asked).await?;
    let (beats, problems) = beats(&walked.beats, known);
    let count = beats
        .values()
        .map(|beats| beats.agree + beats.differ + beats.open);
    let open: u64 = beats.values().map(|beats| beats.open).sum();
    let note =
        (open > 0).then(|| format!("{open} not recomputed: something before them is missing"));
    report.enter(heartbeats::CHECK, count.sum(), "digests", note, problems);
    let sets = (known.archived, &known.present.doubled[..]);
    let statement = completeness::state(
        &opened.archive,
        live,
        asked,
        sets,
        known.gone,
        walked,
        &beats,
    )
    .await?;
    let missing = statement
        .origins
        .iter()
        .filter(|line| line.status == "missing");
    let problems = missing.map(|line| Problem {
        check: CHECK,
        place: line.origin.clone(),
        message: "is expected and never spoke".to_owned(),
    });
    let problems = problems.collect();
    let rooms = statement.rooms.len() as u64;
    let gaps = statement
        .rooms
        .iter()
        .filter(|room| !room.gaps.is_empty())
        .count();
    let note = match gaps {
        0 => None,
        gaps => Some(format!(
            "{} with places that nothing is known of",
            grouped(gaps as u64)
        )),
    };
    report.enter(CHECK, rooms, "rooms", note, problems);
    report.completeness = Some(statement);
    Ok(())
}

/// Heartbeats of every origin against its events, the removed ones included.
fn beats(
    found: &BTreeMap<String, Vec<heartbeats::Beat>>,
    known: &Known<'_>,
) -> (BTreeMap<String, Beats>, Vec<Problem>) {
    let (mut all, mut problems) = (BTreeMap::new(), Vec::new());
    for (origin, beats) in found {
        let there = known.marks.iter().flat_map(Marks::rows);
        let there = there.filter(|mark| known.origins.name(mark.origin) == origin);
        let mut hashes: BTreeMap<u64, [u8; 32]> =
            there.map(|mark| (mark.sequence, mark.hash)).collect();
        let removed = known.gone.account.removed.get(origin).into_iter().flatten();
        hashes.extend(removed.map(|one| (one.sequence, one.hash)));
        let (beats, wrong) = heartbeats::check(origin, &hashes, beats);
        all.insert(origin.clone(), beats);
        problems.extend(wrong);
    }
    (all, problems)
}

/// Shows the statement: origins, then rooms.
///
/// # Errors
/// The writer's.
pub fn write(statement: &Completeness, ui: &mut Ui) -> Result<(), Failure> {
    let (width, paint) = (ui.width, ui.paint);
    let columns = [
        Column::text("ORIGIN", 40),
        Column::text("STATUS", 14),
        Column::figure("ARCHIVED"),
        Column::figure("DISPOSED"),
        Column::figure("THROUGH"),
        Column::figure("TWICE"),
        Column::text("SILENT SINCE", 20),
        Column::text("MISSING", 60),
    ];
    let rows: Vec<_> = statement
        .origins
        .iter()
        .map(|line| {
            vec![
                plain(&line.origin),
                plain(line.status),
                plain(&grouped(line.archived)),
                plain(&grouped(line.removed)),
                plain(&grouped(line.through)),
                plain(&grouped(line.duplicates)),
                plain(&since(line.silent_since)),
                plain(&missing(&line.gaps)),
            ]
        })
        .collect();
    writeln!(ui.out())?;
    table::write(ui.out(), &columns, &rows, width, paint)?;
    let mut rooms: Vec<_> = statement.rooms.iter().collect();
    rooms.sort_by_key(|room| (room.gaps.is_empty(), &room.room));
    let columns = [
        Column::text("ROOM", 40),
        Column::text("NAME", 24),
        Column::figure("PLACES"),
        Column::figure("DISPOSED"),
        Column::figure("THROUGH"),
        Column::figure("TWICE"),
        Column::text("SILENT SINCE", 20),
        Column::text("MISSING", 60),
    ];
    let rows: Vec<_> = rooms
        .iter()
        .take(ROOMS_MAX)
        .map(|line| {
            vec![
                plain(&line.room),
                plain(&line.name),
                plain(&grouped(line.archived)),
                plain(&grouped(line.removed)),
                plain(&grouped(line.through)),
                plain(&grouped(line.duplicates)),
                plain(&since(line.silent_since)),
                plain(&missing(&line.gaps)),
            ]
        })
        .collect();
    if !rows.is_empty() {
        writeln!(ui.out())?;
        table::write(ui.out(), &columns, &rows, width, paint)?;
    }
    if rooms.len() > ROOMS_MAX {
        let more = counted((rooms.len() - ROOMS_MAX) as u64, "room");
        writeln!(ui.out(), "… {more} more; `--format json` has all")?;
    }
    if statement.erased > 0 {
        let erased = counted(statement.erased, "event");
        ui.note(&format!(
            "{erased} were erased: their places may be among the missing ones"
        ));
    }
    Ok(())
}

fn since(us: Option<i64>) -> String {
    us.map(format_us).unwrap_or_default()
}

fn missing(gaps: &[Gap]) -> String {
    let ranges: Vec<(u64, u64)> = gaps.iter().map(|gap| (gap.from, gap.to)).collect();
    list(&ranges)
}
