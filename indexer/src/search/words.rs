//! Words of a query in the dictionaries of a split.

use std::sync::{Arc, Mutex, PoisonError};

use holdfast_query::limits::WILDCARD_EXPANSIONS_MAX;
use rustc_hash::FxHashSet;
use tantivy::InvertedIndexReader;
use tantivy::postings::TermInfo;

use crate::error::SearchError;
use crate::invert::terms::stable_hash;
use crate::search::question::FindError;

/// A piece of a wildcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// These characters.
    Literal(String),
    /// One character.
    One,
    /// Any characters, or none.
    Any,
}

/// A wildcard over the terms of a field.
#[derive(Debug)]
pub(crate) struct Wildcard {
    /// As written, for messages.
    pub(crate) written: String,
    pub(crate) pieces: Vec<Piece>,
    /// The distinct terms it stood for in all splits of this search, by hash: the limit is one for the whole search, so
    /// that the answer does not depend on how rows are cut into segments.
    met: Mutex<FxHashSet<u64>>,
}

impl Wildcard {
    pub(crate) fn new(written: String, pieces: Vec<Piece>) -> Self {
        Self { written, pieces, met: Mutex::default() }
    }

    /// Whether a term is what the wildcard says.
    pub(crate) fn matches(&self, term: &str) -> bool {
        matches(&self.pieces, term)
    }

    /// The literal that every term begins with; nothing is known when it is empty.
    fn prefix(&self) -> &str {
        match self.pieces.first() {
            Some(Piece::Literal(literal)) => literal,
            Some(Piece::One | Piece::Any) | None => "",
        }
    }

    /// Whether the beginning decides alone.
    fn is_prefix(&self) -> bool {
        matches!(self.pieces.as_slice(), [Piece::Literal(_), Piece::Any])
    }

    /// The terms of a dictionary that it stands for.
    ///
    /// # Errors
    /// They are too many in all splits together, or the split is damaged.
    pub(crate) fn expand(&self, reader: &InvertedIndexReader) -> Result<Vec<TermInfo>, FindError> {
        let mut found = Vec::new();
        self.walk(reader, b"", |info| {
            found.push(info.clone());
            Ok(())
        })?;
        Ok(found)
    }

    /// Calls `each` for every term behind `tag` that it stands for.
    pub(crate) fn walk(
        &self,
        reader: &InvertedIndexReader,
        tag: &[u8],
        mut each: impl FnMut(&TermInfo) -> Result<(), FindError>,
    ) -> Result<(), FindError> {
        let from = [tag, self.prefix().as_bytes()].concat();
        let mut range = reader.terms().range().ge(&from);
        let after = successor(from);
        if let Some(after) = &after {
            range = range.lt(after);
        }
        let mut terms = range.into_stream()?;
        while terms.advance() {
            let Some(term) = terms.key().strip_prefix(tag) else { continue };
            if self.is_prefix() || std::str::from_utf8(term).is_ok_and(|term| self.matches(term)) {
                self.meet(term)?;
                each(terms.value())?;
            }
        }
        Ok(())
    }

    fn meet(&self, term: &[u8]) -> Result<(), SearchError> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        met.insert(stable_hash(term));
        if met.len() > WILDCARD_EXPANSIONS_MAX {
            return Err(SearchError::TooManyTerms { pattern: self.written.clone(), max: WILDCARD_EXPANSIONS_MAX });
        }
        Ok(())
    }
}

/// The least string that does not begin with `prefix` and is greater; `None` when all greater strings do.
fn successor(mut prefix: Vec<u8>) -> Option<Vec<u8>> {
    while let Some(last) = prefix.pop() {
        if last < u8::MAX {
            prefix.push(last + 1);
            return Some(prefix);
        }
    }
    None
}

/// Matches pieces against a whole text: greedy, going back to the last [`Piece::Any`] where it fails.
fn matches(pieces: &[Piece], text: &str) -> bool {
    let (mut piece, mut rest) = (0, text);
    let mut retry: Option<(usize, &str)> = None;
    loop {
        let step = match pieces.get(piece) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Piece::Any) => {
                retry = Some((piece + 1, rest));
                piece += 1;
                continue;
            }
            Some(Piece::One) => rest.chars().next().map(|c| &rest[c.len_utf8()..]),
            Some(Piece::Literal(literal)) => rest.strip_prefix(literal.as_str()),
        };
        match (step, retry) {
            (Some(after), _) => (piece, rest) = (piece + 1, after),
            (None, None) => return false,
            (None, Some((from, tried))) => {
                let Some(c) = tried.chars().next() else { return false };
                let tried = &tried[c.len_utf8()..];
                retry = Some((from, tried));
                (piece, rest) = (from, tried);
            }
        }
    }
}

/// A dictionary with one of its terms' places.
pub(crate) type Found = (Arc<InvertedIndexReader>, TermInfo);

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    fn pieces(pattern: &str) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for c in pattern.chars() {
            match (c, pieces.last_mut()) {
                ('*', _) => pieces.push(Piece::Any),
                ('?', _) => pieces.push(Piece::One),
                (c, Some(Piece::Literal(literal))) => literal.push(c),
                (c, _) => pieces.push(Piece::Literal(c.to_string())),
            }
        }
        pieces
    }

    /// The definition, by trying everything.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            Some((c, rest)) => text.split_first().is_some_and(|(t, after)| (*c == '?' || c == t) && slow(rest, after)),
        }
    }

    proptest! {
        #[test]
        fn a_wildcard_is_its_definition(pattern in "[ab?*ü]{0,8}", text in "[abü]{0,8}") {
            let (p, t): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
            prop_assert_eq!(matches(&pieces(&pattern), &text), slow(&p, &t));
        }

        #[test]
        fn a_successor_ends_the_prefix(prefix in prop::collection::vec(prop_oneof![Just(255_u8), any::<u8>()], 0..4), other in prop::collection::vec(prop_oneof![Just(255_u8), any::<u8>()], 0..6)) {
            let after = successor(prefix.clone());
            let inside = other >= prefix && after.as_ref().is_none_or(|after| other < *after);
            prop_assert_eq!(inside, other.starts_with(&prefix));
        }
    }
}
