//! What stands around the hits: `--context N` messages or `--context 12h`, in the hit's room.
//!
//! A reply brings the root of its thread, which gets a window of its own. Windows that overlap are one. Everything that
//! happened in the room within a window belongs to it, joins and edits too; messages are what N counts.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use holdfast_archive::Snapshot;
use holdfast_indexer::{HitBatch, Request, Searcher};
use holdfast_query::ast::Expr;
use holdfast_query::property::Property;
use holdfast_schemas::columns::Rows;
use holdfast_schemas::event_type;

use crate::failure::Failure;
use crate::output::duration;
use crate::scope::from_program;

/// Messages before and after, at most.
const MESSAGES_MAX: u32 = 1_000;
/// Hits closer than this are looked up together.
const CLUSTER_US: i64 = 86_400_000_000;
/// Where the search for N messages begins; each round reaches eight times as far.
const REACH_FIRST_US: i64 = 3_600_000_000;
/// From here on a round takes the whole room.
const REACH_MAX_US: i64 = 8_i64.pow(6) * REACH_FIRST_US;
/// Replies to replies that are followed to the root; producers may lie and make a circle.
const REPLIES_MAX: usize = 64;

/// How much context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Context {
    /// Messages before and after.
    Messages(u32),
    /// Time before and after, microseconds.
    Time(i64),
}

impl FromStr for Context {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            return match text.parse() {
                Ok(n) if n <= MESSAGES_MAX => Ok(Self::Messages(n)),
                _ => Err(format!("at most {MESSAGES_MAX} messages before and after; give a duration like `12h` for more")),
            };
        }
        let time: Duration = duration::parse(text)
            .map_err(|_| format!("`{text}` is neither a number of messages, like `5`, nor a duration, like `12h`"))?;
        i64::try_from(time.as_micros()).map(Self::Time).map_err(|_| format!("`{text}` is too long"))
    }
}

impl std::fmt::Display for Context {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Messages(n) => write!(f, "{n} messages"),
            Self::Time(us) => f.write_str(&duration::people(*us)),
        }
    }
}

/// A hit, or the root of a hit's thread, that a window is put around.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Anchor {
    /// When, UTC microseconds.
    pub time_us: i64,
    /// The event.
    pub event_id: String,
}

/// A hit as the windows need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HitKey {
    /// The event.
    pub anchor: Anchor,
    /// Its room; a hit without one stands alone.
    pub room_id: Option<String>,
    /// The message it answers.
    pub reply_to: Option<String>,
}

impl HitKey {
    /// Of a row.
    #[must_use]
    pub fn of(event: &holdfast_schemas::Event<'_>) -> Self {
        Self {
            anchor: Anchor { time_us: event.time_us, event_id: event.id.to_string() },
            room_id: event.room.id.as_deref().map(str::to_owned),
            reply_to: event.message.reply_to.as_deref().map(str::to_owned),
        }
    }
}

/// One event of a window.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The batch it lies in.
    pub batch: Arc<HitBatch>,
    /// Its row there.
    pub index: usize,
    /// Its key in the one order of everything.
    pub key: Anchor,
    /// Whether the query hit it.
    pub is_hit: bool,
}

/// Events of one room that follow each other.
#[derive(Debug, Clone)]
pub struct Window {
    /// In (event_time, event_id) order, never empty.
    pub entries: Vec<Entry>,
}

impl Window {
    /// A hit that stands in no room.
    #[must_use]
    pub fn alone(batch: &Arc<HitBatch>, index: usize, key: HitKey) -> Self {
        Self { entries: vec![Entry { batch: Arc::clone(batch), index, key: key.anchor, is_hit: true }] }
    }

    /// Its place in the order of windows.
    #[must_use]
    pub fn first(&self) -> Option<&Anchor> {
        self.entries.first().map(|e| &e.key)
    }
}

/// Where windows are read from.
#[derive(Clone, Copy)]
pub struct Source<'a> {
    /// The searcher.
    pub searcher: &'a Searcher,
    /// The snapshot.
    pub snapshot: &'a Snapshot,
    /// Rows archived by later commits are left out.
    pub as_of: Option<u64>,
}

