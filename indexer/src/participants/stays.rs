//! When somebody was in a room: memberships and sessions told from their events.
//!
//! A person may have several ids. Who is removed under one of them ends nothing that began under another: an account that was closed, or an address that
//! somebody else has now, takes nobody out of a room. What gives no id counts for all of them. Each id has its own unknown beginning: who is first listed
//! under a new one was there under it for ever.

use std::collections::BTreeMap;

use holdfast_schemas::json::Json;
use holdfast_schemas::{Event, event_type};

use super::SpanUs;
use super::person::Person;
use super::persons::Named;

/// When: time and the room's sequence.
type At = (i64, i64);

/// What an event says of somebody in a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Change {
    /// Became a member.
    Added,
    /// Stopped being one.
    Removed,
    /// Was one.
    Present,
    /// Was none.
    Absent,
}

/// When (time and the room's sequence), and what.
type Changed = (i64, i64, Change);

/// A change, and of whom.
type Record = (Named, Changed);

/// A snapshot of a room: when, and who was listed.
type Listed = (At, Vec<Named>);

/// What the events say about who was in a room.
#[derive(Debug, Default)]
pub(super) struct Stays {
    /// Memberships that began or ended.
    changes: Vec<Record>,
    snapshots: Vec<Listed>,
    /// By session; without an id, by nothing.
    sessions: BTreeMap<String, Vec<Record>>,
}

