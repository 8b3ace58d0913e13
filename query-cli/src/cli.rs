//! The command line as clap sees it: global options and the list of commands. Each command's own options stand beside it in
//! `commands/`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::styling::{AnsiColor, Styles};
use clap::{ArgMatches, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};

use crate::commands;

/// Colours of `--help`.
const STYLES: Styles = Styles::styled()
    .header(AnsiColor::Green.on_default().bold())
    .usage(AnsiColor::Green.on_default().bold())
    .literal(AnsiColor::Cyan.on_default().bold())
    .placeholder(AnsiColor::Cyan.on_default());

/// Search, show, export, verify and maintain a Holdfast archive.
#[derive(Debug, Parser)]
#[command(
    name = "holdfast",
    version,
    styles = STYLES,
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "\
Exit codes:
  0  done, or something was found
  1  nothing was found
  2  a mistake, a failure, or a partial result

Settings are taken from flags, then the environment (HOLDFAST_…), then the settings file, then the defaults shown here."
)]
struct Program {
    #[command(flatten)]
    global: Global,
}

/// What was asked for.
#[derive(Debug)]
pub struct Cli {
    /// Options of every command.
    pub global: Global,
    /// The command.
    pub command: Command,
}

impl Cli {
    /// The program with all its commands.
    #[must_use]
    pub fn program() -> clap::Command {
        Program::command().subcommands(commands().get_subcommands().cloned())
    }

    /// The program as far as these arguments, the first of which is its name, need it: with nothing but the command that comes next, if one
    /// does. Each command is given copies of all global options, which together take as long as the search for a rare word.
    #[must_use]
    pub fn program_for(args: &[OsString]) -> clap::Command {
        let named = args
            .get(1)
            .and_then(|name| commands().find_subcommand(name).cloned());
        match named {
            Some(named) => Program::command().subcommand(named),
            None => Self::program(),
        }
    }

    /// What the arguments say.
    ///
    /// # Errors
    /// They were matched against another program.
    pub fn of(mut matches: ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            global: Global::from_arg_matches_mut(&mut matches)?,
            command: Command::from_arg_matches_mut(&mut matches)?,
        })
    }
}

/// All commands, below a program that is none.
fn commands() -> clap::Command {
    Command::augment_subcommands(clap::Command::new("all"))
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The archive: a folder, or file://, s3://, gs:// or az:// and the place in it
    #[arg(
        long,
        global = true,
        env = "HOLDFAST_ARCHIVE",
        value_name = "URI",
        hide_env_values = true
    )]
    pub archive: Option<String>,
    /// Who is acting, as exports and the ledger name them [default: the operating system's user]
    #[arg(
        long,
        global = true,
        env = "HOLDFAST_ACTOR",
        value_name = "NAME",
        hide_env_values = true
    )]
    pub actor: Option<String>,
    /// The acting one's private key, where actors sign (PKCS#8 PEM, readable by its owner alone); stands before the command
    #[arg(
        long,
        env = "HOLDFAST_KEY",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub key: Option<PathBuf>,
    /// How rows are written on stdout
    #[arg(long, global = true, env = "HOLDFAST_FORMAT", value_enum, default_value_t = Format::Table, hide_env_values = true)]
    pub format: Format,
    /// When to colour
    #[arg(long, global = true, env = "HOLDFAST_COLOR", value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto, hide_env_values = true)]
    pub color: ColorChoice,
    /// No notes on stderr, only errors and warnings
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more on stderr: -v steps, -vv details
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Draw no progress bars
    #[arg(long, global = true, env = "HOLDFAST_NO_PROGRESS", value_parser = clap::builder::FalseyValueParser::new(), hide_env_values = true)]
    pub no_progress: bool,
    /// Where splits of remote archives are kept between runs [default: the user's cache folder]
    #[arg(
        long,
        global = true,
        env = "HOLDFAST_CACHE_DIR",
        value_name = "DIR",
        hide_env_values = true
    )]
    pub cache_dir: Option<PathBuf>,
    /// The settings file (TOML) [default: holdfast/config.toml in the user's configuration folder]
    #[arg(
        long,
        global = true,
        env = "HOLDFAST_CONFIG",
        value_name = "FILE",
        hide_env_values = true
    )]
    pub config: Option<PathBuf>,
}

