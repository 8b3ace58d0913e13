//! Purge: what a run took out and nobody asked back within the grace goes for good.
//!
//! Crash states: (1) lists and intent, no commit: abandoned, the rows can still come back; (2) commit, the point of no
//! return, and any part of the files deleted: deletion goes on, it is repeatable; (3) files gone, no outcome: the outcome
//! is appended. A hold that is fenced between intent and commit makes the commit fail: what it covers is restored first.

mod attachments;
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
use crate::ledger::intent::{Found, commit_id, find};
use crate::ledger::state::{Intent, IntentEnd, IntentKind, PurgeState};
use crate::ledger::{Appended, Context, Judged, Ledger, Refusal, State};
use crate::plan::Plan;

use delete::Eraser;
pub(crate) use held::held_rows;

/// Folder of the lists of files, relative to the archive.
const FOLDER: &str = "ledger/purges";
/// How much older than the last purge another may be, for the next one to look at its attachments again: each is looked at
/// at least once after this time. Copies of files that were under way, and what breaks off at them, end far sooner.
/// Microseconds.
const LOOKED_AT_US: i64 = 30 * 86_400_000_000;
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
    complete(ledger, by).await?;
    look_again(ledger).await?;
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

/// Completes the deletions that an earlier purge could not; what hinders them is told here.
async fn complete(ledger: &Ledger, by: &By) -> Result<(), DispositionError> {
    let state = ledger.refresh().await?;
    let open = state.open_intents();
    for (id, intent) in open
        .into_iter()
        .filter(|(_, intent)| intent.kind == IntentKind::Purge)
    {
        recover(ledger, by, id, intent, false).await?;
    }
    Ok(())
}

/// Sees to the attachments of earlier purges: one that somebody was copying meanwhile may have been stored after them, and
/// whoever worked on the same purge and was late may have died between removing one and looking who refers to it.
async fn look_again(ledger: &Ledger) -> Result<(), DispositionError> {
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let ended = |purge: &PurgeState| purge.outcome.as_ref().map(|(mark, _)| mark.time_us);
    let Some(last_us) = state.purges.values().filter_map(ended).max() else {
        return Ok(());
    };
    let since_us = last_us.saturating_sub(LOOKED_AT_US);
    let mut used = None;
    let mut erasers = Vec::new();
    for purge in state.purges.values() {
        if ended(purge).is_none_or(|ended_us| ended_us < since_us) {
            continue;
        }
        let named = &purge.intent;
        let files: Files = objects::get(archive, &named.files, &named.files_sha256).await?;
        if files.attachments.is_empty() {
            continue;
        }
        let used = match &used {
            Some(used) => used,
            None => {
                // Whoever died in between may have removed something and not said so.
                archive.note_deleted().await?;
                used.insert(attachments::referred(archive).await?)
            }
        };
        let mut eraser = Eraser::new(archive, &files.id).await?;
        if !attachments::is_settled(archive, &files.attachments, used).await? {
            attachments::delete(archive, &files.attachments, &mut eraser).await?;
        }
        erasers.push(eraser);
    }
    // A bucket that keeps versions hinders no look.
    for eraser in erasers {
        eraser.gone().await?;
    }
    Ok(())
}

/// Ends a purge that broke off: completed when its commit is there, abandoned otherwise. `aside`: a deletion that fails
/// is left to the next purge, since what is past its point of no return must not keep a hold from being placed.
pub(crate) async fn recover(
    ledger: &Ledger,
    by: &By,
    id: &str,
    intent: &Intent,
    aside: bool,
) -> Result<(), DispositionError> {
    let state = ledger.state();
    let Some(purge) = state.purges.get(id) else {
        return Ok(());
    };
    for last in [false, true] {
        if let Some(version) = committed(ledger, intent, &purge.intent).await? {
            let named = &purge.intent;
            let files: Files =
                objects::get(ledger.archive(), &named.files, &named.files_sha256).await?;
            match finish(ledger, by, &files, version).await {
                Err(error) if aside => {
                    tracing::warn!(purge = id, %error, "deletion is left to the next purge");
                }
                finished => {
                    finished?;
                }
            }
            return Ok(());
        }
        if !last {
            recover::abandon(ledger, by, id, "it broke off before its commit").await?;
        }
    }
    Ok(())
}

/// The version of a purge's commit, if it is there. Where the table's log does not tell any more, what is kept does: of a
/// run that nobody restored as a whole, and no other purge gave up, it is gone by this one.
async fn committed(
    ledger: &Ledger,
    intent: &Intent,
    purge: &PurgeIntent,
) -> Result<Option<u64>, DispositionError> {
    let archive = ledger.archive();
    let snapshot = archive.snapshot().await?;
    let commit = commit_id(&intent.hash, &purge.files_sha256);
    match find(archive, intent.table_version, &[commit]).await? {
        Found::Committed { version, .. } => return Ok(Some(version)),
        Found::Absent { .. } => return Ok(None),
        Found::LogCleaned { .. } => {}
    }
    let state = ledger.refresh().await?;
    let kept = snapshot.kept()?;
    let by_another = |run: &String| {
        let restored = state.restores.values().any(|restore| {
            let whole = restore.outcome.as_ref().is_some_and(|(_, done)| done.whole);
            restore.intent.run == *run && whole
        });
        restored
            || state.purges.iter().any(|(id, other)| {
                *id != purge.id && other.outcome.is_some() && other.intent.runs.contains(run)
            })
    };
    let mut runs = purge.runs.iter();
    let ours = runs.all(|run| !kept.contains_key(run) && !by_another(run));
    Ok(ours.then(|| snapshot.version()))
}
