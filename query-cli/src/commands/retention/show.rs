//! What a plan, a run and the schedule say.

use holdfast_governance::disposition::run::RunReport;
use holdfast_governance::plan::{Difference, Reason, Tally};
use holdfast_governance::schedule::Ran;
use holdfast_schemas::time::format_us;
use serde_json::json;

use super::outcome_of;
use crate::Outcome;
use crate::cli::Format;
use crate::failure::Failure;
use crate::output::Ui;
use crate::output::listing;
use crate::output::text::{bytes, counted, escape};

/// Lines of a list for people; programs get all of them.
const LINES_MAX: usize = 20;

/// The numbers of a plan.
pub(super) fn tally(
    verb: &str,
    plan: Option<&str>,
    version: u64,
    tally: &Tally,
    compared: Option<(&str, &Difference)>,
    ui: &mut Ui,
) -> Result<(), Failure> {
    let named = plan.map_or(String::new(), |plan| format!("plan {plan}: "));
    let line = format!(
        "{named}{verb}: {} of {}, about {} (version {version})",
        counted(tally.events, "event"),
        families(tally.families),
        bytes(tally.bytes)
    );
    let mut value = json!({ "plan": plan, "version": version, "tally": tally });
    if let Some((than, difference)) = compared {
        value["difference"] = json!({ "than": than, "of": difference });
    }
    listing::done(&line, &value, ui)?;
    lines(tally, ui)?;
    match compared {
        Some((than, difference)) if ui.format == Format::Table => differs(than, difference, ui),
        _ => Ok(()),
    }
}

/// What differs from another plan.
fn differs(than: &str, difference: &Difference, ui: &mut Ui) -> Result<(), Failure> {
    if difference.is_empty() {
        writeln!(ui.out(), "  as by {}", escape(than))?;
        return Ok(());
    }
    let line = format!(
        "  against {than}: {} more, {} fewer",
        counted(difference.more, "event"),
        counted(difference.fewer, "event")
    );
    writeln!(ui.out(), "{}", escape(&line))?;
    for line in difference.goes.iter().take(LINES_MAX) {
        let room = line.room.as_deref().unwrap_or("no room");
        let (month, policy) = (&line.month, &line.policy);
        let (before, now) = (line.before, line.now);
        let line = format!("    {room}, {month}: {now} instead of {before} by policy {policy}");
        writeln!(ui.out(), "{}", escape(&line))?;
    }
    if difference.goes.len() > LINES_MAX {
        let more = difference.goes.len() - LINES_MAX;
        writeln!(ui.out(), "    … {more} more lines; `--format json` has all")?;
    }
    for (reason, before, now) in &difference.stays {
        let line = format!("    stays {}: {now} instead of {before}", because(reason));
        writeln!(ui.out(), "{}", escape(&line))?;
    }
    Ok(())
}

fn families(count: u64) -> String {
    if count == 1 {
        "1 family".to_owned()
    } else {
        format!("{count} families")
    }
}

fn lines(tally: &Tally, ui: &mut Ui) -> Result<(), Failure> {
    if ui.format != Format::Table {
        return Ok(());
    }
    for line in tally.goes.iter().take(LINES_MAX) {
        let room = line.room.as_deref().unwrap_or("no room");
        let line = format!(
            "  {room}, {}: {} by policy {}",
            line.month,
            counted(line.events, "event"),
            line.policy
        );
        writeln!(ui.out(), "{}", escape(&line))?;
    }
    if tally.goes.len() > LINES_MAX {
        writeln!(
            ui.out(),
            "  … {} more lines; `--format json` has all",
            tally.goes.len() - LINES_MAX
        )?;
    }
    for (reason, events) in &tally.stays {
        let line = format!("  stays {}: {}", because(reason), counted(*events, "event"));
        writeln!(ui.out(), "{}", escape(&line))?;
    }
    Ok(())
}

fn because(reason: &Reason) -> String {
    match reason {
        Reason::Hold(name) => format!("only because of hold {name}"),
        Reason::Holds => "because of several holds".to_owned(),
        Reason::Retained(policy) => format!("because policy {policy} retains it"),
        Reason::Family => "with the rest of its family".to_owned(),
        Reason::Grace => "because it was ingested lately".to_owned(),
        Reason::Explains => "because it explains what stays".to_owned(),
        Reason::NotPlanned => "because the plan does not have it".to_owned(),
    }
}

/// What a run did.
pub(super) fn report(plan: &str, report: &RunReport, ui: &mut Ui) -> Result<(), Failure> {
    let Some(outcome) = &report.outcome else {
        let line = format!(
            "nothing of plan {plan} is left to take out (run {})",
            report.run
        );
        listing::done(
            &line,
            &json!({ "plan": plan, "run": report.run, "events": 0 }),
            ui,
        )?;
        return lines(&report.tally, ui);
    };
    let line = format!(
        "run {}: took out {} of {} (version {}); certificate {}",
        report.run,
        counted(outcome.events, "event"),
        families(outcome.families),
        outcome.table_version,
        outcome.certificate
    );
    let value = json!({
        "plan": plan, "run": report.run, "events": outcome.events, "families": outcome.families, "version": outcome.table_version,
        "certificate": outcome.certificate, "certificate_sha256": outcome.certificate_sha256, "stayed": outcome.stayed,
    });
    listing::done(&line, &value, ui)?;
    lines(&report.tally, ui)
}

/// What a call of the timer came to.
pub(super) fn ran(ran: &Ran, ui: &mut Ui) -> Result<Outcome, Failure> {
    let (line, value) = match ran {
        Ran::NotScheduled => (
            "retention is not scheduled".to_owned(),
            json!({ "ran": false }),
        ),
        Ran::NotDue { next_us } => {
            let next = next_us.map(format_us);
            (
                format!(
                    "nothing is due; next {}",
                    next.as_deref().unwrap_or("never")
                ),
                json!({ "ran": false, "next": next }),
            )
        }
        Ran::Elsewhere { holder } => (
            format!("another instance is at it: {holder}"),
            json!({ "ran": false, "holder": holder }),
        ),
        Ran::Waits {
            plan,
            events,
            events_total,
        } => (
            format!(
                "plan {plan} waits for approval: {events} of {events_total} events would go; `holdfast approve {plan}`, then `holdfast retention run --plan {plan} --yes`"
            ),
            json!({ "ran": false, "plan": plan, "events": events, "events_total": events_total }),
        ),
        Ran::Done { run, purge } => {
            let events = run
                .as_ref()
                .and_then(|run| run.outcome.as_ref())
                .map_or(0, |outcome| outcome.events);
            let line = format!(
                "took out {}, purged {}",
                counted(events, "event"),
                counted(purge.runs.len() as u64, "run")
            );
            (
                line,
                json!({ "ran": true, "events": events, "run": run.as_ref().map(|run| &run.run), "purged": purge.runs }),
            )
        }
    };
    listing::done(&line, &value, ui)?;
    Ok(outcome_of(ran))
}