/// How rows are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: cut to the terminal, 50 hits unless told otherwise
    Table,
    /// One JSON object: {"coverage": …, "hits": […]}
    Json,
    /// One JSON object a line; the coverage goes to stderr
    Jsonl,
    /// RFC 4180 with a header, formulas defused; the coverage goes to stderr
    Csv,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Also into files and pipes
    Always,
    /// Never
    Never,
}

/// What to do. A command's own help, and with it the text at its beginning, is made of its options' type when it is the one
/// that was named: all of them together take as long as the search for a rare word.
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub enum Command {
    /// Create an archive
    Init(commands::init::InitArgs),
    /// Size, events, years, splits, unindexed, pending attachments, origins and positions
    Status(commands::status::StatusArgs),
    /// Find events
    Search(commands::search::SearchArgs),
    /// One event with its versions, position and hash
    Show(commands::show::ShowArgs),
    /// The conversation around an event
    Thread(commands::thread::ThreadArgs),
    /// Rooms, and who was in them when
    Rooms(commands::rooms::RoomsArgs),
    /// Write what a query finds into a folder, with a manifest and checksums
    Export(commands::export::ExportArgs),
    /// Hashes, counts, splits, positions, log chain and sequence gaps
    Verify(commands::verify::VerifyArgs),
    /// Merge small segments
    Compact(commands::maintenance::CompactArgs),
    /// Build missing and outdated splits
    Reindex(commands::maintenance::ReindexArgs),
    /// Remove files that nothing refers to any more
    Gc(commands::maintenance::GcArgs),
    /// Matters: what searches, holds and exports are made for
    Matter(commands::matter::MatterArgs),
    /// Legal holds
    Hold(Box<commands::hold::HoldCommandArgs>),
    /// Retention: policies, plans, runs, purges, the schedule
    Retention(Box<commands::retention::RetentionArgs>),
    /// What was removed, when, why and by whom
    Disposition(commands::disposition::DispositionArgs),
    /// Why an event is kept, and until when; or when it went
    Explain(commands::why::ExplainArgs),
    /// Erasure requests and where they stand
    Erase(Box<commands::erase::EraseArgs>),
    /// Persons: who is who, over time
    Person(commands::person::PersonArgs),
    /// Actors: who may do what, with which key
    Actor(commands::actor::ActorArgs),
    /// Approve what another one asks for
    Approve(commands::actor::ApproveArgs),
    /// Settings of the archive
    Config(commands::config::ConfigArgs),
    /// Origins that should be speaking
    Origin(commands::origin::OriginArgs),
    /// The record of every act, search and export
    Ledger(commands::ledger::LedgerArgs),
    /// Put what the archive says of itself out of reach
    Anchor(commands::anchor::AnchorArgs),
    /// A completion script for a shell
    Completions(commands::completions::CompletionsArgs),
}

impl Command {
    /// Whether it answers and commits nothing, so that nothing is on its way any more when it has ended.
    #[must_use]
    pub fn only_answers(&self) -> bool {
        matches!(
            self,
            Self::Status(_) | Self::Search(_) | Self::Show(_) | Self::Thread(_) | Self::Rooms(_)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever stands behind a command's name is understood, refused and explained as if all commands were there.
    #[test]
    fn the_named_command_alone_says_what_the_whole_program_says() {
        let said =
            |program: clap::Command, args: &[OsString]| match program.try_get_matches_from(args) {
                Ok(matches) => format!("{:?}", Cli::of(matches)),
                Err(error) => format!("{:?}: {error}", error.kind()),
            };
        let all = commands();
        let names: Vec<&str> = all.get_subcommands().map(clap::Command::get_name).collect();
        for rest in [
            &["--help"][..],
            &["-h"],
            &["-V"],
            &["--nonsense"],
            &["x"],
            &["--format", "jsonl", "x"],
            &["--archiv", "x"],
            &[],
        ] {
            for name in &names {
                let args: Vec<OsString> = ["holdfast", name]
                    .iter()
                    .chain(rest)
                    .map(OsString::from)
                    .collect();
                assert_eq!(
                    said(Cli::program_for(&args), &args),
                    said(Cli::program(), &args),
                    "{args:?}"
                );
            }
        }
        for args in [
            &["holdfast"][..],
            &["holdfast", "--help"],
            &["holdfast", "serch", "x"],
            &["holdfast", "--quiet", "search", "x"],
        ] {
            let args: Vec<OsString> = args.iter().map(OsString::from).collect();
            assert_eq!(
                said(Cli::program_for(&args), &args),
                said(Cli::program(), &args),
                "{args:?}"
            );
        }
    }
}
