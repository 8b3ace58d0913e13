//! The conversation around an event.

use std::sync::Arc;

use holdfast_archive::Snapshot;
use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::columns::name;
use roaring::RoaringBitmap;

use super::coverage::Coverage;
use super::engine::{Asked, Resolved, Want};
use super::hits::Hits;
use super::prune::Bounds;
use super::question::InRoom;
use super::searcher::Searcher;
use crate::error::SearchError;

/// An event's place in the order of everything.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its time, UTC microseconds.
    pub event_time_us: i64,
    /// Its id.
    pub event_id: String,
}

/// How much of a room to show around an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// So many events before it, and as many after.
    Events(usize),
    /// All events so many microseconds before and after.
    Microseconds(i64),
}

impl Searcher {
    /// What happened in a room around a place, the event there included, in order.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub async fn around(
        &self,
        snapshot: &Snapshot,
        room_id: &str,
        place: &Place,
        window: Window,
    ) -> Result<Hits, SearchError> {
        let time = place.event_time_us;
        let (from_us, to_us) = match window {
            Window::Events(_) => (i64::MIN, i64::MAX),
            Window::Microseconds(us) => (time.saturating_sub(us), time.saturating_add(us)),
        };
        let bounds = Bounds {
            event_time_us: (from_us, to_us),
            ..Bounds::UNBOUNDED
        };
        let segments = snapshot
            .segments()
            .await?
            .iter()
            .filter(|segment| bounds.may_hold(segment))
            .cloned()
            .collect();
        let question = Arc::new(InRoom {
            room: fold_keyword(room_id).into_owned(),
            from_us,
            to_us,
        });
        let version = snapshot.version();
        let mut found = self
            .engine
            .ask(
                segments,
                Asked {
                    question,
                    version,
                    want: Want::Rows,
                },
            )
            .await?;
        if let Window::Events(events) = window {
            self.keep_nearest(&mut found, place, events).await?;
        }
        self.hits(snapshot, version, found, None, Coverage::of_lookup(version))
            .await
    }

    /// Keeps the `events` rows before the place, the place itself, and as many after it.
    async fn keep_nearest(
        &self,
        found: &mut [Resolved],
        place: &Place,
        events: usize,
    ) -> Result<(), SearchError> {
        let mut before: Vec<(Place, usize, u32)> = Vec::new();
        let mut after: Vec<(Place, usize, u32)> = Vec::new();
        for (at, one) in found.iter().enumerate() {
            // A segment's rows stand in order: beyond the nearest ones of each segment none can be among the nearest of all.
            let first = self.first_from(one, place).await?;
            let rank = first.map_or(one.rows.len(), |row| one.rows.rank(row) - 1);
            let begin = rank.saturating_sub(events as u64);
            let near: RoaringBitmap = one
                .rows
                .iter()
                .skip(begin as usize)
                .take(2 * events + 1)
                .collect();
            let mut rows = near.iter();
            let mut sort = |row: &holdfast_schemas::Row<'_>| {
                let Some(number) = rows.next() else { return };
                let here = Place {
                    event_time_us: row.event.time_us,
                    event_id: row.event.id.to_string(),
                };
                let side = if here < *place {
                    &mut before
                } else {
                    &mut after
                };
                side.push((here, at, number));
            };
            self.engine
                .each_row(
                    &one.segment,
                    &near,
                    &[name::EVENT_TIME, name::EVENT_ID],
                    &mut sort,
                )
                .await?;
        }
        before.sort();
        after.sort();
        // The event at the place stands first among those that are not before it.
        let here = usize::from(after.first().is_some_and(|(first, _, _)| first == place));
        after.truncate(events + here);
        let kept = before.len().saturating_sub(events);
        found.iter_mut().for_each(|one| one.rows.clear());
        for (_, at, row) in before.drain(kept..).chain(after) {
            found[at].rows.insert(row);
        }
        Ok(())
    }

    /// The first of the rows found that is not before the place: by halving, each step reading one row.
    async fn first_from(&self, one: &Resolved, place: &Place) -> Result<Option<u32>, SearchError> {
        let (earliest, latest) = one.segment.stats.event_time_us;
        if latest < place.event_time_us {
            return Ok(None);
        }
        if earliest > place.event_time_us {
            return Ok(one.rows.min());
        }
        let (mut low, mut high) = (0, one.rows.len() as u32);
        while low < high {
            let middle = low + (high - low) / 2;
            let Some(row) = one.rows.select(middle) else {
                break;
            };
            let mut is_before = false;
            let mut compare = |row: &holdfast_schemas::Row<'_>| {
                is_before = (row.event.time_us, row.event.id.as_ref())
                    < (place.event_time_us, place.event_id.as_str());
            };
            let single = RoaringBitmap::from_iter([row]);
            self.engine
                .each_row(
                    &one.segment,
                    &single,
                    &[name::EVENT_TIME, name::EVENT_ID],
                    &mut compare,
                )
                .await?;
            if is_before {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        Ok(one.rows.select(low))
    }
}
