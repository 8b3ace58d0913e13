//! What a search or export is about: the query and the options that narrow it, as one query.

use clap::Args;
use holdfast_archive::Snapshot;
use holdfast_governance::person;
use holdfast_indexer::{Request, SearchError, Searcher};
use holdfast_query::ast::{Comparison, Expr, Span, Test};
use holdfast_query::matcher::{MatchOptions, Matcher};
use holdfast_query::property::Property;
use holdfast_query::time::TimeSpan;
use holdfast_query::{ParseOptions, Query};
use holdfast_schemas::ledger::Act;
use jiff::tz::TimeZone;

use crate::failure::Failure;
use crate::ledger::{self, Acting};
use crate::open::Opened;
use crate::output::zone;

/// The zone of days and times.
#[derive(Debug, Args)]
pub struct Zone {
    /// Zone of days that are asked for and of times for people: an IANA name, UTC, or an offset like +02:00
    #[arg(long, env = "HOLDFAST_TZ", value_name = "ZONE", default_value = crate::settings::zone(), value_parser = zone::parse, hide_env_values = true)]
    pub tz: TimeZone,
}

/// A span of time, and the zone its days are of.
#[derive(Debug, Args)]
pub struct Dates {
    /// From this day or time on, in the zone of --tz
    #[arg(long, value_name = "DATE")]
    pub since: Option<String>,
    /// Up to and including this day or time
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,
    /// The zone of those days.
    #[command(flatten)]
    pub zone: Zone,
}

impl Dates {
    /// What `--since` and `--until` stand for.
    ///
    /// # Errors
    /// One of them is no date, or they are in the wrong order.
    pub fn bounds(&self) -> Result<(Option<TimeSpan>, Option<TimeSpan>), Failure> {
        let bound = |option, text: &Option<String>| {
            let text = text.as_deref();
            text.map(|text| date(option, text, &self.zone.tz))
                .transpose()
        };
        let (since, until) = (
            bound("--since", &self.since)?,
            bound("--until", &self.until)?,
        );
        if let (Some(since), Some(until)) = (&since, &until)
            && since.from_us >= until.to_us
        {
            return Err(Failure::mistake(
                format!(
                    "`--since {}` lies after `--until {}`",
                    since.text, until.text
                ),
                "exchange the two; both ends are included",
            ));
        }
        Ok((since, until))
    }
}

/// Query and the options that narrow it.
#[derive(Debug, Args)]
pub struct ScopeArgs {
    /// The query, for example: pricing AND (room:deals OR "price list") NOT from:bot
    pub query: String,
    /// The span of time.
    #[command(flatten)]
    pub dates: Dates,
    /// Only this room, by id or name; may be given more than once
    #[arg(long, value_name = "ROOM")]
    pub room: Vec<String>,
    /// Only what this person wrote or could see; may be given more than once
    #[arg(long, value_name = "PERSON")]
    pub custodian: Vec<String>,
    /// For this matter, as the ledger records it
    #[arg(long, value_name = "MATTER")]
    pub matter: Option<String>,
    /// The archive as it was at this version: rows archived later are left out [default: the newest]
    #[arg(long, value_name = "VERSION")]
    pub as_of: Option<u64>,
    /// Tell ü from u: hits must have the diacritics as typed
    #[arg(long)]
    pub exact_diacritics: bool,
}

/// A scope that was understood.
#[derive(Debug)]
pub struct Scope {
    /// For the searcher.
    pub request: Request,
    /// Zone of times for people.
    pub zone: TimeZone,
}

impl ScopeArgs {
    /// Reads query and options.
    ///
    /// # Errors
    /// Query or an option does not parse, or `--as-of` lies in the future.
    pub fn understand(&self, snapshot: &Snapshot, limit: Option<usize>) -> Result<Scope, Failure> {
        if let Some(version) = self.as_of.filter(|v| *v > snapshot.version()) {
            return Err(Failure::mistake(
                format!(
                    "version {version} is not there yet, the archive is at version {}",
                    snapshot.version()
                ),
                "leave `--as-of` out for the newest version",
            ));
        }
        let mut parts = vec![self.parse()?];
        let (since, until) = self.dates.bounds()?;
        let since = since.map(|since| condition(Comparison::GreaterOrEqual, since));
        parts.extend(since);
        let until = until.map(|until| condition(Comparison::LessOrEqual, until));
        parts.extend(until);
        if !self.room.is_empty() {
            parts.push(Expr::or(
                self.room
                    .iter()
                    .map(|room| Expr::equals(Property::Room, room))
                    .collect(),
            ));
        }
        if !self.custodian.is_empty() {
            parts.push(Expr::or(
                self.custodian
                    .iter()
                    .map(|person| participant(person))
                    .collect(),
            ));
        }
        let query = Query {
            expr: Expr::and(parts),
            text: self.query.clone(),
            time_zone: zone::name(&self.dates.zone.tz),
        };
        let request = Request {
            query,
            as_of: self.as_of,
            limit,
            exact_diacritics: self.exact_diacritics,
        };
        Ok(Scope {
            request,
            zone: self.dates.zone.tz.clone(),
        })
    }

