//! `holdfast retention`: policies, and what goes by them.

mod policies;
mod show;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use holdfast_governance::disposition::plan_file::{self, PlanFile};
use holdfast_governance::disposition::run as disposition;
use holdfast_governance::ledger::{Context, Judged};
use holdfast_governance::schedule::{self, Ran};
use holdfast_governance::{config, purge, restore};
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::plan::PlanSaved;
use holdfast_schemas::ledger::policy::{ScheduleRemove, ScheduleSet};
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open::{self, Opened};
use crate::output::listing;
use crate::output::text::{bytes, counted};
use crate::output::{Ui, zone};
use crate::scope::Zone;

pub use policies::PolicyCommand;

/// Retention: policies, plans, runs, purges, the schedule
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast retention set default --keep 7y --tz Europe/Madrid
  holdfast retention set deals --retain 10y --category trading
  holdfast retention plan --save
  holdfast retention plan --policies next-year.toml
  holdfast retention run --plan ID --yes
  holdfast retention restore RUN
  holdfast retention schedule --cron '0 3 * * *' --max-share 1%

A hold wins over everything; retention wins over deletion; the longest retention wins; for deletions an explicit scope wins
over an implicit one, then the shortest period. The policy called `default` covers what no other one does; once it is locked
it covers everything, so that no other policy can shorten what it keeps. What a run takes
out can be restored until it is purged, a week later. `plan` also tells what differs from the plan saved last.

A file of policies has a table for each, with the options of `set` as keys:
  [[policy]]
  name = 'deals'
  retain = '10y'
  category = ['trading']")]
pub struct RetentionArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: RetentionCommand,
}

/// What to do with retention.
#[derive(Debug, Subcommand)]
pub enum RetentionCommand {
    /// Policies.
    #[command(flatten)]
    Policy(PolicyCommand),
    /// What would go now, and what stays only because of which hold or rule
    Plan {
        /// Save it, so that it can be approved and run
        #[arg(long)]
        save: bool,
        /// Compare with this saved plan [default: the one saved last]
        #[arg(long, value_name = "ID", conflicts_with = "policies")]
        against: Option<String>,
        /// By the policies of this file instead (TOML): what would change if they were in force
        #[arg(long, value_name = "FILE", conflicts_with = "save")]
        policies: Option<PathBuf>,
    },
    /// Take out what a plan names, less what a hold has caught since
    Run {
        /// The plan [default: plan and run]
        #[arg(long, value_name = "ID")]
        plan: Option<String>,
        /// Do it; without this, only show what would go
        #[arg(long)]
        yes: bool,
    },
    /// Delete for good what was taken out longer ago than the grace
    Purge {
        /// Do it; without this, only show which runs are due
        #[arg(long)]
        yes: bool,
    },
    /// Put back what a run took out
    Restore {
        /// The run
        run: String,
    },
    /// When retention runs by itself
    Schedule(ScheduleArgs),
}

/// Options of `retention schedule`.
#[derive(Debug, Args)]
pub struct ScheduleArgs {
    /// Minute, hour, day of the month, month, day of the week
    #[arg(long, value_name = "CRON", conflicts_with_all = ["off", "due"])]
    cron: Option<String>,
    /// The part of all events that one run may take without approval [default: the setting retention.max_share]
    #[arg(long, value_name = "SHARE", requires = "cron")]
    max_share: Option<String>,
    /// The zone of the schedule.
    #[command(flatten)]
    zone: Zone,
    /// Run no longer by itself
    #[arg(long)]
    off: bool,
    /// Run what is due now: what a timer calls, as often as it likes
    #[arg(long, conflicts_with = "off")]
    due: bool,
}

/// Does what the command says.
///
/// # Errors
/// The act is refused, or the archive or the ledger cannot be read or written.
pub async fn run(args: &RetentionArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    match &args.command {
        RetentionCommand::Policy(command) => policies::run(command, &opened, &acting, ui).await,
        RetentionCommand::Plan {
            policies: Some(file),
            ..
        } => what_if(file, &opened, &acting, ui).await,
        RetentionCommand::Plan {
            save,
            against,
            policies: None,
        } => plan(*save, against.as_deref(), &acting, ui).await,
        RetentionCommand::Run { plan, yes } => run_plan(plan.as_deref(), *yes, &acting, ui).await,
        RetentionCommand::Purge { yes } => purge_due(*yes, &acting, global, ui).await,
        RetentionCommand::Restore { run } => {
            let Some(outcome) = Box::pin(restore::run(&acting.ledger, &acting.by, run)).await?
            else {
                ui.note("nothing of this run is out");
                return Ok(Outcome::NothingFound);
            };
            let line = format!(
                "put back {} of run {run} (version {})",
                counted(outcome.events, "event"),
                outcome.table_version
            );
            let value = json!({ "run": run, "events": outcome.events, "version": outcome.table_version, "whole": outcome.whole });
            listing::done(&line, &value, ui)?;
            Ok(Outcome::Done)
        }
        RetentionCommand::Schedule(args) => schedule_command(args, &acting, global, ui).await,
    }
}

