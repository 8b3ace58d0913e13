//! What a plan has that another one had not, and the other way round.

use std::collections::{BTreeMap, BTreeSet};

use roaring::RoaringTreemap;
use serde::{Deserialize, Serialize};

use super::{Line, Reason, Tally};

/// Events that go of one room, month and policy, by two plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineDifference {
    /// The room's id; nothing for events without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
    /// `2019-03`, UTC.
    pub month: String,
    /// The policy that deletes them.
    pub policy: String,
    /// By the other plan.
    pub before: u64,
    /// By this one.
    pub now: u64,
}

/// Two plans compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// Events that go by this plan and did not by the other.
    pub more: u64,
    /// Events that went by the other plan and do not by this one: removed since, held, retained.
    pub fewer: u64,
    /// Rooms, months and policies of which not as many go.
    pub goes: Vec<LineDifference>,
    /// Reasons because of which not as many stay: before and now.
    pub stays: Vec<(Reason, u64, u64)>,
}

impl Difference {
    /// Compares the numbers and the row ids of two plans.
    #[must_use]
    pub fn of(
        (before, rows_before): (&Tally, &RoaringTreemap),
        (now, rows_now): (&Tally, &RoaringTreemap),
    ) -> Self {
        Self {
            more: (rows_now - rows_before).len(),
            fewer: (rows_before - rows_now).len(),
            goes: lines(&before.goes, &now.goes),
            stays: reasons(&before.stays, &now.stays),
        }
    }

    /// Whether both are the same.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

fn lines(before: &[Line], now: &[Line]) -> Vec<LineDifference> {
    type Key = (Option<String>, String, String);
    let key = |line: &Line| (line.room.clone(), line.month.clone(), line.policy.clone());
    let mut both: BTreeMap<Key, (u64, u64)> = BTreeMap::new();
    for line in before {
        both.entry(key(line)).or_default().0 += line.events;
    }
    for line in now {
        both.entry(key(line)).or_default().1 += line.events;
    }
    let differ = both.into_iter().filter(|(_, (before, now))| before != now);
    differ
        .map(|((room, month, policy), (before, now))| LineDifference {
            room,
            month,
            policy,
            before,
            now,
        })
        .collect()
}

fn reasons(before: &[(Reason, u64)], now: &[(Reason, u64)]) -> Vec<(Reason, u64, u64)> {
    let of = |list: &[(Reason, u64)], reason: &Reason| {
        let found = list.iter().find(|(known, _)| known == reason);
        found.map_or(0, |(_, events)| *events)
    };
    let all: BTreeSet<&Reason> = before.iter().chain(now).map(|(reason, _)| reason).collect();
    all.into_iter()
        .map(|reason| (reason.clone(), of(before, reason), of(now, reason)))
        .filter(|(_, before, now)| before != now)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(month: &str, events: u64) -> Line {
        Line {
            room: Some("r-1".to_owned()),
            month: month.to_owned(),
            policy: "chat".to_owned(),
            events,
        }
    }

    #[test]
    fn what_differs_is_named_and_nothing_else() {
        let before = Tally {
            goes: vec![line("2019-01", 4), line("2019-02", 2)],
            stays: vec![(Reason::Hold("h".to_owned()), 3)],
            ..Tally::default()
        };
        let now = Tally {
            goes: vec![line("2019-01", 4), line("2019-02", 1), line("2019-03", 5)],
            stays: vec![(Reason::Hold("h".to_owned()), 3), (Reason::Grace, 1)],
            ..Tally::default()
        };
        let (old, new): (RoaringTreemap, RoaringTreemap) = ((0..6).collect(), (1..11).collect());
        let found = Difference::of((&before, &old), (&now, &new));
        assert_eq!((found.more, found.fewer), (5, 1));
        let lines: Vec<_> = found
            .goes
            .iter()
            .map(|line| (line.month.as_str(), line.before, line.now))
            .collect();
        assert_eq!(lines, [("2019-02", 2, 1), ("2019-03", 0, 5)]);
        assert_eq!(found.stays, [(Reason::Grace, 0, 1)]);
        assert!(Difference::of((&now, &new), (&now, &new)).is_empty());
    }
}
