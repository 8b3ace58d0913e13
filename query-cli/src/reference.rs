//! The reference page of the command line (`docs/cli.md`), generated from the definitions clap parses with.

use crate::cli::Cli;

/// Columns of the help texts in the page.
const WIDTH: usize = 110;

const INTRODUCTION: &str = "\
# The command line

This page is generated from the program's own definitions; a test keeps it current (`HOLDFAST_UPDATE_DOCS=1 cargo test -p holdfast-query-cli` writes it anew).

- stdout is data, stderr is for people: notes, warnings, hints, progress bars (on a terminal, for work over a second).
- Exit codes: 0 done or found, 1 nothing found, 2 a mistake, a failure or a partial result.
- A table shows at most 50 hits and then says how many there are; `json`, `jsonl` and `csv` are never cut.
- Characters that would drive a terminal or turn a line's direction are shown as escapes (`\\x1b`, `\\u{202e}`).
- Settings: flags, then the environment (`HOLDFAST_…`), then the settings file (TOML; keys `archive`, `actor`, `format`, `color`, `no-progress`, `cache-dir`, `tz`), then the defaults shown below.

A hit as JSON: `event_id`, `event_time` (UTC, microseconds), `event_type`, `room` {`id`, `name`}, `actor` {`id`, `name`}, `title` (when there is one), `body`,
`attachments` [{`id`, `name`, `media_type`, `size`, `sha256`}] (when there are any), `highlights` [{`field`, `attachment`, `from`, `to`, `text`}] (`field` is `title`, `body`,
`from` or `filename`; of a `filename`, `attachment` is the place in `attachments`, from 0, and of the others it is left out; `from` and `to` count Unicode characters, `to` excluded), `status`
(`current`, `superseded`, `deleted`), `position` {`origin`, `sequence`, `topic`, `partition`, `offset`}, and `responsive` when context was asked for.
With `--format json` the whole is {`coverage`, `total`, `hits`}, where `total` counts hits beyond `--limit` too; with `jsonl` and `csv` the coverage goes to stderr as one line of JSON.
";

/// The page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut page = String::from(INTRODUCTION);
    let root = Cli::program().term_width(WIDTH);
    section(&mut page, "##", "holdfast", &root);
    for command in root.get_subcommands().filter(shown) {
        sections(
            &mut page,
            &format!("holdfast {}", command.get_name()),
            command,
        );
    }
    page
}

/// A command, then those below it, however deep.
fn sections(page: &mut String, name: &str, command: &clap::Command) {
    let depth = name.split(' ').count().min(3);
    section(page, &"#".repeat(depth), name, command);
    // What is below a command is there when it is built. The program itself is not: every section would repeat its global options.
    let mut built = command.clone().bin_name(name);
    built.build();
    for below in built.get_subcommands().filter(shown) {
        sections(page, &format!("{name} {}", below.get_name()), below);
    }
}

fn shown(command: &&clap::Command) -> bool {
    !command.is_hide_set() && command.get_name() != "help"
}

fn section(page: &mut String, heading: &str, name: &str, command: &clap::Command) {
    let help = command
        .clone()
        .bin_name(name)
        .term_width(WIDTH)
        .render_long_help()
        .to_string();
    page.push_str(&format!("\n{heading} {name}\n\n```text\n"));
    for line in help.trim_end().lines() {
        page.push_str(line.trim_end());
        page.push('\n');
    }
    page.push_str("```\n");
}
