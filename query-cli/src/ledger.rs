//! How commands go through the ledger: who acts, and that it is written before anything is shown.

use std::collections::BTreeMap;
use std::path::Path;

use holdfast_archive::{Archive, Snapshot};
use holdfast_governance::actor::{By, keys};
use holdfast_governance::ledger::{Appended, Context, Judged, Ledger, LedgerError, Refusal, State};
use holdfast_governance::names;
use holdfast_governance::person::{self, Users};
use holdfast_indexer::Searcher;
use holdfast_query::ast::Expr;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::reading::Search;

use crate::cli::Global;
use crate::failure::Failure;
use crate::open::{self, Opened};
use crate::scope::ScopeArgs;

/// A ledger that was opened, and who acts.
pub struct Acting {
    /// The ledger.
    pub ledger: Ledger,
    /// Who acts.
    pub by: By,
}

impl Acting {
    /// Opens the ledger of an archive for whoever the options name.
    ///
    /// # Errors
    /// The actor's name is none, the private key cannot be used, or the ledger cannot be read.
    pub async fn open(archive: &Archive, global: &Global) -> Result<Self, Failure> {
        let by = by(global)?;
        let ledger = Ledger::open(archive).await?;
        Ok(Self { ledger, by })
    }

    /// Writes one act. What needs the approval of somebody else is written as a request, and refused until then.
    ///
    /// # Errors
    /// It was refused, or cannot be written.
    pub async fn act(
        &self,
        matter: Option<&str>,
        decide: impl Fn(&State) -> Result<Judged, Refusal>,
    ) -> Result<Appended, Failure> {
        let context = Context {
            matter,
            command: None,
        };
        Ok(Box::pin(self.ledger.append_or_request(&self.by, context, decide)).await?)
    }

    /// [`Acting::act`] of what may keep more, such as a longer grace: acknowledged once it is fenced, so that no disposition
    /// decided without it can follow.
    ///
    /// # Errors
    /// As [`Acting::act`].
    pub async fn fenced(
        &self,
        decide: impl Fn(&State) -> Result<Judged, Refusal>,
    ) -> Result<Appended, Failure> {
        let context = Context::default();
        let ledger = &self.ledger;
        let done = Box::pin(ledger.append_fenced_or_request(&self.by, context, decide)).await?;
        Ok(done.appended)
    }

    /// Writes that events were looked at. Nothing of them is shown before this has returned.
    ///
    /// # Errors
    /// The matter is not open, the actor may not, or the ledger cannot be written.
    pub async fn reading(&self, matter: Option<&str>, act: Act) -> Result<(), Failure> {
        self.ledger.append_act(&self.by, matter, act).await?;
        Ok(())
    }

    /// Writes that a command without a query looked at events of a version of the table.
    ///
    /// # Errors
    /// As [`Acting::reading`].
    pub async fn looked(
        &self,
        command: &str,
        table_version: u64,
        options: &[(&str, Option<&str>)],
    ) -> Result<(), Failure> {
        let given = options
            .iter()
            .filter_map(|(name, value)| Some(((*name).to_owned(), (*value)?.to_owned())));
        let act = Act::Search(Search {
            command: command.to_owned(),
            query: None,
            options: given.collect(),
            table_version: Some(table_version),
        });
        self.reading(None, act).await
    }
}

/// Who acts: `--actor`, or the operating system's user; with the key of `--key`.
fn by(global: &Global) -> Result<By, Failure> {
    let name = open::actor(global);
    names::check("an actor", &name).map_err(LedgerError::from)?;
    match global.key.as_deref().filter(|path| *path != Path::new("")) {
        None => Ok(By::claim(name)),
        Some(path) => match keys::read_private(path) {
            Ok(key) => Ok(By::signing(name, key)),
            Err(error) => Err(Failure::mistake(error.to_string(), error.hint())),
        },
    }
}

/// [`Acting::looked`], for commands that need the ledger for nothing else and look at the snapshot they began with.
///
/// # Errors
/// As [`Acting::reading`].
pub async fn looked(
    opened: &Opened,
    global: &Global,
    command: &str,
    options: &[(&str, Option<&str>)],
) -> Result<(), Failure> {
    let acting = Acting::open(&opened.archive, global).await?;
    let version = opened.snapshot.version();
    acting.looked(command, version, options).await
}

/// What a scope's options say, for the ledger.
#[must_use]
pub fn options(args: &ScopeArgs) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    let mut note = |name: &str, value: String| {
        if !value.is_empty() {
            options.insert(name.to_owned(), value);
        }
    };
    note("since", args.dates.since.clone().unwrap_or_default());
    note("until", args.dates.until.clone().unwrap_or_default());
    note("tz", crate::output::zone::name(&args.dates.zone.tz));
    note("room", args.room.join("\n"));
    note("custodian", args.custodian.join("\n"));
    note(
        "as_of",
        args.as_of.map(|v| v.to_string()).unwrap_or_default(),
    );
    if args.exact_diacritics {
        note("exact_diacritics", "true".to_owned());
    }
    options
}

/// The act of searching by a scope.
#[must_use]
pub fn searching(command: &str, args: &ScopeArgs, snapshot: &Snapshot) -> Act {
    Act::Search(Search {
        command: command.to_owned(),
        query: Some(args.query.clone()),
        options: options(args),
        table_version: Some(snapshot.version()),
    })
}

/// A query in which persons mean all their identities, and a custodian means one person.
///
/// # Errors
/// A name fits several people; they are the hint.
pub async fn with_persons(
    expr: &Expr,
    custodians: &[String],
    state: &State,
    searcher: &Searcher,
    snapshot: &Snapshot,
) -> Result<Expr, Failure> {
    if custodians.is_empty() && !person::names_one(expr, state) {
        return Ok(expr.clone());
    }
    let users = Users::read(searcher, snapshot).await?;
    person::expanded(expr, custodians, state, &users).map_err(|e| ambiguous(&e))
}

pub(crate) fn ambiguous(error: &person::Ambiguous) -> Failure {
    let hint = format!("give the id of one: {}", error.candidates.join("; "));
    Failure::mistake(
        format!(
            "`{}` is the name of {} people",
            error.given,
            error.candidates.len()
        ),
        hint,
    )
}
