//! Retention by itself: when it is due, who runs it, and how much it may remove without asking.
//!
//! The clock of an operating system calls it (a systemd timer, a Kubernetes CronJob, cron itself), as often as it likes;
//! the ledger says when it ran last. Whatever was missed is caught up once. A lease in the table keeps it to one instance
//! an archive, the commit protocol keeps the archive right if two ran all the same.

use std::str::FromStr;
use std::time::Duration;

use croner::Cron;
use holdfast_archive::lease::{self, Taken};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::plan::PlanSaved;
use holdfast_schemas::ledger::policy::{ScheduleFailed, ScheduleRan, ScheduleSet};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use crate::actor::By;
use crate::approval;
use crate::disposition::run::RunReport;
use crate::disposition::{DispositionError, plan_file, recover, run};
use crate::ledger::{Context, Judged, Ledger, Refusal, State};
use crate::purge::{self, PurgeReport};

/// Name of the lease that one instance at a time holds.
pub const LEASE: &str = "retention";
/// How long it is taken; a run that takes longer is safe, and may meet a second one.
const LEASE_TIME: Duration = Duration::from_secs(3600);
/// Parts of the whole.
const MILLION: u64 = 1_000_000;

/// What a call came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Ran {
    /// Nothing is scheduled.
    NotScheduled,
    /// Nothing is due before then, UTC microseconds.
    NotDue {
        /// The next time; nothing when there is none any more.
        next_us: Option<i64>,
    },
    /// Another instance is at it.
    Elsewhere {
        /// Who.
        holder: String,
    },
    /// More would go than may without approval: the plan waits for `approve`.
    Waits {
        /// The plan.
        plan: String,
        /// Events that would go.
        events: u64,
        /// Events of the archive.
        events_total: u64,
    },
    /// It ran.
    Done {
        /// The plan and what became of it; nothing when nothing was to go.
        run: Option<Box<RunReport>>,
        /// What was purged.
        purge: Box<PurgeReport>,
    },
}

/// Judges `retention schedule --cron`.
///
/// # Errors
/// The expression or the zone cannot be read.
pub fn judge_set(state: &State, set: &ScheduleSet) -> Result<Judged, Refusal> {
    parse(set)?;
    match &state.schedule {
        Some(known) if known.schedule == *set => Ok(Judged::Done(known.set.seq)),
        Some(_) | None => Ok(Judged::Write(Act::ScheduleSet(set.clone()))),
    }
}

fn parse(set: &ScheduleSet) -> Result<(Cron, TimeZone), Refusal> {
    let cron = Cron::from_str(&set.cron).map_err(|error| {
        Refusal::because(
            format!("`{}` is no schedule: {error}", set.cron),
            "minute, hour, day of the month, month, day of the week: `0 3 * * *` is three in the morning",
        )
    })?;
    let zone = TimeZone::get(&set.time_zone).map_err(|_| {
        Refusal::because(
            format!("there is no time zone `{}`", set.time_zone),
            "give a name of the IANA database, as in Europe/Madrid",
        )
    })?;
    Ok((cron, zone))
}

/// The moment that is due: the last one of the schedule that is not after `now_us` and not run yet (nor before the schedule
/// was set). However many were missed, it is one. `Err` holds the next one when nothing is due.
///
/// # Errors
/// The schedule cannot be read.
pub fn due(
    set: &ScheduleSet,
    since_us: i64,
    now_us: i64,
) -> Result<Result<i64, Option<i64>>, Refusal> {
    let (cron, zone) = parse(set)?;
    let at = |us: i64| -> Zoned {
        Timestamp::from_microsecond(us)
            .unwrap_or(Timestamp::UNIX_EPOCH)
            .to_zoned(zone.clone())
    };
    let now = at(now_us);
    let last = cron
        .find_previous_occurrence(&now, true)
        .ok()
        .map(|at| at.timestamp().as_microsecond());
    if let Some(last) = last.filter(|last| *last > since_us && *last <= now_us) {
        return Ok(Ok(last));
    }
    let next = cron.find_next_occurrence(&now, false).ok();
    Ok(Err(next.map(|at| at.timestamp().as_microsecond())))
}

