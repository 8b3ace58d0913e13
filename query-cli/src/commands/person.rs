//! `holdfast person`: who is who, over time.

use clap::{Args, Subcommand};
use holdfast_governance::person::{self, Users};
use holdfast_schemas::ledger::hold::Custodian;
use holdfast_schemas::ledger::person::{Identity, IdentityKind, PersonAdd, PersonLink};
use holdfast_schemas::time::format_us;
use serde_json::json;

use crate::Outcome;
use crate::cli::Global;
use crate::failure::Failure;
use crate::ledger::Acting;
use crate::open;
use crate::output::Ui;
use crate::output::listing::{self, Item};
use crate::scope::{Zone, date};

/// Persons: who is who, over time
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  holdfast person add ana --id u-7 --email ana@example.com
  holdfast person link ana --id u-912 --from 2024-03-01
  holdfast person show 'Ana Pérez'

`from:ana` and `--custodian ana` then find all of a person's identities, each in its time; renames are learnt from the
archive's own chat.user events. Two people of one name are two persons: a name that fits several is a mistake that lists them.")]
pub struct PersonArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: PersonCommand,
}

/// What to do with persons.
#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// Make a person known
    Add {
        /// Unique name in this archive, as `from:` and `--custodian` take it
        person: String,
        /// Their identities.
        #[command(flatten)]
        identities: IdentityArgs,
    },
    /// Add an identity to a person
    Link {
        /// Their name
        person: String,
        /// Their identities.
        #[command(flatten)]
        identities: IdentityArgs,
    },
    /// Who is meant by a name: a person, or a user that the archive's events speak of
    Show {
        /// A name, id, URI or address
        name: String,
    },
}

/// Identities on the command line.
#[derive(Debug, Args)]
pub struct IdentityArgs {
    /// A user id of the chat system; may be given more than once
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// A URI, such as sip:ana@example.com; may be given more than once
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,
    /// An e-mail address; may be given more than once
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,
    /// A display name; may be given more than once
    #[arg(long, value_name = "NAME")]
    name: Vec<String>,
    /// Theirs from this day or time on [default: since ever]
    #[arg(long, value_name = "DATE")]
    from: Option<String>,
    /// Theirs up to and including this day or time [default: for ever]
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
    /// The zone of those days.
    #[command(flatten)]
    zone: Zone,
}

impl IdentityArgs {
    fn identities(&self) -> Result<Vec<Identity>, Failure> {
        let bound = |option, text: &Option<String>| {
            text.as_deref()
                .map(|text| date(option, text, &self.zone.tz))
                .transpose()
        };
        let from_us = bound("--from", &self.from)?.map(|span| span.from_us);
        // The span's end is the first moment after it; identities count both ends in.
        let until_us = bound("--until", &self.until)?.map(|span| span.to_us - 1);
        let all = [
            (IdentityKind::Id, &self.id),
            (IdentityKind::Uri, &self.uri),
            (IdentityKind::Email, &self.email),
            (IdentityKind::Name, &self.name),
        ];
        let each = all.into_iter().flat_map(|(kind, values)| {
            values.iter().map(move |value| Identity {
                kind,
                value: value.clone(),
                from_us,
                until_us,
            })
        });
        Ok(each.collect())
    }
}

/// Adds, links or shows persons.
///
/// # Errors
/// The act is refused, a name fits several people, or the ledger cannot be read or written.
pub async fn run(args: &PersonArgs, global: &Global, ui: &mut Ui) -> Result<Outcome, Failure> {
    let opened = open::open(global).await?;
    let acting = Acting::open(&opened.archive, global).await?;
    match &args.command {
        PersonCommand::Add { person, identities } => {
            let add = PersonAdd {
                person: person.clone(),
                identities: identities.identities()?,
            };
            let done = acting
                .fenced(|state| person::judge_add(state, &add))
                .await?;
            let line = format!("added person `{person}` (entry {})", done.seq);
            listing::done(&line, &json!({ "person": person, "entry": done.seq }), ui)?;
        }
        PersonCommand::Link { person, identities } => {
            let identities = identities.identities()?;
            if identities.is_empty() {
                return Err(Failure::mistake(
                    "no identity was given",
                    "give at least one of `--id`, `--uri`, `--email`, `--name`",
                ));
            }
            let mut entries = Vec::new();
            for identity in identities {
                let link = PersonLink {
                    person: person.clone(),
                    identity,
                };
                let done = acting
                    .fenced(|state| person::judge_link(state, &link))
                    .await?;
                entries.push(done.seq);
            }
            let line = format!("linked {} to person `{person}`", entries.len());
            listing::done(&line, &json!({ "person": person, "entries": entries }), ui)?;
        }
        PersonCommand::Show { name } => {
            let searcher = open::searcher(&opened.archive, global);
            crate::ledger::looked(&opened, global, "person show", &[("name", Some(name))]).await?;
            let users = Users::read(&searcher, &opened.snapshot).await?;
            let found = person::resolve(&acting.ledger.state(), &users, name);
            let Some(custodian) = found.map_err(|e| crate::ledger::ambiguous(&e))? else {
                ui.note("nobody is known under this name");
                ui.hint("`from:` finds it all the same where it is in an event's author");
                return Ok(Outcome::NothingFound);
            };
            show(&custodian, ui)?;
        }
    }
    Ok(Outcome::Done)
}

fn show(custodian: &Custodian, ui: &mut Ui) -> Result<(), Failure> {
    let person = custodian.person.clone().unwrap_or_default();
    let items: Vec<Item> = custodian
        .identities
        .iter()
        .map(|identity| {
            let kind = match identity.kind {
                IdentityKind::Id => "id",
                IdentityKind::Uri => "uri",
                IdentityKind::Email => "email",
                IdentityKind::Name => "name",
            };
            let (from, until) = (identity.from_us.map(format_us), identity.until_us.map(format_us));
            let cells = vec![
                person.clone(),
                kind.to_owned(),
                identity.value.clone(),
                from.clone().unwrap_or_default(),
                until.clone().unwrap_or_default(),
            ];
            let json = json!({ "person": custodian.person, "kind": kind, "value": identity.value, "from": from, "until": until });
            Item { cells, json }
        })
        .collect();
    listing::write(
        "identities",
        &["PERSON", "KIND", "IDENTITY", "FROM", "UNTIL"],
        &items,
        ui,
    )
}
