//! Four eyes: what needs the approval of a second person, and whether it has it.
//!
//! With `governance.four_eyes`, releases, policy changes, runs, purges and erasures, and whatever could switch four eyes
//! off (that setting, actors), need `approve ID` by another key than the requester's. Plans and erasure requests are
//! requests by themselves; for everything else the first try is recorded as a request, and the command is run again
//! once it was approved.

use holdfast_schemas::ledger::approval::ApprovalGive;
use holdfast_schemas::ledger::disposition::Authority;
use holdfast_schemas::ledger::hold::HoldRelease;
use holdfast_schemas::ledger::{Act, Digest, Entry, canonical};
use holdfast_schemas::time::format_us;

use crate::actor::By;
use crate::config;
use crate::ledger::state::Approval;
use crate::ledger::{Judged, Refusal, State};

/// How the subjects of purges begin.
const PLAN: &str = "plan:";
const PURGE: &str = "purge:";
/// How the subjects of releases begin.
const RELEASE: &str = "release:";

/// What an act needs approval for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// `plan:ID`, `purge:ID`, `erasure:ID`, `release:HOLD:DIGEST:UNTIL` or `act:DIGEST`.
    pub name: String,
    /// In words.
    pub summary: String,
    /// For exactly these parameters.
    pub act_digest: Option<Digest>,
}

/// The subject of a plan's approval.
#[must_use]
pub fn plan_subject(plan: &str) -> String {
    format!("{PLAN}{plan}")
}

/// The plan whose approval a subject is.
#[must_use]
pub fn plan_of(subject: &str) -> Option<&str> {
    subject.strip_prefix(PLAN)
}

/// The subject of an erasure's approval.
#[must_use]
pub fn erasure_subject(request: &str) -> String {
    format!("erasure:{request}")
}

/// The subject of a purge's approval: of these runs, whatever files they turn out to be.
#[must_use]
pub fn purge_subject(runs: &[String]) -> String {
    format!("{PURGE}{}", runs.join(","))
}

/// Purges that were approved and not run yet: of which runs.
pub fn agreed_purges(state: &State) -> impl Iterator<Item = Vec<&str>> {
    let agreed = state
        .approvals
        .iter()
        .filter(|(_, approval)| approval.given.is_some() && approval.used.is_none());
    agreed
        .filter_map(|(subject, _)| subject.strip_prefix(PURGE))
        .map(|runs| runs.split(',').collect())
}

/// The subject of a release's approval: of this hold, for this reason, and not before a moment. A release that is asked for
/// again holds for its grace from then on: later, never earlier.
fn release_subject(release: &HoldRelease) -> Subject {
    let reason = Digest::of(release.reason.as_bytes()).to_string();
    Subject {
        name: format!(
            "{RELEASE}{}:{}:{}",
            release.name,
            &reason[..16],
            release.holds_until_us
        ),
        summary: format!(
            "the release of hold {}, which then holds until {}",
            release.name,
            format_us(release.holds_until_us)
        ),
        act_digest: None,
    }
}

/// A release's subject taken apart: what it is of, and until when the hold holds.
fn release_parts(subject: &str) -> Option<(&str, i64)> {
    let (of, until_us) = subject.strip_prefix(RELEASE)?.rsplit_once(':')?;
    Some((of, until_us.parse().ok()?))
}

/// What this act needs approval for when four eyes are set; nothing when it needs none.
#[must_use]
pub fn subject(act: &Act) -> Option<Subject> {
    let open = |name: String, summary: String| {
        Some(Subject {
            name,
            summary,
            act_digest: None,
        })
    };
    match act {
        Act::HoldRelease(release) => Some(release_subject(release)),
        Act::PolicySet(set) => exactly(act, format!("a change of policy {}", set.name)),
        Act::PolicyRemove(remove) => exactly(act, format!("the removal of policy {}", remove.name)),
        Act::ScheduleSet(_) => exactly(act, "a change of the schedule".to_owned()),
        Act::ActorAdd(add) => exactly(act, format!("adding actor {}", add.name)),
        Act::ActorDisable(disable) => exactly(act, format!("disabling actor {}", disable.name)),
        Act::ConfigSet(set) => exactly(act, format!("setting {} to {}", set.key, set.value)),
        Act::DispositionIntent(intent) => match &intent.authority {
            Authority::Plan => open(
                plan_subject(&intent.plan),
                format!("the run of plan {}", intent.plan),
            ),
            // Under approved policies, and within the share that was approved with the schedule.
            Authority::Schedule { .. } => None,
        },
        Act::PurgeIntent(intent) => open(
            purge_subject(&intent.runs),
            format!("the purge of {}", intent.runs.join(", ")),
        ),
        Act::ErasureIntent(intent) => open(
            erasure_subject(&intent.id),
            format!("erasure {}", intent.id),
        ),
        _ => None,
    }
}

/// For exactly this act, word for word.
fn exactly(act: &Act, summary: String) -> Option<Subject> {
    let digest = digest(act)?;
    Some(Subject {
        name: format!("act:{digest}"),
        summary,
        act_digest: Some(digest),
    })
}

/// SHA-256 of an act's name and canonical parameters.
fn digest(act: &Act) -> Option<Digest> {
    let params = act.params().ok()?;
    let bytes = canonical(&(act.action(), params), "act").ok()?;
    Some(Digest::of(&bytes))
}

