//! Which rooms and categories the archive knows, under every name that their events carry: renamed, disabled and deleted
//! ones included.

use std::collections::{BTreeMap, BTreeSet};

use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_schemas::columns::{Rows, name};

use crate::plan::{PlanError, each, open_rows};

/// Names under which something is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Display names.
    pub names: BTreeSet<String>,
}

/// What the archive knows, by id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directory {
    /// Rooms by id.
    pub rooms: BTreeMap<String, Known>,
    /// Categories.
    pub categories: BTreeSet<String>,
}

const COLUMNS: &[&str] = &[name::ROOM_ID, name::ROOM_NAME, name::CATEGORY];

impl Directory {
    /// Reads it off a snapshot.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn read(archive: &Archive, snapshot: &Snapshot) -> Result<Self, PlanError> {
        let segments = snapshot.segments().await?;
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let read = each(&segments, at_once, |segment| {
            let archive = archive.clone();
            async move { Self::of(&archive, &segment).await }
        });
        let mut all = Self::default();
        for one in read.await? {
            all.categories.extend(one.categories);
            one.rooms
                .into_iter()
                .for_each(|(id, known)| all.rooms.entry(id).or_default().merge(known));
        }
        Ok(all)
    }

    async fn of(archive: &Archive, segment: &Segment) -> Result<Self, PlanError> {
        let mut found = Self::default();
        let mut batches = open_rows(archive, segment, COLUMNS).await?;
        while let Some(batch) = batches.try_next().await? {
            let rows = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            for event in (0..rows.len()).map(|place| rows.event(place)) {
                if let Some(id) = event.room.id.as_deref() {
                    let room = entry(&mut found.rooms, id);
                    add(&mut room.names, event.room.name.as_deref());
                }
                add(&mut found.categories, event.room.category.as_deref());
            }
        }
        Ok(found)
    }
}

impl Known {
    fn merge(&mut self, other: Self) {
        self.names.extend(other.names);
    }
}

fn entry<'m>(map: &'m mut BTreeMap<String, Known>, id: &str) -> &'m mut Known {
    // Most rows speak of something known: no allocation for them.
    if !map.contains_key(id) {
        map.insert(id.to_owned(), Known::default());
    }
    map.entry(id.to_owned()).or_default()
}

fn add(set: &mut BTreeSet<String>, text: Option<&str>) {
    if let Some(text) = text
        && !text.is_empty()
        && !set.contains(text)
    {
        set.insert(text.to_owned());
    }
}
