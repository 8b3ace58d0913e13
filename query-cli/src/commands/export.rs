//! `holdfast export`: what a query finds, as a folder that can be checked.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;

use clap::Args;
use holdfast_indexer::{Coverage, HitBatch, SearchError, Searcher, Status};
use holdfast_query::analyzer::ANALYZER_VERSION;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::reading::Export;
use holdfast_schemas::{canonical, merkle, time};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::context::{Anchor, Context, Entry, HitKey, Source};
use crate::export::attachments::Attachments;
use crate::export::folder::Folder;
use crate::export::items::{self, Items};
use crate::export::manifest::{CSV_RULES, Counts, LAYOUT, LedgerHead, Manifest, Provenance, TOOL};
use crate::export::{ExportFormat, Item, Sink};
use crate::failure::Failure;
use crate::hit::Standing;
use crate::ledger::{self, Acting};
use crate::open::{self, Opened};
use crate::output::progress::Progress;
use crate::output::text::{counted, escape, grouped};
use crate::output::{Ui, zone};
use crate::scope::{Scope, ScopeArgs};

/// Write what a query finds into a folder, with a manifest and checksums
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast export 'room:deals' --out ./deals --as jsonl
  holdfast export 'pricing AND from:ana' --out ./pricing --as csv --context 12h
  holdfast export 'type:chat.message.posted' --out ./all --as parquet --as-of 4711
  (cd ./deals && sha256sum -c SHA256SUMS)

The folder appears under its name only when it is whole; it must not exist before. The same snapshot (--as-of), query and
program give the same bytes, provenance.json apart. A file that the archive does not hold (yet) gets a placeholder, a row in
errors.csv and exit code 2.")]
pub struct ExportArgs {
    /// What to export.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// The folder to write
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// What the data is written as
    #[arg(long = "as", value_enum, value_name = "FORMAT")]
    pub written_as: ExportFormat,
    /// Add what stands around each hit in its room: N messages, or a time like 12h, before and after
    #[arg(long, value_name = "N|DURATION")]
    pub context: Option<Context>,
    /// Leave out the files that events refer to
    #[arg(long)]
    pub no_attachments: bool,
    /// Exit with 0 although files are missing; they are in errors.csv all the same
    #[arg(long)]
    pub allow_missing: bool,
}

/// Exports.
///
/// # Errors
/// The query has a mistake, the folder exists or cannot be written, or the archive cannot be read.
pub async fn run(args: &ExportArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let scope = args.scope.understand(&opened.snapshot, None)?;
    let searcher = open::searcher(&opened.archive, global);
    let acting = Acting::open(&opened.archive, global).await?;
    let act = record(args, &opened);
    let scope = scope
        .with_persons(&act, &args.scope, &acting, &searcher, &opened.snapshot)
        .await?;
    let mut folder = Folder::begin(&args.out)?;
    // Before the first event is on this disk, even under a name that is not the folder's yet.
    let matter = args.scope.matter.as_deref();
    let entry = acting.ledger.append_act(&acting.by, matter, act).await?;
    let context = match args.context {
        Some(context) => Some(around(&searcher, &opened, &scope, context).await?),
        None => None,
    };
    let (mut exporter, coverage) =
        write_events(args, &searcher, &opened, &scope, context, &mut folder, ui).await?;
    let attachments = std::mem::take(&mut exporter.attachments);
    let done = exporter.finish(&mut folder)?;
    let missing = if args.no_attachments {
        Vec::new()
    } else {
        attachments.write(&opened.archive, &mut folder).await?
    };
    items::write_errors(&mut folder, &missing)?;
    let counts = Counts {
        errors: missing.len() as u64,
        ..done.counts
    };
    write_manifest(
        args,
        &coverage,
        &scope,
        counts,
        &done.merkle_root,
        &mut folder,
    )?;
    let provenance = Provenance {
        archive: opened.archive.url(),
        actor: &open::actor(global),
        time: time::format_us(open::now_us()),
        query_given: &args.scope.query,
        ledger_head: LedgerHead {
            entry: entry.seq,
            hash: entry.hash.to_string(),
        },
        coverage: serde_json::to_value(&coverage).map_err(std::io::Error::from)?,
    };
    folder.finish(&pretty(&provenance)?)?;
    tell(args, counts, &done.merkle_root, ui)?;
    let partial = !missing.is_empty() && !args.allow_missing;
    Ok(if partial {
        Outcome::Partial
    } else {
        Outcome::found(counts.responsive > 0)
    })
}

