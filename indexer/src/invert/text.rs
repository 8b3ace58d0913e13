//! Text columns to terms with positions.

use holdfast_query::analyzer::Analyzer;
use tantivy::postings::FieldSerializer;

use super::postings::{Run, write_positions};
use super::terms::TermTable;
use crate::error::IndexError;

/// Collects the terms of one text field, documents ascending.
#[derive(Debug)]
pub(crate) struct TextInverter {
    table: TermTable,
    /// Term numbers in the order of the text.
    tokens: Vec<u32>,
    runs: Vec<Run>,
}

impl TextInverter {
    pub(crate) fn new() -> Self {
        Self {
            table: TermTable::new(),
            tokens: Vec::new(),
            runs: Vec::new(),
        }
    }

    /// Adds a text of a document; its first term stands at `base`. Returns the position after its last term.
    pub(crate) fn add(&mut self, analyzer: &mut Analyzer, doc: u32, base: u32, text: &str) -> u32 {
        let Self {
            table,
            tokens,
            runs,
        } = self;
        let mut expected = u32::MAX;
        let mut terms = analyzer.start(text);
        while let Some(term) = terms.next_term() {
            let position = base + term.position;
            if position != expected {
                runs.push(Run {
                    doc,
                    first: tokens.len() as u32,
                    position,
                });
            }
            expected = position + 1;
            tokens.push(table.number(term.text.as_bytes()).0);
        }
        if expected == u32::MAX { base } else { expected }
    }

    /// Writes what was collected.
    pub(crate) fn write(&self, into: &mut FieldSerializer<'_>) -> Result<(), IndexError> {
        write_positions(&self.table, &self.tokens, &self.runs, into)
    }

    /// Calls `each` with every term, in no order.
    pub(crate) fn each_term(&self, each: impl FnMut(&[u8])) {
        self.table.each(each);
    }

    /// Occurrences so far.
    pub(crate) fn occurrences(&self) -> u64 {
        self.tokens.len() as u64
    }
}

/// A text column whose values repeat: each distinct value is analysed once.
#[derive(Debug)]
pub(crate) struct RepeatedText {
    text: TextInverter,
    values: TermTable,
    /// For each distinct value: its tokens and the position of its first run within `text` when it came first.
    known: Vec<Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    tokens: (u32, u32),
    runs: (u32, u32),
}

impl RepeatedText {
    pub(crate) fn new() -> Self {
        Self {
            text: TextInverter::new(),
            values: TermTable::new(),
            known: Vec::new(),
        }
    }

    /// Adds the value of a document.
    pub(crate) fn add(&mut self, analyzer: &mut Analyzer, doc: u32, value: &str) {
        let (number, new) = self.values.number(value.as_bytes());
        if new {
            let (tokens, runs) = (self.text.tokens.len() as u32, self.text.runs.len() as u32);
            self.text.add(analyzer, doc, 0, value);
            self.known.push(Known {
                tokens: (tokens, self.text.tokens.len() as u32),
                runs: (runs, self.text.runs.len() as u32),
            });
            return;
        }
        let known = self.known[number as usize];
        let shift = self.text.tokens.len() as u32 - known.tokens.0;
        for at in known.runs.0..known.runs.1 {
            let run = self.text.runs[at as usize];
            self.text.runs.push(Run {
                doc,
                first: run.first + shift,
                position: run.position,
            });
        }
        self.text
            .tokens
            .extend_from_within(known.tokens.0 as usize..known.tokens.1 as usize);
    }

    /// What was collected.
    pub(crate) fn text(&self) -> &TextInverter {
        &self.text
    }
}
