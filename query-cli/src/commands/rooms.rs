//! `holdfast rooms`: rooms, and who was in them when.
//!
//! Who was in a room is told from membership events, joins, leaves and room snapshots, as `participants:` in a search tells
//! it; who is not named by any of those is shown by when they were seen.

use std::collections::HashSet;

use clap::Args;
use futures::TryStreamExt;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_indexer::Searcher;
use holdfast_indexer::participants::{PersonNumber, Rosters, SpanUs};

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger;
use crate::open::{self, Opened};
use crate::output::Ui;
use crate::output::progress::Progress;
use crate::rooms::tally::{COLUMNS, Tally};
use crate::rooms::{print, rooms};
use crate::scope::{self, Dates};

/// Rooms, and who was in them when
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast rooms
  holdfast rooms --custodian ana@example.com --since 2026-11-01
  holdfast --format json rooms | jq '.rooms[] | {name, people}'

Times are what membership events, joins, leaves and room snapshots tell, read as `participants:` in a
search reads them: who is listed by a room's first record, or leaves in it, was there before; who never
left is there still. Whom none of them names is shown by their first and last event (`seen`). Who is known
by a name alone, without id or address, is not listed; searches and holds count them.")]
pub struct RoomsArgs {
    /// Only rooms this person was in, and when: id, name, e-mail address or URI
    #[arg(long, value_name = "PERSON")]
    pub custodian: Option<String>,
    /// The span of time.
    #[command(flatten)]
    pub dates: Dates,
}

/// Lists rooms.
///
/// # Errors
/// A date has a mistake, or the archive cannot be read.
pub async fn run(args: &RoomsArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let (since, until) = args.dates.bounds()?;
    let span = (
        since.map_or(i64::MIN, |since| since.from_us),
        until.map_or(i64::MAX, |until| until.to_us.saturating_sub(1)),
    );
    let opened = open::open(global).await?;
    let asked = [("custodian", args.custodian.as_deref())];
    ledger::looked(&opened, global, "rooms", &asked).await?;
    let searcher = open::searcher(&opened.archive, global);
    let tally = tally(&opened, span, ui).await?;
    let rosters = searcher
        .rosters(&opened.snapshot, None, tally.persons())
        .await?;
    let custodians = match &args.custodian {
        Some(person) => Some(persons(&searcher, &opened, &rosters, person).await?),
        None => None,
    };
    let rooms = rooms(&tally, &rosters, custodians.as_ref(), span);
    print::write(&rooms, custodians.is_some(), &args.dates.zone.tz, ui)?;
    if rooms.is_empty() {
        ui.note("no room found");
    }
    Ok(Outcome::found(!rooms.is_empty()))
}

/// Counts what happened in the rooms within a span of time.
async fn tally(opened: &Opened, span: SpanUs, ui: &mut Ui) -> Result<Tally, Failure> {
    let live = opened.snapshot.segments().await?;
    let mut progress = Progress::new(ui, "reading rooms", live.iter().map(|s| s.rows).sum());
    let mut tally = Tally::default();
    for segment in live
        .iter()
        .filter(|s| s.stats.event_time_us.0 <= span.1 && s.stats.event_time_us.1 >= span.0)
    {
        let reader = SegmentReader::open(&opened.archive, segment).await?;
        let mut batches = reader.read(&ReadOptions {
            columns: Some(&COLUMNS),
            ..ReadOptions::default()
        })?;
        while let Some(batch) = batches.try_next().await? {
            tally.add(&batch, span)?;
            progress.add(batch.num_rows() as u64);
        }
    }
    Ok(tally)
}

/// Everybody whom `--custodian` means in a search too.
async fn persons(
    searcher: &Searcher,
    opened: &Opened,
    rosters: &Rosters,
    person: &str,
) -> Result<HashSet<PersonNumber>, Failure> {
    let query = scope::participant(person);
    let found = searcher
        .participations(&opened.snapshot, None, &query)
        .await?;
    let addresses = found.of.iter().flat_map(|one| &one.persons);
    Ok(addresses
        .filter_map(|address| rosters.person(address))
        .collect())
}
