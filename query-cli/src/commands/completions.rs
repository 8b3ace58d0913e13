//! `holdfast completions`: a completion script for a shell.

use clap::Args;
use clap_complete::Shell;

use crate::Outcome;
use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::Ui;

/// A completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast completions bash > ~/.local/share/bash-completion/completions/holdfast
  holdfast completions zsh > ~/.zfunc/_holdfast
  holdfast completions fish > ~/.config/fish/completions/holdfast.fish")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Writes the script to stdout.
///
/// # Errors
/// stdout does not take it.
pub fn run(args: &CompletionsArgs, ui: &mut Ui) -> Result<Outcome, Failure> {
    // Into memory first: the generator panics when its writer fails, and a closed pipe must end quietly.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::program(), "holdfast", &mut script);
    ui.out().write_all(&script)?;
    Ok(Outcome::Done)
}
