//! The command line of Holdfast: search, show, export, verify and maintain an archive.
//!
//! stdout carries data, stderr speaks to people, the exit code is 0 (done, found), 1 (nothing found) or 2 (a mistake, a
//! failure, a partial result). One file a command in `commands/`; what they share lies beside them.

pub mod cli;
pub mod commands;
pub mod context;
pub mod export;
pub mod failure;
pub mod governance;
pub mod hit;
pub mod kept;
pub mod ledger;
pub mod open;
pub mod output;
pub mod reference;
pub mod rooms;
pub mod scope;
pub mod settings;
pub mod stats;
pub mod status;
pub mod verify;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::output::{Paint, Ui};

/// How a command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done, or something was found.
    Done,
    /// Nothing was found.
    NothingFound,
    /// Ended, but the result is less than asked for or names something wrong.
    Partial,
}

impl Outcome {
    /// [`Outcome::Done`] when `found`.
    #[must_use]
    pub fn found(found: bool) -> Self {
        if found {
            Self::Done
        } else {
            Self::NothingFound
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::NothingFound => 1,
            Self::Partial => 2,
        }
    }
}

/// Runs the command line of this process to its exit code; the process ends with it, and takes down what threads are left.
#[must_use]
pub fn main_with(args: &[OsString]) -> ExitCode {
    let cli = match parse(args) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    log_to_stderr(cli.global.verbose);
    let mut ui = Ui::new(&cli.global);
    let result = run(&cli, &mut ui).and_then(|outcome| {
        ui.flush()?;
        Ok(outcome)
    });
    match result {
        Ok(outcome) => ExitCode::from(outcome.code()),
        Err(failure) if failure.is_broken_pipe() => ExitCode::SUCCESS,
        Err(failure) => {
            // What was found before the failure is data all the same.
            let _ = ui.flush();
            let in_folder = open::location(&cli.global).is_ok_and(|at| at.local_path().is_some());
            let text = failure.render(ui.paint_err, in_folder);
            let _ = write!(std::io::stderr(), "{text}");
            ExitCode::from(Outcome::Partial.code())
        }
    }
}

fn parse(args: &[OsString]) -> Result<Cli, ExitCode> {
    let settings = settings::Settings::read(args).map_err(|failure| {
        let _ = write!(std::io::stderr(), "{}", failure.render(Paint::OFF, false));
        ExitCode::from(2)
    })?;
    let parsed = settings
        .apply(Cli::program_for(args))
        .try_get_matches_from(args)
        .and_then(Cli::of);
    parsed.map_err(|error| {
        if !error.use_stderr() {
            // Help and version; a reader that went away is no matter.
            let _ = error.print();
            return ExitCode::SUCCESS;
        }
        let _ = write!(std::io::stderr(), "{}", usage_mistake(&error));
        ExitCode::from(2)
    })
}

/// clap's message with its tips as `hint:` lines, like every other mistake of ours.
fn usage_mistake(error: &clap::Error) -> String {
    let paint = Paint::choose(
        cli::ColorChoice::Auto,
        std::io::IsTerminal::is_terminal(&std::io::stderr()),
    );
    let hint = paint.hint("hint");
    let rendered = error.render().to_string();
    let rendered = output::text::escape_lines(&rendered);
    let text = rendered.strip_prefix("error").map_or_else(
        || rendered.to_string(),
        |rest| format!("{}{rest}", paint.error("error")),
    );
    let more = "For more information, try '--help'.";
    if text.contains("  tip: ") {
        return text
            .replace("  tip: ", &format!("{hint}: "))
            .replace(&format!("\n{more}\n"), "");
    }
    text.replace(
        more,
        &format!("{hint}: `--help` after the command shows its options and examples"),
    )
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => return,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .without_time()
        .init();
}

fn run(cli: &Cli, ui: &mut Ui) -> Result<Outcome, Failure> {
    if let Command::Completions(args) = &cli.command {
        return commands::completions::run(args, ui);
    }
    let runtime = open::runtime()?;
    let outcome = runtime.block_on(async {
        match &cli.command {
            Command::Init(args) => commands::init::run(args, &cli.global, ui).await,
            Command::Status(args) => commands::status::run(args, &cli.global, ui).await,
            Command::Search(args) => Box::pin(commands::search::run(args, &cli.global, ui)).await,
            Command::Show(args) => Box::pin(commands::show::run(args, &cli.global, ui)).await,
            Command::Thread(args) => Box::pin(commands::thread::run(args, &cli.global, ui)).await,
            Command::Rooms(args) => Box::pin(commands::rooms::run(args, &cli.global, ui)).await,
            Command::Export(args) => Box::pin(commands::export::run(args, &cli.global, ui)).await,
            Command::Verify(args) => Box::pin(commands::verify::run(args, &cli.global, ui)).await,
            Command::Compact(args) => {
                Box::pin(commands::maintenance::compact(args, &cli.global, ui)).await
            }
            Command::Reindex(args) => {
                Box::pin(commands::maintenance::reindex(args, &cli.global, ui)).await
            }
            Command::Gc(args) => Box::pin(commands::maintenance::gc(args, &cli.global, ui)).await,
            Command::Matter(args) => commands::matter::run(args, &cli.global, ui).await,
            Command::Hold(args) => Box::pin(commands::hold::run(args, &cli.global, ui)).await,
            Command::Retention(args) => {
                Box::pin(commands::retention::run(args, &cli.global, ui)).await
            }
            Command::Disposition(args) => {
                Box::pin(commands::disposition::run(args, &cli.global, ui)).await
            }
            Command::Explain(args) => Box::pin(commands::why::run(args, &cli.global, ui)).await,
            Command::Erase(args) => Box::pin(commands::erase::run(args, &cli.global, ui)).await,
            Command::Person(args) => Box::pin(commands::person::run(args, &cli.global, ui)).await,
            Command::Actor(args) => commands::actor::run(args, &cli.global, ui).await,
            Command::Approve(args) => commands::actor::approve(args, &cli.global, ui).await,
            Command::Config(args) => commands::config::run(args, &cli.global, ui).await,
            Command::Origin(args) => commands::origin::run(args, &cli.global, ui).await,
            Command::Ledger(args) => Box::pin(commands::ledger::run(args, &cli.global, ui)).await,
            Command::Anchor(args) => Box::pin(commands::anchor::run(args, &cli.global, ui)).await,
            Command::Completions(args) => commands::completions::run(args, ui),
        }
    })?;
    // The process ends, and the system with its idle threads: they need not be woken first. After a failure they are waited for, since one may
    // be in the middle of a write, and after commits, since one may be writing a checkpoint of the log.
    if cli.command.only_answers() {
        std::mem::forget(runtime);
    }
    Ok(outcome)
}
