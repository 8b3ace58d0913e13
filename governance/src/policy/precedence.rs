//! Which policy wins: the principles that Microsoft publishes for retention, as one number a set of policies.
//!
//! 1. What any policy retains is not deleted, whatever deletes it.
//! 2. The longest retention wins.
//! 3. For deletions an explicit scope wins over an implicit one ([`Weight`]).
//! 4. Of the deletions that are left the shortest wins.
//!
//! (<https://learn.microsoft.com/en-us/purview/retention>, "The principles of retention, or what takes precedence?";
//! above all of them stands a hold.) A policy that retains until a moment lets go of what happened before its cutoff; a
//! policy that deletes takes what happened before its own. So a set of policies lets go of exactly what happened before
//! the least cutoff of those that retain and the greatest of the deletions that count.

use std::sync::Mutex;
use std::sync::PoisonError;

use rustc_hash::FxHashMap;

use super::{Mask, Rule};
use crate::period::cutoff_us;

/// A cutoff before everything: nothing goes.
pub const NEVER: i64 = i64::MIN;

/// The cutoffs of some policies at one moment.
#[derive(Debug)]
pub struct Cutoffs {
    each: Vec<i64>,
    retains: Mask,
    default: Mask,
    /// Rules that are no policies: the default policy covers what they cover, too.
    aside: Mask,
    /// Deletions by weight, the heaviest first.
    deletes: Vec<Mask>,
    known: Mutex<FxHashMap<Mask, i64>>,
}

impl Cutoffs {
    /// # Panics
    /// Never: policies beyond [`super::POLICIES_MAX`] are refused before.
    #[must_use]
    pub fn new(rules: &[Rule], now_us: i64) -> Self {
        let each = rules
            .iter()
            .map(|rule| cutoff_us(rule.period, now_us, &rule.zone));
        let that = |wanted: &dyn Fn(&Rule) -> bool| {
            rules.iter().enumerate().fold(0, |mask, (place, rule)| {
                mask | (u64::from(wanted(rule)) << place)
            })
        };
        let mut weights: Vec<_> = rules.iter().map(|rule| rule.weight).collect();
        weights.sort_unstable();
        weights.dedup();
        let deletes = weights
            .iter()
            .rev()
            .map(|weight| that(&|rule| rule.deletes() && rule.weight == *weight));
        Self {
            each: each.collect(),
            retains: that(&Rule::retains),
            default: that(&Rule::is_default),
            aside: 0,
            deletes: deletes.collect(),
            known: Mutex::default(),
        }
    }

    /// The policy at this place lets go of everything at once: an erasure has no period.
    pub fn immediately(&mut self, place: usize) {
        if let Some(cutoff) = self.each.get_mut(place) {
            *cutoff = i64::MAX;
            self.aside |= 1 << place;
        }
    }

    /// Without the default policy, unless it is alone.
    #[must_use]
    pub fn effective(&self, applies: Mask) -> Mask {
        match applies & !self.default & !self.aside {
            0 => applies,
            _ => applies & !self.default,
        }
    }

    /// What of the policies that apply deletes: of the heaviest weight, the one with the shortest period.
    #[must_use]
    pub fn deleting(&self, applies: Mask) -> Option<usize> {
        let applies = self.effective(applies);
        let counts = self.deletes.iter().map(|mask| mask & applies);
        let counts = counts.into_iter().find(|mask| *mask != 0)?;
        bits(counts).max_by_key(|place| (self.each[*place], std::cmp::Reverse(*place)))
    }

    /// Of the policies that apply and retain, the one with the longest period.
    #[must_use]
    pub fn retaining(&self, applies: Mask) -> Option<usize> {
        bits(self.effective(applies) & self.retains).min_by_key(|place| (self.each[*place], *place))
    }

    /// What happened before this moment goes, as far as these policies are concerned; [`NEVER`] when nothing does.
    #[must_use]
    pub fn of(&self, applies: Mask) -> i64 {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        *known.entry(applies).or_insert_with(|| self.judge(applies))
    }

    /// The cutoff of one policy.
    #[must_use]
    pub fn each(&self, place: usize) -> i64 {
        self.each.get(place).copied().unwrap_or(NEVER)
    }

    /// No set of policies lets go of anything later.
    #[must_use]
    pub fn latest(&self) -> i64 {
        let deletes = self.deletes.iter().fold(0, |all, mask| all | mask);
        bits(deletes)
            .map(|place| self.each[place])
            .max()
            .unwrap_or(NEVER)
    }

    fn judge(&self, applies: Mask) -> i64 {
        let Some(deleting) = self.deleting(applies) else {
            return NEVER;
        };
        let deleted = self.each[deleting];
        match self.retaining(applies) {
            Some(retaining) => deleted.min(self.each[retaining]),
            None => deleted,
        }
    }
}

fn bits(mask: Mask) -> impl Iterator<Item = usize> {
    (0..64).filter(move |place| mask >> place & 1 == 1)
}
