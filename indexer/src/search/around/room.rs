//! Which rows of a room stand around places in it. Pure: ids are said to be needed before they are looked at.

use std::collections::HashMap;
use std::ops::Range;

use roaring::RoaringBitmap;

use super::{Place, Window};
use crate::error::SearchError;
use crate::search::times::EventTimes;

/// A room's rows in one segment, which stand in (event_time, event_id) order.
pub(super) struct Lane {
    /// Path of the segment, for messages.
    pub(super) segment: String,
    /// All events of the room.
    pub(super) rows: RoaringBitmap,
    /// Those that were posted.
    pub(super) messages: RoaringBitmap,
    pub(super) times: EventTimes,
    /// Ids of some rows: those that [`Room::undecided`] named.
    pub(super) ids: HashMap<u32, String>,
}

/// A room, segment by segment.
pub(super) struct Room {
    pub(super) lanes: Vec<Lane>,
}

/// A cut through a room: for each lane the first row behind it.
type Edge = Vec<u32>;

/// Rows of a window, for each lane.
pub(super) type Rows = Vec<Range<u32>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Before,
    After,
}

/// A message so many messages away: the `nth` of those at its time on that side, the nearest first.
#[derive(Debug, Clone, Copy)]
struct Reached {
    time_us: i64,
    nth: usize,
}

impl Room {
    /// Rows whose ids [`Room::windows`] looks at, for each lane; those of an earlier call must have been read. Nothing is
    /// left when all are there.
    pub(super) fn undecided(
        &self,
        places: &[Place],
        window: Window,
    ) -> Result<Vec<RoaringBitmap>, SearchError> {
        let Window::Messages(messages) = window else {
            return Ok(Vec::new());
        };
        let times: Vec<i64> = places.iter().map(|place| place.event_time_us).collect();
        let at_places = self.unread(&times);
        if messages == 0 || at_places.iter().any(|rows| !rows.is_empty()) {
            return Ok(at_places);
        }
        let mut reached = Vec::new();
        for place in places {
            let (before, after) = self.cuts(place)?;
            reached.extend(self.nth(&before, Side::Before, messages));
            reached.extend(self.nth(&after, Side::After, messages));
        }
        let times: Vec<i64> = reached.iter().map(|reached| reached.time_us).collect();
        Ok(self.unread(&times))
    }

    /// The windows around places, ascending; those with nothing between them are one.
    pub(super) fn windows(
        &self,
        places: &[Place],
        window: Window,
    ) -> Result<Vec<Rows>, SearchError> {
        let mut windows: Vec<Rows> = Vec::new();
        for place in places {
            let rows = match window {
                Window::Messages(messages) => self.by_messages(place, messages)?,
                Window::Microseconds(us) => self.by_time(place, us),
            };
            match windows.last_mut() {
                Some(last) if self.meet(last, &rows) => {
                    for (last, rows) in last.iter_mut().zip(rows) {
                        last.end = last.end.max(rows.end);
                    }
                }
                _ => windows.push(rows),
            }
        }
        Ok(windows)
    }

    fn by_time(&self, place: &Place, us: i64) -> Rows {
        let time = place.event_time_us;
        let (from, to) = (time.saturating_sub(us), time.saturating_add(us));
        let spans = self.lanes.iter().map(|lane| lane.times.span(from, to));
        spans.collect()
    }

    /// From the nth message before to the nth after; to the room's end where there are fewer.
    fn by_messages(&self, place: &Place, messages: usize) -> Result<Rows, SearchError> {
        let (mut begin, mut end) = self.cuts(place)?;
        if messages > 0 {
            let first = self.nth(&begin, Side::Before, messages);
            let last = self.nth(&end, Side::After, messages);
            begin = match first {
                Some(first) => self.cuts(&self.place(&begin, Side::Before, first)?)?.0,
                None => vec![0; self.lanes.len()],
            };
            end = match last {
                Some(last) => self.cuts(&self.place(&end, Side::After, last)?)?.1,
                None => vec![u32::MAX; self.lanes.len()],
            };
        }
        Ok(begin
            .into_iter()
            .zip(end)
            .map(|(from, to)| from..to)
            .collect())
    }

