//! Sets of rows that are found one after another: where terms agree, positions decide.

use tantivy::{DocId, DocSet, TERMINATED};

/// What tells which rows belong to a set.
pub(crate) trait Settle: Send + 'static {
    /// The first row of the set at or after `candidate`, or the end.
    fn settle(&mut self, candidate: DocId) -> DocId;
    /// Rows at most, about.
    fn rows_about(&self) -> u32;
}

/// The set, standing on one of its rows.
pub(crate) struct Settled<S> {
    pub(super) of: S,
    doc: DocId,
}

impl<S: Settle> Settled<S> {
    pub(super) fn first(mut of: S) -> Self {
        let doc = of.settle(0);
        Self { of, doc }
    }
}

impl<S: Settle> DocSet for Settled<S> {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.doc = self.of.settle(self.doc + 1);
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = self.of.settle(target);
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.of.rows_about()
    }
}
