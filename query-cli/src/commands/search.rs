//! `holdfast search`: find events.

use std::path::PathBuf;

use clap::Args;
use holdfast_indexer::{Coverage, Hits, SearchError, Searcher};
use holdfast_query::matcher::Matcher;
use holdfast_schemas::Row;
use holdfast_schemas::columns::Rows;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::context::{Context, HitKey, Source, Window};
use crate::failure::Failure;
use crate::hit::{self, HitJson, Marks, Standing};
use crate::ledger::{self, Acting};
use crate::open::{self, Opened};
use crate::output::text::{self, Look, Span, counted, grouped};
use crate::output::{Ui, csv as safe, table};
use crate::scope::{Scope, ScopeArgs};

/// Hits of a table when nobody said how many.
const TABLE_HITS: usize = 50;

/// Find events
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast search pricing
  holdfast search '\"price list\" AND from:ana' --since 2026-11-01 --until 2026-11-30 --tz Europe/Berlin
  holdfast search '(merger NEAR(5) vote*) NOT room:lunch' --custodian ana@example.com --context 12h
  holdfast search 'type:chat.message.posted' --count
  holdfast --format jsonl search pricing | jq -r .body
  holdfast search 'pric* OR discount' --stats --report ./report

A query that begins with - stands after --: holdfast search --count -- '-windows ubuntu'.
Hits come in order of (time, id), never by relevance. A table shows 50 of them and says how many there are; json, jsonl and
csv are never cut unless --limit says so.")]
pub struct SearchArgs {
    /// What to search.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Hits at most [default: 50 in a table, all in json, jsonl and csv]
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Print only how many there are
    #[arg(long, conflicts_with_all = ["limit", "context", "stats", "explain"])]
    pub count: bool,
    /// Show what stands around each hit in its room: N messages, or a time like 12h, before and after
    #[arg(long, value_name = "N|DURATION")]
    pub context: Option<Context>,
    /// Count hits by term, custodian, room and day instead of showing them
    #[arg(long, conflicts_with_all = ["limit", "context", "explain"])]
    pub stats: bool,
    /// With --stats: also write the counts as CSV and the histogram as SVG into this folder
    #[arg(long, value_name = "DIR", requires = "stats")]
    pub report: Option<PathBuf>,
    /// Print the query as understood, participants expanded, and search nothing
    #[arg(long)]
    pub explain: bool,
}

/// Searches.
///
/// # Errors
/// The query has a mistake, or the archive cannot be read.
pub async fn run(args: &SearchArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    // Only a list of hits is cut; counts are of all.
    let default_limit = (ui.format == Format::Table && !args.stats).then_some(TABLE_HITS);
    let limit = args.limit.or(default_limit);
    let scope = args.scope.understand(&opened.snapshot, limit)?;
    let searcher = open::searcher(&opened.archive, global);
    let act = ledger::searching("search", &args.scope, &opened.snapshot);
    let matter = args.scope.matter.as_deref();
    let outcome = if scope.may_name_persons(&args.scope) {
        let acting = Acting::open(&opened.archive, global).await?;
        let scope = scope
            .with_persons(&act, &args.scope, &acting, &searcher, &opened.snapshot)
            .await?;
        let entry = acting.reading(matter, act);
        Box::pin(answer(args, &searcher, &opened, entry, &scope, ui)).await
    } else {
        let entry = async {
            let acting = Acting::open(&opened.archive, global).await?;
            acting.reading(matter, act).await
        };
        Box::pin(answer(args, &searcher, &opened, entry, &scope, ui)).await
    };
    // The process ends: the system lets go of all maps at once, which takes less than one split after the other.
    std::mem::forget(searcher);
    outcome
}

async fn answer(
    args: &SearchArgs,
    searcher: &Searcher,
    opened: &Opened,
    entry: impl Future<Output = Result<(), Failure>>,
    scope: &Scope,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    // The entry is written while the search runs, by this thread: the search is started first, and leaves it a core. Nothing is shown before both are
    // there.
    let busy = searcher.busy();
    let entry = async {
        let written = entry.await;
        drop(busy);
        written
    };
    if args.count {
        let count = searcher.count(&opened.snapshot, &scope.request);
        let (count, _) = recorded(count, entry).await?;
        writeln!(ui.out(), "{count}")?;
        return Ok(Outcome::found(count > 0));
    }
    if args.explain {
        entry.await?;
        return super::explain::run(searcher, opened, scope, ui).await;
    }
    if args.stats {
        entry.await?;
        return super::stats::run(searcher, opened, scope, args.report.as_deref(), ui).await;
    }
    let hits = searcher.search(&opened.snapshot, &scope.request);
    let hits = recorded(hits, entry).await?;
    let found = hits.total();
    let shown = hits.left();
    let coverage = hits.coverage().clone();
    let mut marker = Marker::new(searcher, opened, scope).await?;
    match args.context {
        None => write_hits(hits, &mut marker, scope, ui).await?,
        Some(context) => {
            let windows = windows(hits, searcher, opened, scope, context).await?;
            write_windows(&windows, (&coverage, found), &mut marker, scope, ui)?;
        }
    }
    if shown < found {
        let line = format!("{shown} of {found}");
        match ui.format {
            Format::Table => writeln!(ui.out(), "{line}")?,
            Format::Json | Format::Jsonl | Format::Csv => ui.note(&line),
        }
    }
    tell_coverage(&coverage, found, ui)?;
    Ok(Outcome::found(found > 0))
}