/// What would change if the policies of a file were in force.
async fn what_if(
    file: &Path,
    opened: &Opened,
    acting: &Acting,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    let policies = policies::of_file(file, opened, acting).await?;
    let (ledger, now_us) = (&acting.ledger, acting.ledger.now_us());
    let in_force = Box::pin(plan_file::make(ledger, now_us)).await?;
    let made = Box::pin(plan_file::make_by(ledger, now_us, Some(&policies))).await?;
    let difference = Box::pin(plan_file::against(ledger, &made, &in_force)).await?;
    let (tally, version) = (&made.plan.tally, made.snapshot.version());
    let compared = ("the policies in force", &difference);
    let file = file.display().to_string();
    acting
        .looked(
            "retention plan",
            version,
            &[("policies", Some(file.as_str()))],
        )
        .await?;
    show::tally("would go", None, version, tally, Some(compared), ui)?;
    ui.hint("`holdfast retention set` puts a policy in force");
    Ok(Outcome::found(made.plan.tally.events > 0))
}

async fn plan(
    save: bool,
    against: Option<&str>,
    acting: &Acting,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    let state = acting.ledger.state();
    let other = match against {
        None => plan_file::last_saved(&state).cloned(),
        Some(id) => Some(saved_plan(id, acting)?),
    };
    let made = Box::pin(plan_file::make(&acting.ledger, acting.ledger.now_us())).await?;
    let saved = match save {
        true => Some(
            Box::pin(plan_file::save(&acting.ledger, &acting.by, &made))
                .await?
                .0,
        ),
        // What would go is told all the same.
        false => {
            let options = [("against", against)];
            let version = made.snapshot.version();
            acting.looked("retention plan", version, &options).await?;
            None
        }
    };
    let id = saved.as_ref().map(|saved| saved.id.as_str());
    let difference = match &other {
        None => None,
        Some(other) => {
            let found = Box::pin(plan_file::against_saved(&acting.ledger, &made, other)).await?;
            Some((format!("plan {}", other.id), found))
        }
    };
    let compared = difference
        .as_ref()
        .map(|(name, found)| (name.as_str(), found));
    let (tally, version) = (&made.plan.tally, made.snapshot.version());
    show::tally("goes", id, version, tally, compared, ui)?;
    match id {
        Some(id) => ui.hint(&format!(
            "`holdfast retention run --plan {id} --yes` carries it out"
        )),
        None if made.plan.tally.events > 0 => {
            ui.hint("`--save` saves it, so that it can be approved and run");
        }
        None => {}
    }
    Ok(Outcome::found(made.plan.tally.events > 0))
}

/// What a run would take out: what the plan names, or one that is made now.
async fn preview_run(plan: Option<&str>, acting: &Acting, ui: &mut Ui) -> Result<Outcome, Failure> {
    let ledger = &acting.ledger;
    let (tally, version) = match plan {
        Some(id) => {
            let saved = saved_plan(id, acting)?;
            let file = PlanFile::of(ledger.archive(), &saved).await?;
            (file.tally, file.table_version)
        }
        None => {
            let made = Box::pin(plan_file::make(ledger, ledger.now_us())).await?;
            (made.plan.tally, made.snapshot.version())
        }
    };
    let asked = [("plan", plan)];
    acting.looked("retention run", version, &asked).await?;
    show::tally("would go", plan, version, &tally, None, ui)?;
    ui.hint("`--yes` takes it out, less what a hold has caught since; it can be restored until it is purged");
    Ok(Outcome::found(tally.events > 0))
}

/// A plan that was saved.
fn saved_plan(id: &str, acting: &Acting) -> Result<PlanSaved, Failure> {
    let state = acting.ledger.state();
    let known = state.plans.get(id).map(|known| known.plan.clone());
    known.ok_or_else(|| {
        Failure::mistake(
            format!("there is no plan `{id}`"),
            "`holdfast ledger log` has their ids",
        )
    })
}

async fn run_plan(
    plan: Option<&str>,
    yes: bool,
    acting: &Acting,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    if !yes {
        return preview_run(plan, acting, ui).await;
    }
    let id = match plan {
        Some(id) => id.to_owned(),
        None => {
            let made = Box::pin(plan_file::make(&acting.ledger, acting.ledger.now_us())).await?;
            if made.plan.tally.events == 0 {
                let (tally, version) = (&made.plan.tally, made.snapshot.version());
                acting.looked("retention run", version, &[]).await?;
                show::tally("goes", None, version, tally, None, ui)?;
                return Ok(Outcome::NothingFound);
            }
            Box::pin(plan_file::save(&acting.ledger, &acting.by, &made))
                .await?
                .0
                .id
        }
    };
    let report = Box::pin(disposition::run(
        &acting.ledger,
        &acting.by,
        &id,
        Authority::Plan,
    ))
    .await?;
    show::report(&id, &report, ui)?;
    Ok(Outcome::found(report.outcome.is_some()))
}

