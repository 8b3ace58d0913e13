//! Which rooms and categories the archive knows, under every name that their events carry: renamed, disabled and deleted
//! ones included.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::array::RecordBatch;
use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::event_type::CATEGORY_UPDATED;
use holdfast_schemas::json::Json;

use crate::plan::{PlanError, each, open_rows, open_some, readable};
use crate::policy::folded;

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
    /// Names that a category had and got (`chat.category.updated`).
    pub renamed: BTreeSet<(String, String)>,
}

const COLUMNS: &[&str] = &[
    name::EVENT_TYPE,
    name::ROOM_ID,
    name::ROOM_NAME,
    name::CATEGORY,
];

impl Directory {
    /// Reads it off a snapshot, and off what a run took out of it and can still be put back: a hold brings it back.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn read(archive: &Archive, snapshot: &Snapshot) -> Result<Self, PlanError> {
        let segments = readable(archive, snapshot).await?.into_iter();
        let segments: Vec<Arc<Segment>> = segments.map(Arc::new).collect();
        let at_once = std::thread::available_parallelism().map_or(2, usize::from);
        let read = each(&segments, at_once, |segment| {
            let archive = archive.clone();
            async move { Self::of(&archive, &segment).await }
        });
        let mut all = Self::default();
        for one in read.await? {
            all.categories.extend(one.categories);
            all.renamed.extend(one.renamed);
            one.rooms
                .into_iter()
                .for_each(|(id, known)| all.rooms.entry(id).or_default().merge(known));
        }
        Ok(all)
    }

    async fn of(archive: &Archive, segment: &Segment) -> Result<Self, PlanError> {
        let mut found = Self::default();
        let (mut updates, mut first) = (Vec::new(), 0u32);
        let mut batches = open_rows(archive, segment, COLUMNS).await?;
        while let Some(batch) = batches.try_next().await? {
            let rows = view(segment, &batch)?;
            for (place, row) in (0..rows.len()).zip(first..) {
                let event = rows.event(place);
                if event.event_type == CATEGORY_UPDATED {
                    updates.push(row);
                }
                if let Some(id) = event.room.id.as_deref() {
                    let room = entry(&mut found.rooms, id);
                    add(&mut room.names, event.room.name.as_deref());
                }
                add(&mut found.categories, event.room.category.as_deref());
            }
            first += batch.num_rows() as u32;
        }
        if !updates.is_empty() {
            found.renamed = renames(archive, segment, &updates).await?;
        }
        Ok(found)
    }

    /// Every name that a category has or had, in the spellings of the archive, or nothing when there is none of this name.
    /// A name that went from one category to another stands for both.
    #[must_use]
    pub fn names_of_category(&self, given: &str) -> Option<Vec<String>> {
        let mut names = BTreeSet::from([folded(given)]);
        loop {
            let before = names.len();
            for (had, got) in &self.renamed {
                let (had, got) = (folded(had), folded(got));
                if names.contains(&had) || names.contains(&got) {
                    names.extend([had, got]);
                }
            }
            if names.len() == before {
                break;
            }
        }
        let renamed = self.renamed.iter().flat_map(|(had, got)| [had, got]);
        let spelt: BTreeMap<String, &String> = renamed
            .chain(&self.categories)
            .map(|name| (folded(name), name))
            .filter(|(name, _)| names.contains(name))
            .collect();
        (!spelt.is_empty()).then(|| spelt.into_values().cloned().collect())
    }
}

/// What updates of categories say of their names.
async fn renames(
    archive: &Archive,
    segment: &Segment,
    updates: &[u32],
) -> Result<BTreeSet<(String, String)>, PlanError> {
    let mut found = BTreeSet::new();
    let mut batches = open_some(archive, segment, &[name::EXTRA], updates).await?;
    while let Some(batch) = batches.try_next().await? {
        let rows = view(segment, &batch)?;
        for event in (0..rows.len()).map(|place| rows.event(place)) {
            let extra = event.extra.as_deref();
            let Some(extra) = extra.and_then(|extra| Json::parse(extra).ok()) else {
                continue;
            };
            let name = |of: &str| {
                let name = extra.get("data")?.get(of)?.get("name")?;
                name.as_str().map(str::to_owned)
            };
            found.extend(name("before").zip(name("after")));
        }
    }
    Ok(found)
}

fn view<'b>(segment: &Segment, batch: &'b RecordBatch) -> Result<Rows<'b>, PlanError> {
    Rows::new(batch).map_err(|error| PlanError::Segment {
        segment: segment.path.clone(),
        problem: error.to_string(),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_known_by_every_name_it_had() {
        let pair = |had: &str, got: &str| (had.to_owned(), got.to_owned());
        let directory = Directory {
            categories: ["Sales".to_owned(), "legal".to_owned()].into(),
            renamed: [pair("Sales", "Markets"), pair("markets", "Trading")].into(),
            ..Directory::default()
        };
        let all = Some(vec![
            "markets".to_owned(),
            "Sales".to_owned(),
            "Trading".to_owned(),
        ]);
        for name in ["sales", "MARKETS", "Trading"] {
            assert_eq!(directory.names_of_category(name), all, "{name}");
        }
        let alone = Some(vec!["legal".to_owned()]);
        assert_eq!(directory.names_of_category("legal"), alone);
        assert_eq!(directory.names_of_category("ops"), None);
    }
}
