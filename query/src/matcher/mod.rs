//! The matcher: whether one event, by itself, is what a query asks for. Holds are judged by it, segments without a split
//! are scanned by it, and what the index finds is held against it.
//!
//! A query is compiled once; a row is then judged without allocating. Text is read only when ids and times leave the
//! answer open, each field at most once a row, whatever the number of words asked for.

mod compile;
mod eval;
mod highlight;
mod occurrence;
mod reading;

#[cfg(test)]
mod naive;
#[cfg(test)]
mod tests;

use holdfast_schemas::Row;

use crate::analyzer::Diacritics;
use crate::ast::Expr;
use crate::plan::{LowerError, Plan, TextField, lower};
use compile::Node;
use occurrence::Occurrence;
use reading::{Reading, TermIndex};

/// How a matcher compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MatchOptions {
    /// Every word must also occur with the diacritics it is written with.
    pub exact_diacritics: bool,
}

/// A part of a text that a query found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Highlight {
    /// The field.
    pub field: TextField,
    /// The attachment's index; 0 in fields of one value.
    pub index: usize,
    /// First byte.
    pub from: usize,
    /// First byte after.
    pub to: usize,
}

/// A compiled query and its scratch space. Clone it for another thread.
#[derive(Debug, Clone)]
pub struct Matcher {
    node: Node,
    scratch: Scratch,
}

/// What judging one row needs, kept from row to row.
#[derive(Debug, Clone)]
struct Scratch {
    /// Terms without diacritics.
    folded: Reading,
    /// Terms with them; asked only by queries for exact diacritics.
    exact: Reading,
    left: Vec<Occurrence>,
    right: Vec<Occurrence>,
}

impl Matcher {
    /// Compiles a query.
    ///
    /// # Errors
    /// The query has no meaning by itself, as one with unexpanded participants.
    pub fn new(expr: &Expr, options: MatchOptions) -> Result<Self, LowerError> {
        Ok(Self::from_plan(&lower(expr, options.exact_diacritics)?))
    }

    /// Compiles what a query means.
    #[must_use]
    pub fn from_plan(plan: &Plan) -> Self {
        let (mut folded, mut exact) = (TermIndex::default(), TermIndex::default());
        let node = compile::compile(plan, &mut folded, &mut exact);
        let scratch = Scratch {
            folded: Reading::new(Diacritics::Dropped, folded),
            exact: Reading::new(Diacritics::Kept, exact),
            left: Vec::new(),
            right: Vec::new(),
        };
        Matcher { node, scratch }
    }

    /// Whether the query is true of this row.
    pub fn matches(&mut self, row: &Row<'_>) -> bool {
        self.scratch.begin();
        eval::eval(&self.node, row, &mut self.scratch)
    }

    /// Where the query's words stand in a row that it matches: ascending by field, attachment and place, without overlaps.
    /// Words below a NOT are not among them.
    pub fn highlights(&mut self, row: &Row<'_>) -> Vec<Highlight> {
        self.scratch.begin();
        let mut found = Vec::new();
        highlight::collect(&self.node, row, &mut self.scratch, &mut found);
        highlight::merged(found)
    }
}

impl Scratch {
    /// Forgets the row before.
    fn begin(&mut self) {
        self.folded.clear();
        self.exact.clear();
    }
}
