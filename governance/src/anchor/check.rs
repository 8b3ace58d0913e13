//! Whether archive and ledger still are what an anchor says.

use std::path::Path;

use holdfast_archive::Archive;
use holdfast_archive::read::SegmentReader;
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::ledger::anchor::AnchorFile;

use super::error::AnchorError;
use super::root;
use super::token::{self, Stamped};
use crate::ledger::verify::Report;

/// What comparing with an anchor found.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// What does not hold.
    pub problems: Vec<String>,
    /// The time stamp, when there is one and authorities were given.
    pub stamped: Option<Stamped>,
    /// Segments that lie as they did.
    pub segments_same: u64,
    /// Segments that were replaced since, by compaction or disposition: the archive's own verification speaks for them.
    pub segments_replaced: u64,
    /// Whether the table's log entry of then is still there to be compared.
    pub table_compared: bool,
}

/// Compares an anchor with the archive and with what [`crate::ledger::verify::verify`] found of its ledger.
///
/// # Errors
/// The archive cannot be read, or the file of authorities cannot be used. What does not hold is in the answer.
pub async fn check(
    archive: &Archive,
    ledger: &Report,
    file: &AnchorFile,
    authorities: Option<&Path>,
) -> Result<Comparison, AnchorError> {
    let mut found = Comparison::default();
    stamp(file, authorities, &mut found)?;
    of_ledger(ledger, file, &mut found);
    if root(&file.segments)? != file.anchor.segments_root
        || file.segments.len() as u64 != file.anchor.segments
    {
        found
            .problems
            .push("the anchor's list of segments is not the one under its root".to_owned());
    }
    of_table(archive, file, &mut found).await?;
    Ok(found)
}

fn stamp(
    file: &AnchorFile,
    authorities: Option<&Path>,
    found: &mut Comparison,
) -> Result<(), AnchorError> {
    match (&file.stamp, authorities) {
        (Some(stamp), Some(authorities)) => {
            match token::verify(stamp, &file.anchor.encode()?, authorities) {
                Ok(stamped) => found.stamped = Some(stamped),
                Err(error @ AnchorError::Token { .. }) => found.problems.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        (Some(_), None) => found.problems.push(
            "the anchor has a time stamp, and no authority to trust was given (`--tsa-ca FILE`)"
                .to_owned(),
        ),
        (None, Some(_)) => found
            .problems
            .push("the anchor has no time stamp".to_owned()),
        (None, None) => {}
    }
    Ok(())
}

fn of_ledger(ledger: &Report, file: &AnchorFile, found: &mut Comparison) {
    let anchor = &file.anchor;
    if anchor.ledger_seq == 0 {
        return;
    }
    match ledger.hashes.get(&anchor.ledger_seq) {
        Some(hash) if *hash == anchor.ledger_hash => {}
        Some(hash) => found.problems.push(format!(
            "entry {} of the ledger hashes to {hash}, the anchor says {}: the ledger was rewritten",
            anchor.ledger_seq, anchor.ledger_hash
        )),
        None => found.problems.push(format!(
            "entry {} of the ledger, which the anchor names, is not there: the ledger was cut off or rewritten",
            anchor.ledger_seq
        )),
    }
}

async fn of_table(
    archive: &Archive,
    file: &AnchorFile,
    found: &mut Comparison,
) -> Result<(), AnchorError> {
    let anchor = &file.anchor;
    let snapshot = archive.snapshot().await?;
    if snapshot.version() < anchor.table_version {
        found.problems.push(format!(
            "the table is at version {}, the anchor names version {}: the table was cut off or rewritten",
            snapshot.version(),
            anchor.table_version
        ));
        return Ok(());
    }
    if let Some(said) = anchor.table_sha256
        && let Some(commit) = archive.commit_record(anchor.table_version).await?
    {
        found.table_compared = true;
        if Digest(commit.sha256) != said {
            found.problems.push(format!(
                "version {} of the table's log is not the one of the anchor: the table was rewritten",
                anchor.table_version
            ));
        }
    }
    for segment in &file.segments {
        let Some(live) = snapshot.segment(&segment.path).await? else {
            found.segments_replaced += 1;
            continue;
        };
        let footer = SegmentReader::open(archive, &live).await?.footer()?;
        if Digest(footer.merkle_root) == segment.merkle_root && footer.rows == segment.rows {
            found.segments_same += 1;
        } else {
            found.problems.push(format!(
                "{} holds other rows than the anchor says: it was rewritten",
                segment.path
            ));
        }
    }
    Ok(())
}
