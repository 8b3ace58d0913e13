//! The table's log: each entry names the digest of the one before, positions only move on, and the roots that commits wrote
//! are those of the rows they archived, wherever compaction has put them since.
//!
//! Read here from the bytes, not through the archive's own reader: a second pair of eyes.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use holdfast_archive::{Archive, ArchiveError};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::commits::Written;
use super::report::Problem;
use crate::failure::Failure;

/// Name of the check of the chain.
pub const CHECK: &str = "log";
/// Name of the check of positions.
pub const CHECK_POSITIONS: &str = "positions";

const FOLDER: &str = "events/_delta_log";
/// Entries fetched at once.
const READS_AT_ONCE: usize = 8;

/// One log entry.
#[derive(Debug, Clone, Default)]
pub struct Entry {
    /// Its version.
    pub version: u64,
    /// SHA-256 of its bytes, hexadecimal.
    pub sha256: String,
    /// What its commitInfo says.
    pub info: Info,
    /// Positions it moved to.
    pub positions: Vec<(String, i64)>,
    /// Files it added.
    pub adds: u64,
    /// Why it cannot be read.
    pub broken: Option<String>,
}

/// commitInfo, as far as it is ours.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Info {
    pub(super) commit_id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) counts: Option<Counts>,
    pub(super) merkle_root: Option<String>,
    previous_commit_sha256: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
pub(super) struct Counts {
    consumed: u64,
    pub(super) archived: u64,
    pub(super) quarantined: u64,
    duplicates: u64,
}

impl Info {
    /// Whether the commit's id follows from an entry of the ledger and a certificate.
    #[must_use]
    pub fn governs(&self) -> bool {
        matches!(
            self.kind.as_deref(),
            Some("disposition" | "erasure" | "restore" | "purge")
        )
    }

    /// Whether the commit archived rows.
    #[must_use]
    pub fn archives(&self) -> bool {
        self.kind.as_deref() == Some("append")
    }
}

#[derive(Deserialize)]
struct Line {
    #[serde(rename = "commitInfo")]
    info: Option<Info>,
    txn: Option<Txn>,
    add: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Txn {
    app_id: String,
    version: i64,
}

/// Reads all entries that are kept, by version.
///
/// # Errors
/// The store cannot be read.
pub async fn read(archive: &Archive) -> Result<Vec<Entry>, Failure> {
    let store = archive.store();
    let names: Vec<(u64, Path)> = store
        .list(Some(&Path::from(FOLDER)))
        .map_ok(|meta| version_of(&meta.location).map(|version| (version, meta.location)))
        .try_filter_map(|found| std::future::ready(Ok(found)))
        .try_collect()
        .await
        .map_err(store_failure("list", FOLDER))?;
    let reads = names.into_iter().map(|(version, path)| async move {
        let bytes = store
            .get(&path)
            .await
            .map_err(store_failure("read", path.as_ref()))?
            .bytes()
            .await
            .map_err(store_failure("read", path.as_ref()))?;
        Ok::<_, Failure>(parse(version, &bytes))
    });
    let mut entries: Vec<Entry> = futures::TryStreamExt::try_collect(futures::StreamExt::buffered(
        futures::stream::iter(reads),
        READS_AT_ONCE,
    ))
    .await?;
    entries.sort_by_key(|e| e.version);
    Ok(entries)
}

fn store_failure(
    operation: &'static str,
    path: &str,
) -> impl FnOnce(object_store::Error) -> Failure {
    move |source| {
        Failure::Archive(ArchiveError::Store {
            operation,
            path: path.to_owned(),
            source,
        })
    }
}

/// `00000000000000000042.json` is version 42; everything else in the folder is something else.
fn version_of(path: &Path) -> Option<u64> {
    let name = path
        .as_ref()
        .strip_prefix(FOLDER)?
        .strip_prefix('/')?
        .strip_suffix(".json")?;
    (name.len() == 20).then(|| name.parse().ok())?
}

fn parse(version: u64, bytes: &[u8]) -> Entry {
    let mut entry = Entry {
        version,
        sha256: hex::encode(Sha256::digest(bytes)),
        ..Entry::default()
    };
    for line in bytes.split(|b| *b == b'\n').filter(|l| !l.is_empty()) {
        match serde_json::from_slice::<Line>(line) {
            Ok(line) => {
                if let Some(info) = line.info {
                    entry.info = info;
                }
                entry
                    .positions
                    .extend(line.txn.map(|t| (t.app_id, t.version)));
                entry.adds += u64::from(line.add.is_some());
            }
            Err(e) => entry.broken = Some(e.to_string()),
        }
    }
    entry
}

pub(super) fn place(version: u64) -> String {
    format!("{FOLDER}/{version:020}.json")
}

/// The chain of digests, and that no version is missing up to `head`.
#[must_use]
pub fn chain(entries: &[Entry], head: u64) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |version: u64, message: String| {
        problems.push(Problem {
            check: CHECK,
            place: place(version),
            message,
        });
    };
    for entry in entries {
        if let Some(broken) = &entry.broken {
            problem(entry.version, format!("cannot be read: {broken}"));
        } else if entry.info.commit_id.is_none() {
            problem(
                entry.version,
                "was not written by Holdfast: nothing proves what it did".to_owned(),
            );
        }
    }
    for pair in entries.windows(2) {
        let [before, after] = pair else { continue };
        if after.version != before.version + 1 {
            problem(before.version + 1, "is missing".to_owned());
        } else if after.info.previous_commit_sha256.as_deref() != Some(before.sha256.as_str())
            && after.info.commit_id.is_some()
        {
            problem(
                before.version,
                format!(
                    "was changed: its SHA-256 is not the one that version {} names",
                    after.version
                ),
            );
        }
    }
    match entries.last() {
        Some(last) if last.version < head => problem(last.version + 1, "is missing".to_owned()),
        Some(_) => {}
        None => problem(head, "no log entry is left".to_owned()),
    }
    problems
}

