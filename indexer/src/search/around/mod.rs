//! The conversation around events. Only the rows shown are read, and the ids of the few rows at a window's ends: the rest
//! is told by postings and times.

mod room;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use holdfast_archive::Snapshot;
use holdfast_archive::read::{ReadOptions, SegmentReader};
use holdfast_query::analyzer::fold_keyword;
use holdfast_schemas::columns::{Rows, name};
use roaring::RoaringBitmap;
use tokio::runtime::Handle;

use self::room::{Lane, Room, within};
use super::coverage::Coverage;
use super::engine::{Asked, Engine, JUDGE_ROWS, Resolved, Want};
use super::hits::Hits;
use super::prune::Bounds;
use super::question::{InRoom, PostedIn, Question};
use super::read;
use super::request::version;
use super::searcher::Searcher;
use super::times::EventTimes;
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
    /// So many posted messages before it, and as many after, with everything that lies between; all of a side that has
    /// fewer.
    Messages(usize),
    /// All events so many microseconds before and after.
    Microseconds(i64),
}

/// What was said around places in a room.
#[derive(Debug)]
pub struct Conversation {
    /// The events of all windows, in order.
    pub hits: Hits,
    /// How many of them each window holds, one after another. Windows with nothing between them are one.
    pub windows: Vec<u64>,
}

impl Searcher {
    /// What happened in a room (its id, ignoring case) around places, in a version of the archive, the snapshot's own when
    /// nothing is said.
    ///
    /// # Errors
    /// A segment cannot be read, or the version is not there yet.
    pub async fn around(
        &self,
        snapshot: &Snapshot,
        as_of: Option<u64>,
        room_id: &str,
        places: &[Place],
        window: Window,
    ) -> Result<Conversation, SearchError> {
        let version = version(snapshot, as_of)?;
        let mut places = places.to_vec();
        places.sort();
        places.dedup();
        let (mut found, posted) = self
            .room(snapshot, version, room_id, &places, window)
            .await?;
        found.retain(|one| !one.rows.is_empty());
        let (engine, runtime) = (Arc::clone(&self.engine), Handle::current());
        let segment = found.first().map(|one| one.segment.path.clone());
        let task = tokio::task::spawn_blocking(move || {
            let mut room = open(&engine, &runtime, &found, posted)?;
            read_ids(&engine, &runtime, &found, &mut room, &places, window)?;
            let windows = keep(&mut found, &room, &room.windows(&places, window)?);
            Ok::<_, SearchError>((found, windows))
        });
        let (found, windows) = task.await.map_err(|error| SearchError::Worker {
            segment: segment.unwrap_or_default(),
            problem: error.to_string(),
        })??;
        let coverage = Coverage::of_lookup(version);
        let hits = self.hits(snapshot, version, found, None, coverage).await?;
        Ok(Conversation { hits, windows })
    }

    /// The room's rows where windows may lie, and by segment those that were posted.
    async fn room(
        &self,
        snapshot: &Snapshot,
        version: u64,
        room_id: &str,
        places: &[Place],
        window: Window,
    ) -> Result<(Vec<Resolved>, HashMap<String, RoaringBitmap>), SearchError> {
        let room = fold_keyword(room_id).into_owned();
        let (from_us, to_us) = match (window, places.first(), places.last()) {
            (Window::Microseconds(us), Some(first), Some(last)) => (
                first.event_time_us.saturating_sub(us),
                last.event_time_us.saturating_add(us),
            ),
            _ => (i64::MIN, i64::MAX),
        };
        let bounds = Bounds {
            event_time_us: (from_us, to_us),
            ..Bounds::UNBOUNDED
        };
        let live = snapshot.segments().await?;
        let segments = live.iter().filter(|segment| bounds.may_hold(segment));
        let segments: Vec<_> = segments.cloned().collect();
        let ask = |question: Arc<dyn Question>| Asked {
            question,
            version,
            want: Want::Rows,
        };
        let posted = match window {
            Window::Microseconds(_) => Vec::new(),
            Window::Messages(_) => {
                let posted = Arc::new(PostedIn { room: room.clone() });
                self.engine.ask(segments.clone(), ask(posted)).await?
            }
        };
        let all = Arc::new(InRoom {
            room,
            from_us,
            to_us,
        });
        let found = self.engine.ask(segments, ask(all)).await?;
        let posted = posted.into_iter();
        Ok((
            found,
            posted
                .map(|one| (one.segment.path.clone(), one.rows))
                .collect(),
        ))
    }
}