/// The request for a subject that was not made use of yet.
#[must_use]
pub fn waiting<'s>(state: &'s State, subject: &str) -> Option<&'s Approval> {
    asked(state, subject).map(|(_, approval)| approval)
}

/// The request for a subject that was not made use of yet, and its own subject: of a release, one that lets go no later;
/// one that was agreed to before one that was not.
fn asked<'s>(state: &'s State, subject: &str) -> Option<(&'s str, &'s Approval)> {
    let Some((of, until_us)) = release_parts(subject) else {
        let found = state.approvals.get_key_value(subject);
        return found
            .filter(|(_, approval)| approval.used.is_none())
            .map(|(subject, approval)| (subject.as_str(), approval));
    };
    let covers = |(subject, approval): &(&String, &Approval)| {
        let parts = release_parts(subject);
        approval.used.is_none()
            && parts.is_some_and(|(theirs, early_us)| theirs == of && early_us <= until_us)
    };
    let found = state.approvals.iter().filter(covers);
    found
        .max_by_key(|(_, approval)| approval.given.is_some())
        .map(|(subject, approval)| (subject.as_str(), approval))
}

/// Whether this act may be written as far as four eyes go.
///
/// # Errors
/// [`Refusal::ApprovalNeeded`], or [`Refusal::OnePair`] when both eyes are one person's.
pub fn check(state: &State, act: &Act) -> Result<(), Refusal> {
    if !config::four_eyes(state) {
        return Ok(());
    }
    let Some(subject) = subject(act) else {
        return Ok(());
    };
    let approval = waiting(state, &subject.name);
    match approval {
        Some(approval) if approval.given.is_some() => {
            let given = approval.given.as_ref();
            let same = given.is_some_and(|eyes| {
                eyes.key.is_some() && eyes.key == approval.requested.key
                    || eyes.mark.actor == approval.requested.mark.actor
            });
            if same {
                return Err(one_pair(&subject.summary));
            }
            Ok(())
        }
        other => Err(Refusal::ApprovalNeeded {
            subject: subject.name,
            summary: subject.summary,
            request: other.map(|approval| approval.requested.mark.seq),
            act_digest: subject.act_digest,
        }),
    }
}

fn one_pair(what: &str) -> Refusal {
    Refusal::OnePair {
        what: what.to_owned(),
    }
}

/// The request that `approve ID` means: a request's entry, a plan, an erasure request, or a subject.
///
/// # Errors
/// There is none.
pub fn find<'s>(state: &'s State, id: &str) -> Result<(&'s str, &'s Approval), Refusal> {
    let number: Option<u64> = id.parse().ok();
    let names = [id.to_owned(), plan_subject(id), erasure_subject(id)];
    state
        .approvals
        .iter()
        .find(|(subject, approval)| {
            names.contains(*subject) || number == Some(approval.requested.mark.seq)
        })
        .map(|(subject, approval)| (subject.as_str(), approval))
        .ok_or_else(|| {
            Refusal::because(
                format!("there is nothing to approve with the id `{id}`"),
                "`holdfast approve --list` shows what waits",
            )
        })
}

/// Judges `approve ID`.
///
/// # Errors
/// There is no such request, it was made use of, or it is the approver's own ("four eyes with one pair").
pub fn judge_give(state: &State, by: &By, id: &str) -> Result<Judged, Refusal> {
    let (subject, approval) = find(state, id)?;
    if let Some(seq) = approval.used {
        return Err(Refusal::because(
            format!("`{id}` was approved, and entry {seq} made use of it"),
            "what is asked for anew gets an id of its own",
        ));
    }
    if let Some(given) = &approval.given {
        return Ok(Judged::Done(given.mark.seq));
    }
    if !state.has_actors() {
        return Err(Refusal::because(
            "nothing can be approved without actors: a name alone is a claim",
            "add actors with keys: `holdfast actor add NAME --role approver --key FILE`",
        ));
    }
    if approval.requested.key.is_none() {
        return Err(Refusal::because(
            format!(
                "`{}` was asked for before there were actors: whose eyes they were is a claim",
                approval.summary
            ),
            "ask for it anew, with a key",
        ));
    }
    let same_key = approval.requested.key == by.public_key();
    if same_key || approval.requested.mark.actor == by.name() {
        return Err(one_pair(&format!(
            "`{}` was asked for by {} and cannot be approved with the same key",
            approval.summary, approval.requested.mark.actor
        )));
    }
    Ok(Judged::Write(Act::ApprovalGive(ApprovalGive {
        subject: subject.to_owned(),
        request: approval.requested.mark.seq,
    })))
}

/// Marks the approval that an entry made use of: it is good for one entry.
pub(crate) fn spend(state: &mut State, entry: &Entry, act: &Act) {
    if !config::four_eyes(state) {
        return;
    }
    let Some(subject) = subject(act) else {
        return;
    };
    let asked = asked(state, &subject.name).map(|(subject, _)| subject.to_owned());
    if let Some(approval) = asked.and_then(|subject| state.approvals.get_mut(&subject))
        && approval.given.is_some()
    {
        approval.used.get_or_insert(entry.seq);
    }
}
