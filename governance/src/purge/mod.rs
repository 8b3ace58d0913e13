//! Purge: what a run took out and nobody asked back within the grace goes for good.
//!
//! Crash states: (1) lists and intent, no commit: abandoned, the rows can still come back; (2) commit, the point of no
//! return, and any part of the files deleted: deletion goes on, it is repeatable; (3) files gone, no outcome: the outcome
//! is appended. A hold that is fenced between intent and commit makes the commit fail: what it covers is restored first.

mod again;
mod attachments;
mod broken_off;
mod delete;
mod held;

use std::collections::BTreeMap;

use holdfast_archive::{
    Archive, CommitKind, Disposal, Kept, KeptChange, LEDGER_APP_ID, LedgerIs, Snapshot,
};
use holdfast_schemas::ledger::purge::{PurgeIntent, PurgeOutcome};
use holdfast_schemas::ledger::{Act, Digest};
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::actor::By;
use crate::config::{self, Key};
use crate::disposition::certificate::{self, Certificate, List, NOT_COVERED};
use crate::disposition::kept::{KeptSegment, Out};
use crate::disposition::recheck::recheck;
use crate::disposition::{DispositionError, objects, outcome, purpose, recover};
use crate::hold::Hold;
use crate::ledger::intent::commit_id;
use crate::ledger::state::{IntentEnd, PurgeState};
use crate::ledger::{Appended, Context, Judged, Ledger, Refusal, State};
use crate::plan::Plan;

pub(crate) use broken_off::recover;
use delete::Eraser;
pub(crate) use held::held_rows;

/// Folder of the lists of files, relative to the archive.
const FOLDER: &str = "ledger/purges";
/// Attempts that holds placed meanwhile may cost before a purge gives up.
const ATTEMPTS_MAX: u32 = 16;

/// The exact files of a purge: its hash is in the id of the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Files {
    id: String,
    /// By run: the segments that go, and since when they are out of the table (ms since 1970).
    runs: BTreeMap<String, Vec<KeptSegment>>,
    /// The youngest run's commit: what is superseded since longer can hold the same rows.
    removed_ms: i64,
    /// Digests of attachments that only removed events referred to, as of the intent.
    attachments: Vec<String>,
    /// By run: the list of its events, as it was written before anything was given up.
    #[serde(default)]
    lists: BTreeMap<String, List>,
}

impl Files {
    /// When the purge was begun, milliseconds since 1970: its id says.
    fn begun_ms(&self) -> i64 {
        let id = Ulid::from_string(&self.id);
        let begun = id.ok().and_then(|id| i64::try_from(id.timestamp_ms()).ok());
        begun.unwrap_or(self.removed_ms)
    }
}

/// What a purge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PurgeReport {
    /// What the ledger says of it; nothing when no run was due.
    pub outcome: Option<PurgeOutcome>,
    /// The runs.
    pub runs: Vec<String>,
    /// Events that holds had restored first.
    pub restored: u64,
}

/// Runs whose grace is over, and that are out of the table still.
#[must_use]
pub fn due(state: &State, kept: &BTreeMap<String, Kept>, now_us: i64) -> Vec<String> {
    let grace_us = i64::try_from(config::span_s(state, Key::Grace))
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000);
    let over = |run: &&String| {
        removed_us(state, run).is_some_and(|time_us| time_us.saturating_add(grace_us) <= now_us)
    };
    kept.keys().filter(over).cloned().collect()
}

/// Of the runs that are due those that a purge was approved for, if there is one: what became due since waits for another.
/// Otherwise an approval of yesterday would never fit the runs of today.
fn agreed(state: &State, due: Vec<String>) -> Vec<String> {
    if !config::four_eyes(state) {
        return due;
    }
    let part = crate::approval::agreed_purges(state)
        .find(|runs| runs.iter().all(|run| due.iter().any(|due| due == run)));
    part.map_or(due, |runs| runs.into_iter().map(str::to_owned).collect())
}

/// When a run's rows left the table, UTC microseconds.
fn removed_us(state: &State, run: &str) -> Option<i64> {
    if let Some((_, outcome)) = state
        .dispositions
        .get(run)
        .and_then(|known| known.outcome.as_ref())
    {
        return Some(outcome.time_us);
    }
    let erasures = state
        .erasures
        .values()
        .flat_map(|erasure| &erasure.outcomes);
    let done = erasures.into_iter().find(|(_, outcome)| outcome.run == run);
    done.map(|(mark, _)| mark.time_us)
}