    /// The query alone, so that an error points at what was typed.
    fn parse(&self) -> Result<Expr, Failure> {
        let options = ParseOptions {
            tz: self.dates.zone.tz.clone(),
            now: jiff::Timestamp::now(),
        };
        let parsed = holdfast_query::parse(&self.query, &options);
        parsed.map(|query| query.expr).map_err(|error| {
            let rendered = format!(
                "{} (column {})\n{}",
                error.message,
                error.column(),
                error.caret()
            );
            Failure::Query {
                rendered,
                hint: error.hint,
            }
        })
    }
}

/// A query that no person typed.
#[must_use]
pub fn from_program(expr: Expr) -> Query {
    Query {
        text: expr.to_string(),
        expr,
        time_zone: "UTC".to_owned(),
    }
}

impl Scope {
    /// Whether the ledger may change what the query means ([`Scope::with_persons`]).
    #[must_use]
    pub fn may_name_persons(&self, args: &ScopeArgs) -> bool {
        !args.custodian.is_empty() || person::may_name_one(&self.request.query.expr)
    }

    /// Lets persons of the ledger mean all their identities, and holds each custodian to be one person. Where that fails `act` is written all the same:
    /// the people whom a name fits are told.
    ///
    /// # Errors
    /// A name fits several people, or the archive cannot be read.
    pub async fn with_persons(
        mut self,
        act: &Act,
        args: &ScopeArgs,
        acting: &Acting,
        searcher: &Searcher,
        snapshot: &Snapshot,
    ) -> Result<Self, Failure> {
        let (expr, state) = (&self.request.query.expr, acting.ledger.state());
        match ledger::with_persons(expr, &args.custodian, &state, searcher, snapshot).await {
            Ok(expr) => self.request.query.expr = expr,
            Err(failure) => {
                let matter = args.matter.as_deref();
                acting.reading(matter, act.clone()).await?;
                return Err(failure);
            }
        }
        Ok(self)
    }

    /// A part of this scope's query as a query.
    #[must_use]
    pub fn query_of(&self, part: Expr) -> Query {
        Query {
            time_zone: self.request.query.time_zone.clone(),
            ..from_program(part)
        }
    }

    /// What judges one event by a query (or a part of it) as this scope means it.
    ///
    /// # Errors
    /// The participants cannot be expanded, or the query has no meaning.
    pub async fn matcher(
        &self,
        searcher: &Searcher,
        opened: &Opened,
        query: &Expr,
    ) -> Result<Matcher, Failure> {
        let expanded = searcher
            .expanded(&opened.snapshot, self.request.as_of, query)
            .await?;
        let options = MatchOptions {
            exact_diacritics: self.request.exact_diacritics,
        };
        Ok(Matcher::new(&expanded, options).map_err(SearchError::from)?)
    }
}

/// The times that an option's date stands for, read as the query language reads dates, so that both mean the same days.
///
/// # Errors
/// It is no date.
pub fn date(option: &str, text: &str, zone: &TimeZone) -> Result<TimeSpan, Failure> {
    TimeSpan::parse(text, zone, jiff::Timestamp::now()).map_err(|problem| {
        Failure::mistake(
            format!("`{option}`: {problem}"),
            format!("for example `{option} 2026-11-20` or `{option} 2026-11-20T08:30`"),
        )
    })
}

fn condition(comparison: Comparison, bound: TimeSpan) -> Expr {
    Expr::Property {
        property: Property::Date,
        test: Test::Time { comparison, bound },
        span: Span::default(),
    }
}

/// What `--custodian` means.
pub(crate) fn participant(person: &str) -> Expr {
    let test = Test::Value {
        value: person.to_owned(),
        prefix: false,
    };
    Expr::Property {
        property: Property::Participants,
        test,
        span: Span::default(),
    }
}
