//! `holdfast erase`: erasure requests and where they stand.

use clap::{ArgGroup, Args, Subcommand};
use holdfast_governance::erasure;
use holdfast_governance::explain::{Away, explain_away};
use holdfast_governance::ledger::State;
use holdfast_governance::ledger::state::{ErasureState, ErasureStatus};
use holdfast_schemas::ledger::erasure::{Blocked, ErasureClose, ErasureRequest, ErasureSubject};
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::governance;
use crate::ledger::Acting;
use crate::open::{self, Opened};
use crate::output::Ui;
use crate::output::listing::{self, Item};
use crate::output::text::counted;
use crate::scope::{Zone, date};

/// Erasure requests and where they stand
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast erase request --person ana --due 2026-12-20 --reason 'letter of 20 November'
  holdfast erase show ID
  holdfast erase run ID --yes

A hold and a policy that retains stand in the way of an erasure (GDPR 17(3)); `show` says which, and until when. It never runs
by itself. What is erased can be restored until it is purged, and is listed by origin, sequence and hash only. A message goes
whole, with what others said to it; for the same reason a person's reactions to messages of others, and edits of them, stay with
those messages.")]
pub struct EraseArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: EraseCommand,
}

/// What to do with erasure requests.
#[derive(Debug, Subcommand)]
pub enum EraseCommand {
    /// Write a request down
    #[command(group = ArgGroup::new("subject").required(true).args(["person", "event"]))]
    Request {
        /// Everything this person wrote
        #[arg(long, value_name = "PERSON")]
        person: Option<String>,
        /// The message that this event belongs to, with everything of it
        #[arg(long, value_name = "EVENT_ID")]
        event: Option<String>,
        /// By when it must be done
        #[arg(long, value_name = "DATE")]
        due: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// The zone of that day.
        #[command(flatten)]
        zone: Zone,
    },
    /// All requests
    List,
    /// Where a request stands, judged anew
    Show {
        /// Its id
        id: String,
    },
    /// Erase what nothing stands in the way of
    Run {
        /// Its id
        id: String,
        /// Do it; without this, only judge
        #[arg(long)]
        yes: bool,
    },
    /// Withdraw or refuse a request
    Close {
        /// Its id
        id: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: String,
    },
}

/// Requests, lists, shows, runs or closes erasures.
///
/// # Errors
/// A name means nothing or too much, the act is refused, or the archive or the ledger cannot be read or written.
pub async fn run(args: &EraseArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    match &args.command {
        EraseCommand::Request {
            person,
            event,
            due,
            reason,
            zone,
        } => {
            let subject = match (person, event) {
                (Some(person), _) => {
                    let searcher = open::searcher(&opened.archive, global);
                    let found =
                        governance::erased_person(person, &acting, &searcher, &opened.snapshot)
                            .await?;
                    let identities = found.identities;
                    ErasureSubject::Person {
                        person: person.clone(),
                        identities,
                    }
                }
                (None, Some(id)) => of_event(id, &acting, &opened).await?,
                (None, None) => {
                    return Err(Failure::mistake(
                        "nobody and nothing was named",
                        "give `--person` or `--event`",
                    ));
                }
            };
            let request = ErasureRequest {
                id: format!("erase-{}", acting.ledger.state().head.seq + 1),
                subject,
                due_us: date("--due", due, &zone.tz)?.to_us - 1,
                reason: reason.clone(),
            };
            let done = Box::pin(erasure::request(&acting.ledger, &acting.by, &request)).await?;
            let line = format!("wrote request `{}` down (entry {})", request.id, done.seq);
            listing::done(
                &line,
                &json!({ "request": request.id, "entry": done.seq }),
                ui,
            )?;
            Ok(Outcome::Done)
        }
        EraseCommand::List => {
            let state = acting.ledger.state();
            let items = state.erasures.iter();
            let items: Vec<Item> = items
                .map(|(id, erasure)| item(id, erasure, approved(&state, id)))
                .collect();
            listing::found("requests", &HEADINGS, &items, ui)
        }
        EraseCommand::Show { id } | EraseCommand::Run { id, yes: false } => {
            let judged = Box::pin(erasure::judge(&acting.ledger, &acting.by, id)).await?;
            let state = acting.ledger.state();
            let known = state.erasures.get(id);
            let status = known.map(|known| status(&known.status, approved(&state, id)));
            let line = format!(
                "request `{id}`: {}; {} can be erased now; {}",
                status.as_deref().unwrap_or("unknown"),
                counted(judged.events, "event"),
                blocked(&judged.blocked)
            );
            listing::done(
                &line,
                &json!({ "request": id, "status": status, "events": judged.events, "blocked": judged.blocked }),
                ui,
            )?;
            if matches!(args.command, EraseCommand::Run { .. }) && judged.events > 0 {
                ui.hint("`--yes` erases");
            }
            Ok(Outcome::Done)
        }
        EraseCommand::Run { id, yes: true } => {
            let report = Box::pin(erasure::run(&acting.ledger, &acting.by, id)).await?;
            let events = report.outcome.as_ref().map_or(0, |outcome| outcome.events);
            let stayed: u64 = report.tally.stays.iter().map(|(_, events)| events).sum();
            let line = format!(
                "request `{id}`: run {} erased {}, {stayed} stayed",
                report.run,
                counted(events, "event")
            );
            listing::done(
                &line,
                &json!({ "request": id, "run": report.run, "events": events, "stayed": stayed }),
                ui,
            )?;
            if is_of_person(&acting.ledger.state(), id) {
                ui.note("what this person said to messages of others (reactions, edits) stays with those messages");
            }
            Ok(if stayed > 0 {
                Outcome::Partial
            } else {
                Outcome::Done
            })
        }
        EraseCommand::Close { id, reason } => {
            let close = ErasureClose {
                id: id.clone(),
                reason: reason.clone(),
            };
            let done = acting
                .act(None, |state| erasure::judge_close(state, &close))
                .await?;
            let line = format!("closed request `{id}` (entry {})", done.seq);
            listing::done(&line, &json!({ "request": id, "entry": done.seq }), ui)?;
            Ok(Outcome::Done)
        }
    }
}

