//! Persons: who is who, over time.
//!
//! Two sources say it: `person add|link`, and the archive's own `chat.user.*` events. A person's identities are those
//! linked by hand, and for every user id among them all that the events know of that user. Two people of one name are
//! two persons: a name that fits several is ambiguous, never all of them.

mod users;

use std::collections::BTreeSet;

use holdfast_query::analyzer::fold_keyword;
use holdfast_query::ast::{Expr, Test};
use holdfast_query::property::Property;
use holdfast_schemas::ledger::Act;
use holdfast_schemas::ledger::hold::Custodian;
use holdfast_schemas::ledger::person::{Identity, IdentityKind, PersonAdd, PersonLink};

pub use users::{User, Users};

use crate::ledger::{Judged, Refusal, State};

/// A name that fits several people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{given}` may be any of {}", candidates.join("; "))]
pub struct Ambiguous {
    /// What was given.
    pub given: String,
    /// Who it may be: an id to give instead, and their names.
    pub candidates: Vec<String>,
}

/// Judges `person add`.
///
/// # Errors
/// There is a person of this id already, or it has no identity.
pub fn judge_add(state: &State, add: &PersonAdd) -> Result<Judged, Refusal> {
    crate::names::check("a person", &add.person)?;
    if add.identities.is_empty() {
        return Err(Refusal::because(
            format!("person `{}` has no identity", add.person),
            "give at least one of `--id`, `--uri`, `--email`, `--name`",
        ));
    }
    add.identities.iter().try_for_each(|identity| {
        valid(identity)?;
        unique(state, &add.person, identity)
    })?;
    let asked: BTreeSet<_> = add.identities.iter().cloned().collect();
    match state.persons.get(&add.person) {
        None => Ok(Judged::Write(Act::PersonAdd(add.clone()))),
        Some(known) if known.identities.is_superset(&asked) => Ok(Judged::Done(known.added.seq)),
        Some(_) => Err(Refusal::because(
            format!("there is a person `{}` already", add.person),
            "`holdfast person link` adds an identity to them",
        )),
    }
}

/// Judges `person link`.
///
/// # Errors
/// There is no such person, or the identity is another's at the same time.
pub fn judge_link(state: &State, link: &PersonLink) -> Result<Judged, Refusal> {
    valid(&link.identity)?;
    let Some(person) = state.persons.get(&link.person) else {
        return Err(Refusal::because(
            format!("there is no person `{}`", link.person),
            "`holdfast person add` makes one",
        ));
    };
    if person.identities.contains(&link.identity) {
        return Ok(Judged::Done(person.added.seq));
    }
    unique(state, &link.person, &link.identity)?;
    Ok(Judged::Write(Act::PersonLink(link.clone())))
}

/// Names are shared; a user id, a URI or an address is one person's at a time.
fn unique(state: &State, person: &str, identity: &Identity) -> Result<(), Refusal> {
    let taken = state.persons.iter().find(|(id, other)| {
        *id != person
            && other
                .identities
                .iter()
                .any(|known| same(known, identity) && overlap(known, identity))
    });
    match taken {
        Some((id, _)) if identity.kind != IdentityKind::Name => Err(Refusal::because(
            format!(
                "`{}` is an identity of person `{id}` at that time",
                identity.value
            ),
            "limit both with `--from` and `--until`",
        )),
        Some(_) | None => Ok(()),
    }
}

fn valid(identity: &Identity) -> Result<(), Refusal> {
    crate::names::check("a person", &identity.value)?;
    match (identity.from_us, identity.until_us) {
        (Some(from), Some(until)) if from > until => Err(Refusal::because(
            format!("`{}` would end before it begins", identity.value),
            "exchange `--from` and `--until`",
        )),
        _ => Ok(()),
    }
}

fn same(a: &Identity, b: &Identity) -> bool {
    a.kind == b.kind && fold_keyword(&a.value) == fold_keyword(&b.value)
}

