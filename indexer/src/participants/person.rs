//! Whom a `participants` test means, and under which names the events know them.

use std::collections::BTreeSet;

use holdfast_query::analyzer::{Analyzer, fold_keyword};
use holdfast_query::ast::{Test, Text};
use holdfast_schemas::Event;
use holdfast_schemas::json::Json;

/// A person as an event names them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Person<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) uri: Option<&'a str>,
    pub(crate) name: Option<&'a str>,
    pub(crate) email: Option<&'a str>,
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

    fn addresses(&self) -> impl Iterator<Item = &'a str> {
        [self.id, self.uri, self.email].into_iter().flatten()
    }
}

/// Who is meant by a test, and under which ids, URIs and addresses the events know them.
#[derive(Debug)]
pub(crate) struct Meant {
    test: Test,
    /// Folded.
    known: BTreeSet<String>,
}

impl Meant {
    pub(crate) fn new(test: Test) -> Self {
        Self {
            test,
            known: BTreeSet::new(),
        }
    }

    pub(crate) fn test(&self) -> &Test {
        &self.test
    }

    /// Folded ids, URIs and addresses met so far.
    pub(crate) fn known(&self) -> &BTreeSet<String> {
        &self.known
    }

    /// Learns every id of a person that the test means.
    pub(crate) fn learn(&mut self, person: Person<'_>) {
        if self.means(person) {
            self.known.extend(
                person
                    .addresses()
                    .map(|text| fold_keyword(text).into_owned()),
            );
        }
    }

    /// Learns from the persons that a user or membership event speaks of.
    pub(crate) fn learn_from(&mut self, event: &Event<'_>) {
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
        for name in ["member", "user"] {
            if let Some(person) = data.get(name) {
                self.learn(Person::of_json(person));
            }
        }
    }

    pub(super) fn means(&self, person: Person<'_>) -> bool {
        let whole = person
            .addresses()
            .chain(person.name)
            .any(|text| self.whole(text));
        whole
            || person
                .addresses()
                .any(|text| self.known.contains(fold_keyword(text).as_ref()))
            || self.by_name(person)
    }

    fn whole(&self, text: &str) -> bool {
        let folded = fold_keyword(text);
        match &self.test {
            Test::Value {
                value,
                prefix: true,
            } => folded.starts_with(fold_keyword(value).as_ref()),
            Test::Value {
                value,
                prefix: false,
            }
            | Test::Equals(value) => folded == fold_keyword(value),
            Test::Text(Text::Word(value) | Text::Phrase { text: value, .. }) => {
                folded == fold_keyword(value)
            }
            Test::Time { .. }
            | Test::TimeBetween { .. }
            | Test::Size { .. }
            | Test::SizeBetween { .. }
            | Test::Flag(_) => false,
        }
    }

    /// As `from` finds a name: by its terms, one after another.
    fn by_name(&self, person: Person<'_>) -> bool {
        let (Some(name), Test::Value { value, prefix }) = (person.name, &self.test) else {
            return false;
        };
        let (name, value) = (terms(name), terms(value));
        !value.is_empty()
            && name.windows(value.len()).any(|window| {
                let last = value.len() - 1;
                window[..last] == value[..last]
                    && if *prefix {
                        window[last].starts_with(&value[last])
                    } else {
                        window[last] == value[last]
                    }
            })
    }
}

fn terms(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    Analyzer::new().terms(text, |term| terms.push(term.text.to_owned()));
    terms
}
