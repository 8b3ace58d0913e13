//! Where a pattern occurs in one value, and what is near what.

use super::reading::{Hit, TermIndex};
use crate::analyzer::{Analyzer, Class, Diacritics, classify};
use crate::plan::{Literal, Pattern, TermTest};

/// A pattern with its tests numbered.
#[derive(Debug, Clone)]
pub(super) struct Compiled {
    /// Offset and test.
    slots: Vec<(u32, u32)>,
    width: u32,
    literal: Option<Literal>,
    /// The last slot is one character of a run: of the bigram found only that character belongs to the occurrence.
    ends_in_character: bool,
}

/// One occurrence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Occurrence {
    /// First position.
    pub(super) first: u32,
    /// Last position.
    pub(super) last: u32,
    /// First byte.
    pub(super) from: usize,
    /// First byte after.
    pub(super) to: usize,
}

impl Compiled {
    pub(super) fn new(pattern: &Pattern, terms: &mut TermIndex) -> Self {
        let slots = pattern
            .slots
            .iter()
            .map(|slot| (slot.offset, terms.number(&slot.test)))
            .collect();
        let in_run = |prefix: &String| {
            prefix
                .chars()
                .next()
                .is_some_and(|c| classify(c) == Class::Bigram)
        };
        let ends_in_character = pattern
            .slots
            .last()
            .is_some_and(|s| matches!(&s.test, TermTest::Prefix(prefix) if in_run(prefix)));
        Compiled {
            slots,
            width: pattern.width,
            literal: pattern.literal.clone(),
            ends_in_character,
        }
    }

    /// Whether it occurs.
    pub(super) fn occurs(&self, hits: &[Hit], text: &str) -> bool {
        match (self.slots.as_slice(), &self.literal) {
            ([(_, test)], None) => hits.iter().any(|hit| hit.test == *test),
            _ => self.each(hits, text).next().is_some(),
        }
    }

    /// Every occurrence, by ascending position.
    pub(super) fn each<'a>(
        &'a self,
        hits: &'a [Hit],
        text: &'a str,
    ) -> impl Iterator<Item = Occurrence> + 'a {
        let (_, first_test) = self.slots.first().copied().unwrap_or_default();
        let starts = hits
            .iter()
            .enumerate()
            .filter(move |(_, hit)| hit.test == first_test);
        let found = starts.filter_map(move |(at, first)| {
            let mut last = first;
            for (offset, test) in &self.slots[1..] {
                last = at_position(&hits[at..], first.position + offset, *test)?;
            }
            Some(Occurrence {
                first: first.position,
                last: first.position + self.width - 1,
                from: first.from,
                to: if self.ends_in_character {
                    end_of_first(text, last)
                } else {
                    last.to
                },
            })
        });
        found.filter(move |o| {
            self.literal
                .as_ref()
                .is_none_or(|literal| literal.matches(text, o.from, o.to))
        })
    }
}

fn at_position(hits: &[Hit], position: u32, test: u32) -> Option<&Hit> {
    let from = hits.partition_point(|hit| hit.position < position);
    hits[from..]
        .iter()
        .take_while(|hit| hit.position == position)
        .find(|hit| hit.test == test)
}

/// Where the first character of a bigram ends.
fn end_of_first(text: &str, hit: &Hit) -> usize {
    let mut analyzer = Analyzer::with(Diacritics::Kept);
    let mut terms = analyzer.start(text.get(hit.from..hit.to).unwrap_or_default());
    terms.next_unit().map_or(hit.to, |unit| hit.from + unit.to)
}

/// Whether some occurrence of `after` (ascending) begins behind `before`, with at most `distance` positions between.
pub(super) fn followed(before: Occurrence, after: &[Occurrence], distance: u32) -> bool {
    let next = after.partition_point(|o| o.first <= before.last);
    after
        .get(next)
        .is_some_and(|o| o.first - before.last - 1 <= distance)
}

/// Positions that the widest occurrence takes after its first.
pub(super) fn reach_max(occurrences: &[Occurrence]) -> u32 {
    occurrences
        .iter()
        .map(|o| o.last - o.first)
        .max()
        .unwrap_or(0)
}

/// Whether some occurrence of `before` (ascending, none reaching further than `reach`) ends before `after`, with at most
/// `distance` positions between.
pub(super) fn preceded(
    after: Occurrence,
    before: &[Occurrence],
    reach: u32,
    distance: u32,
) -> bool {
    let next = before.partition_point(|o| o.first < after.first);
    let mut reachable = before[..next]
        .iter()
        .rev()
        .take_while(|o| after.first - o.first <= distance + reach + 1);
    reachable.any(|o| o.last < after.first && after.first - o.last - 1 <= distance)
}

/// Whether something of `left` is near something of `right`, both ascending.
pub(super) fn near(
    left: &[Occurrence],
    right: &[Occurrence],
    distance: u32,
    ordered: bool,
) -> bool {
    left.iter().any(|o| followed(*o, right, distance))
        || (!ordered && right.iter().any(|o| followed(*o, left, distance)))
}