/// The act of exporting.
fn record(args: &ExportArgs, opened: &Opened) -> Act {
    let mut options = ledger::options(&args.scope);
    if let Some(context) = &args.context {
        options.insert("context".to_owned(), context.to_string());
    }
    options.insert("out".to_owned(), args.out.display().to_string());
    Act::Export(Export {
        query: args.scope.query.clone(),
        options,
        format: args.written_as.as_str().to_owned(),
        table_version: opened.snapshot.version(),
    })
}

/// Events around the hits, without the hits.
async fn around(
    searcher: &Searcher,
    opened: &Opened,
    scope: &Scope,
    context: Context,
) -> Result<BTreeMap<Anchor, Entry>, Failure> {
    let mut hits = searcher.search(&opened.snapshot, &scope.request).await?;
    let mut keys = Vec::new();
    while let Some(batch) = hits.next().await? {
        let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
        keys.extend((0..rows.len()).map(|index| HitKey::of(&rows.event(index))));
    }
    let source = Source {
        searcher,
        snapshot: &opened.snapshot,
        as_of: scope.request.as_of,
    };
    let hit_ids: HashSet<&str> = keys.iter().map(|k| k.anchor.event_id.as_str()).collect();
    let windows = source.windows(&keys, context).await?;
    let entries = windows.into_iter().flat_map(|w| w.entries);
    Ok(entries
        .filter(|e| !hit_ids.contains(e.key.event_id.as_str()))
        .map(|e| (e.key.clone(), e))
        .collect())
}

/// What is carried from event to event.
struct Exporter {
    sink: Box<dyn Sink>,
    items: Items,
    attachments: Attachments,
    tree: merkle::Tree,
    counts: Counts,
    canonical: Vec<u8>,
}

/// What an exporter ends with.
struct Done {
    counts: Counts,
    merkle_root: String,
}

impl Exporter {
    fn event(
        &mut self,
        batch: &HitBatch,
        index: usize,
        responsive: Option<bool>,
        folder: &mut Folder,
    ) -> Result<(), Failure> {
        let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
        let row = rows.row(index);
        let status = batch.status.get(index).copied().unwrap_or(Status::Current);
        let standing = Standing { status, responsive };
        self.canonical.clear();
        canonical::write(&row.event, &mut self.canonical);
        let hash: [u8; 32] = Sha256::digest(&self.canonical).into();
        let item = Item {
            batch: &batch.rows,
            index,
            row: &row,
            standing,
            canonical: &self.canonical,
        };
        let place = self.sink.write(folder, item)?;
        self.items.add(&row, &hash, &place, standing)?;
        self.attachments.note(&row.event);
        self.tree.push(&hash);
        match responsive {
            Some(false) => self.counts.context += 1,
            Some(true) | None => self.counts.responsive += 1,
        }
        Ok(())
    }

    fn finish(self, folder: &mut Folder) -> Result<Done, Failure> {
        self.sink.finish(folder)?;
        self.items.finish(folder)?;
        Ok(Done {
            counts: self.counts,
            merkle_root: hex::encode(self.tree.root()),
        })
    }
}

