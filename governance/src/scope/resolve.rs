//! One name, one thing: an ambiguous name is an error with its candidates.

use holdfast_schemas::ledger::hold::{Custodian, RoomRef};
use holdfast_schemas::ledger::person::{Identity, IdentityKind};

use super::Directory;
use crate::ledger::State;
use crate::policy::folded;

/// Candidates that are named in an error, at most.
const NAMED_MAX: usize = 8;

/// A name that means nothing, or too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Nothing is called so.
    #[error("there is no {what} `{given}` in the archive\nhint: {hint}")]
    Unknown {
        /// Room, custodian.
        what: &'static str,
        /// As given.
        given: String,
        /// What to do.
        hint: String,
    },
    /// Several are.
    #[error("`{given}` may be {}\nhint: give the id of the {what} you mean", candidates.join(", or "))]
    Ambiguous {
        /// Room, custodian.
        what: &'static str,
        /// As given.
        given: String,
        /// What it may be, with ids.
        candidates: Vec<String>,
    },
}

/// A room by id or by any name it ever had.
///
/// # Errors
/// No room, or several rooms, are called so.
pub fn room(directory: &Directory, given: &str) -> Result<RoomRef, ScopeError> {
    let wanted = folded(given);
    let named = |id: &String| RoomRef {
        id: id.clone(),
        name: directory
            .rooms
            .get(id)
            .and_then(|known| known.names.last().cloned()),
    };
    if let Some((id, _)) = directory.rooms.iter().find(|(id, _)| folded(id) == wanted) {
        return Ok(named(id));
    }
    let of = directory
        .rooms
        .iter()
        .filter(|(_, known)| known.names.iter().any(|name| folded(name) == wanted));
    let ids: Vec<&String> = of.map(|(id, _)| id).collect();
    match ids.as_slice() {
        [one] => Ok(named(one)),
        [] => Err(ScopeError::Unknown {
            what: "room",
            given: given.to_owned(),
            hint: "`holdfast rooms` shows the rooms with their ids".to_owned(),
        }),
        several => Err(ScopeError::Ambiguous {
            what: "room",
            given: given.to_owned(),
            candidates: several
                .iter()
                .take(NAMED_MAX)
                .map(|id| format!("room {id}"))
                .collect(),
        }),
    }
}

/// A custodian by the ledger's persons, or by an id, URI, address or name of the events.
///
/// # Errors
/// Nobody, or several people, are called so.
pub fn custodian(
    directory: &Directory,
    state: &State,
    given: &str,
) -> Result<Custodian, ScopeError> {
    if let Some(person) = state.persons.get(given) {
        return Ok(Custodian {
            given: given.to_owned(),
            person: Some(given.to_owned()),
            identities: person.identities.iter().cloned().collect(),
        });
    }
    let wanted = folded(given);
    let is = |text: &String| folded(text) == wanted;
    let by_address = directory
        .persons
        .iter()
        .filter(|(id, known)| is(id) || known.addresses.iter().any(is));
    let mut ids: Vec<&String> = by_address.map(|(id, _)| id).collect();
    if ids.is_empty() {
        let by_name = directory
            .persons
            .iter()
            .filter(|(_, known)| known.names.iter().any(is));
        ids = by_name.map(|(id, _)| id).collect();
    }
    match ids.as_slice() {
        [one] => Ok(Custodian {
            given: given.to_owned(),
            person: None,
            identities: identities(directory, one),
        }),
        [] => Err(ScopeError::Unknown {
            what: "custodian",
            given: given.to_owned(),
            hint: "give an id, a URI or an e-mail address, or add the person with `holdfast person add`".to_owned(),
        }),
        several => {
            let shown = several.iter().take(NAMED_MAX).map(|id| {
                let known = directory.persons.get(*id);
                let addresses = known.into_iter().flat_map(|known| &known.addresses);
                let addresses: Vec<&str> = addresses.map(String::as_str).collect();
                format!("{id} ({})", addresses.join(", "))
            });
            Err(ScopeError::Ambiguous {
                what: "custodian",
                given: given.to_owned(),
                candidates: shown.collect(),
            })
        }
    }
}

fn identities(directory: &Directory, id: &str) -> Vec<Identity> {
    let identity = |kind, value: &str| Identity {
        kind,
        value: value.to_owned(),
        from_us: None,
        until_us: None,
    };
    let mut found = vec![identity(IdentityKind::Id, id)];
    if let Some(known) = directory.persons.get(id) {
        found.extend(known.addresses.iter().map(|text| {
            let email = text.contains('@') && !text.contains(':');
            identity(
                if email {
                    IdentityKind::Email
                } else {
                    IdentityKind::Uri
                },
                text,
            )
        }));
        found.extend(
            known
                .names
                .iter()
                .map(|name| identity(IdentityKind::Name, name)),
        );
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Known;

    fn directory() -> Directory {
        let known = |names: &[&str], addresses: &[&str]| Known {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            addresses: addresses.iter().map(|name| (*name).to_owned()).collect(),
        };
        Directory {
            rooms: [
                ("r-1".to_owned(), known(&["sales", "old-sales"], &[])),
                ("r-2".to_owned(), known(&["ops"], &[])),
                ("r-3".to_owned(), known(&["ops"], &[])),
            ]
            .into(),
            categories: ["x".to_owned()].into(),
            persons: [
                (
                    "u-1".to_owned(),
                    known(&["Ana Pérez"], &["sip:ana@x.org", "ana@x.org"]),
                ),
                ("u-2".to_owned(), known(&["Ana Pérez"], &["ana2@x.org"])),
                ("u-3".to_owned(), known(&["Bo"], &[])),
            ]
            .into(),
        }
    }

    #[test]
    fn rooms_are_found_by_every_name_and_two_of_one_name_are_told_apart() {
        let directory = directory();
        assert_eq!(room(&directory, "OLD-sales").unwrap().id, "r-1");
        assert_eq!(room(&directory, "R-2").unwrap().id, "r-2");
        let error = room(&directory, "ops").unwrap_err().to_string();
        assert!(
            error.contains("room r-2, or room r-3") && error.contains("hint: give the id"),
            "{error}"
        );
        assert!(
            room(&directory, "nope")
                .unwrap_err()
                .to_string()
                .contains("there is no room `nope`")
        );
    }

    #[test]
    fn two_people_of_one_name_are_two_people() {
        let (directory, state) = (directory(), State::default());
        let found = custodian(&directory, &state, "ana@x.org").unwrap();
        assert_eq!(found.identities[0].value, "u-1");
        assert_eq!(found.identities.len(), 4);
        let error = custodian(&directory, &state, "ana pérez")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("u-1 (ana@x.org, sip:ana@x.org), or u-2 (ana2@x.org)"),
            "{error}"
        );
        assert_eq!(
            custodian(&directory, &state, "bo").unwrap().identities[0].value,
            "u-3"
        );
    }
}
