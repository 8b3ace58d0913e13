//! `holdfast-chat`: standard output is data (tokens, reports), standard error is for people and log collectors.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use holdfast_chat_node::auth::{Claims, Secret};
use holdfast_chat_node::clock::{Clock, SystemClock};
use holdfast_chat_node::node;
use holdfast_chat_node::settings::{Cli, Command, ServeFlags, Settings, SettingsError, TokenFlags};
use tracing_subscriber::EnvFilter;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Serve(flags) => serve(*flags),
        Command::Token(flags) => token(flags),
        Command::Admin(flags) => admin(*flags),
        Command::Migrate(flags) => migrate(&flags),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Hints stand on lines of their own in the message.
            let _unwritable = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether the log goes to somebody who looks at it; see no-color.org.
fn coloured() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_env("HOLDFAST_LOG")
        .unwrap_or_else(|_unset| EnvFilter::new("warn,holdfast_chat_node=info"));
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

fn runtime() -> Result<tokio::runtime::Runtime, std::io::Error> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

fn serve(flags: ServeFlags) -> Result<(), Failure> {
    log_to_stderr(flags.log_json);
    let settings = Settings::resolve(flags)?;
    let patience = settings.drain;
    runtime()?.block_on(async {
        let running = Box::pin(node::start(settings, Arc::new(SystemClock))).await?;
        // For scripts: with --listen 127.0.0.1:0 this is the only way to know the port.
        writeln!(std::io::stdout(), "listening on {}", running.address)?;
        let asked = tokio::select! {
            asked = asked_to_end() => asked.map_err(Failure::from),
            taken = running.name_lost() => Err(taken.into()),
        };
        let stopped = Box::pin(running.stop(patience)).await;
        asked?;
        Ok(stopped?)
    })
}

async fn asked_to_end() -> Result<(), std::io::Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut terminate, mut interrupt) = (
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
    );
    tokio::select! {
        _asked = terminate.recv() => {}
        _asked = interrupt.recv() => {}
    }
    tracing::info!("ending");
    Ok(())
}

fn token(flags: TokenFlags) -> Result<(), Failure> {
    let path = match (flags.secret_file, flags.data) {
        (Some(path), _) => path,
        (None, Some(data)) => data.join("secret"),
        (None, None) => {
            let hint = "--data DIR: the node's folder, or --secret-file FILE";
            return Err(SettingsError::Missing {
                what: "--data",
                hint,
            }
            .into());
        }
    };
    let now_s = u64::try_from(SystemClock.now_us() / 1_000_000)?;
    let claims = Claims {
        sub: flags.sub,
        name: flags.name,
        email: flags.email,
        uri: None,
        roles: flags.roles,
        groups: flags.groups,
        internal: None,
        kind: flags.kind,
        exp: now_s.saturating_add(flags.hours.saturating_mul(3600)),
    };
    writeln!(std::io::stdout(), "{}", claims.sign(&Secret::load(&path)?)?)?;
    Ok(())
}

fn admin(flags: holdfast_chat_node::cli::AdminFlags) -> Result<(), Failure> {
    let now_us = SystemClock.now_us();
    runtime()?.block_on(holdfast_chat_node::cli::administer(flags, now_us))
}

fn migrate(flags: &holdfast_chat_node::settings::MigrateFlags) -> Result<(), Failure> {
    log_to_stderr(false);
    let report = runtime()?.block_on(holdfast_chat_node::migrate::run(&flags.from, &flags.to))?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&report)?)?;
    Ok(())
}