impl Source<'_> {
    /// The windows around hits with a room, ordered by their first event; windows of different rooms may interleave in time.
    ///
    /// # Errors
    /// The archive cannot be read.
    pub async fn windows(&self, hits: &[HitKey], context: Context) -> Result<Vec<Window>, Failure> {
        let hit_ids: HashSet<&str> = hits.iter().map(|h| h.anchor.event_id.as_str()).collect();
        let mut rooms: BTreeMap<&str, Vec<Anchor>> = BTreeMap::new();
        for hit in hits {
            if let Some(room) = hit.room_id.as_deref() {
                let anchors = rooms.entry(room).or_default();
                anchors.push(hit.anchor.clone());
                anchors.extend(self.root(room, hit).await?);
            }
        }
        let mut windows = Vec::new();
        for (room, mut anchors) in rooms {
            anchors.sort();
            anchors.dedup();
            let mut entries: BTreeMap<Anchor, (Entry, Number)> = BTreeMap::new();
            for (number, cluster) in clusters(&anchors, context).into_iter().enumerate() {
                self.cluster(room, &anchors[cluster], context, number, &mut entries).await?;
            }
            let all = entries.into_values().map(|(mut entry, window)| {
                entry.is_hit = hit_ids.contains(entry.key.event_id.as_str());
                (entry, window)
            });
            windows.extend(split(all));
        }
        windows.sort_by(|a, b| a.first().cmp(&b.first()));
        Ok(windows)
    }

    /// The first message of the thread that a hit answers in, if it is archived.
    async fn root(&self, room: &str, hit: &HitKey) -> Result<Option<Anchor>, Failure> {
        let mut next = hit.reply_to.clone();
        let mut root = None;
        for _ in 0..REPLIES_MAX {
            let Some(message) = next.take() else { break };
            let Some(found) = self.searcher.message_events(self.snapshot, Some(room), &message).await? else { break };
            let rows = rows(&found)?;
            let posted = (0..rows.len()).map(|i| rows.event(i)).find(|e| e.event_type == event_type::MESSAGE_POSTED);
            let Some(posted) = posted else { break };
            root = Some(Anchor { time_us: posted.time_us, event_id: posted.id.to_string() });
            next = posted.message.reply_to.as_deref().filter(|r| *r != message).map(str::to_owned);
        }
        Ok(root)
    }

    /// Adds the windows of anchors that lie close together.
    async fn cluster(
        &self,
        room: &str,
        anchors: &[Anchor],
        context: Context,
        number: usize,
        entries: &mut BTreeMap<Anchor, (Entry, Number)>,
    ) -> Result<(), Failure> {
        let (Some(first), Some(last)) = (anchors.first(), anchors.last()) else { return Ok(()) };
        let mut reach = match context {
            Context::Time(us) => us,
            Context::Messages(0) => 0,
            Context::Messages(_) => REACH_FIRST_US,
        };
        loop {
            let (from, to) = (first.time_us.saturating_sub(reach), last.time_us.saturating_add(reach));
            let events = self.room(room, from, to).await?;
            let lines: Vec<Line> = events.iter().map(|(entry, is_message)| Line { key: &entry.key, is_message: *is_message }).collect();
            let keep = match context {
                Context::Time(us) => keep_by_time(&lines, anchors, us),
                Context::Messages(n) => {
                    let choice = keep_by_count(&lines, anchors, n as usize);
                    if !choice.whole && reach < REACH_MAX_US {
                        reach = reach.max(REACH_FIRST_US) * 8;
                        // Beyond the last step the whole room is taken, whatever its years.
                        reach = if reach >= REACH_MAX_US { i64::MAX } else { reach };
                        continue;
                    }
                    choice.keep
                }
            };
            let kept = events.into_iter().zip(keep).filter_map(|((entry, _), window)| Some((entry, window?)));
            join(entries, kept, number);
            return Ok(());
        }
    }

    /// Everything that happened in a room within a span, both ends included, and whether it is a message.
    async fn room(&self, room: &str, from_us: i64, to_us: i64) -> Result<Vec<(Entry, bool)>, Failure> {
        let span = Expr::between_us(Property::Date, Some(from_us), Some(to_us));
        let query = Expr::and(vec![Expr::equals(Property::Room, room), span]);
        let request = Request { as_of: self.as_of, ..Request::new(from_program(query)) };
        let mut hits = self.searcher.search(self.snapshot, &request).await?;
        let mut out = Vec::new();
        while let Some(batch) = hits.next().await? {
            let batch = Arc::new(batch);
            let rows = rows(&batch)?;
            for index in 0..rows.len() {
                let event = rows.event(index);
                // `room=` also finds names, and ignores case.
                if event.room.id.as_deref() != Some(room) {
                    continue;
                }
                let key = Anchor { time_us: event.time_us, event_id: event.id.to_string() };
                let is_message = event.event_type == event_type::MESSAGE_POSTED;
                out.push((Entry { batch: Arc::clone(&batch), index, key, is_hit: false }, is_message));
            }
        }
        Ok(out)
    }
}

