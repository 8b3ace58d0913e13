//! What the ledger tells of an archive's state: holds, jobs, what was verified and anchored when. Pure.

use holdfast_archive::Snapshot;
use holdfast_governance::ledger::State;
use holdfast_governance::ledger::state::{ErasureStatus, Mark};
use holdfast_governance::{origin, purge, schedule};
use holdfast_schemas::time::format_us;
use serde::Serialize;

use crate::failure::Failure;

/// Kinds of verification that read every event.
const WHOLE: &[&str] = &["archive", "completeness", "deep", "anchor"];

/// What the ledger tells.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Governed {
    /// Entries of the ledger.
    pub entries: u64,
    /// Holds in force.
    pub holds: u64,
    /// The last verification of the whole archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
    /// When the ledger was last anchored.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub anchored: Option<i64>,
    /// The moment of the schedule that is due and did not run.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub overdue: Option<i64>,
    /// What failed or broke off and was not done since.
    pub failed: Vec<String>,
    /// Plans of the schedule that wait for approval.
    pub waiting: Vec<String>,
    /// Runs whose events can still be put back.
    pub out: u64,
    /// Of them those whose grace is over.
    pub purge_due: u64,
    /// Erasure requests that are not executed and past their day.
    pub erasures_overdue: Vec<String>,
    /// Origins that should be speaking and never did.
    pub missing_origins: Vec<String>,
    /// Origins that will not speak again.
    pub retired_origins: Vec<String>,
    /// Quarantined records, and how many of them came since the last verification.
    pub quarantined: (u64, u64),
}

/// A verification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// When, RFC 3339.
    #[serde(serialize_with = "moment")]
    pub time_us: i64,
    /// Problems found.
    pub problems: u64,
}

/// What a state tells at a moment.
///
/// # Errors
/// The table's entries of what is out cannot be read.
pub fn of(
    state: &State,
    snapshot: &Snapshot,
    quarantined: u64,
    now_us: i64,
) -> Result<Governed, Failure> {
    let kept = snapshot.kept()?;
    let verified = WHOLE
        .iter()
        .filter_map(|what| state.verifications.get(*what));
    let verified = verified.max_by_key(|last| last.mark.seq);
    // Without a verification nothing is known to have grown: quarantined records alone are no failure.
    let known = verified.and_then(|last| last.quarantined);
    let grown = known.map_or(0, |known| quarantined.saturating_sub(known));
    let names = |names: Vec<&str>| names.into_iter().map(str::to_owned).collect();
    let archived = |name: &str| snapshot.origin_count(name) > 0;
    Ok(Governed {
        entries: state.head.seq,
        holds: state
            .holds
            .values()
            .filter(|hold| hold.holds_at(now_us))
            .count() as u64,
        verified: verified.map(|last| Verified {
            time_us: last.mark.time_us,
            problems: last.problems,
        }),
        anchored: state.anchor.as_ref().map(|anchor| anchor.mark.time_us),
        overdue: schedule::overdue(state, now_us).unwrap_or(Some(now_us)),
        failed: failed(state, now_us),
        waiting: waiting(state),
        out: kept.len() as u64,
        purge_due: purge::due(state, &kept, now_us).len() as u64,
        erasures_overdue: overdue_erasures(state, now_us),
        missing_origins: names(
            origin::expected(state)
                .filter(|name| !archived(name))
                .collect(),
        ),
        retired_origins: names(origin::retired(state).collect()),
        quarantined: (quarantined, grown),
    })
}

/// What was begun this lately may still be at work.
const AT_WORK_US: i64 = 3_600_000_000;

fn failed(state: &State, now_us: i64) -> Vec<String> {
    let said = |what: &str, mark: &Mark, why: &str| {
        let at = format_us(mark.time_us);
        format!("{what} of {at} (entry {}): {why}", mark.seq)
    };
    let schedule = state
        .schedule
        .as_ref()
        .and_then(|schedule| schedule.failed.as_ref());
    let schedule =
        schedule.map(|(mark, failed)| said("scheduled retention", mark, &failed.problem));
    let open = state.open_intents().into_iter();
    let open = open.filter(|(_, intent)| intent.mark.time_us + AT_WORK_US < now_us);
    let open = open.map(|(id, intent)| {
        let what = format!("{} {id}", intent.kind.word());
        said(&what, &intent.mark, "broke off, and nothing completed it")
    });
    schedule.into_iter().chain(open).collect()
}

/// Plans that the schedule made and that nobody approved or ran.
fn waiting(state: &State) -> Vec<String> {
    let ran = state
        .schedule
        .as_ref()
        .and_then(|schedule| schedule.ran.as_ref());
    let plan = ran.and_then(|(_, ran)| ran.plan.as_ref());
    let done = |plan: &&String| {
        let of_plan = state
            .dispositions
            .values()
            .filter(|run| run.intent.plan == **plan);
        of_plan.filter(|run| run.outcome.is_some()).count() > 0
    };
    plan.into_iter()
        .filter(|plan| !done(plan))
        .cloned()
        .collect()
}

fn overdue_erasures(state: &State, now_us: i64) -> Vec<String> {
    let open = state.erasures.iter().filter(|(_, erasure)| {
        let over = matches!(
            erasure.status,
            ErasureStatus::Executed | ErasureStatus::Closed(_)
        );
        !over && erasure.request.due_us < now_us
    });
    open.map(|(id, _)| id.clone()).collect()
}

#[allow(clippy::ref_option)]
fn time<S: serde::Serializer>(us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    us.map(format_us).serialize(serializer)
}

#[allow(clippy::trivially_copy_pass_by_ref)]
fn moment<S: serde::Serializer>(us: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    format_us(*us).serialize(serializer)
}
