//! And, or, and-not over sets of rows.

use tantivy::{DocId, DocSet, TERMINATED};

/// Rows in every one of the sets.
pub(crate) struct And {
    /// The fewest first: it leads, the others seek.
    sets: Vec<Box<dyn DocSet>>,
}

impl And {
    /// `sets` is not empty.
    pub(crate) fn new(mut sets: Vec<Box<dyn DocSet>>) -> Self {
        sets.sort_by_key(|set| set.size_hint());
        let mut and = Self { sets };
        let first = and.sets.first().map_or(TERMINATED, |set| set.doc());
        and.agree(first);
        and
    }

    /// Moves all sets to the first row at or after `candidate` that they share.
    fn agree(&mut self, mut candidate: DocId) -> DocId {
        'next: while candidate != TERMINATED {
            for set in &mut self.sets {
                let found = if set.doc() < candidate {
                    set.seek(candidate)
                } else {
                    set.doc()
                };
                if found != candidate {
                    candidate = found;
                    continue 'next;
                }
            }
            return candidate;
        }
        // Terminated as a whole: the leader says so.
        if let Some(leader) = self.sets.first_mut()
            && leader.doc() != TERMINATED
        {
            leader.seek(TERMINATED);
        }
        TERMINATED
    }
}

impl DocSet for And {
    fn advance(&mut self) -> DocId {
        let next = self
            .sets
            .first_mut()
            .map_or(TERMINATED, |leader| leader.advance());
        self.agree(next)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc() >= target {
            return self.doc();
        }
        let next = self
            .sets
            .first_mut()
            .map_or(TERMINATED, |leader| leader.seek(target));
        self.agree(next)
    }

    fn doc(&self) -> DocId {
        self.sets.first().map_or(TERMINATED, |leader| leader.doc())
    }

    fn size_hint(&self) -> u32 {
        self.sets.first().map_or(0, |leader| leader.size_hint())
    }
}

/// Rows in any of a few sets. Many sets are laid into [`Bits`] instead.
pub(crate) struct Or {
    sets: Vec<Box<dyn DocSet>>,
    doc: DocId,
}

impl Or {
    pub(crate) fn new(sets: Vec<Box<dyn DocSet>>) -> Self {
        let mut or = Self { sets, doc: 0 };
        or.doc = or.least();
        or
    }

    fn least(&self) -> DocId {
        self.sets
            .iter()
            .map(|set| set.doc())
            .min()
            .unwrap_or(TERMINATED)
    }
}

impl DocSet for Or {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            for set in &mut self.sets {
                if set.doc() == self.doc {
                    set.advance();
                }
            }
            self.doc = self.least();
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            for set in &mut self.sets {
                if set.doc() < target {
                    set.seek(target);
                }
            }
            self.doc = self.least();
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.sets
            .iter()
            .map(|set| set.size_hint())
            .fold(0, u32::saturating_add)
    }
}

/// Rows of one set that are not in another.
pub(crate) struct AndNot {
    from: Box<dyn DocSet>,
    not: Box<dyn DocSet>,
}

impl AndNot {
    pub(crate) fn new(from: Box<dyn DocSet>, not: Box<dyn DocSet>) -> Self {
        let mut and_not = Self { from, not };
        and_not.skip();
        and_not
    }

    fn skip(&mut self) -> DocId {
        loop {
            let doc = self.from.doc();
            if doc == TERMINATED {
                return doc;
            }
            let other = if self.not.doc() < doc {
                self.not.seek(doc)
            } else {
                self.not.doc()
            };
            if other != doc {
                return doc;
            }
            self.from.advance();
        }
    }
}

impl DocSet for AndNot {
    fn advance(&mut self) -> DocId {
        self.from.advance();
        self.skip()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.from.doc() < target {
            self.from.seek(target);
        }
        self.skip()
    }

    fn doc(&self) -> DocId {
        self.from.doc()
    }

    fn size_hint(&self) -> u32 {
        self.from.size_hint()
    }
}

/// All rows of a range.
pub(crate) struct Span {
    doc: DocId,
    end: DocId,
}

impl Span {
    pub(crate) fn new(range: std::ops::Range<u32>) -> Self {
        let doc = if range.is_empty() {
            TERMINATED
        } else {
            range.start
        };
        Self {
            doc,
            end: range.end,
        }
    }
}

impl DocSet for Span {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.doc = if self.doc + 1 < self.end {
                self.doc + 1
            } else {
                TERMINATED
            };
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = if target < self.end {
                target
            } else {
                TERMINATED
            };
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        if self.doc == TERMINATED {
            0
        } else {
            self.end - self.doc
        }
    }
}

/// A list of rows, ascending and distinct.
pub(crate) struct List {
    rows: Vec<u32>,
    at: usize,
}

impl List {
    pub(crate) fn new(rows: Vec<u32>) -> Self {
        Self { rows, at: 0 }
    }
}

impl DocSet for List {
    fn advance(&mut self) -> DocId {
        self.at = (self.at + 1).min(self.rows.len());
        self.doc()
    }

    fn seek(&mut self, target: DocId) -> DocId {
        self.at += self.rows[self.at..].partition_point(|row| *row < target);
        self.doc()
    }

    fn doc(&self) -> DocId {
        self.rows.get(self.at).copied().unwrap_or(TERMINATED)
    }

    fn size_hint(&self) -> u32 {
        (self.rows.len() - self.at) as u32
    }
}

/// Rows as one bit each.
pub(crate) struct Bits {
    words: Vec<u64>,
    len: u32,
    doc: DocId,
}

impl Bits {
    /// No row of `rows`.
    pub(crate) fn new(rows: u32) -> Self {
        Self {
            words: vec![0; (rows as usize).div_ceil(64)],
            len: 0,
            doc: TERMINATED,
        }
    }

    #[inline]
    pub(crate) fn insert(&mut self, row: u32) {
        if let Some(word) = self.words.get_mut(row as usize / 64) {
            *word |= 1 << (row % 64);
        }
    }

    /// Puts the cursor on the first row.
    pub(crate) fn rewound(mut self) -> Self {
        self.len = self.words.iter().map(|word| word.count_ones()).sum();
        self.doc = self.from(0);
        self
    }

    /// Rows in it.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    fn from(&self, target: DocId) -> DocId {
        let mut at = target as usize / 64;
        let Some(first) = self.words.get(at) else {
            return TERMINATED;
        };
        let mut word = first & (u64::MAX << (target % 64));
        while word == 0 {
            at += 1;
            match self.words.get(at) {
                Some(next) => word = *next,
                None => return TERMINATED,
            }
        }
        at as u32 * 64 + word.trailing_zeros()
    }
}

impl DocSet for Bits {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.doc = self.from(self.doc + 1);
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = if target == TERMINATED {
                TERMINATED
            } else {
                self.from(target)
            };
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.len
    }
}
