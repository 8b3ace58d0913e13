//! Which of the rows that runs took out a hold covers: whole families of them.
//!
//! A family left the table whole. Parts of it that were archived since lie in the table, or went with a later run: a hold on
//! one of them holds the others.

use std::collections::BTreeMap;

use futures::TryStreamExt;
use holdfast_archive::{Archive, Segment, Snapshot};
use holdfast_schemas::columns::{Rows, name};
use holdfast_schemas::{Event, Row};
use roaring::RoaringTreemap;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::disposition::kept::Out;
use crate::disposition::{DispositionError, plan_file};
use crate::family::{Class, class_of, keys_of};
use crate::hold::Hold;
use crate::plan::{PlanError, open_rows, open_whole, open_whole_with_ids, row_ids_of};

/// By run: row ids of the families that some hold covers a part of. State records come back with everything else of a run
/// that comes back: they may explain it.
pub(crate) async fn held_rows(
    archive: &Archive,
    snapshot: &Snapshot,
    outs: &[Out],
    holds: &[Hold],
) -> Result<BTreeMap<String, RoaringTreemap>, DispositionError> {
    if holds.is_empty() || outs.is_empty() {
        return Ok(BTreeMap::new());
    }
    let mut families = Families {
        holds: holds.to_vec(),
        ..Families::default()
    };
    for out in outs {
        families.of_run(archive, out).await?;
    }
    // A run came after the files that it took rows out of; whatever was archived after it came later still.
    let begun = outs.iter().filter_map(|out| {
        let versions = out.segments.iter().map(|kept| kept.commit_version);
        versions.max()
    });
    let begun = begun.min().unwrap_or(0);
    let known = families.keys();
    for segment in snapshot.segments().await?.iter() {
        if segment.commit_version > begun {
            families.of_table(archive, segment, &known).await?;
        }
    }
    Ok(families.held())
}

/// The families of what is out.
#[derive(Default)]
struct Families {
    holds: Vec<Hold>,
    /// Rows by their family's last key: the run, and the row id.
    rows: FxHashMap<u64, Vec<(String, u64)>>,
    /// Keys that are one family.
    links: Vec<(u64, u64)>,
    held: FxHashSet<u64>,
    /// Held rows that stand for themselves.
    alone: Vec<(String, u64)>,
    records: BTreeMap<String, RoaringTreemap>,
}

impl Families {
    async fn of_run(&mut self, archive: &Archive, out: &Out) -> Result<(), DispositionError> {
        for kept in &out.segments {
            let segment = kept.segment();
            let rows = plan_file::rows_with_ids(archive, &segment, &out.rows).await?;
            if rows.is_empty() {
                continue;
            }
            let rows: Vec<u32> = rows.iter().collect();
            let mut batches = open_whole_with_ids(archive, &segment, &rows).await?;
            while let Some(batch) = batches.try_next().await? {
                let view = view(&segment, &batch)?;
                let ids = row_ids_of(&segment, &batch)?;
                for (place, id) in (0..view.len()).zip(ids) {
                    let id = u64::try_from(*id).unwrap_or(0);
                    self.out(&out.run, id, &view.row(place));
                }
            }
        }
        Ok(())
    }

    fn out(&mut self, run: &str, id: u64, row: &Row<'_>) {
        let covered = self.covers(row);
        if let Class::State(_) = class_of(&row.event.event_type) {
            self.records.entry(run.to_owned()).or_default().insert(id);
        }
        match self.key(&row.event) {
            Some(key) => {
                let rows = self.rows.entry(key).or_default();
                rows.push((run.to_owned(), id));
                if covered {
                    self.held.insert(key);
                }
            }
            None if covered => self.alone.push((run.to_owned(), id)),
            None => {}
        }
    }

    fn covers(&mut self, row: &Row<'_>) -> bool {
        self.holds.iter_mut().any(|hold| hold.covers(row))
    }

    /// The key that stands for an event's family; its others are linked to it.
    fn key(&mut self, event: &Event<'_>) -> Option<u64> {
        let keys = keys_of(event);
        self.links
            .extend(keys.windows(2).map(|pair| (pair[0], pair[1])));
        keys.last().copied()
    }

    fn keys(&self) -> FxHashSet<u64> {
        let links = self.links.iter().flat_map(|(one, two)| [*one, *two]);
        self.rows.keys().copied().chain(links).collect()
    }

    /// Parts in the table of families that are out. Text is read of these alone.
    async fn of_table(
        &mut self,
        archive: &Archive,
        segment: &Segment,
        known: &FxHashSet<u64>,
    ) -> Result<(), DispositionError> {
        let columns = [
            name::EVENT_TYPE,
            name::ROOM_ID,
            name::MESSAGE_ID,
            name::ATTACHMENTS,
        ];
        let mut parts: Vec<u32> = Vec::new();
        let mut first = 0u32;
        let mut batches = open_rows(archive, segment, &columns).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = view(segment, &batch)?;
            let rows = (0..view.len()).zip(first..);
            let part = |place: usize| {
                keys_of(&view.event(place))
                    .iter()
                    .any(|key| known.contains(key))
            };
            parts.extend(rows.filter(|(place, _)| part(*place)).map(|(_, row)| row));
            first += batch.num_rows() as u32;
        }
        if parts.is_empty() {
            return Ok(());
        }
        let mut batches = open_whole(archive, segment, &parts).await?;
        while let Some(batch) = batches.try_next().await? {
            let view = view(segment, &batch)?;
            for row in (0..view.len()).map(|place| view.row(place)) {
                let covered = self.covers(&row);
                let key = self.key(&row.event);
                self.held.extend(key.filter(|_| covered));
            }
        }
        Ok(())
    }

    fn held(mut self) -> BTreeMap<String, RoaringTreemap> {
        spread(&mut self.held, &self.links);
        let of_families = self.held.iter().filter_map(|key| self.rows.remove(key));
        let mut found: BTreeMap<String, RoaringTreemap> = BTreeMap::new();
        for (run, id) in of_families.flatten().chain(self.alone) {
            found.entry(run).or_default().insert(id);
        }
        for (run, rows) in &mut found {
            if let Some(records) = self.records.get(run) {
                *rows |= records;
            }
        }
        found
    }
}

/// What a file joins is one family.
fn spread(held: &mut FxHashSet<u64>, links: &[(u64, u64)]) {
    let mut linked: FxHashMap<u64, Vec<u64>> = FxHashMap::default();
    for (one, two) in links {
        linked.entry(*one).or_default().push(*two);
        linked.entry(*two).or_default().push(*one);
    }
    let mut next: Vec<u64> = held.iter().copied().collect();
    while let Some(key) = next.pop() {
        let others = linked.remove(&key).unwrap_or_default();
        next.extend(others.into_iter().filter(|other| held.insert(*other)));
    }
}

fn view<'b>(
    segment: &Segment,
    batch: &'b arrow::array::RecordBatch,
) -> Result<Rows<'b>, PlanError> {
    Rows::new(batch).map_err(|error| PlanError::Segment {
        segment: segment.path.clone(),
        problem: error.to_string(),
    })
}