/// Writes hits and context as one sequence in (event_time, event_id) order.
async fn write_events(
    args: &ExportArgs,
    searcher: &Searcher,
    opened: &Opened,
    scope: &Scope,
    context: Option<BTreeMap<Anchor, Entry>>,
    folder: &mut Folder,
    ui: &mut Ui,
) -> Result<(Exporter, Coverage), Failure> {
    let mut exporter = Exporter {
        sink: args.written_as.sink(folder, context.is_some())?,
        items: Items::new(folder)?,
        attachments: Attachments::default(),
        tree: merkle::Tree::default(),
        counts: Counts::default(),
        canonical: Vec::new(),
    };
    let responsive = context.is_some().then_some(true);
    let mut waiting = context.unwrap_or_default().into_values().peekable();
    let mut hits = searcher.search(&opened.snapshot, &scope.request).await?;
    let coverage = hits.coverage().clone();
    let mut progress = Progress::new(ui, "exporting", hits.total());
    while let Some(batch) = hits.next().await? {
        let rows = Rows::new(&batch.rows).map_err(SearchError::from)?;
        for index in 0..rows.len() {
            if waiting.peek().is_some() {
                let event = rows.event(index);
                let before = |e: &Entry| {
                    (e.key.time_us, e.key.event_id.as_str()) < (event.time_us, &*event.id)
                };
                while let Some(entry) = waiting.next_if(before) {
                    exporter.event(&entry.batch, entry.index, Some(false), folder)?;
                }
            }
            exporter.event(&batch, index, responsive, folder)?;
        }
        progress.add(rows.len() as u64);
    }
    for entry in waiting {
        exporter.event(&entry.batch, entry.index, Some(false), folder)?;
    }
    Ok((exporter, coverage))
}

fn write_manifest(
    args: &ExportArgs,
    coverage: &Coverage,
    scope: &Scope,
    counts: Counts,
    merkle_root: &str,
    folder: &mut Folder,
) -> Result<(), Failure> {
    // Which segments a search touched, and which files were pending, changes with compaction, re-indexing and time; what the
    // snapshot holds does not. Only the latter may be among the same bytes.
    let stable = json!({
        "version": coverage.version,
        "query": coverage.query,
        "time_zone": coverage.time_zone,
        "content_of_attachments_searched": false,
    });
    let time_zone = zone::name(&scope.zone);
    let files = folder.files().to_vec();
    let manifest = Manifest {
        layout: LAYOUT,
        tool: TOOL,
        format: args.written_as.as_str(),
        query: &coverage.query,
        snapshot: coverage.version,
        time_zone: &time_zone,
        context: args.context.map(|c| c.to_string()),
        exact_diacritics: scope.request.exact_diacritics,
        attachments: !args.no_attachments,
        analyzer: ANALYZER_VERSION,
        coverage: stable,
        counts,
        merkle_root: merkle_root.to_owned(),
        csv: (args.written_as == ExportFormat::Csv).then_some(CSV_RULES),
        files: &files,
    };
    let bytes = pretty(&manifest)?;
    folder.put("manifest.json", &bytes)
}

fn pretty(value: &impl serde::Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = serde_json::to_vec_pretty(value).map_err(std::io::Error::from)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn tell(args: &ExportArgs, counts: Counts, merkle_root: &str, ui: &mut Ui) -> Result<(), Failure> {
    let out = args.out.display().to_string();
    match ui.format {
        Format::Json | Format::Jsonl => {
            let value = json!({
                "out": out, "as": args.written_as.as_str(), "responsive": counts.responsive, "context": counts.context,
                "errors": counts.errors, "merkle_root": merkle_root,
            });
            ui.json_line(&value)?;
        }
        Format::Table | Format::Csv => {
            let context = if args.context.is_some() {
                format!(" and {} around them", grouped(counts.context))
            } else {
                String::new()
            };
            let line = format!(
                "exported {}{context} to `{}`",
                counted(counts.responsive, "event"),
                escape(&out)
            );
            writeln!(ui.out(), "{line}")?;
        }
    }
    if counts.responsive == 0 {
        ui.note("nothing found: the export holds no event");
    }
    if counts.errors > 0 {
        let missing = format!(
            "{} could not be included, see errors.csv",
            counted(counts.errors, "file")
        );
        if args.allow_missing {
            ui.note(&missing);
        } else {
            ui.warn(&missing);
            ui.hint("`holdfast status` counts pending attachments; `--allow-missing` accepts the export as it is");
        }
    }
    Ok(())
}
