//! `holdfast origin`: which origins should be speaking.

use clap::{Args, Subcommand};
use holdfast_governance::origin;
use holdfast_schemas::ledger::origin::{OriginExpect, OriginRetire};
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};

/// Origins that should be speaking
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast origin expect main.1
  holdfast origin retire main.0 --reason 'moved to main.1'
  holdfast origin list

An origin that is expected and never spoke is missing, not absent; one that is retired may be silent.")]
pub struct OriginArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: OriginCommand,
}

/// What to do with origins.
#[derive(Debug, Subcommand)]
pub enum OriginCommand {
    /// Say that an origin should be speaking
    Expect {
        /// Its name
        origin: String,
    },
    /// Say that an origin will not speak again
    Retire {
        /// Its name
        origin: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Origins that are expected, retired or archived from
    List,
}

/// Expects, retires or lists origins.
///
/// # Errors
/// The act is refused, or the ledger cannot be read or written.
pub async fn run(args: &OriginArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    match &args.command {
        OriginCommand::Expect { origin } => {
            let expect = OriginExpect {
                origin: origin.clone(),
            };
            let done = acting
                .act(None, |state| origin::judge_expect(state, &expect))
                .await?;
            let line = format!("origin `{origin}` is expected (entry {})", done.seq);
            listing::done(&line, &json!({ "origin": origin, "entry": done.seq }), ui)?;
        }
        OriginCommand::Retire { origin, reason } => {
            let retire = OriginRetire {
                origin: origin.clone(),
                reason: reason.clone(),
            };
            let done = acting
                .act(None, |state| origin::judge_retire(state, &retire))
                .await?;
            let line = format!("origin `{origin}` is retired (entry {})", done.seq);
            listing::done(&line, &json!({ "origin": origin, "entry": done.seq }), ui)?;
        }
        OriginCommand::List => {
            let state = acting.ledger.state();
            let mut names = opened.snapshot.origins().await?;
            names.extend(state.origins.keys().cloned());
            names.sort_unstable();
            names.dedup();
            let items: Vec<Item> = names
                .iter()
                .map(|name| {
                    let archived = opened.snapshot.origin_count(name);
                    let known = state.origins.get(name);
                    let expected = known.and_then(|o| o.expected.as_ref());
                    let retired = known.and_then(|o| o.retired.as_ref());
                    let status = match (expected, retired) {
                        (_, Some(_)) => "retired",
                        (Some(_), None) if archived == 0 => "missing",
                        (Some(_), None) => "expected",
                        (None, None) => "not expected",
                    };
                    let since = retired.or(expected).map(|mark| format_us(mark.time_us));
                    Item {
                        cells: vec![
                            name.clone(),
                            status.to_owned(),
                            since.clone().unwrap_or_default(),
                            archived.to_string(),
                        ],
                        json: json!({ "origin": name, "status": status, "since": since, "archived": archived }),
                    }
                })
                .collect();
            return listing::found(
                "origins",
                &["ORIGIN", "STATUS", "SINCE", "ARCHIVED"],
                &items,
                ui,
            );
        }
    }
    Ok(Outcome::Done)
}