/// What a search found, once its entry is written. The search is started first; an entry that is refused ends it, a search that fails is on record all the
/// same.
async fn recorded<T>(
    search: impl Future<Output = Result<T, SearchError>>,
    entry: impl Future<Output = Result<(), Failure>>,
) -> Result<T, Failure> {
    let ended = async { Ok(search.await) };
    let (found, ()) = tokio::try_join!(biased; ended, entry)?;
    Ok(found?)
}

/// Finds what the query hit in a row.
pub struct Marker {
    matcher: Matcher,
}

impl Marker {
    /// For a scope's query.
    ///
    /// # Errors
    /// The participants cannot be expanded.
    pub async fn new(searcher: &Searcher, opened: &Opened, scope: &Scope) -> Result<Self, Failure> {
        Ok(Self {
            matcher: scope
                .matcher(searcher, opened, &scope.request.query.expr)
                .await?,
        })
    }

    /// Whether the query is true of this row.
    #[must_use]
    pub fn matches(&mut self, row: &Row<'_>) -> bool {
        self.matcher.matches(row)
    }

    /// Byte ranges in title and body.
    #[must_use]
    pub fn marks(&mut self, row: &Row<'_>) -> Marks {
        Marks::of(&mut self.matcher, row)
    }
}

/// Writes hits as they come.
async fn write_hits(
    mut hits: Hits,
    marker: &mut Marker,
    scope: &Scope,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let mut writer = RowWriter::begin(hits.coverage(), hits.total(), ui)?;
    while let Some(batch) = hits.next().await? {
        let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
        for (index, status) in batch.status.iter().enumerate() {
            let row = rows.row(index);
            let standing = Standing {
                status: *status,
                responsive: None,
            };
            writer.row(&row, &marker.marks(&row), standing, scope, ui)?;
        }
    }
    writer.end(ui)
}

/// Reads the hits' windows; hits without a room stand alone.
async fn windows(
    mut hits: Hits,
    searcher: &Searcher,
    opened: &Opened,
    scope: &Scope,
    context: Context,
) -> Result<Vec<Window>, Failure> {
    let mut keys = Vec::new();
    let mut alone = Vec::new();
    while let Some(batch) = hits.next().await? {
        let batch = std::sync::Arc::new(batch);
        let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
        for index in 0..rows.len() {
            let key = HitKey::of(&rows.event(index));
            match key.room_id {
                Some(_) => keys.push(key),
                None => alone.push(Window::alone(&batch, index, key)),
            }
        }
    }
    let source = Source {
        searcher,
        snapshot: &opened.snapshot,
        as_of: scope.request.as_of,
    };
    let mut windows = source.windows(&keys, context).await?;
    windows.extend(alone);
    windows.sort_by(|a, b| a.first().cmp(&b.first()));
    Ok(windows)
}

fn write_windows(
    windows: &[Window],
    (coverage, total): (&Coverage, u64),
    marker: &mut Marker,
    scope: &Scope,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let mut writer = RowWriter::begin(coverage, total, ui)?;
    for (number, window) in windows.iter().enumerate() {
        if number > 0 {
            writer.gap();
        }
        for entry in &window.entries {
            let rows = Rows::new(&entry.batch.rows).map_err(SearchError::from)?;
            let row = rows.row(entry.index);
            let status = entry
                .batch
                .status
                .get(entry.index)
                .copied()
                .unwrap_or(holdfast_indexer::Status::Current);
            // A hit beyond the limit may stand in the window of another one: it is responsive all the same.
            let is_hit = entry.is_hit || marker.matches(&row);
            let standing = Standing {
                status,
                responsive: Some(is_hit),
            };
            let marks = if is_hit {
                marker.marks(&row)
            } else {
                Marks::default()
            };
            writer.row(&row, &marks, standing, scope, ui)?;
        }
    }
    writer.end(ui)
}

/// Writes rows in the format asked for.
enum RowWriter {
    /// Rows are kept until the end: columns are as wide as their widest cell.
    Table(Vec<Vec<table::Cell>>),
    Json {
        first: bool,
    },
    Jsonl,
    Csv,
}