async fn purge_due(
    yes: bool,
    acting: &Acting,
    global: &Global,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    let ledger = &acting.ledger;
    if !yes {
        let kept = ledger.archive().snapshot().await?.kept()?;
        let due = purge::due(&ledger.state(), &kept, ledger.now_us());
        let runs = match due.as_slice() {
            [] => String::new(),
            due => format!(": {}", due.join(", ")),
        };
        let line = format!(
            "{} due for purging, of {} out{runs}",
            counted(due.len() as u64, "run"),
            kept.len(),
        );
        listing::done(
            &line,
            &json!({ "due": due, "out": kept.keys().collect::<Vec<_>>() }),
            ui,
        )?;
        if !due.is_empty() {
            ui.hint("`--yes` deletes their events for good");
        }
        return Ok(Outcome::found(!due.is_empty()));
    }
    let report = Box::pin(purge::run(ledger, &acting.by)).await?;
    empty_cache(acting, global).await?;
    let (files, size) = report
        .outcome
        .as_ref()
        .map_or((0, 0), |outcome| (outcome.files, outcome.bytes));
    let line = format!(
        "purged {}: {} deleted, {}; {} were held by now and came back",
        counted(report.runs.len() as u64, "run"),
        counted(files, "file"),
        bytes(size),
        counted(report.restored, "event")
    );
    let value = json!({
        "runs": report.runs, "files": files, "bytes": size, "restored": report.restored,
        "not_covered": report.outcome.as_ref().map(|outcome| &outcome.not_covered),
    });
    listing::done(&line, &value, ui)?;
    for copy in report
        .outcome
        .iter()
        .flat_map(|outcome| &outcome.not_covered)
    {
        ui.note(&format!("not covered: {copy}"));
    }
    Ok(Outcome::found(report.outcome.is_some()))
}

/// What this machine has cached of splits that are gone.
async fn empty_cache(acting: &Acting, global: &Global) -> Result<(), Failure> {
    let archive = acting.ledger.archive();
    let snapshot = archive.snapshot().await?;
    open::searcher(archive, global)
        .trim_cache(&snapshot)
        .await?;
    Ok(())
}

async fn schedule_command(
    args: &ScheduleArgs,
    acting: &Acting,
    global: &Global,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    if args.due {
        let holder = format!(
            "holdfast retention, process {} {}",
            std::process::id(),
            acting.by.name()
        );
        let ran = Box::pin(schedule::tick(&acting.ledger, &acting.by, &holder)).await?;
        empty_cache(acting, global).await?;
        return show::ran(&ran, ui);
    }
    if args.off {
        let removed = acting
            .act(None, |_| {
                Ok(Judged::Write(Act::ScheduleRemove(ScheduleRemove {})))
            })
            .await?;
        listing::done(
            "retention no longer runs by itself",
            &json!({ "entry": removed.seq }),
            ui,
        )?;
        return Ok(Outcome::Done);
    }
    let Some(cron) = &args.cron else {
        let state = acting.ledger.state();
        let Some(known) = &state.schedule else {
            ui.note("retention does not run by itself");
            ui.hint("`--cron '0 3 * * *'` lets it");
            return Ok(Outcome::NothingFound);
        };
        let last = known
            .ran
            .as_ref()
            .map(|(mark, ran)| format!("{}: {}", format_us(mark.time_us), ran.result));
        let line = format!(
            "`{}` in {}; last {}",
            known.schedule.cron,
            known.schedule.time_zone,
            last.as_deref().unwrap_or("never")
        );
        let value = json!({
            "cron": known.schedule.cron, "tz": known.schedule.time_zone, "max_share_ppm": known.schedule.max_share_ppm, "last": last,
        });
        listing::done(&line, &value, ui)?;
        return Ok(Outcome::Done);
    };
    let max_share_ppm = match &args.max_share {
        None => config::share_ppm(&acting.ledger.state(), config::Key::MaxShare),
        Some(text) => config::parse_share(text).ok_or_else(|| {
            Failure::mistake(
                format!("`--max-share {text}` is no share"),
                "for example `--max-share 1%`",
            )
        })?,
    };
    let set = ScheduleSet {
        cron: cron.clone(),
        time_zone: zone::name(&args.zone.tz),
        max_share_ppm,
    };
    let context = Context::default();
    let done = acting
        .ledger
        .append_or_request(&acting.by, context, |state| {
            schedule::judge_set(state, &set)
        })
        .await?;
    let line = format!(
        "retention runs by `{cron}` in {} (entry {})",
        set.time_zone, done.seq
    );
    listing::done(
        &line,
        &json!({ "cron": cron, "tz": set.time_zone, "entry": done.seq }),
        ui,
    )?;
    ui.hint("let a timer call `holdfast retention schedule --due`; deploy/ has examples");
    Ok(Outcome::Done)
}

/// What a call of the timer came to, as an outcome of the command.
fn outcome_of(ran: &Ran) -> Outcome {
    match ran {
        Ran::NotScheduled | Ran::NotDue { .. } | Ran::Elsewhere { .. } => Outcome::NothingFound,
        Ran::Waits { .. } => Outcome::Partial,
        Ran::Done { .. } => Outcome::Done,
    }
}
