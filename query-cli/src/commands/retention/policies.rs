//! `retention set | list | remove | lock`.

use std::path::Path;

use clap::{ArgGroup, Args, Subcommand};
use holdfast_governance::ledger::state::PolicyState;
use holdfast_governance::policy::{judge_lock, judge_remove, judge_set};
use holdfast_schemas::ledger::policy::{
    PolicyAction, PolicyLock, PolicyRemove, PolicyScope, PolicySet,
};
use holdfast_schemas::time::format_us;
use serde::Deserialize;
use serde_json::json;

use crate::Outcome;
use crate::failure::Failure;
use crate::governance;
use crate::ledger::Acting;
use crate::open::Opened;
use crate::output::listing::{self, Item};
use crate::output::{Ui, zone};
use crate::scope::Zone;

/// What to do with policies.
#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Set a policy, or its next version
    Set(Box<SetArgs>),
    /// All policies
    List,
    /// Remove a policy: it neither keeps nor deletes from then on
    Remove {
        /// Its name
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Lock a policy: it can be lengthened from then on, never shortened or removed; a locked `default` covers everything
    Lock {
        /// Its name
        name: String,
        /// Do it: it cannot be undone
        #[arg(long)]
        yes: bool,
    },
}

/// Options of `retention set`.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["keep", "retain", "delete_after"]))]
pub struct SetArgs {
    /// Its name; `default` covers what no other policy does
    name: String,
    /// Keep for this period, then delete: 7y, 6m, 2w, 90d
    #[arg(long, value_name = "PERIOD")]
    keep: Option<String>,
    /// Keep for this period (or `forever`); delete nothing afterwards
    #[arg(long, value_name = "PERIOD")]
    retain: Option<String>,
    /// Delete after this period; keep nothing until then
    #[arg(long, value_name = "PERIOD")]
    delete_after: Option<String>,
    /// Only this room; may be given more than once
    #[arg(long, value_name = "ROOM")]
    room: Vec<String>,
    /// Only rooms of this category; may be given more than once
    #[arg(long, value_name = "CATEGORY")]
    category: Vec<String>,
    /// Only events of this type; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Only what this query finds
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Its scope counts as explicit, as a label does: for deletions it wins over scopes that are not
    #[arg(long)]
    explicit: bool,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The zone its days are of.
    #[command(flatten)]
    zone: Zone,
}

/// Sets, lists, removes or locks policies.
pub(super) async fn run(
    command: &PolicyCommand,
    opened: &Opened,
    acting: &Acting,
    ui: &mut Ui,
) -> Result<Outcome, Failure> {
    let (line, value) = match command {
        PolicyCommand::Set(args) => {
            let set = args.policy(opened, acting).await?;
            let seq = acting.fenced(|state| judge_set(state, &set)).await?.seq;
            let line = format!("set policy `{}` (version {seq})", set.name);
            (line, json!({ "policy": set.name, "version": seq }))
        }
        PolicyCommand::Remove { name, reason } => {
            let remove = PolicyRemove {
                name: name.clone(),
                reason: reason.clone(),
            };
            let seq = acting
                .fenced(|state| judge_remove(state, &remove))
                .await?
                .seq;
            (
                format!("removed policy `{name}` (entry {seq})"),
                json!({ "policy": name, "entry": seq }),
            )
        }
        PolicyCommand::Lock { name, yes: false } => {
            let line = format!(
                "policy `{name}` would be locked for ever: it could be lengthened, never shortened or removed"
            );
            ui.hint("`--yes` locks it");
            (line, json!({ "policy": name }))
        }
        PolicyCommand::Lock { name, yes: true } => {
            let lock = PolicyLock { name: name.clone() };
            let seq = acting.fenced(|state| judge_lock(state, &lock)).await?.seq;
            (
                format!("locked policy `{name}` (entry {seq})"),
                json!({ "policy": name, "entry": seq }),
            )
        }
        PolicyCommand::List => {
            let state = acting.ledger.state();
            let items: Vec<Item> = state.policies.values().map(item).collect();
            return listing::found("policies", &HEADINGS, &items, ui);
        }
    };
    listing::done(&line, &value, ui)?;
    Ok(Outcome::Done)
}

/// A policy of a file: the options of `set`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct InFile {
    name: String,
    keep: Option<String>,
    retain: Option<String>,
    delete_after: Option<String>,
    #[serde(default)]
    room: Vec<String>,
    #[serde(default)]
    category: Vec<String>,
    #[serde(default, rename = "type")]
    types: Vec<String>,
    query: Option<String>,
    #[serde(default)]
    explicit: bool,
    tz: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    #[serde(default)]
    policy: Vec<InFile>,
}