fn overlap(a: &Identity, b: &Identity) -> bool {
    let starts = |i: &Identity| i.from_us.unwrap_or(i64::MIN);
    let ends = |i: &Identity| i.until_us.unwrap_or(i64::MAX);
    starts(a) <= ends(b) && starts(b) <= ends(a)
}

/// Who is meant by a name: a person by id, else by identity, else a user of the events. Nothing when it is nobody known:
/// the text itself is then searched for, as `from:` does.
///
/// # Errors
/// It fits several.
pub fn resolve(state: &State, users: &Users, given: &str) -> Result<Option<Custodian>, Ambiguous> {
    let folded = fold_keyword(given);
    if let Some((id, person)) = state
        .persons
        .iter()
        .find(|(id, _)| fold_keyword(id) == folded)
    {
        return Ok(Some(custodian(given, Some(id), &person.identities, users)));
    }
    let persons: Vec<_> = state
        .persons
        .iter()
        .filter(|(_, person)| {
            let mut identities = person.identities.iter();
            identities.any(|i| fold_keyword(&i.value) == folded)
        })
        .collect();
    // Users that are one of these persons' are not another candidate.
    let linked = |user: &User| {
        persons.iter().any(|(_, person)| {
            person.identities.iter().any(|i| {
                i.kind == IdentityKind::Id && fold_keyword(&i.value) == fold_keyword(&user.id)
            })
        })
    };
    let others: Vec<&User> = users.called(&folded).filter(|user| !linked(user)).collect();
    match (persons.as_slice(), others.as_slice()) {
        ([], []) => Ok(None),
        ([(id, person)], []) => Ok(Some(custodian(given, Some(id), &person.identities, users))),
        ([], [user]) => Ok(Some(Custodian {
            given: given.to_owned(),
            person: None,
            identities: user.identities.iter().cloned().collect(),
        })),
        (persons, others) => {
            let named = persons
                .iter()
                .map(|(id, person)| candidate(id, &person.identities))
                .chain(
                    others
                        .iter()
                        .map(|user| candidate(&user.id, &user.identities)),
                );
            Err(Ambiguous {
                given: given.to_owned(),
                candidates: named.collect(),
            })
        }
    }
}

fn custodian(
    given: &str,
    person: Option<&str>,
    linked: &BTreeSet<Identity>,
    users: &Users,
) -> Custodian {
    let mut identities = linked.clone();
    for id in linked.iter().filter(|i| i.kind == IdentityKind::Id) {
        let Some(user) = users.of_id(&id.value) else {
            continue;
        };
        // What the user was called while the id was this person's.
        identities.extend(
            user.identities
                .iter()
                .filter_map(|known| clipped(known, id)),
        );
    }
    Custodian {
        given: given.to_owned(),
        person: person.map(ToOwned::to_owned),
        identities: identities.into_iter().collect(),
    }
}

/// The part of an identity's time that lies within another's.
fn clipped(known: &Identity, within: &Identity) -> Option<Identity> {
    overlap(known, within).then(|| Identity {
        from_us: known.from_us.max(within.from_us),
        until_us: match (known.until_us, within.until_us) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
        ..known.clone()
    })
}

/// `u-7 (Ana Pérez, ana@example.com)`
fn candidate(id: &str, identities: &BTreeSet<Identity>) -> String {
    let mut names: Vec<&str> = Vec::new();
    for identity in identities.iter().rev() {
        if identity.value != id && !names.contains(&identity.value.as_str()) {
            names.push(&identity.value);
        }
    }
    format!("`{id}` ({})", names.join(", "))
}

