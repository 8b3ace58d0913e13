//! The analyzer: text to terms, the same for index, query and matcher.

use std::borrow::Cow;

/// Version of the analysis; stored in every split. Whatever changes a term, a position or an offset raises it.
pub const ANALYZER_VERSION: u32 = 1;

/// One term of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Term<'a> {
    /// The normalised term.
    pub text: &'a str,
    /// Its place among the text's terms, from 0.
    pub position: u32,
    /// First byte of it in the original text.
    pub offset_from: usize,
    /// First byte after it in the original text.
    pub offset_to: usize,
}

/// Cuts texts into terms; keeps its buffers from text to text.
#[derive(Debug, Clone, Default)]
pub struct Analyzer {}

impl Analyzer {
    /// The analyzer of index and search.
    #[must_use]
    pub fn new() -> Self {
        todo!()
    }

    /// The same, but diacritics (U+0300 to U+036F) stay: what `--exact-diacritics` compares.
    #[must_use]
    pub fn exact_diacritics() -> Self {
        todo!()
    }

    /// Calls `each` for every term of `text`, in order.
    pub fn terms(&mut self, text: &str, mut each: impl FnMut(Term<'_>)) {
        let mut terms = self.start(text);
        while let Some(term) = terms.next_term() {
            each(term);
        }
    }

    /// The terms of `text`, one pull at a time (what a Tantivy `TokenStream` wraps).
    pub fn start<'a>(&'a mut self, text: &'a str) -> Terms<'a> {
        let _ = text;
        todo!()
    }
}

/// The terms of one text, pulled one by one. Not an `Iterator`: a term borrows the analyzer's buffer until the next.
#[derive(Debug)]
pub struct Terms<'a> {
    analyzer: &'a mut Analyzer,
}

impl Terms<'_> {
    /// The next term, or `None` at the end.
    pub fn next_term(&mut self) -> Option<Term<'_>> {
        let _ = &self.analyzer;
        todo!()
    }
}

/// What "ignoring case" means for whole values (ids, room names, types …): NFKC, full case folding, NFKC; diacritics stay.
/// Borrowed when nothing changes.
#[must_use]
pub fn fold_keyword(text: &str) -> Cow<'_, str> {
    let _ = text;
    todo!()
}
