//! Whom a `participants` test means, and under which names the events know them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use holdfast_query::analyzer::fold_keyword;
use holdfast_query::ast::{Expr, Test};
use holdfast_query::matcher::{MatchOptions, Matcher};
use holdfast_query::plan::LowerError;
use holdfast_query::property::Property;
use holdfast_schemas::json::Json;
use holdfast_schemas::{Actor, Event, Intake, Row};

use super::SESSIONS;
use super::persons::{Named, Persons};

/// A person as an event names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Person<'a> {
    /// Identifier within the producing system.
    pub id: Option<&'a str>,
    /// A URI, like `sip:ana@example.com`.
    pub uri: Option<&'a str>,
    /// A name for people.
    pub name: Option<&'a str>,
    /// An e-mail address.
    pub email: Option<&'a str>,
}

impl<'a> Person<'a> {
    /// The actor of an event.
    pub(crate) fn actor(event: &'a Event<'_>) -> Self {
        let actor = &event.actor;
        Self {
            id: actor.id.as_deref(),
            uri: actor.uri.as_deref(),
            name: actor.name.as_deref(),
            email: actor.email.as_deref(),
        }
    }

    /// `{"id": …, "uri": …}`, or the id itself.
    pub(super) fn of_json(json: &'a Json<'_>) -> Self {
        let text = |name| json.get(name).and_then(Json::as_str);
        match json.as_str() {
            Some(id) => Self {
                id: Some(id),
                ..Self::default()
            },
            None => Self {
                id: text("id"),
                uri: text("uri"),
                name: text("name"),
                email: text("email"),
            },
        }
    }

    pub(crate) fn addresses(self) -> impl Iterator<Item = &'a str> {
        // An empty one would make everybody without an address one person.
        let given = |text: &&str| !text.is_empty();
        [self.id, self.uri, self.email]
            .into_iter()
            .flatten()
            .filter(given)
    }
}

/// Who is meant by a test, and under which ids, URIs and addresses the events know them.
#[derive(Debug)]
pub(crate) struct Meant {
    /// A person is found here as the author of an event is, in every script.
    from: Matcher,
    /// Folded.
    known: BTreeSet<String>,
    /// Who of them is who.
    persons: Persons,
}

impl Meant {
    /// Those whom `from` finds as authors.
    ///
    /// # Errors
    /// It asks what cannot be asked.
    pub(crate) fn new(from: &Expr) -> Result<Self, LowerError> {
        let from = Matcher::new(from, MatchOptions::default())?;
        Ok(Self {
            from,
            known: BTreeSet::new(),
            persons: Persons::default(),
        })
    }

    /// Folded ids, URIs and addresses met so far.
    pub(crate) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// Learns every id of a person that is meant, which the caller knows.
    pub(crate) fn learn(&mut self, person: Person<'_>) {
        self.learn_all(&[person]);
    }

    /// The same of one person who is named in several ways.
    fn learn_all(&mut self, named: &[Person<'_>]) {
        let addresses = named.iter().copied().flat_map(Person::addresses);
        self.known
            .extend(addresses.map(|text| fold_keyword(text).into_owned()));
        self.persons.unite(named);
    }

    /// Learns from the persons that a user or membership event speaks of, and from who joins or leaves. What it teaches may
    /// make others meant, in events that were read before: until [`Self::known`] stops growing, all have to be read again.
    pub(crate) fn learn_from(&mut self, event: &Event<'_>) {
        if SESSIONS.contains(&event.event_type.as_ref()) {
            return self.learn_one(&[Person::actor(event)]);
        }
        let Some(extra) = event
            .extra
            .as_deref()
            .and_then(|extra| Json::parse(extra).ok())
        else {
            return;
        };
        let Some(data) = extra.get("data") else {
            return;
        };
        let members = match data.get("members") {
            Some(Json::Array(members)) => members.as_slice(),
            _ => &[],
        };
        for member in data.get("member").into_iter().chain(members) {
            self.learn_one(&[Person::of_json(member)]);
        }
        let user = ["user", "before", "after"].map(|name| data.get(name));
        let user: Vec<Person<'_>> = user.into_iter().flatten().map(Person::of_json).collect();
        self.learn_one(&user);
    }

    /// Learns every id of one person who is named in several ways, if one of them is meant.
    fn learn_one(&mut self, named: &[Person<'_>]) {
        if named.iter().any(|person| self.means(*person)) {
            self.learn_all(named);
        }
    }

    /// Which of those meant this is; `None` for somebody else.
    pub(super) fn named(&mut self, person: Person<'_>) -> Option<Named> {
        if !self.means(person) {
            return None;
        }
        // Who has no address goes by the name alone, as by an id that nobody has: ids do not begin with a control character.
        self.persons.named(person).or_else(|| {
            let name = format!("\u{0}{}", person.name?);
            let by_name = Person {
                id: Some(&name),
                ..Person::default()
            };
            self.persons.named(by_name)
        })
    }

    /// Of each address met, by its number, the number of its person.
    pub(super) fn roots(&mut self) -> Vec<u32> {
        self.persons.roots()
    }

    pub(super) fn means(&mut self, person: Person<'_>) -> bool {
        person
            .addresses()
            .any(|text| self.known.contains(fold_keyword(text).as_ref()))
            || self.from.matches(&said_by(person))
    }
}

/// `from` with a test.
pub(crate) fn from(test: &Test) -> Expr {
    Expr::Property {
        property: Property::From,
        test: test.clone(),
        span: Default::default(),
    }
}

/// An event of which nothing is known but who caused it.
fn said_by(person: Person<'_>) -> Row<'_> {
    Row {
        event: Event {
            actor: Actor {
                id: person.id.map(Cow::Borrowed),
                uri: person.uri.map(Cow::Borrowed),
                name: person.name.map(Cow::Borrowed),
                email: person.email.map(Cow::Borrowed),
                ..Actor::default()
            },
            ..Event::default()
        },
        intake: Intake::default(),
    }
}
