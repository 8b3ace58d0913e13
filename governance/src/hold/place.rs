//! Placing a hold: entry, fence, then whatever a run has out and the hold covers comes back; only then is it acknowledged.
//!
//! Crash states: (1) entry without fence: not acknowledged, though every later plan knows it; (2) fence, nothing restored:
//! the repeated command restores, and a purge would before it gives anything up; (3) restored, no receipt: the repeated
//! command writes it.

use holdfast_archive::{LEDGER_APP_ID, Snapshot};
use holdfast_schemas::ledger::hold::{HoldPlace, HoldScope};
use holdfast_schemas::ledger::reading::Verification;
use holdfast_schemas::ledger::{Act, Digest};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Coverage, Hold, covered};
use crate::actor::By;
use crate::disposition::{DispositionError, objects, recover};
use crate::ledger::{Context, Judged, Ledger, Refusal, State};
use crate::plan::PlanError;

/// Folder of the receipts, relative to the archive.
pub const FOLDER: &str = "ledger/receipts";

/// What was acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// The hold.
    pub hold: String,
    /// Its entry.
    pub entry: u64,
    /// `txn ledger` from which on nothing it covers is removed.
    pub fence: Option<i64>,
    /// The snapshot that was counted.
    pub table_version: u64,
    /// What it covers.
    pub coverage: Coverage,
    /// Events that a run had out and that came back.
    pub restored: u64,
    /// Purges whose point of no return was passed before: what they removed is beyond any hold.
    pub purged_before: Vec<String>,
}

/// What a hold would cover of a snapshot, were it placed now.
///
/// # Errors
/// Its scope cannot be judged by; the archive cannot be read.
pub async fn preview(
    ledger: &Ledger,
    snapshot: &Snapshot,
    scope: &HoldScope,
) -> Result<Coverage, DispositionError> {
    let archive = ledger.archive();
    let now = Timestamp::from_microsecond(ledger.now_us()).unwrap_or(Timestamp::UNIX_EPOCH);
    let expand = crate::plan::expanded(archive, snapshot, "preview", scope).await?;
    let expansions: Vec<_> = expand.into_iter().collect();
    let hold = Hold::new("preview", scope, &expansions, now).map_err(PlanError::from)?;
    let each = crate::plan::by_custodian(archive, snapshot, scope, now).await?;
    Ok(covered(archive, snapshot, &hold, each).await?)
}

/// Judges `hold place`.
///
/// # Errors
/// The name was used for another hold, or the matter is closed.
pub fn judge(state: &State, place: &HoldPlace) -> Result<Judged, Refusal> {
    crate::names::check("a hold", &place.name)?;
    crate::matter::is_open(state, &place.matter)?;
    let Some(known) = state.holds.get(&place.name) else {
        return Ok(Judged::Write(Act::HoldPlace(place.clone())));
    };
    let same = same(&known.place.scope, &place.scope) && known.place.matter == place.matter;
    if same && known.released.is_none() {
        return Ok(Judged::Done(known.placed.seq));
    }
    Err(Refusal::because(
        format!("there was a hold `{}` already", place.name),
        "choose another name: names are never used again, and a scope is never changed",
    ))
}

/// Whether two scopes ask for the same. What is known of a custodian, and a room's name, may have changed since.
fn same(one: &HoldScope, two: &HoldScope) -> bool {
    let asked = |scope: &HoldScope| {
        let mut scope = scope.clone();
        let custodians = scope.custodians.iter_mut();
        custodians.for_each(|custodian| custodian.identities.clear());
        scope.rooms.iter_mut().for_each(|room| room.name = None);
        scope
    };
    asked(one) == asked(two)
}

/// Places a hold. When this returns, nothing it covers can be removed any more.
///
/// # Errors
/// It is refused, or the archive or the ledger cannot be read or written: it is not acknowledged then, and placing it
/// again completes it.
pub async fn place(
    ledger: &Ledger,
    by: &By,
    place: &HoldPlace,
) -> Result<Receipt, DispositionError> {
    let archive = ledger.archive();
    // A scope that cannot be judged by would stop every disposition: it is refused before it is written.
    let now = Timestamp::from_microsecond(ledger.now_us()).unwrap_or(Timestamp::UNIX_EPOCH);
    Hold::new(&place.name, &place.scope, &[], now).map_err(PlanError::from)?;
    ledger.refresh().await?;
    let context = Context {
        matter: Some(&place.matter),
        command: None,
    };
    let fenced = ledger
        .append_fenced(by, context, |state| judge(state, place))
        .await?;
    // What runs and purges left half done is settled first: what they took out is then known.
    recover::all(ledger, by).await?;
    let mut restored = 0;
    // A run that committed before the fence may have rows out that the hold covers; none can commit after it.
    let (snapshot, state) = loop {
        let snapshot = archive.snapshot().await?;
        let state = ledger.refresh().await?;
        let runs: Vec<String> = snapshot.kept()?.into_keys().collect();
        let back = crate::purge::restore_held(ledger, by, &snapshot, &state, &runs).await?;
        restored += back.restored;
        if back.restored == 0 {
            break (snapshot, state);
        }
    };
    let (holds, _) = crate::plan::holds(archive, &snapshot, &state, ledger.now_us()).await?;
    let hold = holds.into_iter().find(|hold| hold.name == place.name);
    let hold = hold.ok_or_else(|| {
        PlanError::Task(format!("hold {} is not in the ledger's state", place.name))
    })?;
    let each = crate::plan::by_custodian(archive, &snapshot, &place.scope, now).await?;
    let receipt = Receipt {
        hold: place.name.clone(),
        entry: fenced.appended.seq,
        fence: snapshot.position(LEDGER_APP_ID).await?,
        table_version: snapshot.version(),
        coverage: covered(archive, &snapshot, &hold, each).await?,
        restored,
        purged_before: state
            .purges
            .keys()
            .filter(|id| crate::purge::is_past(&state, id))
            .cloned()
            .collect(),
    };
    keep(ledger, by, &receipt).await?;
    Ok(receipt)
}

/// Writes the receipt down: the first one of a hold is what `hold verify` compares with.
async fn keep(ledger: &Ledger, by: &By, receipt: &Receipt) -> Result<(), DispositionError> {
    let archive = ledger.archive();
    let name = format!("{:020}", receipt.entry);
    let (_, sha256) = objects::put(archive, FOLDER, &name, receipt).await?;
    let figures = [
        ("events", receipt.coverage.events),
        ("bytes", receipt.coverage.bytes),
        ("restored", receipt.restored),
    ];
    let done = Verification {
        what: "hold".to_owned(),
        subject: Some(receipt.hold.clone()),
        table_version: receipt.table_version,
        problems: 0,
        figures: figures
            .into_iter()
            .map(|(name, figure)| (name.to_owned(), figure))
            .collect(),
        sha256: Some(sha256),
    };
    ledger.append_act(by, None, Act::Verification(done)).await?;
    Ok(())
}

/// What was acknowledged of a hold: the receipt whose digest the ledger holds. Nothing when it never was, or is gone.
pub(super) async fn receipt(
    ledger: &Ledger,
    entry: u64,
    sha256: &Digest,
) -> Result<Option<Receipt>, DispositionError> {
    let archive = ledger.archive();
    let path = objects::path(FOLDER, &format!("{entry:020}"), sha256);
    if objects::bytes(archive, &path).await?.is_none() {
        return Ok(None);
    }
    objects::get(archive, &path, sha256).await.map(Some)
}
