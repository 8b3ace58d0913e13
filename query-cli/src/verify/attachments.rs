//! Attachments: with `--deep`, every file's digest is computed again.

use std::collections::BTreeSet;

use holdfast_archive::{Archive, ArchiveError};

use super::report::Problem;
use crate::failure::Failure;

/// The name of the check.
pub const CHECK: &str = "attachments";

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Files that are there and whole.
    pub whole: u64,
    /// Files that are not there and known to be pending.
    pub pending: u64,
    /// What is wrong.
    pub problems: Vec<Problem>,
}

/// Reads every file that events refer to.
///
/// # Errors
/// The archive cannot be read.
pub async fn verify(archive: &Archive, digests: &BTreeSet<String>) -> Result<Found, Failure> {
    let pending: BTreeSet<String> = archive
        .pending_attachments()
        .await?
        .into_iter()
        .map(|p| p.sha256)
        .collect();
    let mut found = Found::default();
    for digest in digests {
        let problem = match archive.attachment(digest).await {
            Ok(Some(_)) => {
                found.whole += 1;
                continue;
            }
            Ok(None) if pending.contains(digest) => {
                found.pending += 1;
                continue;
            }
            Ok(None) => "an event refers to it, but it is neither stored nor pending".to_owned(),
            Err(e @ (ArchiveError::Corrupt { .. } | ArchiveError::Invalid(_))) => e.to_string(),
            Err(e) => return Err(e.into()),
        };
        found.problems.push(Problem {
            check: CHECK,
            place: digest.clone(),
            message: problem,
        });
    }
    Ok(found)
}
