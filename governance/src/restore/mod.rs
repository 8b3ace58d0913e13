//! Restore: rows that a run took out are put back, while their files are kept.
//!
//! The rows come out of the kept files into new segments, row ids and commit versions carried; the commit that adds them
//! exchanges the table's entry of what is kept for one without them, so that no row comes back twice. Crash states:
//! (1) intent, no commit: abandoned; (2) commit without outcome: the outcome is appended.

mod evidence;

use holdfast_archive::{CommitKind, Disposal, Kept, KeptChange, LEDGER_APP_ID, LedgerIs, Snapshot};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::purge::{RestoreIntent, RestoreOutcome};
use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};
use ulid::Ulid;
use uuid::Uuid;

use crate::actor::By;
use crate::disposition::kept::Out;
use crate::disposition::{DispositionError, objects, outcome, plan_file, recover, rewrite};
use crate::ledger::intent::commit_id;
use crate::ledger::{Context, Judged, Ledger, Refusal};

pub(crate) use evidence::evidence;

/// Folder of what restores bring back, relative to the archive.
const FOLDER: &str = "ledger/restores";
/// Attempts that others' restores may cost before one gives up.
const ATTEMPTS_MAX: u32 = 16;

/// What a restore brings back: its hash is in the id of the commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Back {
    id: String,
    run: String,
    whole: bool,
    #[serde(with = "objects::rows")]
    rows: RoaringTreemap,
}

/// Restores everything that is out of a run, or nothing when nothing is.
///
/// # Errors
/// There is no such run, or it was purged; the archive or the ledger cannot be read or written.
pub async fn run(
    ledger: &Ledger,
    by: &By,
    run: &str,
) -> Result<Option<RestoreOutcome>, DispositionError> {
    recover::all(ledger, by).await?;
    let state = ledger.refresh().await?;
    let mut erasures = state.erasures.values().flat_map(|one| &one.outcomes);
    let known =
        state.dispositions.contains_key(run) || erasures.any(|(_, outcome)| outcome.run == run);
    if !known {
        return Err(Refusal::because(
            format!("there is no run `{}`", run.escape_debug()),
            "`holdfast disposition list` shows them",
        )
        .into());
    }
    if let Some(purge) = crate::purge::of_run(&state, run) {
        return Err(Refusal::because(
            format!("run `{run}` was purged by {purge}: its events cannot be put back"),
            "its certificate lists them: `holdfast disposition show`",
        )
        .into());
    }
    rows(ledger, by, run, None, |_| None).await
}

/// Restores the rows of a run that `wanted` names of those that are out (all, when it answers nothing).
pub(crate) async fn rows(
    ledger: &Ledger,
    by: &By,
    run: &str,
    hold: Option<&str>,
    wanted: impl Fn(&Out) -> Option<RoaringTreemap>,
) -> Result<Option<RestoreOutcome>, DispositionError> {
    let archive = ledger.archive();
    for _ in 0..ATTEMPTS_MAX {
        let snapshot = archive.snapshot().await?;
        let Some(kept) = snapshot.kept()?.remove(run) else {
            return Ok(None);
        };
        let out = Out::of(archive, run, &kept).await?;
        let back = match wanted(&out) {
            Some(wanted) => &wanted & &out.rows,
            None => out.rows.clone(),
        };
        if back.is_empty() {
            return Ok(None);
        }
        if let Some(outcome) = attempt(ledger, by, hold, &snapshot, (kept, out), back).await? {
            return Ok(Some(outcome));
        }
    }
    Err(DispositionError::Refused(
        holdfast_archive::Conflict::KeptChanged {
            name: run.to_owned(),
        },
    ))
}

/// One attempt; nothing when somebody else changed what is kept meanwhile.
async fn attempt(
    ledger: &Ledger,
    by: &By,
    hold: Option<&str>,
    snapshot: &Snapshot,
    (kept, out): (Kept, Out),
    back: RoaringTreemap,
) -> Result<Option<RestoreOutcome>, DispositionError> {
    let archive = ledger.archive();
    let id = Ulid::from_parts(
        u64::try_from(ledger.now_us() / 1000).unwrap_or(0),
        rand::random(),
    )
    .to_string();
    let fence = snapshot.position(LEDGER_APP_ID).await?;
    let intent = RestoreIntent {
        id: id.clone(),
        run: out.run.clone(),
        hold: hold.map(str::to_owned),
        table_version: snapshot.version(),
        ledger_fence: fence.and_then(|fence| u64::try_from(fence).ok()),
    };
    let act = Act::RestoreIntent(intent);
    let appended = ledger
        .append(by, Context::default(), |_| Ok(Judged::Write(act.clone())))
        .await?;
    let whole = back == out.rows;
    let record = Back {
        id: id.clone(),
        run: out.run.clone(),
        whole,
        rows: back.clone(),
    };
    let (_, digest) = objects::put(archive, FOLDER, &id, &record).await?;
    let (mut segments, mut hashes) = (Vec::new(), Vec::new());
    let files_id = Uuid::new_v4();
    for kept in &out.segments {
        let segment = kept.segment();
        let keep = plan_file::rows_with_ids(archive, &segment, &back).await?;
        if let Some(built) = rewrite::subset(archive, snapshot, &segment, &keep, files_id).await? {
            segments.push(built.segment);
            hashes.extend(built.hashes);
        }
    }
    let left = Out {
        rows: &out.rows - &back,
        ..out.clone()
    };
    let to = if whole {
        None
    } else {
        Some(left.put(archive).await?)
    };
    let disposal = Disposal {
        commit_id: commit_id(&appended.hash, &digest),
        kind: CommitKind::Restore,
        inputs: Vec::new(),
        segments,
        // Only what an abandonment fences must not land late: the position is required, though nothing is taken away.
        ledger: LedgerIs::Exactly(fence),
        fence: None,
        kept: vec![KeptChange {
            name: out.run.clone(),
            from: Some(kept),
            to,
        }],
        recheck: None,
        merkle_root: rewrite::root(&hashes),
    };
    match outcome::settled(archive, archive.dispose(snapshot, disposal).await?, &id).await? {
        Ok(committed) => {
            let outcome = outcome(&record, committed.version());
            let act = Act::RestoreOutcome(outcome.clone());
            recover::ended(ledger, by, &id, act).await?;
            Ok(Some(outcome))
        }
        Err(conflict) => {
            recover::abandon(ledger, by, &id, &conflict.to_string()).await?;
            Ok(None)
        }
    }
}

fn outcome(back: &Back, table_version: u64) -> RestoreOutcome {
    RestoreOutcome {
        id: back.id.clone(),
        run: back.run.clone(),
        table_version,
        events: back.rows.len(),
        whole: back.whole,
    }
}