fn rows(batch: &HitBatch) -> Result<Rows<'_>, Failure> {
    Rows::new(&batch.rows).map_err(|e| Failure::Damaged { place: "search result".to_owned(), message: e.to_string() })
}

/// Ranges of anchors that are looked up together.
fn clusters(anchors: &[Anchor], context: Context) -> Vec<std::ops::Range<usize>> {
    let gap = match context {
        Context::Time(us) => us.saturating_mul(2).max(CLUSTER_US),
        Context::Messages(_) => CLUSTER_US,
    };
    let mut out: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, anchor) in anchors.iter().enumerate() {
        match out.last_mut() {
            Some(range) if anchor.time_us.saturating_sub(anchors[i - 1].time_us) <= gap => range.end = i + 1,
            _ => out.push(i..i + 1),
        }
    }
    out
}

/// A window within its room: (cluster, window of the cluster).
type Number = (usize, usize);

/// What a window's choice looks at of an event.
#[derive(Debug, Clone, Copy)]
struct Line<'a> {
    key: &'a Anchor,
    is_message: bool,
}

/// For each event the number of the window it belongs to.
type Keep = Vec<Option<usize>>;

/// Everything at most `us` before or after an anchor.
fn keep_by_time(lines: &[Line<'_>], anchors: &[Anchor], us: i64) -> Keep {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for anchor in anchors {
        let (from, to) = (anchor.time_us.saturating_sub(us), anchor.time_us.saturating_add(us));
        match spans.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => spans.push((from, to)),
        }
    }
    lines.iter().map(|line| spans.iter().position(|(from, to)| (*from..=*to).contains(&line.key.time_us))).collect()
}

/// A choice by count.
#[derive(Debug, PartialEq, Eq)]
struct Choice {
    keep: Keep,
    /// Whether every anchor found all its messages among the lines.
    whole: bool,
}

