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
                let found = if set.doc() < candidate { set.seek(candidate) } else { set.doc() };
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
        let next = self.sets.first_mut().map_or(TERMINATED, |leader| leader.advance());
        self.agree(next)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc() >= target {
            return self.doc();
        }
        let next = self.sets.first_mut().map_or(TERMINATED, |leader| leader.seek(target));
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
        self.sets.iter().map(|set| set.doc()).min().unwrap_or(TERMINATED)
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
        self.sets.iter().map(|set| set.size_hint()).fold(0, u32::saturating_add)
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
            let other = if self.not.doc() < doc { self.not.seek(doc) } else { self.not.doc() };
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
        let doc = if range.is_empty() { TERMINATED } else { range.start };
        Self { doc, end: range.end }
    }
}

impl DocSet for Span {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.doc = if self.doc + 1 < self.end { self.doc + 1 } else { TERMINATED };
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.doc = if target < self.end { target } else { TERMINATED };
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        if self.doc == TERMINATED { 0 } else { self.end - self.doc }
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
        Self { words: vec![0; (rows as usize).div_ceil(64)], len: 0, doc: TERMINATED }
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
        let Some(first) = self.words.get(at) else { return TERMINATED };
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
            self.doc = if target == TERMINATED { TERMINATED } else { self.from(target) };
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

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeSet;

    use proptest::prelude::*;

    const ROWS: u32 = 200;

    #[derive(Debug, Clone)]
    enum Tree {
        Span(u32, u32),
        List(BTreeSet<u32>),
        Bits(BTreeSet<u32>),
        And(Vec<Tree>),
        Or(Vec<Tree>),
        AndNot(Box<Tree>, Box<Tree>),
    }

    fn trees() -> impl Strategy<Value = Tree> {
        let rows = || prop::collection::btree_set(0..ROWS, 0..60);
        let leaf = prop_oneof![
            (0..ROWS, 0..ROWS).prop_map(|(a, b)| Tree::Span(a.min(b), a.max(b))),
            rows().prop_map(Tree::List),
            rows().prop_map(Tree::Bits),
        ];
        leaf.prop_recursive(3, 20, 3, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::And),
                prop::collection::vec(inner.clone(), 1..4).prop_map(Tree::Or),
                (inner.clone(), inner).prop_map(|(a, b)| Tree::AndNot(Box::new(a), Box::new(b))),
            ]
        })
    }

    fn expected(tree: &Tree) -> BTreeSet<u32> {
        match tree {
            Tree::Span(from, to) => (*from..*to).collect(),
            Tree::List(rows) | Tree::Bits(rows) => rows.clone(),
            Tree::And(all) => all.iter().map(expected).reduce(|a, b| &a & &b).unwrap(),
            Tree::Or(any) => any.iter().map(expected).reduce(|a, b| &a | &b).unwrap(),
            Tree::AndNot(from, not) => &expected(from) - &expected(not),
        }
    }

    fn open(tree: &Tree) -> Box<dyn DocSet> {
        match tree {
            Tree::Span(from, to) => Box::new(Span::new(*from..*to)),
            Tree::List(rows) => Box::new(List::new(rows.iter().copied().collect())),
            Tree::Bits(rows) => {
                let mut bits = Bits::new(ROWS);
                rows.iter().for_each(|row| bits.insert(*row));
                Box::new(bits.rewound())
            }
            Tree::And(all) => Box::new(And::new(all.iter().map(open).collect())),
            Tree::Or(any) => Box::new(Or::new(any.iter().map(open).collect())),
            Tree::AndNot(from, not) => Box::new(AndNot::new(open(from), open(not))),
        }
    }

    proptest! {
        #[test]
        fn sets_hold_what_sets_hold(tree in trees(), steps in prop::collection::vec(0..20_u32, 0..30)) {
            let expected = expected(&tree);
            let mut set = open(&tree);
            let mut seen = Vec::new();
            while set.doc() != TERMINATED {
                seen.push(set.doc());
                set.advance();
            }
            prop_assert_eq!(set.advance(), TERMINATED);
            prop_assert_eq!(seen, expected.iter().copied().collect::<Vec<_>>());
            let mut set = open(&tree);
            for step in steps {
                if set.doc() == TERMINATED { break; }
                let target = set.doc() + step;
                let next = expected.range(target..).next().copied().unwrap_or(TERMINATED);
                prop_assert_eq!(set.seek(target), next);
                prop_assert_eq!(set.doc(), next);
            }
        }
    }
}
