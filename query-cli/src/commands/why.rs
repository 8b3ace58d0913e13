//! `holdfast explain`: why an event is kept, and until when; or when it went, and why.

use clap::Args;
use holdfast_governance::explain::{Away, Explanation, explain};
use holdfast_governance::policy::Decision;
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::kept;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing;
use crate::output::text::{counted, escape};

/// Why an event is kept, and until when; or when it went
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast explain 0197c0de-7a3e-7c51-9a1f-2f6f6b1f0001

Answers for what is gone as for what is there. To see how a query was understood: `holdfast search --explain`.")]
pub struct ExplainArgs {
    /// The event's id
    pub event_id: String,
}

/// Explains an event.
///
/// # Errors
/// The archive or the ledger cannot be read.
pub async fn run(args: &ExplainArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    crate::ledger::looked(
        &opened,
        global,
        "explain",
        &[("event", Some(&args.event_id))],
    )
    .await?;
    let id = args.event_id.as_str();
    match Box::pin(explain(&acting.ledger, &opened.snapshot, id)).await? {
        Explanation::There { decision, family } => {
            let line = format!(
                "{}; its family has {}",
                kept::words(&decision.verdict),
                counted(family.len() as u64, "event")
            );
            listing::done(
                &line,
                &json!({ "event": id, "is": "there", "decision": decision, "family": family }),
                ui,
            )?;
            trace(&decision, ui)?;
            Ok(Outcome::Done)
        }
        Explanation::Away(Away::Out { run, id: run_id }) => {
            let line = format!(
                "taken out by run {run_id} of plan {}; `holdfast retention restore {run_id}` puts it back",
                run.intent.plan
            );
            listing::done(
                &line,
                &json!({ "event": id, "is": "out", "run": run_id, "plan": run.intent.plan }),
                ui,
            )?;
            Ok(Outcome::Done)
        }
        Explanation::Away(Away::Gone {
            run,
            id: run_id,
            line,
        }) => {
            let when = run
                .outcome
                .as_ref()
                .map(|(_, outcome)| format_us(outcome.time_us));
            let text = format!(
                "removed by run {run_id} of plan {} at {}, by policy {} (version {}){}; hash {}",
                run.intent.plan,
                when.as_deref().unwrap_or("an unknown time"),
                line.rule.as_deref().unwrap_or("unknown"),
                line.policy_version.unwrap_or_default(),
                line.approver
                    .as_ref()
                    .map_or(String::new(), |by| format!(", approved by {by}")),
                line.hash
            );
            let value = json!({
                "event": id, "is": "gone", "run": run_id, "plan": run.intent.plan, "time": when, "policies": run.intent.policies, "line": line,
            });
            listing::done(&text, &value, ui)?;
            Ok(Outcome::Done)
        }
        Explanation::Away(Away::Unknown) => {
            ui.note("no such event is here, and no run removed one");
            ui.hint("what was erased by order is listed by origin, sequence and hash only");
            Ok(Outcome::NothingFound)
        }
    }
}

fn trace(decision: &Decision, ui: &mut Ui) -> Result<(), Failure> {
    if ui.format.is_machine() {
        return Ok(());
    }
    for step in &decision.trace {
        let of = step
            .of
            .as_ref()
            .map_or(String::new(), |of| format!("{of}: "));
        writeln!(ui.out(), "{}", escape(&format!("  {of}{}", step.says)))?;
    }
    Ok(())
}