/// The policies of a file.
///
/// # Errors
/// It cannot be read, or a policy of it has a mistake.
pub(super) async fn of_file(
    file: &Path,
    opened: &Opened,
    acting: &Acting,
) -> Result<Vec<PolicySet>, Failure> {
    let mistake = |problem: String| {
        Failure::mistake(
            format!("{}: {problem}", file.display()),
            "`holdfast retention --help` shows such a file",
        )
    };
    let text = std::fs::read_to_string(file).map_err(|error| mistake(error.to_string()))?;
    let parsed: PolicyFile = toml::from_str(&text).map_err(|error| mistake(error.to_string()))?;
    let mut found: Vec<PolicySet> = Vec::with_capacity(parsed.policy.len());
    for policy in parsed.policy {
        let name = policy.name.clone();
        let given = [&policy.keep, &policy.retain, &policy.delete_after];
        if given.into_iter().flatten().count() != 1 {
            let problem =
                format!("policy `{name}` has not exactly one of keep, retain, delete_after");
            return Err(mistake(problem));
        }
        if found.iter().any(|known| known.name == name) {
            return Err(mistake(format!("there are two policies `{name}`")));
        }
        let tz = policy.tz.as_deref().unwrap_or("UTC");
        let tz = zone::parse(tz).map_err(|error| mistake(format!("policy `{name}`: {error}")))?;
        let set = SetArgs {
            name: policy.name,
            keep: policy.keep,
            retain: policy.retain,
            delete_after: policy.delete_after,
            room: policy.room,
            category: policy.category,
            types: policy.types,
            query: policy.query,
            explicit: policy.explicit,
            reason: None,
            zone: Zone { tz },
        };
        found.push(set.policy(opened, acting).await?);
    }
    Ok(found)
}

impl SetArgs {
    async fn policy(&self, opened: &Opened, acting: &Acting) -> Result<PolicySet, Failure> {
        let (period, action) = match (&self.keep, &self.retain, &self.delete_after) {
            (Some(period), _, _) => (period, PolicyAction::RetainThenDelete),
            (None, Some(period), _) => (period, PolicyAction::Retain),
            (None, None, Some(period)) => (period, PolicyAction::Delete),
            (None, None, None) => {
                return Err(Failure::mistake(
                    "the policy has no period",
                    "give one of `--keep`, `--retain`, `--delete-after`",
                ));
            }
        };
        let zone = zone::name(&self.zone.tz);
        let places =
            governance::places(&self.room, &self.category, acting, &opened.snapshot).await?;
        Ok(PolicySet {
            name: self.name.clone(),
            scope: PolicyScope {
                rooms: places.rooms,
                // Those that were named: a policy that deletes must not reach further than its words.
                categories: self.category.clone(),
                types: self.types.clone(),
                query: self.query.clone(),
                time_zone: self.query.as_ref().map(|_| zone.clone()),
            },
            period: period.clone(),
            time_zone: Some(zone),
            action,
            explicit: self.explicit,
            reason: self.reason.clone(),
        })
    }
}

const HEADINGS: [&str; 7] = [
    "POLICY", "DOES", "PERIOD", "SCOPE", "STATUS", "VERSION", "SET",
];

fn item(policy: &PolicyState) -> Item {
    let set = &policy.policy;
    let does = match set.action {
        PolicyAction::Retain => "retains",
        PolicyAction::RetainThenDelete => "keeps, then deletes",
        PolicyAction::Delete => "deletes",
    };
    let status = match (&policy.removed, &policy.locked) {
        (Some(_), _) => "removed",
        (None, Some(_)) => "locked",
        (None, None) => "in force",
    };
    let scope = words(&set.scope);
    let at = format_us(policy.set.time_us);
    let json = json!({
        "policy": set.name, "action": does, "period": set.period, "tz": set.time_zone, "scope": set.scope, "explicit": set.explicit,
        "status": status, "version": policy.set.seq, "set": at, "by": policy.set.actor, "reason": set.reason,
    });
    let cells = vec![
        set.name.clone(),
        does.to_owned(),
        set.period.clone(),
        scope,
        status.to_owned(),
        policy.set.seq.to_string(),
        at,
    ];
    Item { cells, json }
}

fn words(scope: &PolicyScope) -> String {
    let mut parts = Vec::new();
    parts.extend(
        scope
            .rooms
            .iter()
            .map(|one| format!("room {}", one.name.as_deref().unwrap_or(&one.id))),
    );
    parts.extend(scope.categories.iter().map(|one| format!("category {one}")));
    parts.extend(scope.types.iter().map(|one| format!("type {one}")));
    parts.extend(scope.query.iter().map(|query| format!("query {query}")));
    if parts.is_empty() {
        "everything".to_owned()
    } else {
        parts.join(", ")
    }
}
