//! `holdfast-ingest`: standard output is data (the report), standard error is for people and log collectors.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use holdfast_ingest::IngestError;
use holdfast_ingest::settings::{Cli, Command, FileSettings, RunFlags, Settings, default};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let Cli {
        command: Command::Run(flags),
    } = Cli::parse();
    log_to_stderr(flags.log_json);
    match run(*flags) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain of causes is in the message itself; hints stand on lines of their own.
            let _unwritable = writeln!(std::io::stderr(), "error: {}", error.told());
            ExitCode::from(2)
        }
    }
}

fn run(flags: RunFlags) -> Result<(), IngestError> {
    let file = match &flags.config {
        Some(path) => FileSettings::read(path)?,
        None => FileSettings::default(),
    };
    let environment: Vec<(String, String)> = holdfast_ingest::settings::environment().collect();
    let settings = Settings::resolve(flags, file, &environment)?;
    let until_idle = settings.until_idle;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| IngestError::Machine {
            what: "starting the runtime",
            problem: error.to_string(),
        })?;
    let report = runtime.block_on(holdfast_ingest::run(settings))?;
    // A read from standard input that is still blocked must not keep the process.
    runtime.shutdown_background();
    if until_idle {
        let line = serde_json::to_string(&report).map_err(|error| IngestError::Machine {
            what: "printing the report",
            problem: error.to_string(),
        })?;
        // Whoever closed the pipe does not want it.
        let _unwanted = writeln!(std::io::stdout(), "{line}");
    }
    Ok(())
}

/// Whether the log goes to somebody who looks at it; see no-color.org.
fn coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn log_to_stderr(json: bool) {
    let filter =
        EnvFilter::try_from_env("HOLDFAST_LOG").unwrap_or_else(|_| EnvFilter::new(default::LOG));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured())
        .with_writer(std::io::stderr);
    if json {
        subscriber.json().init();
    } else {
        subscriber.init();
    }
}
