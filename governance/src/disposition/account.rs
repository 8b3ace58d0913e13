//! Accounting for what is gone: every event that any run removed is out and can be put back, came back, or stands in a
//! list whose digest its purge wrote down before it gave the event up.

use std::collections::BTreeMap;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt;
use holdfast_archive::read::COMMIT_VERSION;
use holdfast_archive::{Archive, Snapshot};
use holdfast_schemas::columns::Rows;
use holdfast_schemas::hash::event_hash;
use holdfast_schemas::ledger::Digest;
use roaring::RoaringTreemap;

use super::certificate::{Certificate, List, list_of};
use super::kept::Out;
use super::{DispositionError, plan_file};
use crate::ledger::State;
use crate::plan::PlanError;
use crate::purge;

/// One event that is gone, or out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its sequence.
    pub sequence: u64,
    /// Its hash.
    pub hash: [u8; 32],
    /// The commit that archived it; nothing of what was erased.
    pub commit: Option<u64>,
}

/// What is gone, and what cannot be accounted for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Account {
    /// Runs and erasures looked at.
    pub runs: u64,
    /// Events that are not in the table any more, by origin.
    pub removed: BTreeMap<String, Vec<Removed>>,
    /// Their places in their rooms, by room id; of what was erased nothing is known.
    pub room_seqs: BTreeMap<String, RoaringTreemap>,
    /// Events that were erased.
    pub erased: u64,
    /// What is wrong, with where.
    pub problems: Vec<(String, String)>,
}

/// A run or an erasure, as far as both have it.
struct Run<'s> {
    run: &'s str,
    certificate: &'s str,
    sha256: &'s Digest,
    events: u64,
    erases: bool,
}

fn runs(state: &State) -> Vec<Run<'_>> {
    let retention = state.dispositions.values().filter_map(|known| {
        let (_, outcome) = known.outcome.as_ref()?;
        Some(Run {
            run: &outcome.run,
            certificate: &outcome.certificate,
            sha256: &outcome.certificate_sha256,
            events: outcome.events,
            erases: false,
        })
    });
    let erasures = state.erasures.values().flat_map(|known| &known.outcomes);
    let erasures = erasures.map(|(_, outcome)| Run {
        run: &outcome.run,
        certificate: &outcome.certificate,
        sha256: &outcome.certificate_sha256,
        events: outcome.events,
        erases: true,
    });
    retention.chain(erasures).collect()
}

/// Accounts for everything that was ever removed, as of a snapshot.
///
/// # Errors
/// The store cannot be read; an object that is missing or was changed is a problem in the account.
pub async fn account(
    archive: &Archive,
    snapshot: &Snapshot,
    state: &State,
) -> Result<Account, DispositionError> {
    let mut account = Account::default();
    let mut kept = snapshot.kept()?;
    let lists = lists(archive, state, &mut account).await?;
    for run in runs(state) {
        account.runs += 1;
        let certified = match Certificate::of(archive, run.certificate, run.sha256).await {
            Ok(certificate) => Some(certificate.rows.len()),
            Err(error) => account.refuse(run.certificate, error)?,
        };
        if let Some(certified) = certified.filter(|certified| *certified != run.events) {
            let said = format!(
                "certifies {certified} events, the ledger says {}",
                run.events
            );
            account.problems.push((run.certificate.to_owned(), said));
        }
        let listed = match (kept.remove(run.run), lists.get(run.run)) {
            (Some(entry), _) => out(archive, run.run, &entry, run.erases, &mut account).await?,
            (None, Some(list)) => listed(archive, list, run.erases, &mut account).await?,
            (None, None) => Some(0),
        };
        let back = restored(state, run.run);
        if let Some(listed) = listed.filter(|listed| listed + back != run.events) {
            let said = format!(
                "removed {} events; {listed} of them are listed or out, {back} came back",
                run.events
            );
            account.problems.push((format!("run {}", run.run), said));
        }
    }
    for run in kept.into_keys() {
        let said = "took rows out, and the ledger knows no outcome of it".to_owned();
        account.problems.push((format!("run {run}"), said));
    }
    Ok(account)
}