/// Purges every run whose grace is over.
///
/// # Errors
/// It is not approved; the archive or the ledger cannot be read or written; the bucket keeps versions of what is deleted.
/// What was begun is completed by the next purge.
pub async fn run(ledger: &Ledger, by: &By) -> Result<PurgeReport, DispositionError> {
    recover::all(ledger, by).await?;
    // What hinders one that broke off hinders no look at those that ended.
    let completed = broken_off::complete(ledger, by).await;
    again::look_again(ledger).await?;
    completed?;
    let archive = ledger.archive();
    let mut report = PurgeReport::default();
    for _ in 0..ATTEMPTS_MAX {
        let snapshot = archive.snapshot().await?;
        let state = ledger.refresh().await?;
        report.runs = agreed(&state, due(&state, &snapshot.kept()?, ledger.now_us()));
        if report.runs.is_empty() {
            return Ok(report);
        }
        let back = restore_held(ledger, by, &snapshot, &state, &report.runs).await?;
        report.restored += back.restored;
        // A restore is a commit: what is left is looked at anew, with the holds that are known by then.
        if back.restored > 0 {
            continue;
        }
        let known = (&snapshot, &*state, back.holds);
        if let Some(outcome) = attempt(ledger, by, known, &report.runs).await? {
            report.outcome = Some(outcome);
            return Ok(report);
        }
    }
    Err(DispositionError::Refused(
        holdfast_archive::Conflict::DecisionChanged {
            reason: "holds were placed during every attempt".to_owned(),
        },
    ))
}

/// What holds had restored, and the holds.
pub(crate) struct Back {
    /// Events that came back.
    pub(crate) restored: u64,
    /// The holds in force.
    holds: Vec<Hold>,
}

/// Restores what holds cover by now.
pub(crate) async fn restore_held(
    ledger: &Ledger,
    by: &By,
    snapshot: &Snapshot,
    state: &State,
    runs: &[String],
) -> Result<Back, DispositionError> {
    let archive = ledger.archive();
    let (holds, grown) = crate::plan::holds(archive, snapshot, state, ledger.now_us()).await?;
    for expand in &grown {
        ledger
            .append_act(by, None, Act::HoldExpand(expand.clone()))
            .await?;
    }
    let outs = Out::all(archive, snapshot).await?;
    let outs: Vec<Out> = outs.into_iter().map(|(_, out)| out).collect();
    let mut held = held_rows(archive, snapshot, &outs, &holds).await?;
    let mut restored = 0;
    for name in runs {
        let Some(held) = held.remove(name) else {
            continue;
        };
        let outcome = crate::restore::rows(ledger, by, name, None, |_| Some(held.clone())).await?;
        restored += outcome.map_or(0, |outcome| outcome.events);
    }
    Ok(Back { restored, holds })
}

/// One attempt; nothing when the ledger was fenced meanwhile.
async fn attempt(
    ledger: &Ledger,
    by: &By,
    (snapshot, state, holds): (&Snapshot, &State, Vec<Hold>),
    runs: &[String],
) -> Result<Option<PurgeOutcome>, DispositionError> {
    let archive = ledger.archive();
    let fence = snapshot.position(LEDGER_APP_ID).await?;
    // The state must not know less than the fence that the commit requires, nor more holds than were restored for.
    let id = Ulid::from_parts(
        u64::try_from(ledger.now_us() / 1000).unwrap_or(0),
        rand::random(),
    )
    .to_string();
    let (files, changes) = gather(ledger, snapshot, state, runs, &id).await?;
    let (path, sha256) = objects::put(archive, FOLDER, &id, &files).await?;
    let intent = PurgeIntent {
        id: id.clone(),
        runs: runs.to_vec(),
        files: path,
        files_sha256: sha256,
        files_count: files.runs.values().map(Vec::len).sum::<usize>() as u64,
        table_version: snapshot.version(),
        ledger_fence: fence.and_then(|fence| u64::try_from(fence).ok()),
    };
    let appended = ledger
        .append_or_request(by, Context::default(), |now| {
            purpose::understood(now)?;
            let new = now.holds.keys().any(|name| !state.holds.contains_key(name));
            match new {
                true => Err(Refusal::because(
                    "a hold was placed while the purge was being prepared",
                    "run it again",
                )),
                false => Ok(Judged::Write(Act::PurgeIntent(intent.clone()))),
            }
        })
        .await?;
    ledger.guard_clock(&appended).await?;
    // A membership that arrives meanwhile may widen what a custodian could see: the holds are judged anew then.
    let custodians = holds.iter().any(Hold::has_custodians);
    let recheck = recheck(archive, &Plan::default(), custodians);
    let disposal = Disposal {
        recheck: Some(recheck),
        ..disposal(&appended, &sha256, fence, changes)
    };
    match outcome::settled(archive, archive.dispose(snapshot, disposal).await?, &id).await? {
        Ok(committed) => Ok(Some(finish(ledger, by, &files, committed.version()).await?)),
        Err(conflict) => {
            recover::abandon(ledger, by, &id, &conflict.to_string()).await?;
            Ok(None)
        }
    }
}

