//! The reference page of `holdfast-ingest` (`docs/ingest.md`), generated from what the program parses, reads and counts with.

mod commands;
mod exposed;
mod file;

use crate::settings::default;

/// What the definitions do not say. `{log}` stands for what is logged by default.
const INTRODUCTION: &str = "\
# Ingest

`holdfast-ingest` reads a source (a Kafka topic, a chat pool's outbox, JSON lines) into an archive, every event once. This page is generated from the program's own definitions; a test keeps it current
(`HOLDFAST_UPDATE_DOCS=1 cargo test -p holdfast-ingest the_reference_page` writes it anew).

- Settings: flags, then the environment (`HOLDFAST_…`), then the TOML file that `--config` names, then the defaults. No file is read that is not named. A variable that says no (`HOLDFAST_UNTIL_IDLE=false`) wins over a file that says yes.
- stdout is data: with `--until-idle` one line of JSON at the end, else nothing. The log and errors go to stderr; `HOLDFAST_LOG` filters the log (`{log}`), `NO_COLOR` takes its colours away.
- SIGTERM or SIGINT ends a run: what was read is committed first. A second one ends it at once; what was not committed is read again. Before the archive is open a signal ends it as the system does.
- Exit codes: 0 done, or ended by a signal as above; 2 a mistake or a failure, told on stderr; 130 ended at once by a second signal. Whatever the code, what was committed stays, and the next run goes on behind it.

## Endpoints

Where `--metrics` names an address, three paths answer there, to whoever reaches it: there is no password. Nobody listens before the archive is open, nor once the process has ended.

| path | 200 | 503 |
|---|---|---|
| `/metrics` | always: the metrics below, as OpenMetrics text | |
| `/healthz` | while no stage of the pipeline (source, decoding, batching, building, committing) has failed | from the first failure until the process has ended, with exit code 2, once what was under way is over |
| `/readyz` | while the source is being read | before; from the first failure on; and once all that was read is committed, while merges end and `--until-idle` copies the last attachments |

A source is being read, for `/readyz`:

| source | from |
|---|---|
| Kafka | the group's first assignment of partitions to this process, be it of none |
| an outbox | the first answer of its database; a process that stands by is ready too |
| JSON lines | the start of the pipeline |

It stays so while partitions are given out anew, while the pipeline is full, while brokers, database or store do not answer for a time, and while a run that was told to end commits what it has read. Of these the metrics tell: `rebalances`, `paused`, `standby`, `source_failures` and the lags.
Attachments that cannot be copied and upkeep that fails are tried again; they change neither answer.
";

/// The page, in Markdown.
#[must_use]
pub fn page() -> String {
    [
        INTRODUCTION.replace("{log}", default::LOG),
        "\n## Commands\n".to_owned(),
        commands::sections(),
        "\n## The settings file\n\n".to_owned(),
        file::section(),
        "\n## Metrics\n\n".to_owned(),
        exposed::section(),
    ]
    .concat()
}

/// A table's row.
fn row<'c>(cells: impl IntoIterator<Item = &'c str>) -> String {
    // A bar would begin another cell.
    let cells: Vec<String> = cells.into_iter().map(|c| c.replace('|', "\\|")).collect();
    format!("| {} |\n", cells.join(" | "))
}

/// Text as code; nothing where there is none.
fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{text}`")
    }
}
