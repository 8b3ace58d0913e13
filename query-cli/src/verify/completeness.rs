//! How far everything is captured: by origin off the sets of archived sequences, by room off the places of its messages;
//! what was disposed of counts as captured.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use holdfast_archive::{Archive, Segment};
use holdfast_governance::ledger::State;
use roaring::RoaringTreemap;
use serde::Serialize;

use super::dispositions::Gone;
use super::heartbeats::Beats;
use super::origins::{arrived, gaps, is_dense, quarantine_of};
use super::walk::{Walked, edges};
use crate::failure::Failure;

/// What is asked about.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Only from here on, UTC microseconds.
    pub since_us: Option<i64>,
    /// Only before this, UTC microseconds.
    pub until_us: Option<i64>,
    /// Only these rooms, by folded id, while somebody could see them.
    pub seen: Option<BTreeMap<String, Vec<(i64, i64)>>>,
}

/// Sequences or places that never arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The first.
    pub from: u64,
    /// The last.
    pub to: u64,
    /// When the one before happened, RFC 3339; nothing at the beginning.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub after: Option<i64>,
    /// When the one behind happened.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "time")]
    pub before: Option<i64>,
}

/// One origin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OriginLine {
    /// Its name.
    pub origin: String,
    /// `expected`, `retired`, `missing` (expected, and never spoke) or `not expected`.
    pub status: &'static str,
    /// Sequences ever archived.
    pub archived: u64,
    /// Of them disposed of, or out.
    pub removed: u64,
    /// Everything up to here was archived.
    pub through: u64,
    /// What never arrived.
    pub gaps: Vec<Gap>,
    /// Sequences that are there more than once.
    pub duplicates: u64,
    /// When its newest event was archived: unknown since.
    #[serde(serialize_with = "time")]
    pub silent_since: Option<i64>,
    /// Its heartbeats' digests against its events.
    pub heartbeats: Beats,
}

/// One room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RoomLine {
    /// Its id.
    pub room: String,
    /// Its name, as last seen.
    pub name: String,
    /// Places that are there.
    pub archived: u64,
    /// Places that were disposed of, or are out.
    pub removed: u64,
    /// Every place up to here is there, or was disposed of.
    pub through: u64,
    /// Places of which nothing is known.
    pub gaps: Vec<Gap>,
    /// Places that several messages have.
    pub duplicates: u64,
    /// When its newest event happened.
    #[serde(serialize_with = "time")]
    pub silent_since: Option<i64>,
}

/// The statement.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Completeness {
    /// By origin.
    pub origins: Vec<OriginLine>,
    /// By room.
    pub rooms: Vec<RoomLine>,
    /// Events that were erased: their places in their rooms are not known, and may be among the gaps.
    pub erased: u64,
}

impl Asked {
    /// Whether a room is asked about at some time between these two.
    pub(super) fn has(&self, room: &str, from_us: i64, to_us: i64) -> bool {
        let in_time = self.since_us.is_none_or(|since| to_us >= since)
            && self.until_us.is_none_or(|until| from_us < until);
        let seen = self.seen.as_ref().is_none_or(|seen| {
            let spans = seen.get(&holdfast_query::analyzer::fold_keyword(room).into_owned());
            spans.is_some_and(|spans| {
                spans
                    .iter()
                    .any(|(from, to)| *from <= to_us && from_us <= *to)
            })
        });
        in_time && seen
    }

    fn in_time(&self, gap: &Gap) -> bool {
        self.since_us
            .is_none_or(|since| gap.before.is_none_or(|before| before >= since))
            && self
                .until_us
                .is_none_or(|until| gap.after.is_none_or(|after| after < until))
    }
}

