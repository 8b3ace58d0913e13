//! The help of the program and of each of its commands.

use clap::CommandFactory;

use crate::settings::Cli;

/// Columns of the help texts in the page.
const WIDTH: usize = 110;

pub(super) fn sections() -> String {
    let root = program();
    let mut page = section("holdfast-ingest", &root);
    for command in root.get_subcommands() {
        let name = format!("holdfast-ingest {}", command.get_name());
        page.push_str(&section(&name, command));
    }
    page
}

/// The program without the values that its variables have where the page is made.
pub(super) fn program() -> clap::Command {
    let hidden = |arg: clap::Arg| arg.hide_env_values(true);
    Cli::command().mut_subcommands(|command| command.mut_args(hidden))
}

fn section(name: &str, command: &clap::Command) -> String {
    let help = command
        .clone()
        .bin_name(name)
        .term_width(WIDTH)
        .render_long_help()
        .to_string();
    let lines: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
    format!("\n### {name}\n\n```text\n{}\n```\n", lines.join("\n"))
}
