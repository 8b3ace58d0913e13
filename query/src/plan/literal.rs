//! The literal spelling of a word that holds separators: `R&D` is no `R. D.`

use crate::analyzer::{Analyzer, Class, Diacritics};

/// The spelling of one word, normalised as the text is, and no further: `don't` is not `don’t`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Literal {
    /// Separators before the first term.
    pub(crate) lead: Vec<char>,
    /// From the first term on.
    pub(crate) rest: Vec<LiteralElement>,
    pub(crate) diacritics: Diacritics,
}

/// One character of a spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LiteralElement {
    /// This one.
    Is(char),
    /// One character of a term.
    One,
    /// Any number of them.
    Many,
}

/// Bytes of text looked at around an occurrence, beside four times the spelling: what marks may add.
const SLACK_BYTES: usize = 64;

impl Literal {
    /// Whether the text is spelled so where an occurrence of the terms takes the bytes `from..to`.
    #[must_use]
    pub fn matches(&self, text: &str, from: usize, to: usize) -> bool {
        let after = ceil(text, to + 4 * self.rest.len() + SLACK_BYTES);
        let found = self.units(text.get(from..after).unwrap_or_default());
        if !self.lead.is_empty() {
            // One original character may be separator and term in one (⑴, ℃): then both begin at `from`.
            let whole: Vec<LiteralElement> = self
                .lead
                .iter()
                .map(|c| LiteralElement::Is(*c))
                .chain(self.rest.iter().copied())
                .collect();
            if begins_with(&found, &whole) {
                return true;
            }
            let before = floor(text, from.saturating_sub(4 * self.lead.len() + SLACK_BYTES));
            let before = self.units(text.get(before..from).unwrap_or_default());
            let ends = before
                .len()
                .checked_sub(self.lead.len())
                .map(|at| &before[at..]);
            if !ends.is_some_and(|ends| ends.iter().map(|(c, _)| c).eq(&self.lead)) {
                return false;
            }
        }
        begins_with(&found, &self.rest)
    }

    /// Normalised characters, and whether each is part of a term.
    fn units(&self, text: &str) -> Vec<(char, bool)> {
        let mut analyzer = Analyzer::with(self.diacritics);
        let mut units = Vec::with_capacity(text.len());
        let mut terms = analyzer.start(text);
        while let Some(unit) = terms.next_unit() {
            match unit.class {
                Class::Dropped => {}
                Class::Separator => units.push((unit.character, false)),
                _ => units.push((unit.character, true)),
            }
        }
        units
    }
}

/// Whether `found` begins so. Only the last `*` is gone back to: within a term that suffices, and none crosses a separator.
fn begins_with(found: &[(char, bool)], elements: &[LiteralElement]) -> bool {
    let (mut element, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match elements.get(element) {
            None => return true,
            Some(LiteralElement::Many) => {
                star = Some((element + 1, at));
                Some(at)
            }
            Some(LiteralElement::One) => found.get(at).filter(|(_, word)| *word).map(|_| at + 1),
            Some(LiteralElement::Is(c)) => found
                .get(at)
                .filter(|(found, _)| found == c)
                .map(|_| at + 1),
        };
        match (step, star) {
            (Some(next), _) => (element, at) = (element + 1, next),
            (None, Some((after, from))) if found.get(from).is_some_and(|(_, word)| *word) => {
                star = Some((after, from + 1));
                (element, at) = (after, from + 1);
            }
            (None, _) => return false,
        }
    }
}

fn ceil(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len()))
        .rev()
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(0)
}
