//! Rows and segments against the commits that archived them, wherever compaction has put the rows since.

use std::collections::BTreeMap;

use super::log::{Entry, place};
use super::report::Problem;
use super::rows::{ByVersion, Known, Origins, count, root, roots};

/// The name of the check.
pub const CHECK: &str = "commits";

/// What a segment's footer says of its making, and what the table says.
#[derive(Debug, Clone)]
pub struct Written {
    /// The segment.
    pub path: String,
    /// Version of the commit that added it.
    pub version: u64,
    /// The commit that its footer names.
    pub commit_id: String,
    /// Positions after that commit.
    pub positions: Vec<(String, i64)>,
}

/// Segments against the commits that added them: both name the same id. What a run or a restore rewrote is named by its
/// certificate: the commit's id follows from it, and could not be in the file.
#[must_use]
pub fn writers(entries: &[Entry], footers: &[Written]) -> Vec<Problem> {
    let by_version: BTreeMap<u64, &Entry> = entries.iter().map(|e| (e.version, e)).collect();
    let mut problems = Vec::new();
    for written in footers {
        let added_by = by_version
            .get(&written.version)
            .filter(|e| !e.info.governs())
            .and_then(|e| e.info.commit_id.as_deref());
        if added_by.is_some_and(|id| id != written.commit_id) {
            let message = format!(
                "was written for commit {}, but another one added it",
                written.commit_id
            );
            problems.push(Problem {
                check: CHECK,
                place: written.path.clone(),
                message,
            });
        }
    }
    problems
}

/// Rows against the commits that archived them: how many, and their Merkle root. `rows`: the removed ones included, as far
/// as lists tell; `known`: roots of segments that one commit's rows fill; `erased`: how many rows no list tells of. Returns
/// how many commits could be compared.
#[must_use]
pub fn commits(
    entries: &[Entry],
    rows: &ByVersion<'_>,
    origins: &Origins,
    known: &Known,
    erased: u64,
) -> (u64, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut compared = 0;
    // Of what was erased nobody knows which commit archived it.
    let mut unexplained = erased;
    let found = roots(rows, origins, known);
    let nothing = root(&[], origins);
    for entry in entries.iter().filter(|e| e.info.archives()) {
        compared += 1;
        let there = rows.get(&entry.version).map_or(0, |parts| count(parts));
        let mut problem = |message: String| {
            problems.push(Problem {
                check: CHECK,
                place: place(entry.version),
                message,
            });
        };
        if let Some(counts) = entry.info.counts {
            let said = counts.archived + counts.quarantined;
            let missing = said.saturating_sub(there as u64);
            if missing > 0 && missing <= unexplained {
                unexplained -= missing;
                compared -= 1;
                continue;
            }
            if said != there as u64 {
                problem(format!("archived {said} rows, {there} are there"));
                continue;
            }
        }
        let found = hex::encode(found.get(&entry.version).unwrap_or(&nothing));
        match &entry.info.merkle_root {
            Some(said) if *said == found => {}
            // A commit of duplicates only has no rows and need not name a root.
            None if there == 0 => {}
            Some(said) => problem(format!(
                "its rows hash to the Merkle root {found}, it says {said}: events were changed"
            )),
            None => problem("names no Merkle root for its rows".to_owned()),
        }
    }
    let known: std::collections::BTreeSet<u64> = entries
        .iter()
        .filter(|e| e.info.archives())
        .map(|e| e.version)
        .collect();
    let first_kept = entries.first().map_or(0, |e| e.version);
    for (version, parts) in rows {
        if *version >= first_kept && !known.contains(version) {
            let message = format!(
                "{} rows say that this commit archived them, but it archived none",
                count(parts)
            );
            problems.push(Problem {
                check: CHECK,
                place: place(*version),
                message,
            });
        }
    }
    (compared, problems)
}
