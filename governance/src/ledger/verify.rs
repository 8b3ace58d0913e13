//! Is the chain what it was? Every number is looked at; each edit, deletion, insertion and reordering is named.
//!
//! What the chain alone cannot show: the last entries cut off show against the fence (`txn ledger` in the table), an
//! unsigned last entry exchanged for another, and a rewrite of everything, only against an anchor.

mod chain;
mod fold;
mod snapshot;
mod words;

use std::collections::BTreeMap;

use holdfast_archive::{Archive, LEDGER_APP_ID};
use holdfast_schemas::ledger::{Digest, Params, SNAPSHOT_PATH};

use super::LedgerOptions;
use super::error::LedgerError;
use super::objects::Objects;
use super::state::Head;
use fold::Folding;

/// What was done to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tampering {
    /// An entry's content was changed, or it was exchanged for another.
    Edited,
    /// An entry is missing, and later ones are there.
    Deleted,
    /// An entry is there that the chain does not go through.
    Inserted,
    /// An entry lies in another's place.
    Reordered,
    /// The last entries are missing: the table is fenced behind the end.
    Truncated,
    /// An entry names a version of the table that the table's log does not reach (any more).
    AheadOfTable,
    /// An entry's parameters were changed.
    ParamsEdited,
    /// An entry's parameters are missing, and no entry removes them.
    ParamsMissing,
    /// An entry of an actor has no signature, or one that is not theirs.
    Signature,
    /// An entry is there that whoever wrote it may not have written: disabled, without the role, without an approval.
    NotAllowed,
    /// The snapshot of the fold says something else than the chain.
    Snapshot,
    /// An object of the ledger cannot be read.
    Unreadable,
}

impl Tampering {
    /// Its word in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Edited => "edited",
            Self::Deleted => "deleted",
            Self::Inserted => "inserted",
            Self::Reordered => "reordered",
            Self::Truncated => "truncated",
            Self::AheadOfTable => "table cut off",
            Self::ParamsEdited => "parameters edited",
            Self::ParamsMissing => "parameters missing",
            Self::Signature => "signature",
            Self::NotAllowed => "not allowed",
            Self::Snapshot => "snapshot",
            Self::Unreadable => "unreadable",
        }
    }
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The entry it is about.
    pub seq: u64,
    /// What was done.
    pub tampering: Tampering,
    /// In words.
    pub text: String,
}

/// What verification found.
#[derive(Debug, Clone)]
pub struct Report {
    /// The last entry of the chain, as far as it holds.
    pub head: Head,
    /// Entries looked at.
    pub entries: u64,
    /// Entries with a valid signature.
    pub signed: u64,
    /// The table's fence.
    pub fence: Option<i64>,
    /// Parameters that stand for no entry: left by a writer that died, or lost a race.
    pub orphans: u64,
    /// Acts of a newer version, each with its last entry.
    pub unknown: BTreeMap<String, u64>,
    /// What is wrong, in the order of entries.
    pub findings: Vec<Finding>,
    /// Hash of every entry that holds, for comparison with an anchor.
    pub hashes: BTreeMap<u64, Digest>,
}

impl Report {
    fn find(&mut self, seq: u64, tampering: Tampering, text: impl Into<String>) {
        self.findings.push(Finding {
            seq,
            tampering,
            text: text.into(),
        });
    }
}

/// Verifies the ledger of an archive.
///
/// # Errors
/// The ledger's folder cannot be listed. What can be listed and not read is a finding.
pub async fn verify(archive: &Archive, options: LedgerOptions) -> Result<Report, LedgerError> {
    let objects = Objects::new(archive, options.environment, options.append_time_max);
    let fence = archive.snapshot().await?.position(LEDGER_APP_ID).await?;
    // Before the entries, which only grow: what it stands for is then among them, whoever appends meanwhile.
    let fold_written = objects.get(SNAPSHOT_PATH).await;
    let places = chain::read_places(&objects).await?;
    let mut report = Report {
        head: Head::default(),
        entries: places.len() as u64,
        signed: 0,
        fence,
        orphans: 0,
        unknown: BTreeMap::new(),
        findings: Vec::new(),
        hashes: BTreeMap::new(),
    };
    let chain = chain::arrange(&places, &mut report);
    let last = chain.keys().next_back().copied().unwrap_or(0);
    if let Some(fence) = fence.and_then(|fence| u64::try_from(fence).ok())
        && fence > last
    {
        let text = format!("the table is fenced at entry {fence}, the ledger ends at entry {last}");
        report.find(last + 1, Tampering::Truncated, text);
    }
    chain::links(&chain, &mut report);
    let decoded = words::read(&objects, &chain, &mut report).await?;
    let table = archive.snapshot().await?.version();
    ahead_of_table(&decoded, table, &mut report);
    let folding = Folding::new(&chain, &decoded);
    let state = folding.all(&mut report);
    snapshot::compare(
        &objects,
        fold_written,
        state.as_ref(),
        &folding,
        &mut report,
    )
    .await;
    report.hashes = chain
        .iter()
        .map(|(seq, entry)| (*seq, entry.hash))
        .collect();
    report.findings.sort_by_key(|f| (f.seq, f.tampering));
    report.findings.dedup();
    Ok(report)
}

/// Names the first entry that speaks of a later version than the table's, which was read after the entries.
fn ahead_of_table(decoded: &BTreeMap<u64, Params>, table: u64, report: &mut Report) {
    let named = decoded.iter().find_map(|(seq, params)| {
        let version = params
            .act
            .table_version()
            .filter(|version| *version > table)?;
        Some((*seq, version))
    });
    if let Some((seq, version)) = named {
        let text = format!(
            "it names version {version} of the table, whose log ends at version {table}: the last entries of the log are missing"
        );
        report.find(seq, Tampering::AheadOfTable, text);
    }
}
