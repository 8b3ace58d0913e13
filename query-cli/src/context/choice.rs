//! Which events around the anchors belong to a window, and which windows are one. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Anchor, Context, Entry, Window};

/// Hits closer than this are looked up together.
const CLUSTER_US: i64 = 86_400_000_000;

/// Ranges of anchors that are looked up together.
pub(super) fn clusters(anchors: &[Anchor], context: Context) -> Vec<std::ops::Range<usize>> {
    let gap = match context {
        Context::Time(us) => us.saturating_mul(2).max(CLUSTER_US),
        Context::Messages(_) => CLUSTER_US,
    };
    let mut out: Vec<std::ops::Range<usize>> = Vec::new();
    for (i, anchor) in anchors.iter().enumerate() {
        match out.last_mut() {
            Some(range) if anchor.time_us.saturating_sub(anchors[i - 1].time_us) <= gap => {
                range.end = i + 1;
            }
            _ => out.push(i..i + 1),
        }
    }
    out
}

/// A window within its room: (cluster, window of the cluster).
pub(super) type Number = (usize, usize);

/// What a window's choice looks at of an event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) key: &'a Anchor,
    pub(super) is_message: bool,
}

/// For each event the number of the window it belongs to.
pub(super) type Keep = Vec<Option<usize>>;

/// Everything at most `us` before or after an anchor.
pub(super) fn keep_by_time(lines: &[Line<'_>], anchors: &[Anchor], us: i64) -> Keep {
    let mut spans: Vec<(i64, i64)> = Vec::new();
    for anchor in anchors {
        let (from, to) = (
            anchor.time_us.saturating_sub(us),
            anchor.time_us.saturating_add(us),
        );
        match spans.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => spans.push((from, to)),
        }
    }
    lines
        .iter()
        .map(|line| {
            spans
                .iter()
                .position(|(from, to)| (*from..=*to).contains(&line.key.time_us))
        })
        .collect()
}

/// A choice by count.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Choice {
    pub(super) keep: Keep,
    /// Whether every anchor found all its messages among the lines.
    pub(super) whole: bool,
}

/// Everything between the `n`th message before and the `n`th after each anchor.
pub(super) fn keep_by_count(lines: &[Line<'_>], anchors: &[Anchor], n: usize) -> Choice {
    let mut spans: Vec<(usize, usize)> = Vec::new();
    let mut whole = true;
    for anchor in anchors {
        let Ok(at) = lines.binary_search_by(|line| line.key.cmp(anchor)) else {
            whole = false;
            continue;
        };
        let messages_before: Vec<usize> = (0..at)
            .rev()
            .filter(|i| lines[*i].is_message)
            .take(n)
            .collect();
        let messages_after: Vec<usize> = (at + 1..lines.len())
            .filter(|i| lines[*i].is_message)
            .take(n)
            .collect();
        whole &= messages_before.len() == n && messages_after.len() == n;
        // With fewer messages than asked for, everything on that side belongs to the window.
        let reached = |messages: &[usize], end: usize| {
            if messages.len() == n {
                messages.last().copied().unwrap_or(at)
            } else {
                end
            }
        };
        let from = reached(&messages_before, 0);
        let to = reached(&messages_after, lines.len() - 1);
        match spans.last_mut() {
            Some(last) if from <= last.1 + 1 => {
                last.0 = last.0.min(from);
                last.1 = last.1.max(to);
            }
            _ => spans.push((from, to)),
        }
    }
    let keep = (0..lines.len())
        .map(|i| {
            spans
                .iter()
                .position(|(from, to)| (*from..=*to).contains(&i))
        })
        .collect();
    Choice { keep, whole }
}

/// Adds a cluster's windows; one that shares an event with an earlier cluster's becomes part of it.
pub(super) fn join(
    entries: &mut BTreeMap<Anchor, (Entry, Number)>,
    kept: impl Iterator<Item = (Entry, usize)>,
    cluster: usize,
) {
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
        entries
            .values_mut()
            .filter(|(_, number)| *number == from)
            .for_each(|(_, number)| *number = to);
    }
}

/// Cuts a room's entries where the window changes.
pub(super) fn split(entries: impl Iterator<Item = (Entry, Number)>) -> Vec<Window> {
    let mut windows: Vec<Window> = Vec::new();
    let mut current = None;
    for (entry, window) in entries {
        match windows.last_mut() {
            Some(last) if current == Some(window) => last.entries.push(entry),
            _ => windows.push(Window {
                entries: vec![entry],
            }),
        }
        current = Some(window);
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(time_us: i64) -> Anchor {
        Anchor {
            time_us,
            event_id: format!("e{time_us:03}"),
        }
    }

    /// Messages at each even time, other events at each odd one.
    fn keys(count: i64) -> Vec<Anchor> {
        (0..count).map(anchor).collect()
    }

    fn lines(keys: &[Anchor]) -> Vec<Line<'_>> {
        keys.iter()
            .map(|key| Line {
                key,
                is_message: key.time_us % 2 == 0,
            })
            .collect()
    }

    fn kept(keep: &Keep, window: usize) -> Vec<usize> {
        keep.iter()
            .enumerate()
            .filter(|(_, w)| **w == Some(window))
            .map(|(i, _)| i)
            .collect()
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