/// A custodian's events by a property, `from` or `participants`: any of the identities, each in its time. Names count only
/// where nothing better is known: they are shared.
#[must_use]
pub fn expression(property: Property, custodian: &Custodian) -> Expr {
    let better = custodian
        .identities
        .iter()
        .any(|identity| identity.kind != IdentityKind::Name);
    let counted = custodian
        .identities
        .iter()
        .filter(|identity| !better || identity.kind != IdentityKind::Name);
    let mut any: Vec<Expr> = Vec::new();
    for identity in counted {
        let is = Expr::equals(property, identity.value.clone());
        let expr = match (identity.from_us, identity.until_us) {
            (None, None) => is,
            (from, until) => Expr::and(vec![is, Expr::between_us(Property::Date, from, until)]),
        };
        if !any.contains(&expr) {
            any.push(expr);
        }
    }
    Expr::or(any)
}

/// A query in which every `from:` and `participants:` with a person's id means all their identities. Those of `given`
/// (custodians) may also be told by any identity; other values stay what they are: text that is searched for.
///
/// # Errors
/// A value fits several people.
pub fn expanded(
    expr: &Expr,
    given: &[String],
    state: &State,
    users: &Users,
) -> Result<Expr, Ambiguous> {
    let all = |children: &[Expr]| -> Result<Vec<Expr>, Ambiguous> {
        let each = children.iter().map(|c| expanded(c, given, state, users));
        each.collect()
    };
    Ok(match expr {
        Expr::And { children, span } => Expr::And {
            children: all(children)?,
            span: *span,
        },
        Expr::Or { children, span } => Expr::Or {
            children: all(children)?,
            span: *span,
        },
        Expr::Not { child, span } => Expr::Not {
            child: Box::new(expanded(child, given, state, users)?),
            span: *span,
        },
        Expr::Property { property, test, .. } => {
            let value = person_of(*property, test);
            let value = value.filter(|v| is_person(state, v) || given.iter().any(|g| g == v));
            let custodian = value
                .map(|value| resolve(state, users, value))
                .transpose()?;
            match custodian.flatten() {
                Some(custodian) => expression(*property, &custodian),
                None => expr.clone(),
            }
        }
        Expr::Text { .. } | Expr::Near { .. } => expr.clone(),
    })
}

/// Whether a query names a person of the ledger by id.
#[must_use]
pub fn names_one(expr: &Expr, state: &State) -> bool {
    names(expr, &|value| is_person(state, value))
}

/// Whether a query may name a person: nothing else of the ledger changes what it means.
#[must_use]
pub fn may_name_one(expr: &Expr) -> bool {
    names(expr, &|_value| true)
}

fn names(expr: &Expr, is_meant: &dyn Fn(&str) -> bool) -> bool {
    match expr {
        Expr::And { children, .. } | Expr::Or { children, .. } => {
            children.iter().any(|child| names(child, is_meant))
        }
        Expr::Not { child, .. } => names(child, is_meant),
        Expr::Property { property, test, .. } => person_of(*property, test).is_some_and(is_meant),
        Expr::Text { .. } | Expr::Near { .. } => false,
    }
}

/// The value of a test that may name a person.
fn person_of(property: Property, test: &Test) -> Option<&str> {
    match (property, test) {
        (
            Property::From | Property::Participants,
            Test::Value {
                value,
                prefix: false,
            }
            | Test::Equals(value),
        ) => Some(value),
        _ => None,
    }
}

