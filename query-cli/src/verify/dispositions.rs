//! What was disposed of: accounted for by certificates and lists, to the last event.

use std::collections::BTreeMap;

use holdfast_governance::disposition::account::{Account, Removed, account};
use holdfast_governance::ledger::{Ledger, State};
use roaring::RoaringTreemap;

use super::report::{Problem, Report};
use super::rows::{Origins, RowMark};
use crate::failure::Failure;
use crate::open::Opened;
use crate::output::text::grouped;

/// Name of this check.
pub const CHECK: &str = "dispositions";

/// What the ledger knows of what is gone.
#[derive(Debug, Default)]
pub struct Gone {
    /// What is accounted for.
    pub account: Account,
    /// The ledger's state; nothing when it cannot be read.
    pub state: Option<State>,
}

/// Accounts for everything that was removed.
///
/// # Errors
/// The archive cannot be read. A ledger that cannot be is a problem of its own check.
pub async fn verify(opened: &Opened, report: &mut Report) -> Result<Gone, Failure> {
    let state = match Ledger::open(&opened.archive).await {
        Ok(ledger) => State::clone(&ledger.state()),
        Err(error) => {
            let message = format!("cannot be accounted for: {error}");
            let problem = Problem {
                check: CHECK,
                place: "ledger".to_owned(),
                message,
            };
            report.enter(CHECK, 0, "runs", None, vec![problem]);
            return Ok(Gone::default());
        }
    };
    let account = Box::pin(account(&opened.archive, &opened.snapshot, &state)).await?;
    let problems = account.problems.iter().map(|(place, message)| Problem {
        check: CHECK,
        place: place.clone(),
        message: message.clone(),
    });
    let events: usize = account.removed.values().map(Vec::len).sum();
    let note = (account.runs > 0).then(|| format!("{} events removed", grouped(events as u64)));
    report.enter(CHECK, account.runs, "runs", note, problems.collect());
    Ok(Gone {
        account,
        state: Some(state),
    })
}

impl Gone {
    /// Sequences that are accounted for, by origin.
    #[must_use]
    pub fn sequences(&self) -> BTreeMap<String, RoaringTreemap> {
        let of = |removed: &Vec<Removed>| removed.iter().map(|one| one.sequence).collect();
        let removed = self.account.removed.iter();
        removed
            .map(|(origin, removed)| (origin.clone(), of(removed)))
            .collect()
    }

    /// The removed events as rows of the commits that archived them, as far as that is known; and how many are not.
    pub fn marks(&self, origins: &mut Origins) -> (Vec<RowMark>, u64) {
        let (mut marks, mut unknown) = (Vec::new(), 0);
        for (name, removed) in &self.account.removed {
            let origin = origins.number(name);
            for one in removed {
                match one.commit {
                    Some(version) => marks.push(RowMark {
                        version,
                        origin,
                        sequence: one.sequence,
                        hash: one.hash,
                    }),
                    None => unknown += 1,
                }
            }
        }
        (marks, unknown)
    }
}