impl RowWriter {
    fn begin(coverage: &Coverage, total: u64, ui: &mut Ui) -> Result<Self, Failure> {
        Ok(match ui.format {
            Format::Table => Self::Table(Vec::new()),
            Format::Json => {
                ui.out().write_all(b"{\"coverage\":")?;
                crate::output::json::write(ui.out(), coverage)?;
                write!(ui.out(), ",\"total\":{total},\"hits\":[")?;
                Self::Json { first: true }
            }
            Format::Jsonl => Self::Jsonl,
            Format::Csv => {
                let mut out = safe::writer(ui.out());
                out.write_record(hit::CSV_HEADER).map_err(safe::io_error)?;
                out.flush()?;
                Self::Csv
            }
        })
    }

    /// A line between windows; programs see the gap in the times.
    fn gap(&mut self) {
        if let Self::Table(rows) = self {
            rows.push(vec![vec![Span {
                text: "--".to_owned(),
                look: Look::Dim,
            }]]);
        }
    }

    fn row(
        &mut self,
        row: &Row<'_>,
        marks: &Marks,
        standing: Standing,
        scope: &Scope,
        ui: &mut Ui,
    ) -> Result<(), Failure> {
        match self {
            Self::Table(rows) => rows.push(hit::cells(row, marks, standing, &scope.zone, ui.width)),
            Self::Json { first } => {
                let comma = if *first { "\n" } else { ",\n" };
                *first = false;
                ui.out().write_all(comma.as_bytes())?;
                crate::output::json::write(ui.out(), &HitJson::new(row, marks, standing))?;
            }
            Self::Jsonl => {
                crate::output::json::write(ui.out(), &HitJson::new(row, marks, standing))?;
                ui.out().write_all(b"\n")?;
            }
            Self::Csv => {
                let mut out = safe::writer(ui.out());
                hit::write_csv(&mut out, row, standing)?;
                out.flush()?;
            }
        }
        Ok(())
    }

    fn end(self, ui: &mut Ui) -> Result<(), Failure> {
        match self {
            Self::Table(rows) if rows.is_empty() => {}
            Self::Table(rows) => {
                let (width, paint) = (ui.width, ui.paint);
                table::write(ui.out(), &hit::columns(width), &rows, width, paint)?;
            }
            Self::Json { first } => ui
                .out()
                .write_all(if first { b"]}\n" } else { b"\n]}\n" })?,
            Self::Jsonl | Self::Csv => {}
        }
        Ok(())
    }
}

/// The coverage: within the object of json; one line of JSON on stderr of jsonl and csv; a sentence for people.
pub(super) fn tell_coverage(coverage: &Coverage, found: u64, ui: &mut Ui) -> Result<(), Failure> {
    match ui.format {
        Format::Json => return Ok(()),
        Format::Jsonl | Format::Csv => {
            let mut line = Vec::new();
            crate::output::json::write(&mut line, coverage)?;
            ui.statement(&String::from_utf8_lossy(&line));
            return Ok(());
        }
        Format::Table => {}
    }
    let what = match found {
        0 => "nothing found".to_owned(),
        n => counted(n, "hit"),
    };
    ui.note(&format!(
        "{what} in {} at version {}; days and times in {}",
        counted(coverage.events_considered, "event"),
        coverage.version,
        text::escape(&coverage.time_zone)
    ));
    if coverage.attachments_not_searchable > 0 {
        let pending = match coverage.attachments_pending {
            0 => String::new(),
            n => format!(", {} of them not archived yet", grouped(n)),
        };
        ui.note(&format!(
            "not searched: what is inside {}{pending}",
            counted(coverage.attachments_not_searchable, "attachment")
        ));
    }
    if coverage.attachments_undigested > 0 {
        ui.note(&format!(
            "never to be verified, since their events give no digest: {}",
            counted(coverage.attachments_undigested, "attachment")
        ));
    }
    if coverage.segments_scanned > 0 {
        ui.note(&format!(
            "scanned for want of a usable split: {}",
            counted(coverage.segments_scanned, "segment")
        ));
        ui.hint(reindex_hint(coverage));
    }
    Ok(())
}

/// What mends the splits that could not be used: one that does not open is found by a plain `reindex`, damage inside of one is not.
fn reindex_hint(coverage: &Coverage) -> &'static str {
    match coverage.segments_damaged {
        0 => "`holdfast reindex` builds their splits",
        all if all == coverage.segments_scanned => {
            "their splits are damaged inside: `holdfast reindex --all` builds every split anew"
        }
        _ => {
            "some of their splits are damaged inside: `holdfast reindex --all` builds every split anew"
        }
    }
}