/// Everything between the `n`th message before and the `n`th after each anchor.
fn keep_by_count(lines: &[Line<'_>], anchors: &[Anchor], n: usize) -> Choice {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let mut whole = true;
    for anchor in anchors {
        let Ok(at) = lines.binary_search_by(|line| line.key.cmp(anchor)) else {
            whole = false;
            continue;
        };
        let messages_before: Vec<usize> = (0..at).rev().filter(|i| lines[*i].is_message).take(n).collect();
        let messages_after: Vec<usize> = (at + 1..lines.len()).filter(|i| lines[*i].is_message).take(n).collect();
        whole &= messages_before.len() == n && messages_after.len() == n;
        let from = messages_before.last().copied().unwrap_or(at);
        let to = messages_after.last().copied().unwrap_or(at);
        match spans.last_mut() {
            Some(last) if from <= last.1 + 1 => {
                last.0 = last.0.min(from);
                last.1 = last.1.max(to);
            }
            _ => spans.push((from, to)),
        }
    }
    let keep = (0..lines.len()).map(|i| spans.iter().position(|(from, to)| (*from..=*to).contains(&i))).collect();
    Choice { keep, whole }
}

/// Adds a cluster's windows; one that shares an event with an earlier cluster's becomes part of it.
fn join(entries: &mut BTreeMap<Anchor, (Entry, Number)>, kept: impl Iterator<Item = (Entry, usize)>, cluster: usize) {
    let mut same: BTreeSet<(Number, Number)> = BTreeSet::new();
    for (entry, window) in kept {
        let number = (cluster, window);
        match entries.get(&entry.key) {
            Some((_, other)) => {
                same.insert((number, *other));
            }
            None => {
                entries.insert(entry.key.clone(), (entry, number));
            }
        }
    }
    for (from, to) in same {
        entries.values_mut().filter(|(_, number)| *number == from).for_each(|(_, number)| *number = to);
    }
}

/// Cuts a room's entries where the window changes.
fn split(entries: impl Iterator<Item = (Entry, Number)>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut current = None;
    for (entry, window) in entries {
        match windows.last_mut() {
            Some(last) if current == Some(window) => last.entries.push(entry),
            _ => windows.push(Window { entries: vec![entry] }),
        }
        current = Some(window);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(time_us: i64) -> Anchor {
        Anchor { time_us, event_id: format!("e{time_us:03}") }
    }

    /// Messages at each even time, other events at each odd one.
    fn keys(count: i64) -> Vec<Anchor> {
        (0..count).map(anchor).collect()
    }

    fn lines(keys: &[Anchor]) -> Vec<Line<'_>> {
        keys.iter().map(|key| Line { key, is_message: key.time_us % 2 == 0 }).collect()
    }

    fn kept(keep: &Keep, window: usize) -> Vec<usize> {
        keep.iter().enumerate().filter(|(_, w)| **w == Some(window)).map(|(i, _)| i).collect()
    }

    #[test]
    fn context_parses() {
        assert_eq!("5".parse(), Ok(Context::Messages(5)));
        assert_eq!("12h".parse(), Ok(Context::Time(43_200_000_000)));
        for bad in ["", "five", "-1", "1.5h", "100000"] {
            assert!(bad.parse::<Context>().is_err(), "{bad}");
        }
    }

    #[test]
    fn n_counts_messages_and_keeps_what_lies_between() {
        let keys = keys(20);
        let choice = keep_by_count(&lines(&keys), &[anchor(10)], 2);
        assert!(choice.whole);
        assert_eq!(kept(&choice.keep, 0), (6..=14).collect::<Vec<_>>());
    }

    #[test]
    fn windows_that_meet_are_one() {
        let keys = keys(40);
        let choice = keep_by_count(&lines(&keys), &[anchor(6), anchor(10), anchor(30)], 1);
        assert_eq!(kept(&choice.keep, 0), (4..=12).collect::<Vec<_>>());
        assert_eq!(kept(&choice.keep, 1), (28..=32).collect::<Vec<_>>());
        let keep = keep_by_time(&lines(&keys), &[anchor(6), anchor(10), anchor(30)], 2);
        assert_eq!(kept(&keep, 0), (4..=12).collect::<Vec<_>>());
        assert_eq!(kept(&keep, 1), (28..=32).collect::<Vec<_>>());
    }

    #[test]
    fn too_few_messages_ask_for_a_wider_look() {
        let keys = keys(5);
        assert!(!keep_by_count(&lines(&keys), &[anchor(2)], 2).whole);
        assert!(keep_by_count(&lines(&keys), &[anchor(2)], 1).whole);
    }

    #[test]
    fn far_anchors_are_looked_up_apart() {
        let anchors = [anchor(0), anchor(10), anchor(CLUSTER_US + 11)];
        assert_eq!(clusters(&anchors, Context::Messages(3)), [0..2, 2..3]);
        assert_eq!(clusters(&anchors, Context::Time(CLUSTER_US)).len(), 1);
    }
}