fn is_person(state: &State, value: &str) -> bool {
    let folded = fold_keyword(value);
    state.persons.keys().any(|id| fold_keyword(id) == folded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::state::{Mark, PersonState};

    fn identity(
        kind: IdentityKind,
        value: &str,
        from_us: Option<i64>,
        until_us: Option<i64>,
    ) -> Identity {
        Identity {
            kind,
            value: value.to_owned(),
            from_us,
            until_us,
        }
    }

    fn state(persons: &[(&str, &[Identity])]) -> State {
        let mut state = State::default();
        for (id, identities) in persons {
            let person = PersonState {
                added: Mark::default(),
                identities: identities.iter().cloned().collect(),
            };
            state.persons.insert((*id).to_owned(), person);
        }
        state
    }

    #[test]
    fn two_people_of_one_name_are_two_persons() {
        let name = identity(IdentityKind::Name, "Ana Pérez", None, None);
        let state = state(&[
            (
                "ana-1",
                &[identity(IdentityKind::Id, "u-1", None, None), name.clone()],
            ),
            (
                "ana-2",
                &[identity(IdentityKind::Id, "u-2", None, None), name],
            ),
        ]);
        let users = Users::default();
        let error = resolve(&state, &users, "ana pérez").unwrap_err();
        assert_eq!(
            error.candidates,
            ["`ana-1` (Ana Pérez, u-1)", "`ana-2` (Ana Pérez, u-2)"]
        );
        let one = resolve(&state, &users, "U-2").unwrap().unwrap();
        assert_eq!(one.person.as_deref(), Some("ana-2"));
        // Their name alone never stands for them where an id is known.
        assert_eq!(
            expression(Property::From, &one),
            Expr::equals(Property::From, "u-2")
        );
    }

    #[test]
    fn users_of_the_events_are_candidates_too_unless_they_are_linked() {
        let mut users = Users::default();
        for (id, from) in [("u-1", 5), ("u-2", 9)] {
            users.note(from, Some((id, &[(IdentityKind::Name, "Ana")])), None, None);
        }
        let error = resolve(&state(&[]), &users, "Ana").unwrap_err();
        assert_eq!(error.candidates, ["`u-1` (Ana)", "`u-2` (Ana)"]);
        let linked = state(&[(
            "ana",
            &[
                identity(IdentityKind::Id, "u-1", None, Some(7)),
                identity(IdentityKind::Id, "u-2", Some(8), None),
            ],
        )]);
        let ana = resolve(&linked, &users, "ana").unwrap().unwrap();
        assert_eq!(ana.person.as_deref(), Some("ana"));
        // What u-1 was called counts while u-1 was hers.
        assert!(
            ana.identities
                .contains(&identity(IdentityKind::Name, "Ana", Some(5), Some(7)))
        );
        assert!(
            ana.identities
                .contains(&identity(IdentityKind::Name, "Ana", Some(9), None))
        );
    }

    #[test]
    fn from_a_person_means_all_identities_each_in_its_time() {
        let state = state(&[(
            "ana",
            &[
                identity(IdentityKind::Id, "u-1", None, Some(7)),
                identity(IdentityKind::Email, "a@x", Some(8), None),
            ],
        )]);
        let query = Expr::and(vec![
            Expr::equals(Property::From, "ana"),
            Expr::not(Expr::equals(Property::From, "bea")),
            Expr::equals(Property::Room, "ana"),
        ]);
        let found = expanded(&query, &[], &state, &Users::default()).unwrap();
        let expected = Expr::and(vec![
            Expr::or(vec![
                Expr::and(vec![
                    Expr::equals(Property::From, "u-1"),
                    Expr::between_us(Property::Date, None, Some(7)),
                ]),
                Expr::and(vec![
                    Expr::equals(Property::From, "a@x"),
                    Expr::between_us(Property::Date, Some(8), None),
                ]),
            ]),
            Expr::not(Expr::equals(Property::From, "bea")),
            Expr::equals(Property::Room, "ana"),
        ]);
        assert_eq!(found, expected);
    }

    #[test]
    fn an_address_is_one_persons_at_a_time() {
        let state = state(&[
            (
                "ana",
                &[identity(IdentityKind::Email, "desk@x", Some(0), Some(10))],
            ),
            ("bea", &[identity(IdentityKind::Id, "u-2", None, None)]),
        ]);
        let link = |from| PersonLink {
            person: "bea".to_owned(),
            identity: identity(IdentityKind::Email, "DESK@x", Some(from), None),
        };
        assert!(judge_link(&state, &link(10)).is_err());
        assert!(matches!(
            judge_link(&state, &link(11)),
            Ok(Judged::Write(_))
        ));
    }
}
