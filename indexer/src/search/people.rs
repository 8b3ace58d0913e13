//! Expanding `participants` over a snapshot.

use std::collections::BTreeSet;
use std::sync::Arc;

use holdfast_archive::Snapshot;
use holdfast_query::analyzer::fold_keyword;
use holdfast_query::ast::{Expr, Test};
use holdfast_query::property::Property;
use holdfast_schemas::Row;
use holdfast_schemas::columns::name;

use super::engine::{Asked, Want};
use super::question::{Answer, FindError, Judge, OfTypes, Question, key_rows};
use super::request::{Planned, version};
use super::searcher::Searcher;
use crate::docs::Set;
use crate::error::SearchError;
use crate::participants::{
    Gathered, History, Meant, PEOPLE, Participation, Participations, Person, Rosters, SESSIONS,
    from,
};
use crate::schema::Key;
use crate::split::Split;

/// Columns that tell who acted.
const ACTOR_COLUMNS: &[&str] = &[
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
];
/// Columns that tell who belonged where when.
const MEMBERSHIP_COLUMNS: &[&str] = &[
    name::EVENT_TYPE,
    name::EVENT_TIME,
    name::ROOM_ID,
    name::ROOM_NAME,
    name::CATEGORY,
    name::ROOM_SEQ,
    name::ACTOR_ID,
    name::ACTOR_URI,
    name::ACTOR_NAME,
    name::ACTOR_EMAIL,
    name::EXTRA,
];

/// Joins and leaves of some persons, by their folded ids, URIs and addresses.
struct SessionsOf(BTreeSet<String>);

/// Joins and leaves of those whom `from` finds: also by a name alone.
fn joined_or_left(from: Expr) -> Expr {
    let types = SESSIONS.map(|name| Expr::equals(Property::Type, name.to_owned()));
    Expr::and(vec![from, Expr::or(types.to_vec())])
}

impl Question for SessionsOf {
    fn find(&self, split: &Split) -> Result<Answer, FindError> {
        let types = SESSIONS
            .iter()
            .map(|name| key_rows(split, Key::Type, fold_keyword(name).as_bytes()));
        let persons = self
            .0
            .iter()
            .map(|person| key_rows(split, Key::Actor, person.as_bytes()));
        let types = Set::or(types.collect::<Result<_, _>>()?);
        let persons = Set::or(persons.collect::<Result<_, _>>()?);
        Ok(Answer::candidates(Set::and(vec![types, persons])))
    }

    fn judge(&self) -> Judge<'_> {
        Box::new(|row| {
            let mut addresses = Person::actor(&row.event).addresses();
            SESSIONS.contains(&row.event.event_type.as_ref())
                && addresses.any(|text| self.0.contains(fold_keyword(text).as_ref()))
        })
    }

    fn columns(&self) -> Option<Vec<&'static str>> {
        Some(MEMBERSHIP_COLUMNS.to_vec())
    }
}

impl Searcher {
    /// A query with every `participants` in it replaced by what it means in a version of the archive.
    ///
    /// # Errors
    /// A segment cannot be read, or the version is not there yet.
    pub async fn expanded(
        &self,
        snapshot: &Snapshot,
        as_of: Option<u64>,
        query: &Expr,
    ) -> Result<Expr, SearchError> {
        if query.participants().is_empty() {
            return Ok(query.clone());
        }
        let expansion = self.participations(snapshot, as_of, query).await?;
        Ok(query.expand_participants(&expansion))
    }

    /// What every `participants` of a query means in a version of the archive: which rooms, and when.
    ///
    /// # Errors
    /// A segment cannot be read, or the version is not there yet.
    pub async fn participations(
        &self,
        snapshot: &Snapshot,
        as_of: Option<u64>,
        query: &Expr,
    ) -> Result<Participations, SearchError> {
        let version = version(snapshot, as_of)?;
        let mut of: Vec<Participation> = Vec::new();
        for test in query.participants() {
            if of.iter().all(|known| known.test != *test) {
                of.push(self.participation(snapshot, version, test).await?);
            }
        }
        Ok(Participations { of })
    }

    async fn participation(
        &self,
        snapshot: &Snapshot,
        version: u64,
        test: &Test,
    ) -> Result<Participation, SearchError> {
        let from = from(test);
        let mut meant = Meant::new(&from)?;
        let own = Planned::new(&from, false)?;
        self.each(snapshot, version, Arc::new(own), ACTOR_COLUMNS, |row| {
            meant.learn(Person::actor(&row.event));
        })
        .await?;
        // Events come in no order: an id that one teaches may stand in another one that was read before. What was noted
        // while nothing was learned is all there is.
        let mut history = loop {
            let mut history = History::default();
            let before = meant.known().len();
            let people = Arc::new(OfTypes(&PEOPLE));
            self.each(snapshot, version, people, MEMBERSHIP_COLUMNS, |row| {
                meant.learn_from(&row.event);
                history.note(&row.event, &mut meant);
            })
            .await?;
            let sessions = Arc::new(SessionsOf(meant.known().clone()));
            self.each(snapshot, version, sessions, MEMBERSHIP_COLUMNS, |row| {
                meant.learn_from(&row.event);
                history.note(&row.event, &mut meant);
            })
            .await?;
            if meant.known().len() == before {
                break history;
            }
        };
        // Who gives no address teaches nothing, and is in no session above.
        let named = Arc::new(Planned::new(&joined_or_left(from), false)?);
        self.each(snapshot, version, named, MEMBERSHIP_COLUMNS, |row| {
            if Person::actor(&row.event).addresses().next().is_none() {
                history.note(&row.event, &mut meant);
            }
        })
        .await?;
        Ok(Participation {
            test: test.clone(),
            rooms: history.rooms(&mut meant),
            persons: meant.known().clone(),
        })
    }

    /// Who was in which room when, in a version of the archive, the snapshot's own when nothing is said. What is known of
    /// `persons` by other events, with the times of those, helps to tell who is who.
    ///
    /// # Errors
    /// A segment cannot be read, or the version is not there yet.
    pub async fn rosters(
        &self,
        snapshot: &Snapshot,
        as_of: Option<u64>,
        persons: impl IntoIterator<Item = (Person<'_>, i64)>,
    ) -> Result<Rosters, SearchError> {
        let version = version(snapshot, as_of)?;
        let mut gathered = Gathered::default();
        for (person, time_us) in persons {
            gathered.learn(person, time_us);
        }
        for types in [OfTypes(&PEOPLE), OfTypes(&SESSIONS)] {
            self.each(
                snapshot,
                version,
                Arc::new(types),
                MEMBERSHIP_COLUMNS,
                |row| {
                    gathered.note(&row.event);
                },
            )
            .await?;
        }
        Ok(gathered.rosters())
    }

    /// Reads some columns of every row that a question finds, in no order.
    async fn each(
        &self,
        snapshot: &Snapshot,
        version: u64,
        question: Arc<dyn Question>,
        columns: &[&str],
        mut each: impl FnMut(&Row<'_>),
    ) -> Result<(), SearchError> {
        let segments = snapshot.segments().await?.to_vec();
        let found = self
            .engine
            .ask(
                segments,
                Asked {
                    question,
                    version,
                    want: Want::Rows,
                },
            )
            .await?;
        for one in found.into_iter().filter(|one| !one.rows.is_empty()) {
            self.engine
                .each_row(&one.segment, &one.rows, columns, &mut each)
                .await?;
        }
        Ok(())
    }
}