/// Runs what is due. `holder`: who asks, unique to its process.
///
/// # Errors
/// The archive or the ledger cannot be read or written; what broke off is completed by the next call.
pub async fn tick(ledger: &Ledger, by: &By, holder: &str) -> Result<Ran, DispositionError> {
    let archive = ledger.archive();
    let state = ledger.refresh().await?;
    let Some(schedule) = &state.schedule else {
        return Ok(Ran::NotScheduled);
    };
    let now_us = ledger.now_us();
    let since_us = schedule
        .ran
        .as_ref()
        .map_or(schedule.set.time_us, |(_, ran)| ran.due_us);
    let due_us = match due(&schedule.schedule, since_us, now_us)? {
        Ok(due_us) => due_us,
        Err(next_us) => return Ok(Ran::NotDue { next_us }),
    };
    let lease = match lease::take(archive, LEASE, holder, LEASE_TIME, now_us / 1000).await? {
        Taken::Ours(lease) => lease,
        Taken::Theirs(theirs) => {
            return Ok(Ran::Elsewhere {
                holder: theirs.holder,
            });
        }
    };
    let done = Box::pin(under_lease(ledger, by, &schedule.schedule, due_us)).await;
    if let Err(error) = &done {
        failed(ledger, by, due_us, &error.to_string()).await;
    }
    lease::release(archive, &lease).await?;
    done
}

/// Writes a failure down, once: the timer calls again and again. A ledger that takes no entry is told by the failure itself.
async fn failed(ledger: &Ledger, by: &By, due_us: i64, problem: &str) {
    let failed = ScheduleFailed {
        due_us,
        problem: problem.to_owned(),
    };
    let known = |state: &State| {
        let last = state.schedule.as_ref()?.failed.as_ref()?;
        (last.1 == failed).then_some(last.0.seq)
    };
    let judged = |state: &State| match known(state) {
        Some(seq) => Ok(Judged::Done(seq)),
        None => Ok(Judged::Write(Act::ScheduleFailed(failed.clone()))),
    };
    if let Err(error) = ledger.append(by, Context::default(), judged).await {
        tracing::error!(%error, problem, "a failed run could not be written down");
    }
}

/// The last moment that is due and did not run; nothing when none is.
///
/// # Errors
/// The schedule cannot be read.
pub fn overdue(state: &State, now_us: i64) -> Result<Option<i64>, Refusal> {
    let Some(schedule) = &state.schedule else {
        return Ok(None);
    };
    let ran = schedule.ran.as_ref();
    let since_us = ran.map_or(schedule.set.time_us, |(_, ran)| ran.due_us);
    Ok(due(&schedule.schedule, since_us, now_us)?.ok())
}

async fn under_lease(
    ledger: &Ledger,
    by: &By,
    set: &ScheduleSet,
    due_us: i64,
) -> Result<Ran, DispositionError> {
    recover::all(ledger, by).await?;
    // Somebody else may have run it between our look and the lease.
    let state = ledger.refresh().await?;
    if state
        .schedule
        .as_ref()
        .and_then(|known| known.ran.as_ref())
        .is_some_and(|(_, ran)| ran.due_us >= due_us)
    {
        return Ok(Ran::NotDue { next_us: None });
    }
    let TakenOut { run, plan, events } = match ran_already(&state, due_us) {
        Some(taken) => taken,
        None => match take_out(ledger, by, set, due_us).await? {
            Ok(taken) => taken,
            Err(waits) => return Ok(waits),
        },
    };
    let purge = Box::new(purge::run(ledger, by).await?);
    let result = format!("{events} events removed, {} runs purged", purge.runs.len());
    ran(ledger, by, due_us, plan, result).await?;
    Ok(Ran::Done { run, purge })
}

/// What the first half of a scheduled run came to.
#[derive(Default)]
struct TakenOut {
    run: Option<Box<RunReport>>,
    plan: Option<String>,
    events: u64,
}

/// Plans and runs, if that is within the share; otherwise answers that it waits.
async fn take_out(
    ledger: &Ledger,
    by: &By,
    set: &ScheduleSet,
    due_us: i64,
) -> Result<Result<TakenOut, Ran>, DispositionError> {
    let made = plan_file::make(ledger, ledger.now_us()).await?;
    if made.plan.tally.events == 0 {
        return Ok(Ok(TakenOut::default()));
    }
    let (saved, _) = plan_file::save(ledger, by, &made).await?;
    if is_over(&saved, set.max_share_ppm) {
        let result = format!(
            "waits for approval: {} of {} events",
            saved.events, saved.events_total
        );
        ran(ledger, by, due_us, Some(saved.id.clone()), result).await?;
        return Ok(Err(Ran::Waits {
            plan: saved.id,
            events: saved.events,
            events_total: saved.events_total,
        }));
    }
    let authority = Authority::Schedule {
        max_share_ppm: set.max_share_ppm,
    };
    let report = run::run(ledger, by, &saved.id, authority).await?;
    Ok(Ok(TakenOut {
        events: report.outcome.as_ref().map_or(0, |outcome| outcome.events),
        run: Some(Box::new(report)),
        plan: Some(saved.id),
    }))
}

