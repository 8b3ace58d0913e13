//! Which of the rows that a run took out a hold covers: whole families of them.

use futures::TryStreamExt;
use holdfast_archive::Archive;
use holdfast_schemas::columns::Rows;
use roaring::RoaringTreemap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::disposition::kept::Out;
use crate::disposition::{DispositionError, plan_file};
use crate::family::{Class, class_of, file_key, message_key};
use crate::hold::Hold;
use crate::plan::PlanError;

/// Row ids of the families that some hold covers a part of. State records come back with everything else of a run that
/// comes back: they may explain it.
pub(crate) async fn held_rows(
    archive: &Archive,
    out: &Out,
    holds: &[Hold],
) -> Result<RoaringTreemap, DispositionError> {
    let mut found = RoaringTreemap::new();
    if holds.is_empty() {
        return Ok(found);
    }
    let mut holds = holds.to_vec();
    let mut families: FxHashMap<u64, Vec<u64>> = FxHashMap::default();
    let mut links: Vec<(u64, u64)> = Vec::new();
    let mut held: FxHashSet<u64> = FxHashSet::default();
    let mut records = RoaringTreemap::new();
    for kept in &out.segments {
        let segment = kept.segment();
        let rows: Vec<u32> = plan_file::rows_with_ids(archive, &segment, &out.rows)
            .await?
            .iter()
            .collect();
        if rows.is_empty() {
            continue;
        }
        let mut batches = crate::plan::open_whole_with_ids(archive, &segment, &rows).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = Rows::new(&batch).map_err(|error| PlanError::Segment {
                segment: segment.path.clone(),
                problem: error.to_string(),
            })?;
            let ids = crate::plan::row_ids_of(&segment, &batch)?;
            for (place, id) in (0..view.len()).zip(ids) {
                let row = view.row(place);
                let id = u64::try_from(*id).unwrap_or(0);
                let covered = holds.iter_mut().any(|hold| hold.covers(&row));
                let class = class_of(&row.event.event_type);
                let mut keys: Vec<u64> = row
                    .event
                    .attachments
                    .iter()
                    .filter_map(|file| file.id.as_deref())
                    .map(file_key)
                    .collect();
                if let (Class::Message { .. }, Some(message)) =
                    (class, row.event.message.id.as_deref())
                {
                    keys.push(message_key(row.event.room.id.as_deref(), message));
                }
                links.extend(keys.windows(2).map(|pair| (pair[0], pair[1])));
                if let Class::State(_) = class {
                    records.insert(id);
                }
                match keys.last() {
                    Some(key) => {
                        families.entry(*key).or_default().push(id);
                        if covered {
                            held.insert(*key);
                        }
                    }
                    None if covered => {
                        found.insert(id);
                    }
                    None => {}
                }
            }
        }
    }
    spread(&mut held, &links);
    found.extend(held.iter().filter_map(|key| families.get(key)).flatten());
    if !found.is_empty() {
        found |= records;
    }
    Ok(found)
}

/// What a file joins is one family.
fn spread(held: &mut FxHashSet<u64>, links: &[(u64, u64)]) {
    loop {
        let before = held.len();
        for (one, two) in links {
            if held.contains(one) || held.contains(two) {
                held.extend([*one, *two]);
            }
        }
        if held.len() == before {
            return;
        }
    }
}
