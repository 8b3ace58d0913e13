//! `holdfast matter`: what searches, holds and exports are made for.

use clap::{Args, Subcommand};
use holdfast_governance::ledger::state::MatterState;
use holdfast_governance::matter;
use holdfast_schemas::ledger::matter::{MatterClose, MatterOpen};
use holdfast_schemas::time::format_us;
use serde_json::{Value, json};

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};

/// Matters: what searches, holds and exports are made for
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast matter open INV-2026-07 --title 'Price fixing, north'
  holdfast search pricing --matter INV-2026-07
  holdfast matter close INV-2026-07 --reason settled

A matter's name is never used again. One whose holds still hold cannot be closed.")]
pub struct MatterArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: MatterCommand,
}

/// What to do with matters.
#[derive(Debug, Subcommand)]
pub enum MatterCommand {
    /// Begin a matter
    Open {
        /// Its name
        name: String,
        /// What it is about
        #[arg(long, value_name = "TEXT")]
        title: Option<String>,
    },
    /// All matters
    List,
    /// One matter, its holds and how much was done for it
    Show {
        /// Its name
        name: String,
    },
    /// End a matter
    Close {
        /// Its name
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Opens, lists, shows or closes matters.
///
/// # Errors
/// The act is refused, or the ledger cannot be read or written.
pub async fn run(args: &MatterArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    let state = acting.ledger.state();
    match &args.command {
        MatterCommand::Open { name, title } => {
            let open = MatterOpen {
                name: name.clone(),
                title: title.clone(),
            };
            let done = acting
                .act(Some(name), |state| matter::judge_open(state, &open))
                .await?;
            let line = format!("opened matter `{name}` (entry {})", done.seq);
            listing::done(&line, &json!({ "matter": name, "entry": done.seq }), ui)?;
        }
        MatterCommand::Close { name, reason } => {
            let close = MatterClose {
                name: name.clone(),
                reason: reason.clone(),
            };
            let now_us = open::now_us();
            let done = acting
                .act(Some(name), |state| {
                    matter::judge_close(state, &close, now_us)
                })
                .await?;
            let line = format!("closed matter `{name}` (entry {})", done.seq);
            listing::done(&line, &json!({ "matter": name, "entry": done.seq }), ui)?;
        }
        MatterCommand::List => {
            let items: Vec<Item> = state.matters.iter().map(|(n, m)| item(n, m)).collect();
            let headings = ["MATTER", "STATUS", "OPENED", "BY", "ENTRIES", "TITLE"];
            return listing::found("matters", &headings, &items, ui);
        }
        MatterCommand::Show { name } => {
            let Some(matter) = state.matters.get(name) else {
                ui.note("there is no matter of this name");
                ui.hint("`holdfast matter list` shows them");
                return Ok(Outcome::NothingFound);
            };
            let holds: Vec<&String> = state
                .holds
                .iter()
                .filter(|(_, hold)| hold.place.matter == *name)
                .map(|(name, _)| name)
                .collect();
            let mut item = item(name, matter);
            item.json["holds"] = json!(holds);
            item.cells.push(
                holds
                    .iter()
                    .map(|h| h.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            );
            let headings = [
                "MATTER", "STATUS", "OPENED", "BY", "ENTRIES", "TITLE", "HOLDS",
            ];
            listing::write("matters", &headings, &[item], ui)?;
        }
    }
    Ok(Outcome::Done)
}

fn item(name: &str, matter: &MatterState) -> Item {
    let closed = matter.closed.as_ref().map(|mark| format_us(mark.time_us));
    let status = if closed.is_some() { "closed" } else { "open" };
    let opened = format_us(matter.opened.time_us);
    let json: Value = json!({
        "matter": name, "status": status, "opened": opened, "closed": closed, "by": matter.opened.actor,
        "entries": matter.entries, "title": matter.title, "entry": matter.opened.seq,
    });
    let cells = vec![
        name.to_owned(),
        status.to_owned(),
        opened,
        matter.opened.actor.clone(),
        matter.entries.to_string(),
        matter.title.clone().unwrap_or_default(),
    ];
    Item { cells, json }
}
