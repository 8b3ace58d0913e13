//! What the commands of holds, retention and erasure share.

use std::collections::BTreeSet;

use clap::Args;
use holdfast_archive::Snapshot;
use holdfast_governance::disposition::DispositionError;
use holdfast_governance::person::{self, Users};
use holdfast_governance::plan::PlanError;
use holdfast_governance::scope::{self, Directory};
use holdfast_indexer::Searcher;
use holdfast_query::{ParseOptions, parse};
use holdfast_schemas::ledger::hold::{Custodian, HoldScope, RoomRef};

use crate::failure::Failure;
use crate::ledger::{Acting, ambiguous};
use crate::output::zone;
use crate::scope::Dates;

impl From<DispositionError> for Failure {
    fn from(error: DispositionError) -> Self {
        match error {
            DispositionError::Ledger(error) => Self::Ledger(error),
            DispositionError::Archive(error) => Self::Archive(error),
            DispositionError::Plan(PlanError::Archive(error)) => Self::Archive(error),
            other => {
                let text = other.to_string();
                match text.split_once("\nhint: ") {
                    Some((message, hint)) => Self::mistake(message, hint),
                    None => Self::Governance(Box::new(other)),
                }
            }
        }
    }
}

impl From<PlanError> for Failure {
    fn from(error: PlanError) -> Self {
        Self::from(DispositionError::from(error))
    }
}

/// What a hold covers, on the command line.
#[derive(Debug, Args)]
pub struct HoldArgs {
    /// What this person wrote and could see: a person of the ledger, an id, URI, address or name; may be given more than once
    #[arg(long, value_name = "PERSON")]
    custodian: Vec<String>,
    /// Everything in this room, by id or by any name it ever had; may be given more than once
    #[arg(long, value_name = "ROOM")]
    room: Vec<String>,
    /// Everything in rooms of this category, under every name it has and had so far; may be given more than once
    #[arg(long, value_name = "CATEGORY")]
    category: Vec<String>,
    /// Of that, only events of this type; may be given more than once
    #[arg(long = "type", value_name = "TYPE")]
    types: Vec<String>,
    /// Of that, only what this query finds
    #[arg(long, value_name = "QUERY")]
    query: Option<String>,
    /// Of that, only this span of time.
    #[command(flatten)]
    dates: Dates,
}

impl HoldArgs {
    /// Resolves names to ids.
    ///
    /// # Errors
    /// A name means nothing or several things, a date or the query has a mistake.
    pub async fn scope(
        &self,
        acting: &Acting,
        searcher: &Searcher,
        snapshot: &Snapshot,
    ) -> Result<HoldScope, Failure> {
        let (since, until) = self.dates.bounds()?;
        let narrowed =
            !self.types.is_empty() || since.is_some() || until.is_some() || self.query.is_some();
        let widened =
            !self.custodian.is_empty() || !self.room.is_empty() || !self.category.is_empty();
        if !narrowed && !widened {
            return Err(Failure::mistake(
                "the hold would cover the whole archive",
                "say what it covers; `--query '*'` means everything on purpose",
            ));
        }
        let places = places(&self.room, &self.category, acting, snapshot).await?;
        Ok(HoldScope {
            custodians: custodians(&self.custodian, acting, searcher, snapshot).await?,
            rooms: places.rooms,
            categories: places.categories,
            types: self.types.clone(),
            since_us: since.map(|span| span.from_us),
            // The span's end is the first moment after it; a hold counts both ends in.
            until_us: until.map(|span| span.to_us - 1),
            query: self
                .query
                .as_deref()
                .map(|text| query(text, &self.dates))
                .transpose()?,
            time_zone: Some(zone::name(&self.dates.zone.tz)),
        })
    }
}

