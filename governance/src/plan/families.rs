//! Families of several events, decided as a whole.

use rustc_hash::FxHashMap;

use super::Basis;
use super::judge::Judged;
use super::tally::Reason;
use crate::hold::Held;

/// What is known of a family, from all of its parts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Family {
    /// When its newest content happened; without any, its newest event.
    content_us: Option<i64>,
    any_us: i64,
    ingest_us: i64,
    cutoff_us: i64,
    held: Held,
    planned: bool,
    explains: bool,
}

impl Family {
    /// A family of one event.
    pub(super) fn of(judged: &Judged, content: bool) -> Self {
        Self {
            content_us: content.then_some(judged.time_us),
            any_us: judged.time_us,
            ingest_us: judged.ingest_us,
            cutoff_us: judged.means.cutoff_us,
            held: judged.held,
            planned: judged.planned,
            explains: false,
        }
    }

    pub(super) fn join(&mut self, other: &Self) {
        self.content_us = self.content_us.max(other.content_us);
        self.any_us = self.any_us.max(other.any_us);
        self.ingest_us = self.ingest_us.max(other.ingest_us);
        self.cutoff_us = self.cutoff_us.min(other.cutoff_us);
        self.held = self.held.and(other.held);
        self.planned &= other.planned;
        self.explains |= other.explains;
    }

    pub(super) fn explaining(mut self) -> Self {
        self.explains = true;
        self
    }

    /// Its life counts from here.
    pub(super) fn life_from_us(&self) -> i64 {
        self.content_us.unwrap_or(self.any_us)
    }

    /// Whether it goes.
    pub(super) fn goes(&self, basis: &Basis) -> bool {
        self.life_from_us() < self.cutoff_us
            && self.ingest_us < basis.ingested_before_us
            && self.held == Held::No
            && self.planned
            && !self.explains
    }

    /// Why one of its events stays although its deletion is due; nothing when it is not due, or goes.
    pub(super) fn stays_because(&self, part: &Judged, basis: &Basis) -> Option<Reason> {
        if part.time_us >= part.means.due_us || self.goes(basis) {
            return None;
        }
        let life_from_us = self.life_from_us();
        if life_from_us >= self.cutoff_us {
            let own = life_from_us >= part.means.cutoff_us;
            let retaining = basis
                .cutoffs
                .retaining(part.applies)
                .filter(|_| own && life_from_us < part.means.due_us);
            return Some(match retaining.and_then(|place| basis.rules.get(place)) {
                Some(rule) => Reason::Retained(rule.name.clone()),
                None => Reason::Family,
            });
        }
        if self.ingest_us >= basis.ingested_before_us {
            return Some(Reason::Grace);
        }
        if !self.planned {
            return Some(Reason::NotPlanned);
        }
        Some(match self.held {
            Held::By(place) => {
                let hold = basis.holds.get(usize::from(place));
                hold.map_or(Reason::Holds, |hold| Reason::Hold(hold.name.clone()))
            }
            Held::BySeveral => Reason::Holds,
            Held::No => Reason::Explains,
        })
    }
}

/// Families by key; keys that a file joins are one.
#[derive(Debug, Default)]
pub(super) struct Families {
    parents: FxHashMap<u64, u64>,
    facts: FxHashMap<u64, Family>,
}

impl Families {
    /// Two keys are one family. Only before any facts.
    pub(super) fn link(&mut self, one: u64, two: u64) {
        let (one, two) = (self.root(one), self.root(two));
        if one != two {
            self.parents.insert(one.max(two), one.min(two));
        }
    }

    pub(super) fn add(&mut self, key: u64, family: &Family) {
        let root = self.root(key);
        self.facts
            .entry(root)
            .and_modify(|known| known.join(family))
            .or_insert(*family);
    }

    pub(super) fn get(&mut self, key: u64) -> Option<Family> {
        let root = self.root(key);
        self.facts.get(&root).copied()
    }

    /// Families that go.
    pub(super) fn gone(&self, basis: &Basis) -> u64 {
        self.facts
            .values()
            .filter(|family| family.goes(basis))
            .count() as u64
    }

    fn root(&mut self, key: u64) -> u64 {
        let mut root = key;
        while let Some(parent) = self.parents.get(&root) {
            root = *parent;
        }
        // Paths stay short: what was walked points to the root.
        let mut at = key;
        while let Some(parent) = self.parents.get_mut(&at) {
            at = std::mem::replace(parent, root);
            if at == root {
                break;
            }
        }
        root
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    use super::super::judge::Means;

    fn judged(time_us: i64) -> Judged {
        Judged {
            time_us,
            ingest_us: time_us,
            applies: 0,
            means: Means {
                cutoff_us: 100,
                due_us: 100,
                deleting: None,
            },
            held: Held::No,
            planned: true,
        }
    }

    proptest! {
        #[test]
        fn linked_keys_are_one_family_whatever_the_order(links in proptest::collection::vec((0u64..20, 0u64..20), 0..30), from in 0u64..20) {
            let mut families = Families::default();
            for (one, two) in &links {
                families.link(*one, *two);
            }
            for key in 0..20 {
                families.add(key, &Family::of(&judged(key.cast_signed()), true));
            }
            let mut reached = std::collections::BTreeSet::from([from]);
            loop {
                let before = reached.len();
                for (one, two) in &links {
                    if reached.contains(one) || reached.contains(two) {
                        reached.extend([*one, *two]);
                    }
                }
                if reached.len() == before {
                    break;
                }
            }
            let newest = reached.iter().max().unwrap().cast_signed();
            prop_assert_eq!(families.get(from).unwrap().life_from_us(), newest);
        }
    }
}