/// A room as its segments hold it. Blocks.
fn open(
    engine: &Engine,
    runtime: &Handle,
    found: &[Resolved],
    mut posted: HashMap<String, RoaringBitmap>,
) -> Result<Room, SearchError> {
    let mut lanes = Vec::with_capacity(found.len());
    for one in found {
        let split = engine.split(runtime, &one.segment);
        let times = match split.and_then(|split| EventTimes::of(&split)) {
            Ok(times) => times,
            Err(error) => {
                tracing::debug!(segment = one.segment.path, problem = %error, "times from the rows");
                EventTimes::Rows(read_times(engine, runtime, one)?)
            }
        };
        lanes.push(Lane {
            segment: one.segment.path.clone(),
            rows: one.rows.clone(),
            messages: posted.remove(&one.segment.path).unwrap_or_default(),
            times,
            ids: HashMap::new(),
        });
    }
    Ok(Room { lanes })
}

/// Reads the ids that the windows' ends depend on. Blocks.
fn read_ids(
    engine: &Engine,
    runtime: &Handle,
    found: &[Resolved],
    room: &mut Room,
    places: &[Place],
    window: Window,
) -> Result<(), SearchError> {
    let mut readers: HashMap<usize, SegmentReader> = HashMap::new();
    loop {
        let wanted = room.undecided(places, window)?;
        if wanted.iter().all(RoaringBitmap::is_empty) {
            return Ok(());
        }
        for (at, rows) in wanted
            .iter()
            .enumerate()
            .filter(|(_, rows)| !rows.is_empty())
        {
            let segment = &found[at].segment;
            let reader = match readers.remove(&at) {
                Some(reader) => reader,
                None => read::open(&engine.archive, segment, runtime)?,
            };
            let numbers: Vec<u32> = rows.iter().collect();
            let options = ReadOptions {
                columns: Some(&[name::EVENT_ID]),
                rows: Some(&numbers),
                batch_rows: JUDGE_ROWS,
                ..ReadOptions::default()
            };
            let mut ids = Vec::with_capacity(numbers.len());
            for batch in read::read(&engine.archive, &reader, &options, runtime)? {
                let batch = batch?;
                let view = Rows::new(&batch)?;
                ids.extend((0..view.len()).map(|row| view.event(row).id.to_string()));
            }
            if ids.len() != numbers.len() {
                return Err(rows_differ(&segment.path));
            }
            room.lanes[at].ids.extend(numbers.into_iter().zip(ids));
            readers.insert(at, reader);
        }
    }
}

/// Event times of all rows of a segment without a usable split. Blocks.
fn read_times(engine: &Engine, runtime: &Handle, one: &Resolved) -> Result<Vec<i64>, SearchError> {
    let reader = read::open(&engine.archive, &one.segment, runtime)?;
    let options = ReadOptions {
        columns: Some(&[name::EVENT_TIME]),
        batch_rows: JUDGE_ROWS,
        ..ReadOptions::default()
    };
    let mut times = Vec::with_capacity(one.segment.rows as usize);
    for batch in read::read(&engine.archive, &reader, &options, runtime)? {
        let batch = batch?;
        let view = Rows::new(&batch)?;
        times.extend((0..view.len()).map(|row| view.event(row).time_us));
    }
    if times.len() as u64 != one.segment.rows {
        return Err(rows_differ(&one.segment.path));
    }
    Ok(times)
}

fn rows_differ(segment: &str) -> SearchError {
    SearchError::Segment {
        segment: segment.to_owned(),
        problem: "it has another number of rows than its log entry says".to_owned(),
    }
}

/// Leaves only the windows' rows, and counts them window by window.
fn keep(found: &mut [Resolved], room: &Room, windows: &[room::Rows]) -> Vec<u64> {
    let mut counts = vec![0; windows.len()];
    for (at, (one, lane)) in found.iter_mut().zip(&room.lanes).enumerate() {
        one.rows.clear();
        for (window, count) in windows.iter().zip(&mut counts) {
            let before = one.rows.len();
            one.rows.extend(within(&lane.rows, window[at].clone()));
            *count += one.rows.len() - before;
        }
        if let Some(first) = one.rows.min() {
            one.from_us = lane.times.get(first);
        }
    }
    counts
}