/// Whether the schedule lets a plan run by itself: it is set, with this share, and the plan keeps to it or was approved.
pub(crate) fn allows(state: &State, plan: &PlanSaved, share_ppm: u32) -> Result<(), Refusal> {
    let set = state.schedule.as_ref().map(|known| &known.schedule);
    if set.is_none_or(|set| set.max_share_ppm != share_ppm) {
        return Err(Refusal::because(
            "the schedule was changed or taken away meanwhile",
            "`holdfast retention schedule` shows it",
        ));
    }
    if is_over(plan, share_ppm) && !approved(state, &plan.id) {
        return Err(Refusal::because(
            format!("plan `{}` takes more than the schedule allows", plan.id),
            "`holdfast approve` it, then run it: `holdfast retention run --plan`",
        ));
    }
    Ok(())
}

fn is_over(plan: &PlanSaved, share_ppm: u32) -> bool {
    let most = plan.events_total.saturating_mul(u64::from(share_ppm));
    plan.events.saturating_mul(MILLION) > most
}

/// The run that this moment of the schedule led to already: one that was cut off later, in a purge that failed, is gone
/// on with and not repeated. Otherwise every try would take another share.
fn ran_already(state: &State, due_us: i64) -> Option<TakenOut> {
    state.dispositions.values().find_map(|run| {
        let by_itself = matches!(run.intent.authority, Authority::Schedule { .. });
        let (_, outcome) = run.outcome.as_ref()?;
        (by_itself && run.intended.time_us >= due_us).then(|| TakenOut {
            run: None,
            plan: Some(run.intent.plan.clone()),
            events: outcome.events,
        })
    })
}

fn approved(state: &State, plan: &str) -> bool {
    let approval = state.approvals.get(&approval::plan_subject(plan));
    approval.is_some_and(|approval| approval.given.is_some())
}

async fn ran(
    ledger: &Ledger,
    by: &By,
    due_us: i64,
    plan: Option<String>,
    result: String,
) -> Result<(), DispositionError> {
    let act = Act::ScheduleRan(ScheduleRan {
        due_us,
        plan,
        result,
    });
    ledger
        .append(by, Context::default(), |_| Ok(Judged::Write(act.clone())))
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn nightly(zone: &str) -> ScheduleSet {
        ScheduleSet {
            cron: "0 3 * * *".to_owned(),
            time_zone: zone.to_owned(),
            max_share_ppm: 10_000,
        }
    }

    #[test]
    fn what_was_missed_is_caught_up_once() {
        let set = nightly("Europe/Madrid");
        let (now, last) = (at("2026-11-20T09:00:00Z"), at("2026-11-20T02:00:00Z"));
        // Three nights were missed: one run, for the last of them.
        assert_eq!(
            due(&set, at("2026-11-17T02:00:00Z"), now).unwrap(),
            Ok(last)
        );
        assert_eq!(
            due(&set, last, now).unwrap(),
            Err(Some(at("2026-11-21T02:00:00Z")))
        );
        // Set after this night's time: nothing is caught up from before it was set.
        assert_eq!(
            due(&set, at("2026-11-20T08:00:00Z"), now).unwrap(),
            Err(Some(at("2026-11-21T02:00:00Z")))
        );
        assert_eq!(
            due(&set, at("2026-11-19T23:00:00Z"), last).unwrap(),
            Ok(last)
        );
    }

    #[test]
    fn nights_without_and_with_two_such_hours_run_once() {
        // Clocks in Madrid go from two to three on 29 March 2026 and from three to two on 25 October.
        let set = ScheduleSet {
            cron: "30 2 * * *".to_owned(),
            ..nightly("Europe/Madrid")
        };
        for day in ["2026-03-29", "2026-10-25"] {
            let noon = at(&format!("{day}T12:00:00Z"));
            let before = noon - 24 * 3_600_000_000;
            let first = due(&set, before, noon).unwrap().unwrap();
            assert!(first > before && first < noon, "{day}");
        }
    }

    #[test]
    fn what_is_no_schedule_says_so() {
        for (cron, zone, part) in [
            ("0 3 * *", "UTC", "no schedule"),
            ("61 3 * * *", "UTC", "no schedule"),
            ("0 3 * * *", "Mars/Olympus", "time zone"),
        ] {
            let set = ScheduleSet {
                cron: cron.to_owned(),
                time_zone: zone.to_owned(),
                max_share_ppm: 1,
            };
            let error = judge_set(&State::default(), &set).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