/// An event that is there, or that a run took out and may put back: with a slip in its id, a request would never be carried out.
async fn of_event(id: &str, acting: &Acting, opened: &Opened) -> Result<ErasureSubject, Failure> {
    // Before the answer, which tells what the archive holds.
    let version = opened.snapshot.version();
    acting
        .looked("erase request", version, &[("event", Some(id))])
        .await?;
    match explain_away(&acting.ledger, &opened.snapshot, id).await? {
        None | Some(Away::Out { .. }) => {
            let id = id.to_lowercase();
            Ok(ErasureSubject::Event { id })
        }
        Some(Away::Gone { id: run, .. }) => Err(Failure::mistake(
            format!("event `{id}` is gone: run {run} removed it"),
            format!("`holdfast explain {id}` says when and why"),
        )),
        Some(Away::Unknown) => Err(Failure::mistake(
            format!("there is no event `{id}`"),
            "it may not be archived yet; `holdfast search --format json` shows ids; what was erased already is listed without them",
        )),
    }
}

fn is_of_person(state: &State, id: &str) -> bool {
    let erasure = state.erasures.get(id);
    erasure.is_some_and(|erasure| matches!(erasure.request.subject, ErasureSubject::Person { .. }))
}

fn blocked(blocked: &[Blocked]) -> String {
    if blocked.is_empty() {
        return "nothing stands in the way".to_owned();
    }
    let each = blocked.iter().map(|one| match one {
        Blocked::Hold { name } => format!("hold {name}"),
        Blocked::Policy {
            name,
            until_us: Some(us),
        } => format!("policy {name} until {}", format_us(*us)),
        Blocked::Policy {
            name,
            until_us: None,
        } => format!("policy {name}"),
    });
    format!("in the way: {}", each.collect::<Vec<_>>().join(", "))
}

const HEADINGS: [&str; 6] = ["REQUEST", "STATUS", "OF", "DUE", "REQUESTED", "REASON"];

/// Whether an approval was given that was not made use of yet.
fn approved(state: &State, id: &str) -> bool {
    let subject = holdfast_governance::approval::erasure_subject(id);
    let waiting = holdfast_governance::approval::waiting(state, &subject);
    waiting.is_some_and(|approval| approval.given.is_some())
}

/// Where a request stands, in words.
fn status(status: &ErasureStatus, approved: bool) -> String {
    match status {
        ErasureStatus::Requested => "requested".to_owned(),
        ErasureStatus::Blocked(by) => blocked(by),
        ErasureStatus::Ready if approved => "approved".to_owned(),
        ErasureStatus::Ready => "ready".to_owned(),
        ErasureStatus::Partial => "executed in part".to_owned(),
        ErasureStatus::Executed => "executed".to_owned(),
        ErasureStatus::Closed(why) => format!("closed: {why}"),
    }
}

fn item(id: &str, erasure: &ErasureState, approved: bool) -> Item {
    let status = status(&erasure.status, approved);
    let of = match &erasure.request.subject {
        ErasureSubject::Person { person, .. } => format!("person {person}"),
        ErasureSubject::Event { id } => format!("event {id}"),
    };
    let (due, requested) = (
        format_us(erasure.request.due_us),
        format_us(erasure.requested.time_us),
    );
    let json = json!({
        "request": id, "status": status, "of": of, "due": due, "requested": requested, "reason": erasure.request.reason,
        "runs": erasure.outcomes.iter().map(|(_, outcome)| &outcome.run).collect::<Vec<_>>(),
    });
    let cells = vec![
        id.to_owned(),
        status,
        of,
        due,
        requested,
        erasure.request.reason.clone(),
    ];
    Item { cells, json }
}
