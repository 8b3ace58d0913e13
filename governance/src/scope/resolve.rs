//! One name, one thing: an ambiguous name is an error with its candidates.

use holdfast_schemas::ledger::hold::RoomRef;

use super::Directory;
use crate::policy::folded;

/// Candidates that are named in an error, at most.
const NAMED_MAX: usize = 8;

/// A name that means nothing, or too much.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Nothing is called so.
    #[error("there is no {what} `{given}` in the archive\nhint: {hint}")]
    Unknown {
        /// A room.
        what: &'static str,
        /// As given.
        given: String,
        /// What to do.
        hint: String,
    },
    /// Several are.
    #[error("`{given}` may be {}\nhint: give the id of the {what} you mean", candidates.join(", or "))]
    Ambiguous {
        /// A room.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::Known;

    fn directory() -> Directory {
        let known = |names: &[&str]| Known {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        Directory {
            rooms: [
                ("r-1".to_owned(), known(&["sales", "old-sales"])),
                ("r-2".to_owned(), known(&["ops"])),
                ("r-3".to_owned(), known(&["ops"])),
            ]
            .into(),
            categories: ["x".to_owned()].into(),
            renamed: [].into(),
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
}
