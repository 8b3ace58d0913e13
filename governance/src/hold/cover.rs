//! What a hold covers in a snapshot, counted and by row id.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_schemas::columns::Rows;
use roaring::RoaringTreemap;

use super::Hold;
use crate::disposition::objects;
use crate::plan::{PlanError, open_every, row_ids_of};

/// What a hold covers.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Coverage {
    /// Events.
    pub events: u64,
    /// Their bytes, about: their share of their segments.
    pub bytes: u64,
    /// Events by room id; those without a room under the empty one.
    pub by_room: BTreeMap<String, u64>,
    /// Events by author, by their id.
    pub by_author: BTreeMap<String, u64>,
    /// Events by custodian, as the hold names them: what each sent or could see. One event may count for several.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub by_custodian: BTreeMap<String, u64>,
    /// Row ids.
    #[serde(with = "objects::rows")]
    pub rows: RoaringTreemap,
}

impl Coverage {
    fn merge(&mut self, other: Self) {
        self.events += other.events;
        self.bytes += other.bytes;
        for (room, events) in other.by_room {
            *self.by_room.entry(room).or_default() += events;
        }
        for (author, events) in other.by_author {
            *self.by_author.entry(author).or_default() += events;
        }
        for (custodian, events) in other.by_custodian {
            *self.by_custodian.entry(custodian).or_default() += events;
        }
        self.rows |= other.rows;
    }
}

/// Counts what a hold covers in a snapshot. `custodians`: a hold of each of its custodians alone.
///
/// # Errors
/// A segment cannot be read.
pub async fn covered(
    archive: &Archive,
    snapshot: &Snapshot,
    hold: &Hold,
    custodians: Vec<Hold>,
) -> Result<Coverage, PlanError> {
    let segments = snapshot.segments().await?;
    let at_once = std::thread::available_parallelism().map_or(2, usize::from);
    let hold = Arc::new((hold.clone(), custodians));
    let found = crate::plan::each(&segments, at_once, |segment| {
        let (archive, hold) = (archive.clone(), Arc::clone(&hold));
        async move { of_segment(&archive, &segment, &hold.0, &hold.1).await }
    });
    let mut coverage = Coverage::default();
    for one in found.await? {
        coverage.merge(one);
    }
    Ok(coverage)
}

async fn of_segment(
    archive: &Archive,
    segment: &Segment,
    hold: &Hold,
    custodians: &[Hold],
) -> Result<Coverage, PlanError> {
    let mut coverage = Coverage::default();
    let (mut hold, mut custodians) = (hold.clone(), custodians.to_vec());
    let mut batches = open_every(archive, segment).await?;
    while let Some(batch) = batches.try_next().await? {
        let view = Rows::new(&batch).map_err(|error| PlanError::Segment {
            segment: segment.path.clone(),
            problem: error.to_string(),
        })?;
        let ids = row_ids_of(segment, &batch)?;
        for (place, id) in (0..view.len()).zip(ids) {
            let row = view.row(place);
            if !hold.covers(&row) {
                continue;
            }
            coverage.events += 1;
            coverage.rows.extend(u64::try_from(*id));
            for custodian in &mut custodians {
                if custodian.covers(&row) {
                    count(&mut coverage.by_custodian, &custodian.name);
                }
            }
            let room = row.event.room.id.as_deref().unwrap_or_default();
            count(&mut coverage.by_room, room);
            count(
                &mut coverage.by_author,
                row.event.actor.id.as_deref().unwrap_or_default(),
            );
        }
    }
    let share =
        u128::from(segment.bytes) * u128::from(coverage.events) / u128::from(segment.rows.max(1));
    coverage.bytes = u64::try_from(share).unwrap_or(u64::MAX);
    Ok(coverage)
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}