/// The query as understood: `today` in it has become a day.
fn query(text: &str, dates: &Dates) -> Result<String, Failure> {
    let options = ParseOptions {
        tz: dates.zone.tz.clone(),
        now: jiff::Timestamp::now(),
    };
    match parse(text, &options) {
        Ok(query) => Ok(query.to_string()),
        Err(error) => Err(Failure::mistake(
            format!("`--query`: {error}"),
            "`holdfast search` shows where a query goes wrong",
        )),
    }
}

/// Rooms and categories, as far as the archive knows them.
pub struct Places {
    /// Rooms by id.
    pub rooms: Vec<RoomRef>,
    /// Every name that the categories have and had.
    pub categories: Vec<String>,
}

/// Rooms by id or name, categories by any of their names.
///
/// # Errors
/// A name means nothing, or several rooms.
pub async fn places(
    rooms: &[String],
    categories: &[String],
    acting: &Acting,
    snapshot: &Snapshot,
) -> Result<Places, Failure> {
    let directory = match rooms.is_empty() && categories.is_empty() {
        true => Directory::default(),
        false => Directory::read(acting.ledger.archive(), snapshot).await?,
    };
    let mistake = |error: scope::ScopeError| {
        let text = error.to_string();
        let (message, hint) = text
            .split_once("\nhint: ")
            .unwrap_or((&text, "give its id"));
        Failure::mistake(message, hint)
    };
    let mut names = BTreeSet::new();
    for category in categories {
        let known = directory.names_of_category(category);
        names.extend(known.ok_or_else(|| no_category(&directory, category))?);
    }
    let rooms = rooms
        .iter()
        .map(|given| scope::room(&directory, given).map_err(mistake));
    Ok(Places {
        rooms: rooms.collect::<Result<_, _>>()?,
        categories: names.into_iter().collect(),
    })
}

fn no_category(directory: &Directory, given: &str) -> Failure {
    let known = directory.categories.iter().take(8).map(String::as_str);
    let known: Vec<&str> = known.collect();
    Failure::mistake(
        format!("there is no category `{given}` in the archive"),
        format!("there are {}", known.join(", ")),
    )
}

/// Custodians, each one person with all identities. Somebody of whom the archive has only what they did is found by that: rather too
/// much is held than too little.
///
/// # Errors
/// A name means nobody, or several people.
pub async fn custodians(
    given: &[String],
    acting: &Acting,
    searcher: &Searcher,
    snapshot: &Snapshot,
) -> Result<Vec<Custodian>, Failure> {
    if given.is_empty() {
        return Ok(Vec::new());
    }
    let users = Users::read(searcher, snapshot).await?;
    let mut resolved = Vec::with_capacity(given.len());
    for given in given {
        let mut found = resolve(acting, &users, given)?;
        if found.is_none() {
            // Of each alone: whom one name brought must not make another name clear.
            let mut met = users.clone();
            met.meet(searcher, snapshot, given).await?;
            found = resolve(acting, &met, given)?;
        }
        resolved.push(found.ok_or_else(|| {
            Failure::mistake(
                format!("nobody is known as `{given}`, and nothing in the archive was done by one"),
                "give another id, URI, e-mail address or name of theirs, or make the person known with `holdfast person add`",
            )
        })?);
    }
    Ok(resolved)
}

/// The person to be erased: only somebody who is known. An address or a name in what was said does not prove that two events are of one
/// person.
///
/// # Errors
/// The name means nobody, or several people.
pub async fn erased_person(
    given: &str,
    acting: &Acting,
    searcher: &Searcher,
    snapshot: &Snapshot,
) -> Result<Custodian, Failure> {
    let users = Users::read(searcher, snapshot).await?;
    resolve(acting, &users, given)?.ok_or_else(|| {
        Failure::mistake(
            format!("nobody is known as `{given}`"),
            "make the person known with `holdfast person add NAME --id ID`: what is erased must be theirs beyond doubt",
        )
    })
}

fn resolve(acting: &Acting, users: &Users, given: &str) -> Result<Option<Custodian>, Failure> {
    person::resolve(&acting.ledger.state(), users, given).map_err(|error| ambiguous(&error))
}
