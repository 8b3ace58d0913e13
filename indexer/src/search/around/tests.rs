//! Windows of rooms that lie in several segments, against the order of all their events.

use std::collections::HashMap;

use proptest::prelude::*;
use roaring::RoaringBitmap;

use super::room::{Lane, Room, within};
use super::{Place, Window};
use crate::search::times::EventTimes;

/// An event of a room: its time, whether it was posted, whether it is the room's at all.
type Line = (i64, bool, bool);

fn place((time, at, row): (i64, usize, usize)) -> Place {
    Place {
        event_time_us: time,
        event_id: format!("{row:03}-{at}"),
    }
}

/// Lanes of segments with lines in any order.
fn room(segments: &[Vec<Line>]) -> (Room, Vec<(Place, bool)>) {
    let mut all = Vec::new();
    let mut lanes = Vec::new();
    for (at, lines) in segments.iter().enumerate() {
        let mut lines = lines.clone();
        lines.sort_by_key(|(time, ..)| *time);
        let numbered = || (0..).zip(&lines);
        lanes.push(Lane {
            segment: at.to_string(),
            rows: numbered()
                .filter(|(_, line)| line.2)
                .map(|(row, _)| row)
                .collect(),
            messages: numbered()
                .filter(|(_, line)| line.2 && line.1)
                .map(|(row, _)| row)
                .collect(),
            times: EventTimes::Rows(lines.iter().map(|(time, ..)| *time).collect()),
            ids: HashMap::new(),
        });
        let inside = lines.iter().enumerate().filter(|(_, line)| line.2);
        all.extend(inside.map(|(row, line)| (place((line.0, at, row)), line.1)));
    }
    all.sort();
    (Room { lanes }, all)
}

/// The windows by what they are: the nth message before to the nth after, all of a side that has fewer.
fn expected(all: &[(Place, bool)], places: &[Place], window: Window) -> Vec<Vec<Place>> {
    let mut spans: Vec<std::ops::Range<usize>> = Vec::new();
    for place in places {
        let span = match window {
            Window::Microseconds(us) => {
                let near = |at: &Place| (at.event_time_us - place.event_time_us).abs() <= us;
                let first = all.iter().position(|(at, _)| near(at)).unwrap_or(0);
                first..first + all.iter().filter(|(at, _)| near(at)).count()
            }
            Window::Messages(n) => {
                let before = all.partition_point(|(at, _)| at < place);
                let behind = all.partition_point(|(at, _)| at <= place);
                let back = (0..before)
                    .rev()
                    .filter(|at| all[*at].1)
                    .nth(n.wrapping_sub(1));
                let on = (behind..all.len())
                    .filter(|at| all[*at].1)
                    .nth(n.wrapping_sub(1));
                match n {
                    0 => before..behind,
                    _ => back.unwrap_or(0)..on.map_or(all.len(), |at| at + 1),
                }
            }
        };
        match spans.last_mut() {
            Some(last) if span.start <= last.end => last.end = last.end.max(span.end),
            _ => spans.push(span),
        }
    }
    let events = |span: std::ops::Range<usize>| all[span].iter().map(|(at, _)| at.clone());
    spans
        .into_iter()
        .map(|span| events(span).collect())
        .collect()
}

fn found(room: &mut Room, places: &[Place], window: Window) -> Vec<Vec<Place>> {
    let mut rounds = 0;
    loop {
        let wanted = room.undecided(places, window).unwrap();
        if wanted.iter().all(RoaringBitmap::is_empty) {
            break;
        }
        rounds += 1;
        assert!(rounds <= 2, "ids are read twice at most");
        for (at, rows) in wanted.iter().enumerate() {
            let lane = &mut room.lanes[at];
            for row in rows {
                let time = lane.times.get(row);
                lane.ids
                    .insert(row, place((time, at, row as usize)).event_id);
            }
        }
    }
    let windows = room.windows(places, window).unwrap();
    let events = |window: Vec<std::ops::Range<u32>>| {
        let mut events = Vec::new();
        for (at, (lane, span)) in room.lanes.iter().zip(window).enumerate() {
            let here = within(&lane.rows, span);
            events.extend(here.map(|row| place((lane.times.get(row), at, row as usize))));
        }
        events.sort();
        events
    };
    windows.into_iter().map(events).collect()
}

proptest! {
    #[test]
    fn windows_are_what_the_order_of_events_says(
        segments in prop::collection::vec(prop::collection::vec((0..12_i64, any::<bool>(), prop::bool::weighted(0.8)), 0..12), 1..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
        n in 0..5_usize,
    ) {
        let (mut room, all) = room(&segments);
        prop_assume!(!all.is_empty());
        let mut places: Vec<Place> = picks.iter().map(|pick| pick.get(&all).0.clone()).collect();
        places.sort();
        places.dedup();
        for window in [Window::Messages(n), Window::Microseconds(n as i64)] {
            let windows = found(&mut room, &places, window);
            prop_assert_eq!(windows, expected(&all, &places, window), "{:?} of {:?}", window, places);
        }
    }
}

/// A long room: its ends need no more ids than its middle.
#[test]
fn ids_are_read_at_the_windows_ends_only() {
    let lines: Vec<Line> = (0..10_000).map(|time| (time, true, true)).collect();
    for at in [0, 3, 5_000, 9_998, 9_999] {
        let (mut room, all) = room(std::slice::from_ref(&lines));
        let windows = found(&mut room, &[all[at].0.clone()], Window::Messages(5));
        assert_eq!(windows.len(), 1);
        assert_eq!(windows[0].len(), 1 + at.min(5) + (9_999 - at).min(5));
        assert!(room.lanes[0].ids.len() <= 3, "{}", room.lanes[0].ids.len());
    }
}
