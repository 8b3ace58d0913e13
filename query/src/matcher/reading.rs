//! The terms of a row that some query asks for.

use std::ops::Range;

use holdfast_schemas::Event;
use rustc_hash::FxHashMap;

use crate::analyzer::{Analyzer, Diacritics};
use crate::plan::{TermPattern, TermTest, TextField};

/// As many exact terms are compared one by one; more are hashed.
const COMPARED_TERMS_MAX: usize = 4;

/// Every term test of a query, numbered.
#[derive(Debug, Clone, Default)]
pub(super) struct TermIndex {
    exact: Vec<(Box<str>, u32)>,
    by_text: FxHashMap<Box<str>, u32>,
    prefixes: Vec<(Box<str>, u32)>,
    patterns: Vec<(TermPattern, u32)>,
    tests: u32,
}

impl TermIndex {
    /// The number of a test; the same for the same test.
    pub(super) fn number(&mut self, test: &TermTest) -> u32 {
        let next = self.tests;
        let number = match test {
            TermTest::Exact(text) => {
                *self.by_text.entry(text.as_str().into()).or_insert_with(|| {
                    self.exact.push((text.as_str().into(), next));
                    next
                })
            }
            TermTest::Prefix(text) => {
                known(&self.prefixes, |p| **p == **text).unwrap_or_else(|| {
                    self.prefixes.push((text.as_str().into(), next));
                    next
                })
            }
            TermTest::Pattern(pattern) => {
                known(&self.patterns, |p| p == pattern).unwrap_or_else(|| {
                    self.patterns.push((pattern.clone(), next));
                    next
                })
            }
        };
        self.tests = next.max(number + 1);
        number
    }

    /// The numbers of all tests that `term` passes.
    #[inline]
    fn each_passed(&self, term: &str, mut passed: impl FnMut(u32)) {
        if self.exact.len() <= COMPARED_TERMS_MAX {
            for (text, number) in &self.exact {
                if **text == *term {
                    passed(*number);
                }
            }
        } else if let Some(number) = self.by_text.get(term) {
            passed(*number);
        }
        for (prefix, number) in &self.prefixes {
            if term.starts_with(&**prefix) {
                passed(*number);
            }
        }
        for (pattern, number) in &self.patterns {
            if pattern.matches(term) {
                passed(*number);
            }
        }
    }
}

fn known<T>(list: &[(T, u32)], same: impl Fn(&T) -> bool) -> Option<u32> {
    list.iter()
        .find(|(known, _)| same(known))
        .map(|(_, number)| *number)
}

/// A term that passed a test.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hit {
    pub(super) test: u32,
    pub(super) position: u32,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// The hits of one value.
#[derive(Debug, Clone)]
struct Value {
    field: TextField,
    index: usize,
    hits: Range<usize>,
}

/// What was read of one row, field by field as asked for.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    analyzer: Analyzer,
    terms: TermIndex,
    hits: Vec<Hit>,
    values: Vec<Value>,
    /// By field: whether it was read.
    read: [bool; TextField::ALL.len()],
}

impl Reading {
    pub(super) fn new(diacritics: Diacritics, terms: TermIndex) -> Self {
        Reading {
            analyzer: Analyzer::with(diacritics),
            terms,
            hits: Vec::new(),
            values: Vec::new(),
            read: [false; TextField::ALL.len()],
        }
    }

    pub(super) fn clear(&mut self) {
        self.hits.clear();
        self.values.clear();
        self.read = [false; TextField::ALL.len()];
    }

    /// Reads a field, unless it was read before.
    pub(super) fn read(&mut self, field: TextField, event: &Event<'_>) {
        if std::mem::replace(&mut self.read[field as usize], true) {
            return;
        }
        for value in field.values(event) {
            let from = self.hits.len();
            let (terms, hits) = (&self.terms, &mut self.hits);
            self.analyzer.terms(value.text, |term| {
                terms.each_passed(term.text, |test| {
                    hits.push(Hit {
                        test,
                        position: term.position,
                        from: term.offset_from,
                        to: term.offset_to,
                    });
                });
            });
            if self.hits.len() > from {
                self.values.push(Value {
                    field,
                    index: value.index,
                    hits: from..self.hits.len(),
                });
            }
        }
    }

    /// The values of a field with hits: index and hits, by ascending position.
    pub(super) fn values(&self, field: TextField) -> impl Iterator<Item = (usize, &[Hit])> {
        let of_field = self.values.iter().filter(move |value| value.field == field);
        of_field.map(|value| (value.index, &self.hits[value.hits.clone()]))
    }

    /// The hits in one value.
    pub(super) fn hits(&self, field: TextField, index: usize) -> &[Hit] {
        self.values(field)
            .find(|(i, _)| *i == index)
            .map_or(&[], |(_, hits)| hits)
    }
}