/// Puts the statement together.
///
/// # Errors
/// A segment cannot be read.
pub async fn state(
    archive: &Archive,
    segments: &[Arc<Segment>],
    asked: &Asked,
    (archived, doubled): (&BTreeMap<String, RoaringTreemap>, &[(String, u64)]),
    gone: &Gone,
    mut walked: Walked,
    beats: &BTreeMap<String, Beats>,
) -> Result<Completeness, Failure> {
    let nothing = RoaringTreemap::new();
    let known = |room: &str, places: &RoaringTreemap| {
        places | gone.account.room_seqs.get(room).unwrap_or(&nothing)
    };
    let mut wanted: BTreeSet<(bool, String, u64)> = BTreeSet::new();
    let mut want = |room: bool, name: &str, set: &RoaringTreemap| {
        for (from, to) in gaps(set) {
            wanted.insert((room, name.to_owned(), from.saturating_sub(1)));
            wanted.insert((room, name.to_owned(), to + 1));
        }
    };
    let dense = || archived.iter().filter(|(origin, _)| is_dense(origin));
    dense().for_each(|(origin, set)| want(false, origin, &all(archived, origin, set)));
    for (room, found) in &walked.rooms {
        want(true, room, &known(room, &found.places));
    }
    if !wanted.is_empty() {
        edges(archive, segments, &wanted, &mut walked).await?;
    }
    let gap = |room: bool, name: &str, (from, to): (u64, u64)| Gap {
        from,
        to,
        after: walked
            .edges
            .get(&(room, name.to_owned(), from.saturating_sub(1)))
            .copied(),
        before: walked.edges.get(&(room, name.to_owned(), to + 1)).copied(),
    };
    let removed = gone.sequences();
    let mut statement = Completeness {
        erased: gone.account.erased,
        ..Completeness::default()
    };
    for (origin, set) in dense() {
        let arrived = all(archived, origin, set);
        let gaps = gaps(&arrived).into_iter();
        let gaps = gaps.map(|span| gap(false, origin, span));
        let gaps: Vec<Gap> = gaps.filter(|gap| asked.in_time(gap)).collect();
        statement.origins.push(OriginLine {
            status: status(gone.state.as_ref(), origin, set.is_empty()),
            archived: set.len(),
            removed: removed.get(origin).map_or(0, RoaringTreemap::len),
            through: through(&arrived),
            gaps,
            duplicates: doubled.iter().filter(|(name, _)| name == origin).count() as u64,
            silent_since: walked.newest.get(origin).copied(),
            heartbeats: beats.get(origin).copied().unwrap_or_default(),
            origin: origin.clone(),
        });
    }
    statement
        .origins
        .extend(missing(gone.state.as_ref(), archived));
    statement.origins.sort_by(|a, b| a.origin.cmp(&b.origin));
    for (room, found) in &walked.rooms {
        let set = known(room, &found.places);
        let gaps = gaps(&set).into_iter().map(|span| gap(true, room, span));
        let own = |gap: &Gap| {
            let (from, to) = (
                gap.after.unwrap_or(i64::MIN),
                gap.before.unwrap_or(i64::MAX),
            );
            asked.has(room, from, to)
        };
        statement.rooms.push(RoomLine {
            room: room.clone(),
            name: found.name.1.clone(),
            archived: found.places.len(),
            removed: set.len() - found.places.len(),
            through: through(&set),
            gaps: gaps.filter(own).collect(),
            duplicates: found.duplicates,
            silent_since: found.newest_us,
        });
    }
    Ok(statement)
}

fn status(state: Option<&State>, origin: &str, silent: bool) -> &'static str {
    let known = state.and_then(|state| state.origins.get(origin));
    match known {
        Some(known) if known.retired.is_some() => "retired",
        Some(known) if known.expected.is_some() && silent => "missing",
        Some(known) if known.expected.is_some() => "expected",
        Some(_) | None => "not expected",
    }
}

/// Origins that are expected and never spoke.
fn missing(state: Option<&State>, archived: &BTreeMap<String, RoaringTreemap>) -> Vec<OriginLine> {
    let expected = state
        .into_iter()
        .flat_map(holdfast_governance::origin::expected);
    let never = expected.filter(|name| archived.get(*name).is_none_or(RoaringTreemap::is_empty));
    never
        .map(|name| OriginLine {
            origin: name.to_owned(),
            status: "missing",
            archived: 0,
            removed: 0,
            through: 0,
            gaps: Vec::new(),
            duplicates: 0,
            silent_since: None,
            heartbeats: Beats::default(),
        })
        .collect()
}

/// What arrived of an origin, quarantined rows of its outbox included.
fn all<'a>(
    archived: &BTreeMap<String, RoaringTreemap>,
    origin: &str,
    set: &'a RoaringTreemap,
) -> Cow<'a, RoaringTreemap> {
    arrived(set, archived.get(&quarantine_of(origin)))
}

fn through(set: &RoaringTreemap) -> u64 {
    let first = gaps(set).first().map(|(from, _)| from - 1);
    first.unwrap_or_else(|| set.max().unwrap_or(0))
}

#[allow(clippy::ref_option)]
fn time<S: serde::Serializer>(us: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    us.map(holdfast_schemas::time::format_us)
        .serialize(serializer)
}