impl Stays {
    /// Takes note of an event of the room with these `data`, in any order. `named` tells who somebody is, and nothing of whoever does not matter.
    pub(super) fn note(
        &mut self,
        event: &Event<'_>,
        data: Option<&Json>,
        mut named: impl FnMut(Person<'_>) -> Option<Named>,
    ) {
        let (time_us, seq) = (event.time_us, event.room_seq.unwrap_or(i64::MAX));
        let of = |name| data.and_then(|data| data.get(name));
        let (change, is_session) = match event.event_type.as_ref() {
            event_type::ROOM_MEMBER_ADDED => (Change::Added, false),
            event_type::ROOM_MEMBER_REMOVED => (Change::Removed, false),
            event_type::ROOM_JOINED => (Change::Added, true),
            event_type::ROOM_LEFT => (Change::Removed, true),
            event_type::ROOM_SNAPSHOT => {
                // A snapshot without a list says nothing about anybody.
                if let Some(Json::Array(members)) = of("members") {
                    let listed = members.iter().map(Person::of_json).filter_map(named);
                    self.snapshots.push(((time_us, seq), listed.collect()));
                }
                return;
            }
            _ => return,
        };
        let change = (time_us, seq, change);
        if is_session {
            if let Some(who) = named(Person::actor(event)) {
                let session = of("session").and_then(Json::as_str).unwrap_or_default();
                let records = self.sessions.entry(session.to_owned()).or_default();
                records.push((who, change));
            }
        } else {
            let member = of("member").map(Person::of_json).and_then(named);
            self.changes.extend(member.map(|who| (who, change)));
        }
    }

    /// When each of them could see the room, by the person's number; nobody with no time at all. `roots` has the person of each address.
    pub(super) fn spans(mut self, roots: &[u32]) -> BTreeMap<u32, Vec<SpanUs>> {
        let person = |named: &Named| roots[named.number as usize];
        let key = |named: &Named| (person(named), named.account());
        self.snapshots.sort_by_key(|(at, _)| *at);
        for (_, listed) in &mut self.snapshots {
            listed.sort_unstable_by_key(key);
        }
        let present = self.snapshots.iter().flat_map(|((time_us, seq), listed)| {
            let present = (*time_us, *seq, Change::Present);
            listed.iter().map(move |named| (*named, present))
        });
        let mut found: BTreeMap<u32, Vec<SpanUs>> = BTreeMap::new();
        for (who, records) in by_person(self.changes.into_iter().chain(present), person) {
            for (account, mut changes) in by_account(&records) {
                let is_listed = |listed: &[Named]| {
                    let by = |account| listed.binary_search_by_key(&(who, account), key).is_ok();
                    by(None) || by(account)
                };
                changes.sort_unstable();
                let absences = absences(&changes, &self.snapshots, is_listed);
                changes.extend(absences);
                found.entry(who).or_default().extend(spans_of(changes));
            }
        }
        for (session, records) in self.sessions {
            for (who, records) in by_person(records, person) {
                let accounts = by_account(&records).into_values();
                let spans = found.entry(who).or_default();
                if session.is_empty() {
                    // A leave that gives no id ends one of the person's sessions, and not one of each account.
                    let all = records.iter().map(|(_, change)| *change).collect();
                    let counted = accounts.chain([all]).map(of_any);
                    spans.extend(counted.flat_map(spans_of));
                } else {
                    spans.extend(accounts.flat_map(spans_of));
                }
            }
        }
        found.retain(|_, spans| {
            *spans = merged(std::mem::take(spans));
            !spans.is_empty()
        });
        found
    }
}

fn by_person(
    records: impl IntoIterator<Item = Record>,
    person: impl Fn(&Named) -> u32,
) -> BTreeMap<u32, Vec<Record>> {
    let mut persons: BTreeMap<u32, Vec<Record>> = BTreeMap::new();
    for record in records {
        persons.entry(person(&record.0)).or_default().push(record);
    }
    persons
}

/// One person's changes by the ids that the records give, each with those that give none; all together where none does.
fn by_account(records: &[Record]) -> BTreeMap<Option<u32>, Vec<Changed>> {
    let mut accounts: BTreeMap<Option<u32>, Vec<Changed>> = BTreeMap::new();
    for (named, change) in records {
        accounts.entry(named.account()).or_default().push(*change);
    }
    if accounts.len() > 1
        && let Some(of_all) = accounts.remove(&None)
    {
        for changes in accounts.values_mut() {
            changes.extend(&of_all);
        }
    }
    accounts
}

/// The snapshots that do not list somebody, as far as they tell anything: of those between two changes the first, which
/// ends a membership, and the last, since which they may have come back.
fn absences(
    changes: &[Changed],
    snapshots: &[Listed],
    is_listed: impl Fn(&[Named]) -> bool,
) -> Vec<Changed> {
    let mut absences = Vec::new();
    let first_at = |at: At| snapshots.partition_point(|(other, _)| *other < at);
    let mut from = 0;
    let ends = changes.iter().map(|(time, seq, _)| first_at((*time, *seq)));
    for to in ends.chain([snapshots.len()]) {
        let between = &snapshots[from.min(to)..to];
        let mut missing = between
            .iter()
            .filter(|(_, listed)| !is_listed(listed))
            .map(|(at, _)| (at.0, at.1, Change::Absent));
        let first = missing.next();
        absences.extend(first);
        absences.extend(missing.next_back());
        from = to;
    }
    absences
}

/// Of sessions whose events do not say which one they speak of, the changes of being there at all: the first to join, and
/// the last to leave. Who leaves more often than they joined was there before the first record.
fn of_any(mut changes: Vec<Changed>) -> Vec<Changed> {
    changes.sort_unstable();
    let mut depth: u64 = 0;
    changes.retain(|(_, _, change)| match change {
        Change::Added => {
            depth += 1;
            depth == 1
        }
        Change::Removed => {
            depth = depth.saturating_sub(1);
            depth == 0
        }
        Change::Present | Change::Absent => true,
    });
    changes
}

/// Spans of membership from its changes.
fn spans_of(mut changes: Vec<Changed>) -> Vec<SpanUs> {
    changes.sort_unstable();
    let mut spans = Vec::new();
    // When it was last known that they were none; for ever before the first record.
    let mut out_us = i64::MIN;
    let mut since: Option<i64> = None;
    let mut unknown = true;
    for (time_us, _, change) in changes {
        match (change, since) {
            (Change::Added, None) => since = Some(time_us),
            (Change::Present, None) => since = Some(out_us),
            (Change::Added | Change::Present, Some(_)) => {}
            (Change::Removed | Change::Absent, Some(from)) => {
                spans.push((from, time_us));
                since = None;
            }
            (Change::Removed, None) if unknown => spans.push((i64::MIN, time_us)),
            // Removed, though last seen outside: they came in between, unrecorded.
            (Change::Removed, None) => spans.push((out_us, time_us)),
            (Change::Absent, None) => {}
        }
        unknown = false;
        if since.is_none() {
            out_us = time_us;
        }
    }
    spans.extend(since.map(|from| (from, i64::MAX)));
    spans
}

/// The same times in spans that ascend and do not touch.
#[must_use]
pub fn merged(mut spans: Vec<SpanUs>) -> Vec<SpanUs> {
    spans.sort_unstable();
    let mut merged: Vec<SpanUs> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match merged.last_mut() {
            Some(last) if from <= last.1.saturating_add(1) => last.1 = last.1.max(to),
            _ => merged.push((from, to)),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    use Change::{Absent, Added, Present, Removed};

    fn at(changes: &[(i64, Change)]) -> Vec<SpanUs> {
        merged(spans_of(
            changes
                .iter()
                .map(|(time, change)| (*time, 0, *change))
                .collect(),
        ))
    }

    #[test]
    fn spans_follow_the_records() {
        assert_eq!(at(&[(5, Added), (9, Removed)]), [(5, 9)]);
        assert_eq!(at(&[(5, Added)]), [(5, i64::MAX)]);
        assert_eq!(
            at(&[(9, Removed), (12, Added)]),
            [(i64::MIN, 9), (12, i64::MAX)]
        );
        assert_eq!(at(&[(3, Present)]), [(i64::MIN, i64::MAX)]);
        assert_eq!(at(&[(3, Absent), (7, Present), (9, Absent)]), [(3, 9)]);
        assert_eq!(at(&[(3, Absent)]), []);
        assert_eq!(
            at(&[(3, Added), (4, Present), (6, Absent), (8, Removed)]),
            [(3, 8)]
        );
    }

    #[test]
    fn sessions_without_an_id_end_with_the_last_of_them() {
        let of = |changes: &[(i64, Change)]| {
            let changes = changes.iter().map(|(time, change)| (*time, 0, *change));
            merged(spans_of(of_any(changes.collect())))
        };
        assert_eq!(
            of(&[(1, Added), (2, Added), (3, Removed), (9, Removed)]),
            [(1, 9)]
        );
        assert_eq!(
            of(&[(1, Added), (3, Removed), (5, Added), (9, Removed)]),
            [(1, 3), (5, 9)]
        );
        assert_eq!(of(&[(1, Added), (2, Added), (3, Removed)]), [(1, i64::MAX)]);
        assert_eq!(
            of(&[(3, Removed), (5, Added)]),
            [(i64::MIN, 3), (5, i64::MAX)]
        );
    }
}
