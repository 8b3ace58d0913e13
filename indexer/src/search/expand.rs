//! Words of a query in the dictionaries of a split.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use holdfast_query::limits::WILDCARD_EXPANSIONS_MAX;
use holdfast_query::plan::{TermTest, Wildcard};
use rustc_hash::FxHashSet;
use tantivy::InvertedIndexReader;
use tantivy::postings::TermInfo;

use super::question::FindError;
use crate::error::SearchError;
use crate::invert::terms::stable_hash;

/// The terms that the wildcards of one search stood for so far, in all splits together: the limit is one for the whole
/// search, so that the answer does not depend on how rows are cut into segments.
#[derive(Debug, Default)]
pub(crate) struct Expansions {
    /// Distinct terms by their hash.
    met: Mutex<HashMap<TermTest, FxHashSet<u64>>>,
}

impl Expansions {
    /// The terms of a dictionary that fit.
    ///
    /// # Errors
    /// They are too many in all splits together, or the split is damaged.
    pub(crate) fn terms(
        &self,
        reader: &InvertedIndexReader,
        test: &TermTest,
    ) -> Result<Vec<TermInfo>, FindError> {
        if let TermTest::Exact(term) = test {
            return Ok(reader.terms().get(term)?.into_iter().collect());
        }
        let mut met = Vec::new();
        let mut found = Vec::new();
        walk(reader, test.prefix().as_bytes(), |term, info| {
            if std::str::from_utf8(term).is_ok_and(|term| test.matches(term)) {
                met.push(stable_hash(term));
                found.push(info.clone());
            }
            // One dictionary alone may settle it: no need to read on.
            if found.len() > WILDCARD_EXPANSIONS_MAX {
                Err(too_many(test).into())
            } else {
                Ok(())
            }
        })?;
        self.meet(test, met)?;
        Ok(found)
    }

    fn meet(&self, test: &TermTest, terms: Vec<u64>) -> Result<(), SearchError> {
        let mut met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let all = met.entry(test.clone()).or_default();
        all.extend(terms);
        if all.len() > WILDCARD_EXPANSIONS_MAX {
            Err(too_many(test))
        } else {
            Ok(())
        }
    }
}

fn too_many(test: &TermTest) -> SearchError {
    SearchError::TooManyTerms {
        pattern: written(test),
        max: WILDCARD_EXPANSIONS_MAX,
    }
}

/// A wildcard as it is written in a query.
fn written(test: &TermTest) -> String {
    match test {
        TermTest::Exact(term) => term.clone(),
        TermTest::Prefix(prefix) => format!("{prefix}*"),
        TermTest::Pattern(pattern) => pattern
            .parts
            .iter()
            .map(|part| match part {
                Wildcard::Literal(text) => text.as_str(),
                Wildcard::One => "?",
                Wildcard::Many => "*",
            })
            .collect(),
    }
}

/// Calls `each` for every term that begins so.
///
/// # Errors
/// The split is damaged, or what `each` returns.
pub(crate) fn walk(
    reader: &InvertedIndexReader,
    prefix: &[u8],
    mut each: impl FnMut(&[u8], &TermInfo) -> Result<(), FindError>,
) -> Result<(), FindError> {
    let mut range = reader.terms().range().ge(prefix);
    if let Some(after) = successor(prefix.to_vec()) {
        range = range.lt(after);
    }
    let mut terms = range.into_stream()?;
    while terms.advance() {
        each(terms.key(), terms.value())?;
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_successor_ends_the_prefix(
            prefix in prop::collection::vec(prop_oneof![Just(255_u8), any::<u8>()], 0..4),
            other in prop::collection::vec(prop_oneof![Just(255_u8), any::<u8>()], 0..6),
        ) {
            let after = successor(prefix.clone());
            let inside = other >= prefix && after.as_ref().is_none_or(|after| other < *after);
            prop_assert_eq!(inside, other.starts_with(&prefix));
        }
    }
}
