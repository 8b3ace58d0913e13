//! Files that left the table and are kept all the same: what a disposition took out stays restorable until it is purged.
//!
//! Domain metadata `holdfast.kept.<name>` holds `{"paths":[…],"note":…}`. It is written by the commit that takes the
//! files out, changed by compare-and-set ([`KeptChange`]), and garbage collection leaves the segments it names alone
//! however old they are. Their splits go with the ordinary grace: a restored row is indexed anew.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::commit::Conflict;
use crate::error::ArchiveError;
use crate::log::paths;
use crate::log::state::State;
use crate::snapshot::Snapshot;

const DOMAIN_PREFIX: &str = "holdfast.kept.";

/// Files kept under one name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Segments, relative to `events/`.
    pub paths: Vec<String>,
    /// What whoever keeps them wants to know later; opaque here.
    pub note: String,
}

/// What becomes of one name in a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptChange {
    /// The name; a disposition's run.
    pub name: String,
    /// What the table must hold under it now; nothing when the name is new.
    pub from: Option<Kept>,
    /// What it holds afterwards; nothing when it goes.
    pub to: Option<Kept>,
}

impl Snapshot {
    /// Everything that is kept, by name.
    ///
    /// # Errors
    /// An entry is broken.
    pub fn kept(&self) -> Result<BTreeMap<String, Kept>, ArchiveError> {
        all(&self.state)
    }
}

fn all(state: &State) -> Result<BTreeMap<String, Kept>, ArchiveError> {
    let mut found = BTreeMap::new();
    for domain in state.domains.keys() {
        if let Some(name) = domain.strip_prefix(DOMAIN_PREFIX)
            && let Some(kept) = get(state, name)?
        {
            found.insert(name.to_owned(), kept);
        }
    }
    Ok(found)
}

/// Paths of all kept segments, relative to `events/`.
pub(crate) fn segments(state: &State) -> Result<BTreeSet<String>, ArchiveError> {
    Ok(all(state)?
        .into_values()
        .flat_map(|kept| kept.paths)
        .collect())
}

fn get(state: &State, name: &str) -> Result<Option<Kept>, ArchiveError> {
    let Some(text) = state.domains.get(&format!("{DOMAIN_PREFIX}{name}")) else {
        return Ok(None);
    };
    serde_json::from_str(text)
        .map(Some)
        .map_err(|e| ArchiveError::Corrupt {
            path: format!("{}/{DOMAIN_PREFIX}{name}", paths::LOG),
            problem: e.to_string(),
        })
}

/// The first change whose `from` is not what the table holds.
pub(crate) fn changed(
    changes: &[KeptChange],
    state: &State,
) -> Result<Option<Conflict>, ArchiveError> {
    for change in changes {
        if get(state, &change.name)? != change.from {
            return Ok(Some(Conflict::KeptChanged {
                name: change.name.clone(),
            }));
        }
    }
    Ok(None)
}

/// The domain entry after the change; nothing when it goes.
pub(crate) fn domain(change: &KeptChange) -> Result<(String, Option<String>), ArchiveError> {
    let text = change.to.as_ref().map(serde_json::to_string).transpose();
    let text = text.map_err(|e| {
        ArchiveError::Invalid(format!(
            "what is kept as {} cannot be written: {e}",
            change.name
        ))
    })?;
    Ok((format!("{DOMAIN_PREFIX}{}", change.name), text))
}
