//! `holdfast disposition`: what was removed, when, why and by whom.

use clap::{Args, Subcommand};
use holdfast_governance::disposition::certificate::{Certificate, read_list};
use holdfast_governance::ledger::State;
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::{Format, Global};
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};
use crate::scope::{Zone, date};

/// What was removed, when, why and by whom
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast disposition list --on 2026-03-03 --tz Europe/Madrid
  holdfast --format json disposition show RUN")]
pub struct DispositionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: DispositionCommand,
}

/// What to do with dispositions.
#[derive(Debug, Subcommand)]
pub enum DispositionCommand {
    /// Runs and erasures
    List {
        /// Only of this day, in the zone of --tz
        #[arg(long, value_name = "DATE")]
        on: Option<String>,
        /// The zone of that day.
        #[command(flatten)]
        zone: Zone,
    },
    /// One run: its certificate, and the list of what is gone once it was purged
    Show {
        /// The run
        run: String,
    },
}

/// A run or an erasure, as far as both have it.
struct Entry {
    run: String,
    of: String,
    what: &'static str,
    time_us: i64,
    by: String,
    events: u64,
    status: String,
    certificate: String,
    sha256: Digest,
}

/// Lists or shows dispositions.
///
/// # Errors
/// A date has a mistake, or the archive or the ledger cannot be read.
pub async fn run(args: &DispositionArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    let entries = entries(&acting.ledger.state());
    match &args.command {
        DispositionCommand::List { on, zone } => {
            let day = on
                .as_deref()
                .map(|text| date("--on", text, &zone.tz))
                .transpose()?;
            let of_day = |entry: &&Entry| {
                day.as_ref()
                    .is_none_or(|day| (day.from_us..day.to_us).contains(&entry.time_us))
            };
            let items: Vec<Item> = entries.iter().filter(of_day).map(item).collect();
            listing::found("dispositions", &HEADINGS, &items, ui)
        }
        DispositionCommand::Show { run } => {
            let Some(entry) = entries.iter().find(|entry| entry.run == *run) else {
                ui.note("there is no run of this id");
                ui.hint("`holdfast disposition list` shows them");
                return Ok(Outcome::NothingFound);
            };
            crate::ledger::looked(&opened, global, "disposition show", &[("run", Some(run))])
                .await?;
            let certificate =
                Certificate::of(&opened.archive, &entry.certificate, &entry.sha256).await?;
            let list = read_list(&opened.archive, run).await?;
            let mut item = item(entry);
            item.json["certificate"] = json!(certificate);
            item.json["list"] = json!(list);
            match ui.format {
                Format::Json | Format::Jsonl => ui.json_line(&item.json)?,
                Format::Table | Format::Csv => {
                    listing::write("dispositions", &HEADINGS, &[item], ui)?;
                    writeln!(
                        ui.out(),
                        "certificate {} (SHA-256 {})",
                        entry.certificate,
                        entry.sha256
                    )?;
                    for line in &certificate.segments {
                        let now = line.rewritten.as_deref().unwrap_or("nothing");
                        writeln!(
                            ui.out(),
                            "  {}: {} rows, then {} in {now}",
                            line.path,
                            line.rows_before,
                            line.rows_after
                        )?;
                    }
                    for line in list.iter().flatten() {
                        let id = line.id.as_deref().unwrap_or("erased");
                        let (origin, sequence, hash) = (&line.origin, line.sequence, line.hash);
                        let rule = line.rule.as_deref().unwrap_or("");
                        let text = format!("  {id} {origin} {sequence} {hash} {rule}");
                        writeln!(ui.out(), "{}", crate::output::text::escape(&text))?;
                    }
                }
            }
            for copy in &certificate.not_covered {
                ui.note(&format!("not covered: {copy}"));
            }
            Ok(Outcome::Done)
        }
    }
}

fn entries(state: &State) -> Vec<Entry> {
    let runs = state.dispositions.values().filter_map(|known| {
        let (mark, outcome) = known.outcome.as_ref()?;
        let status = match &known.purged {
            Some(purge) => format!("purged by {purge}"),
            None => out(state, &known.restored, outcome.events),
        };
        Some(Entry {
            run: outcome.run.clone(),
            of: format!("plan {}", known.intent.plan),
            what: "retention",
            time_us: outcome.time_us,
            by: mark.actor.clone(),
            events: outcome.events,
            status,
            certificate: outcome.certificate.clone(),
            sha256: outcome.certificate_sha256,
        })
    });
    let erasures = state
        .erasures
        .values()
        .flat_map(|erasure| &erasure.outcomes);
    let erasures = erasures.map(|(mark, outcome)| Entry {
        run: outcome.run.clone(),
        of: format!("request {}", outcome.id),
        what: "erasure",
        time_us: mark.time_us,
        by: mark.actor.clone(),
        events: outcome.events,
        status: match holdfast_governance::purge::of_run(state, &outcome.run) {
            Some(purge) => format!("purged by {purge}"),
            None => "can be restored".to_owned(),
        },
        certificate: outcome.certificate.clone(),
        sha256: outcome.certificate_sha256,
    });
    let mut all: Vec<Entry> = runs.chain(erasures).collect();
    all.sort_by(|a, b| (a.time_us, &a.run).cmp(&(b.time_us, &b.run)));
    all
}

/// Where the events of a run that was not purged are, by what restores put back of them.
fn out(state: &State, restores: &[String], events: u64) -> String {
    let outcomes = restores
        .iter()
        .filter_map(|id| state.restores.get(id)?.outcome.as_ref());
    let back: u64 = outcomes.map(|(_, outcome)| outcome.events).sum();
    match events.saturating_sub(back) {
        _ if back == 0 => "can be restored".to_owned(),
        0 => "restored".to_owned(),
        left => format!("{back} restored, {left} can be"),
    }
}

const HEADINGS: [&str; 7] = ["RUN", "WHAT", "OF", "WHEN", "BY", "EVENTS", "STATUS"];

fn item(entry: &Entry) -> Item {
    let at = format_us(entry.time_us);
    let json = json!({
        "run": entry.run, "what": entry.what, "of": entry.of, "time": at, "by": entry.by, "events": entry.events, "status": entry.status,
        "certificate": entry.certificate, "certificate_sha256": entry.sha256,
    });
    let cells = vec![
        entry.run.clone(),
        entry.what.to_owned(),
        entry.of.clone(),
        at,
        entry.by.clone(),
        entry.events.to_string(),
        entry.status.clone(),
    ];
    Item { cells, json }
}