/// What lies behind an entry that is missing after `head`, the newest version that can be reached.
#[must_use]
pub fn hidden(entries: &[Entry], head: u64) -> Option<Problem> {
    let last = entries.last().filter(|last| last.version > head)?;
    Some(Problem {
        check: CHECK,
        place: place(head + 1),
        message: format!(
            "is missing, and version {} is there: what was archived since is hidden",
            last.version
        ),
    })
}

/// The checkpoints that somebody changed since they were compared with the log.
///
/// # Errors
/// The store cannot be read.
pub async fn checkpoints(archive: &Archive) -> Result<Vec<Problem>, Failure> {
    let changed = archive.changed_checkpoints().await?;
    let problem = |place| Problem {
        check: CHECK,
        place,
        message: "was changed: its SHA-256 is not the one it had when it was compared with the log"
            .to_owned(),
    };
    Ok(changed.into_iter().map(problem).collect())
}

/// Positions only move on, never beyond what the table holds now, and each commit accounts for every record it took.
#[must_use]
pub fn positions(entries: &[Entry], now: &[(String, i64)], footers: &[Written]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut problem = |place: String, message: String| {
        problems.push(Problem {
            check: CHECK_POSITIONS,
            place,
            message,
        });
    };
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    for entry in entries {
        for (app_id, position) in &entry.positions {
            let before = last.insert(app_id, *position);
            if before.is_some_and(|before| before > *position) {
                problem(
                    place(entry.version),
                    format!("moves position {app_id} back to {position}"),
                );
            }
        }
        if let Some(counts) = entry.info.counts
            && counts.consumed != counts.archived + counts.quarantined + counts.duplicates
        {
            problem(
                place(entry.version),
                "took more or fewer records than it archived, quarantined or dropped as duplicates"
                    .to_owned(),
            );
        }
    }
    let now: BTreeMap<&str, i64> = now
        .iter()
        .map(|(app_id, position)| (app_id.as_str(), *position))
        .collect();
    for (app_id, position) in &last {
        if now.get(app_id) != Some(position) {
            problem(
                (*app_id).to_owned(),
                format!(
                    "the table holds {:?}, its log ends at {position}",
                    now.get(app_id)
                ),
            );
        }
    }
    for Written {
        path, positions, ..
    } in footers
    {
        for (app_id, position) in positions {
            if now.get(app_id.as_str()).is_none_or(|held| held < position) {
                problem(
                    path.clone(),
                    format!("was written at position {position} of {app_id}, beyond the table's"),
                );
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(version: u64, previous: Option<&Entry>, position: i64) -> Entry {
        let previous = previous.map(|p| p.sha256.clone()).unwrap_or_default();
        let text = format!(
            "{{\"commitInfo\":{{\"commit_id\":\"c{version}\",\"kind\":\"append\",\"previous_commit_sha256\":\"{previous}\",\"counts\":{{\"consumed\":0,\"archived\":0,\"quarantined\":0,\"duplicates\":0}}}}}}\n{{\"txn\":{{\"appId\":\"kafka/a\",\"version\":{position}}}}}\n"
        );
        parse(version, text.as_bytes())
    }

    fn three() -> Vec<Entry> {
        let a = entry(0, None, 5);
        let b = entry(1, Some(&a), 7);
        let c = entry(2, Some(&b), 9);
        vec![a, b, c]
    }

    #[test]
    fn ar2_an_edited_entry_breaks_the_chain() {
        let mut entries = three();
        assert_eq!(chain(&entries, 2), []);
        entries[1] = entry(1, Some(&entries[0]), 8);
        let problems = chain(&entries, 2);
        assert_eq!(problems.len(), 1);
        assert!(
            problems[0].place.ends_with("00000000000000000001.json")
                && problems[0].message.starts_with("was changed")
        );
    }

    #[test]
    fn ar2_a_missing_entry_is_named() {
        let mut entries = three();
        entries.remove(1);
        assert_eq!(chain(&entries, 2)[0].message, "is missing");
        let entries = three();
        assert!(
            chain(&entries, 3)[0]
                .place
                .ends_with("00000000000000000003.json")
        );
    }

    #[test]
    fn ar2_what_lies_behind_a_missing_entry_is_told() {
        let entries = three();
        assert_eq!(hidden(&entries, 2), None);
        let problem = hidden(&entries, 0).unwrap();
        assert!(problem.place.ends_with("00000000000000000001.json"));
        assert!(problem.message.contains("version 2 is there"));
    }

    #[test]
    fn ar2_a_position_never_moves_back() {
        let mut entries = three();
        let now = vec![("kafka/a".to_owned(), 9)];
        assert_eq!(positions(&entries, &now, &[]), []);
        entries[2].positions[0].1 = 6;
        assert_eq!(
            positions(&entries, &[("kafka/a".to_owned(), 6)], &[]).len(),
            1
        );
        let mut footers = vec![Written {
            path: "s.parquet".to_owned(),
            version: 2,
            commit_id: "c2".to_owned(),
            positions: vec![("kafka/a".to_owned(), 11)],
        }];
        assert_eq!(super::super::commits::writers(&three(), &footers), []);
        footers[0].version = 1;
        assert_eq!(super::super::commits::writers(&three(), &footers).len(), 1);
        assert!(
            positions(&three(), &now, &footers)[0]
                .message
                .contains("beyond the table's")
        );
    }
}
