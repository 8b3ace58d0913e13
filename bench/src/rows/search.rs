//! `holdfast search WORD --count` against the same count in PostgreSQL, both as whole processes.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, ensure};

use crate::events::Events;
use crate::postgres::{self, Postgres};
use crate::process::{holdfast, ingest, median, run};
use crate::table::{Goal, Row};

/// Runs of each command in a round.
const RUNS: usize = 11;

pub(crate) fn measure(events: &Events, folder: &Path, rounds: usize) -> Result<Vec<Row>> {
    let archive = folder.join("search");
    ingest(&format!("jsonl:{}", events.path.display()), &archive)?;
    let server = Postgres::start()?;
    server.copy(&postgres::prepare(&events.path, events.count, folder)?)?;
    server.settle()?;
    let mut rows = Vec::new();
    for (kind, word, goal) in [("rare", &events.rare, 2.0), ("common", &events.common, 5.0)] {
        let mut ours = holdfast("holdfast");
        ours.args(["search", "--count", word, "--archive"])
            .arg(&archive);
        let mut theirs = server.psql(&format!("select count(*) from events where to_tsvector('simple', body) @@ to_tsquery('simple', '{word}')"));
        let (found, expected) = (count(&mut ours)?, count(&mut theirs)?);
        // The two analyzers split text differently at its edges; far apart would mean that different questions were asked.
        ensure!(
            found.abs_diff(expected) * 20 <= expected.max(20),
            "{word}: {found} here, {expected} in PostgreSQL"
        );
        let (ours, theirs) = alternate(&mut ours, &mut theirs, rounds * RUNS)?;
        rows.push(Row {
            what: format!("search {kind} word --count ({found} events), PostgreSQL / ours"),
            ours: format!("{:.1} ms", ours * 1e3),
            other: format!("{:.1} ms", theirs * 1e3),
            judged: theirs / ours,
            goal: Goal::AtLeast(goal),
        });
    }
    Ok(rows)
}

fn count(command: &mut Command) -> Result<u64> {
    Ok(run(command)?.stdout.trim().parse()?)
}

/// Medians of two commands, run in turn.
fn alternate(ours: &mut Command, theirs: &mut Command, runs: usize) -> Result<(f64, f64)> {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for _ in 0..runs {
        a.push(run(ours)?.seconds);
        b.push(run(theirs)?.seconds);
    }
    Ok((median(a), median(b)))
}
