//! `holdfast actor` and `holdfast approve`: who may act, and the second pair of eyes.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use holdfast_governance::actor::{self, keys, roles};
use holdfast_governance::approval;
use holdfast_schemas::ledger::actor::{ActorAdd, ActorDisable, Role};
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};

/// Actors: who may do what, with which key
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  openssl genpkey -algorithm ed25519 -out ana.pem && chmod 600 ana.pem
  openssl pkey -in ana.pem -pubout -out ana.pub
  holdfast actor add ana --role records --role legal --key ana.pub
  holdfast --actor ana --key ana.pem actor add cy --role approver --key cy.pub

Before the first actor, everybody may do everything and is recorded as a claim. From the first one on, every command is
signed: name the actor with --actor and the private key with --key (PKCS#8 PEM) or HOLDFAST_KEY. The first actor must have
the role records, which adds the others.

  records   policies, plans, runs, purges, erasures, settings, origins, persons, actors
  legal     matters, holds, persons
  approver  approves what another one asks for
  auditor   nothing of these
Everybody may search, export, verify and anchor.")]
pub struct ActorArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ActorCommand,
}

/// A role, as an option takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Policies, plans, runs, purges, erasures, settings, origins, persons, actors
    Records,
    /// Matters, holds, persons
    Legal,
    /// Approves what another one asks for
    Approver,
    /// Searches, exports, verifies and anchors
    Auditor,
}

impl RoleName {
    fn role(self) -> Role {
        match self {
            Self::Records => Role::Records,
            Self::Legal => Role::Legal,
            Self::Approver => Role::Approver,
            Self::Auditor => Role::Auditor,
        }
    }
}

/// What to do with actors.
#[derive(Debug, Subcommand)]
pub enum ActorCommand {
    /// Add an actor with a public key
    Add {
        /// Unique name
        name: String,
        /// What they may do; may be given more than once
        #[arg(long, value_enum, required = true)]
        role: Vec<RoleName>,
        /// Their Ed25519 public key: PEM as openssl writes it, or OpenSSH as ssh-keygen does
        // Named as the contract of the command line has it; the global `--key` is the acting one's private key.
        #[arg(long = "key", value_name = "FILE", id = "public_key")]
        key: PathBuf,
    },
    /// All actors
    List,
    /// Let an actor do nothing from now on
    Disable {
        /// Their name
        name: String,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

/// Adds, lists or disables actors.
///
/// # Errors
/// The act is refused, or the ledger cannot be read or written.
pub async fn run(args: &ActorArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    match &args.command {
        ActorCommand::Add { name, role, key } => {
            let key =
                keys::read_public(key).map_err(|e| Failure::mistake(e.to_string(), e.hint()))?;
            let roles: BTreeSet<Role> = role.iter().map(|role| role.role()).collect();
            let add = ActorAdd {
                name: name.clone(),
                roles,
                key,
            };
            let done = acting
                .act(None, |state| actor::judge_add(state, &add))
                .await?;
            let line = format!("added actor `{name}` (entry {})", done.seq);
            listing::done(&line, &json!({ "actor": name, "entry": done.seq }), ui)?;
        }
        ActorCommand::Disable { name, reason } => {
            let disable = ActorDisable {
                name: name.clone(),
                reason: reason.clone(),
            };
            let done = acting
                .act(None, |state| actor::judge_disable(state, &disable))
                .await?;
            let line = format!("disabled actor `{name}` (entry {})", done.seq);
            listing::done(&line, &json!({ "actor": name, "entry": done.seq }), ui)?;
        }
        ActorCommand::List => {
            let state = acting.ledger.state();
            let items: Vec<Item> = state
                .actors
                .iter()
                .map(|(name, actor)| {
                    let words: Vec<&str> = actor.roles.iter().map(|r| roles::word(*r)).collect();
                    let disabled = actor.disabled.as_ref().map(|m| format_us(m.time_us));
                    let status = if disabled.is_some() {
                        "disabled"
                    } else {
                        "active"
                    };
                    Item {
                        cells: vec![
                            name.clone(),
                            status.to_owned(),
                            words.join(", "),
                            format_us(actor.added.time_us),
                            actor.key.clone(),
                        ],
                        json: json!({
                            "actor": name, "status": status, "roles": words, "key": actor.key,
                            "added": format_us(actor.added.time_us), "disabled": disabled,
                        }),
                    }
                })
                .collect();
            let headings = ["ACTOR", "STATUS", "ROLES", "ADDED", "KEY"];
            listing::write("actors", &headings, &items, ui)?;
            if items.is_empty() {
                ui.note("no actors: whoever acts is recorded as the operating system names them, which is a claim");
            }
            return Ok(Outcome::found(!items.is_empty()));
        }
    }
    Ok(Outcome::Done)
}

/// Approve what another one asks for
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast approve --list
  holdfast --actor cy --key cy.pem approve 17

With `config set governance.four_eyes true`, releases, policy changes, runs, purges and erasures, and changes of settings and
actors, need this from an actor with the role approver and another key than the requester's. Then the requester runs the
command again. An approval is good for one time.")]
pub struct ApproveArgs {
    /// What to approve: the number of the request's entry, or the id of a plan or an erasure request
    #[arg(required_unless_present = "list")]
    pub id: Option<String>,
    /// Show what waits
    #[arg(long, conflicts_with = "id")]
    pub list: bool,
}

/// Approves, or lists what waits.
///
/// # Errors
/// The act is refused, or the ledger cannot be read or written.
pub async fn approve(args: &ApproveArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    let Some(id) = &args.id else {
        let state = acting.ledger.state();
        let items: Vec<Item> = state
            .approvals
            .iter()
            .filter(|(_, approval)| approval.given.is_none())
            .map(|(subject, approval)| Item {
                cells: vec![
                    approval.requested.mark.seq.to_string(),
                    approval.requested.mark.actor.clone(),
                    format_us(approval.requested.mark.time_us),
                    approval.summary.clone(),
                ],
                json: json!({
                    "id": approval.requested.mark.seq, "subject": subject, "by": approval.requested.mark.actor,
                    "time": format_us(approval.requested.mark.time_us), "summary": approval.summary,
                }),
            })
            .collect();
        return listing::found("requests", &["ID", "BY", "TIME", "WHAT"], &items, ui);
    };
    let done = acting
        .act(None, |state| approval::judge_give(state, &acting.by, id))
        .await?;
    let line = format!("approved `{id}` (entry {})", done.seq);
    listing::done(&line, &json!({ "approved": id, "entry": done.seq }), ui)?;
    Ok(Outcome::Done)
}