    /// Whether no row of the room stands between two windows.
    fn meet(&self, before: &Rows, after: &Rows) -> bool {
        self.lanes
            .iter()
            .zip(before)
            .zip(after)
            .all(|((lane, before), after)| count(&lane.rows, before.end..after.start) == 0)
    }

    /// Rows of the room at some times, less those whose ids are known.
    fn unread(&self, times: &[i64]) -> Vec<RoaringBitmap> {
        let of = |lane: &Lane| {
            let mut rows = RoaringBitmap::new();
            for time in times {
                let at = within(&lane.rows, lane.times.span(*time, *time));
                rows.extend(at.filter(|row| !lane.ids.contains_key(row)));
            }
            rows
        };
        self.lanes.iter().map(of).collect()
    }

    /// The cuts before and behind a place.
    fn cuts(&self, place: &Place) -> Result<(Edge, Edge), SearchError> {
        let (mut before, mut behind) = (Edge::new(), Edge::new());
        for lane in &self.lanes {
            let span = lane.times.span(place.event_time_us, place.event_time_us);
            let (mut first, mut past) = (span.end, span.end);
            // Rows of one time ascend by id.
            for row in within(&lane.rows, span) {
                let id = lane.id(row)?;
                if first > row && id >= place.event_id.as_str() {
                    first = row;
                }
                if id > place.event_id.as_str() {
                    past = row;
                    break;
                }
            }
            before.push(first);
            behind.push(past);
        }
        Ok((before, behind))
    }

    /// The `n`th message on a side of a cut, from 1; none when there are fewer.
    fn nth(&self, cut: &Edge, side: Side, n: usize) -> Option<Reached> {
        let mut near = Vec::new();
        for (lane, cut) in self.lanes.iter().zip(cut) {
            let before = count(&lane.messages, 0..*cut) as u32;
            // Beyond the nearest ones of each lane none can be among the nearest of all.
            let ranks = match side {
                Side::Before => before.saturating_sub(n as u32)..before,
                Side::After => before..before.saturating_add(n as u32),
            };
            let rows = ranks.map_while(|rank| lane.messages.select(rank));
            near.extend(rows.map(|row| lane.times.get(row)));
        }
        near.sort_unstable();
        if side == Side::Before {
            near.reverse();
        }
        let time_us = *near.get(n - 1)?;
        let nearer = near.iter().take_while(|time| **time != time_us).count();
        Some(Reached {
            time_us,
            nth: n - 1 - nearer,
        })
    }

    /// Where a message that was reached from a cut stands.
    fn place(&self, cut: &Edge, side: Side, reached: Reached) -> Result<Place, SearchError> {
        let time = reached.time_us;
        let mut ids = Vec::new();
        for (lane, cut) in self.lanes.iter().zip(cut) {
            let span = lane.times.span(time, time);
            let span = match side {
                Side::Before => span.start..span.end.min(*cut),
                Side::After => span.start.max(*cut)..span.end,
            };
            for row in within(&lane.messages, span) {
                ids.push(lane.id(row)?);
            }
        }
        ids.sort_unstable();
        if side == Side::Before {
            ids.reverse();
        }
        let id = ids.get(reached.nth).copied().unwrap_or_default();
        Ok(Place {
            event_time_us: time,
            event_id: id.to_owned(),
        })
    }
}

impl Lane {
    fn id(&self, row: u32) -> Result<&str, SearchError> {
        let id = self.ids.get(&row).map(String::as_str);
        id.ok_or_else(|| SearchError::Segment {
            segment: self.segment.clone(),
            problem: format!("row {row} could not be read"),
        })
    }
}

/// The rows of a set in a range, which may be empty.
pub(super) fn within(rows: &RoaringBitmap, range: Range<u32>) -> impl Iterator<Item = u32> {
    let end = range.end;
    let mut iter = rows.iter();
    iter.advance_to(range.start);
    iter.take_while(move |row| *row < end)
}

fn count(rows: &RoaringBitmap, range: Range<u32>) -> u64 {
    if range.start >= range.end {
        return 0;
    }
    rows.range_cardinality(range)
}
