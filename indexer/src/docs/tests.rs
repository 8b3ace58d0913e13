//! Sets of rows hold what sets hold.

use super::combine::{And, AndNot, Bits, List, Or, Span};
use tantivy::{DocSet, TERMINATED};

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
