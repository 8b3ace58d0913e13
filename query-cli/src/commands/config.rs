//! `holdfast config`: settings of the archive.

use clap::{Args, Subcommand};
use holdfast_governance::config;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};

/// Settings of the archive
#[derive(Debug, Args)]
#[command(after_help = after_help())]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What to do with settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// A setting's value, or all of them
    Get {
        /// Its name
        key: Option<String>,
    },
    /// Change a setting: an act in the ledger
    Set {
        /// Its name
        key: String,
        /// Its value
        value: String,
    },
}

/// The settings, from the table that checks them.
fn after_help() -> String {
    let mut text = String::from(
        "Examples:\n  holdfast config get\n  holdfast config set retention.grace 5d\n\nSettings:\n",
    );
    for setting in config::SETTINGS {
        let (name, default) = (setting.name, setting.default);
        text.push_str(&format!(
            "  {name} [default: {default}]\n      {}\n",
            setting.help
        ));
    }
    text
}

/// Shows or changes settings.
///
/// # Errors
/// There is no such setting, the value is none of its type, the act is refused, or the ledger cannot be read or written.
pub async fn run(args: &ConfigArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    match &args.command {
        ConfigCommand::Set { key, value } => {
            let done = acting
                .fenced(|state| config::judge_set(state, key, value))
                .await?;
            let line = format!("set `{key}` to `{value}` (entry {})", done.seq);
            listing::done(
                &line,
                &json!({ "key": key, "value": value, "entry": done.seq }),
                ui,
            )?;
        }
        ConfigCommand::Get { key: Some(key) } => {
            let state = acting.ledger.state();
            let setting =
                config::setting(key).map_err(holdfast_governance::ledger::LedgerError::from)?;
            let value = config::value(&state, setting);
            listing::done(value, &json!({ "key": key, "value": value }), ui)?;
        }
        ConfigCommand::Get { key: None } => {
            let state = acting.ledger.state();
            let items: Vec<Item> = config::SETTINGS
                .iter()
                .map(|setting| {
                    let value = config::value(&state, setting);
                    Item {
                        cells: vec![
                            setting.name.to_owned(),
                            value.to_owned(),
                            setting.default.to_owned(),
                            setting.help.to_owned(),
                        ],
                        json: json!({ "key": setting.name, "value": value, "default": setting.default, "help": setting.help }),
                    }
                })
                .collect();
            listing::write(
                "settings",
                &["SETTING", "VALUE", "DEFAULT", "WHAT IT DOES"],
                &items,
                ui,
            )?;
        }
    }
    Ok(Outcome::Done)
}
