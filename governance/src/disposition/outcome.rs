//! What became of a commit, and what the ledger is told of it.

use std::collections::BTreeMap;

use holdfast_archive::{Archive, Conflict, Outcome, Snapshot};
use holdfast_schemas::ledger::Digest;
use holdfast_schemas::ledger::disposition::DispositionOutcome;

use super::DispositionError;
use super::certificate::Certificate;
use crate::plan::{Reason, Tally};

/// What the ledger says of a run that was committed.
pub(crate) fn outcome(
    certificate: &Certificate,
    path: String,
    certificate_sha256: Digest,
    table_version: u64,
    time_us: i64,
) -> DispositionOutcome {
    DispositionOutcome {
        run: certificate.run.clone(),
        table_version,
        time_us,
        certificate: path,
        certificate_sha256,
        events: certificate.rows.len(),
        families: certificate.tally.families,
        stayed: stayed(&certificate.tally),
    }
}

fn stayed(tally: &Tally) -> BTreeMap<String, u64> {
    let mut stayed = BTreeMap::new();
    for (reason, events) in &tally.stays {
        let name = match reason {
            Reason::Hold(hold) => format!("hold {hold}"),
            Reason::Holds => "several holds".to_owned(),
            Reason::Retained(policy) => format!("policy {policy}"),
            Reason::Family => "a part of the family that is not due".to_owned(),
            Reason::Grace => "ingest grace".to_owned(),
            Reason::Explains => "explains events that stay".to_owned(),
            Reason::NotPlanned => "not in the plan".to_owned(),
        };
        *stayed.entry(name).or_default() += events;
    }
    stayed
}

/// Goes on until an outcome is certain; `Err` holds the conflict that a new attempt may get around.
pub(crate) async fn settled(
    archive: &Archive,
    first: Outcome,
    what: &str,
) -> Result<Result<Snapshot, Conflict>, DispositionError> {
    let mut outcome = first;
    let mut settles = 0;
    loop {
        match outcome {
            Outcome::Committed(snapshot) => return Ok(Ok(snapshot)),
            Outcome::Conflicted(
                conflict @ (Conflict::LedgerMoved { .. }
                | Conflict::InputGone { .. }
                | Conflict::BelowHorizon { .. }
                | Conflict::KeptChanged { .. }
                | Conflict::DecisionChanged { .. }),
            ) => return Ok(Err(conflict)),
            Outcome::Conflicted(
                conflict @ (Conflict::PositionMoved { .. }
                | Conflict::AlreadyArchived { .. }
                | Conflict::LeaseHeld { .. }),
            ) => return Err(DispositionError::Refused(conflict)),
            Outcome::Unknown(uncertain) => {
                settles += 1;
                if settles > 2 {
                    return Err(DispositionError::Unknown {
                        what: what.to_owned(),
                        problem: uncertain.reason,
                    });
                }
                outcome = archive.settle(uncertain).await?;
            }
        }
    }
}