impl Account {
    /// What is missing or was changed is a problem of the archive; anything else is an error.
    fn refuse<T>(
        &mut self,
        place: &str,
        error: DispositionError,
    ) -> Result<Option<T>, DispositionError> {
        match error {
            DispositionError::Corrupt { problem, .. } => {
                self.problems.push((place.to_owned(), problem));
                Ok(None)
            }
            other => Err(other),
        }
    }

    fn enter(&mut self, origin: &str, removed: Removed, erases: bool) {
        self.erased += u64::from(erases);
        match self.removed.get_mut(origin) {
            Some(known) => known.push(removed),
            None => {
                self.removed.insert(origin.to_owned(), vec![removed]);
            }
        }
    }

    fn enter_place(&mut self, room: Option<&str>, room_seq: Option<i64>) {
        if let (Some(room), Some(seq)) = (room, room_seq.and_then(|seq| u64::try_from(seq).ok())) {
            self.room_seqs
                .entry(room.to_owned())
                .or_default()
                .insert(seq);
        }
    }
}

fn restored(state: &State, run: &str) -> u64 {
    let outcomes = state
        .restores
        .values()
        .filter_map(|one| one.outcome.as_ref());
    let of_run = outcomes.filter(|(_, outcome)| outcome.run == run);
    of_run.map(|(_, outcome)| outcome.events).sum()
}

/// The lists of every purge that passed its point of no return.
async fn lists(
    archive: &Archive,
    state: &State,
    account: &mut Account,
) -> Result<BTreeMap<String, List>, DispositionError> {
    let mut found = BTreeMap::new();
    for (id, purge) in state
        .purges
        .iter()
        .filter(|(id, _)| purge::is_past(state, id))
    {
        match purge::lists(archive, &purge.intent).await {
            Ok(lists) => found.extend(lists),
            Err(error) => {
                account.refuse::<()>(&format!("purge {id}"), error)?;
            }
        }
    }
    Ok(found)
}

/// Enters the events of a list; answers how many.
async fn listed(
    archive: &Archive,
    list: &List,
    erases: bool,
    account: &mut Account,
) -> Result<Option<u64>, DispositionError> {
    let lines = match list_of(archive, list).await {
        Ok(lines) => lines,
        Err(error) => return account.refuse(&list.path, error),
    };
    for line in &lines {
        let removed = Removed {
            sequence: line.sequence,
            hash: line.hash.0,
            commit: line.commit,
        };
        account.enter(&line.origin, removed, erases);
        account.enter_place(line.room.as_deref(), line.room_seq);
    }
    Ok(Some(lines.len() as u64))
}

/// Enters the events of a run that are out and can be put back; answers how many.
async fn out(
    archive: &Archive,
    run: &str,
    entry: &holdfast_archive::Kept,
    erases: bool,
    account: &mut Account,
) -> Result<Option<u64>, DispositionError> {
    let out = match Out::of(archive, run, entry).await {
        Ok(out) => out,
        Err(error) => return account.refuse(&format!("run {run}"), error),
    };
    let mut events = 0;
    let mut scratch = Vec::new();
    for kept in &out.segments {
        let segment = kept.segment();
        let rows = plan_file::rows_with_ids(archive, &segment, &out.rows).await?;
        let rows: Vec<u32> = rows.iter().collect();
        if rows.is_empty() {
            continue;
        }
        let mut batches = crate::plan::open_whole_with_ids(archive, &segment, &rows).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            let commits = commits_of(&batch);
            for place in 0..view.len() {
                let event = view.event(place);
                let removed = Removed {
                    sequence: event.sequence,
                    hash: event_hash(&event, &mut scratch),
                    commit: commits.and_then(|commits| u64::try_from(commits[place]).ok()),
                };
                account.enter(&event.origin, removed, erases);
                account.enter_place(event.room.id.as_deref(), event.room_seq);
                events += 1;
            }
        }
    }
    Ok(Some(events))
}

/// The commits that archived the rows of a batch that was read with row versions.
pub(crate) fn commits_of(batch: &arrow::array::RecordBatch) -> Option<&[i64]> {
    let column = batch.column_by_name(COMMIT_VERSION)?;
    Some(&column.as_primitive_opt::<Int64Type>()?.values()[..])
}