/// The point of no return.
fn disposal(
    appended: &Appended,
    sha256: &Digest,
    fence: Option<i64>,
    kept: Vec<KeptChange>,
) -> Disposal {
    let seq = i64::try_from(appended.seq).unwrap_or(i64::MAX);
    Disposal {
        commit_id: commit_id(&appended.hash, sha256),
        kind: CommitKind::Purge,
        inputs: Vec::new(),
        segments: Vec::new(),
        ledger: LedgerIs::Exactly(fence),
        fence: Some(fence.map_or(seq, |fence| fence.max(seq))),
        kept,
        recheck: None,
        merkle_root: crate::disposition::rewrite::root(&[]),
    }
}

/// The exact files, and the lists of what they hold, written before anything is given up.
async fn gather(
    ledger: &Ledger,
    snapshot: &Snapshot,
    state: &State,
    runs: &[String],
    id: &str,
) -> Result<(Files, Vec<KeptChange>), DispositionError> {
    let archive = ledger.archive();
    let mut kept = snapshot.kept()?;
    let mut files = Files {
        id: id.to_owned(),
        runs: BTreeMap::new(),
        removed_ms: i64::MIN,
        attachments: Vec::new(),
        lists: BTreeMap::new(),
    };
    let mut changes = Vec::new();
    let mut attachments = std::collections::BTreeSet::new();
    for name in runs {
        let Some(entry) = kept.remove(name) else {
            continue;
        };
        let out = Out::of(archive, name, &entry).await?;
        let certificate = certificate_of(archive, state, name).await?;
        let of = certificate.as_ref();
        let list = certificate::write_list(archive, name, &out.segments, &out.rows, of).await?;
        files.lists.insert(name.clone(), list);
        attachments.extend(attachments::of(archive, &out).await?);
        files.removed_ms = files
            .removed_ms
            .max(removed_us(state, name).unwrap_or(i64::MAX) / 1000);
        files.runs.insert(name.clone(), out.segments);
        changes.push(KeptChange {
            name: name.clone(),
            from: Some(entry),
            to: None,
        });
    }
    files.attachments = attachments.into_iter().collect();
    Ok((files, changes))
}

/// The certificate of a run; nothing of an erasure, whose list tells no more than that something went.
async fn certificate_of(
    archive: &Archive,
    state: &State,
    run: &str,
) -> Result<Option<Certificate>, DispositionError> {
    let known = state
        .dispositions
        .get(run)
        .and_then(|known| known.outcome.as_ref());
    let Some((_, outcome)) = known else {
        return Ok(None);
    };
    let (path, sha256) = (&outcome.certificate, &outcome.certificate_sha256);
    Ok(Some(Certificate::of(archive, path, sha256).await?))
}

/// The lists that a purge wrote, by run.
///
/// # Errors
/// The purge's object is gone or was changed.
pub async fn lists(
    archive: &Archive,
    purge: &PurgeIntent,
) -> Result<BTreeMap<String, List>, DispositionError> {
    let files: Files = objects::get(archive, &purge.files, &purge.files_sha256).await?;
    Ok(files.lists)
}

/// Deletes, as often as it takes, and says so.
async fn finish(
    ledger: &Ledger,
    by: &By,
    files: &Files,
    table_version: u64,
) -> Result<PurgeOutcome, DispositionError> {
    let archive = ledger.archive();
    let mut eraser = Eraser::new(archive, &files.id).await?;
    eraser.segments(files, ledger.now_us() / 1000).await?;
    attachments::delete(archive, &files.attachments, &mut eraser).await?;
    eraser.probe().await?;
    eraser.gone().await?;
    let outcome = PurgeOutcome {
        id: files.id.clone(),
        table_version,
        files: eraser.files,
        bytes: eraser.bytes,
        not_covered: NOT_COVERED.iter().map(|text| (*text).to_owned()).collect(),
    };
    recover::ended(ledger, by, &files.id, Act::PurgeOutcome(outcome.clone())).await?;
    Ok(outcome)
}

/// The purge that made a run final.
#[must_use]
pub fn of_run<'s>(state: &'s State, run: &str) -> Option<&'s str> {
    let done = |purge: &&PurgeState| {
        purge.outcome.is_some() && purge.intent.runs.iter().any(|one| one == run)
    };
    let purge = state.purges.values().find(done)?;
    Some(&purge.intent.id)
}

/// Whether the commit of a purge is there, or may be: what its runs removed is beyond any hold.
#[must_use]
pub fn is_past(state: &State, id: &str) -> bool {
    let ended = state.intents.get(id).and_then(|intent| intent.end);
    !matches!(ended, Some(IntentEnd::Abandoned(_)))
}
