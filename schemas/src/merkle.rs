//! Merkle tree hash of RFC 6962 (section 2.1), over event hashes.

use sha2::{Digest, Sha256};

use crate::hash::EventHash;

/// Root over the hashes in the order given; for no hash at all, the SHA-256 of nothing.
#[must_use]
pub fn root(hashes: impl IntoIterator<Item = EventHash>) -> EventHash {
    let mut tree = Tree::default();
    for hash in hashes {
        tree.push(&hash);
    }
    tree.root()
}

/// Root over rows in the order of the archive, (origin, sequence), whatever order they come in.
#[must_use]
pub fn rows_root<'a>(rows: impl IntoIterator<Item = (&'a str, u64, EventHash)>) -> EventHash {
    let mut rows: Vec<_> = rows.into_iter().collect();
    if !rows.is_sorted_by_key(|row| (row.0, row.1)) {
        rows.sort_unstable_by_key(|row| (row.0, row.1));
    }
    root(rows.into_iter().map(|row| row.2))
}

/// A tree while it grows: the roots of its complete subtrees, the largest first.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    subtrees: Vec<EventHash>,
    leaves: u64,
}

impl Tree {
    /// Adds a leaf.
    pub fn push(&mut self, leaf: &EventHash) {
        let mut hash = leaf_hash(leaf);
        // Each trailing one bit of the count is a complete subtree of the size just reached.
        for _ in 0..self.leaves.trailing_ones() {
            if let Some(left) = self.subtrees.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.subtrees.push(hash);
        self.leaves += 1;
    }

    /// The root over the leaves so far.
    #[must_use]
    pub fn root(&self) -> EventHash {
        let mut from_right = self.subtrees.iter().rev().copied();
        let Some(last) = from_right.next() else {
            return Sha256::digest([]).into();
        };
        from_right.fold(last, |right, left| node_hash(&left, &right))
    }
}

fn leaf_hash(leaf: &EventHash) -> EventHash {
    let mut bytes = [0; 33];
    bytes[1..].copy_from_slice(leaf);
    Sha256::digest(bytes).into()
}

fn node_hash(left: &EventHash, right: &EventHash) -> EventHash {
    let mut bytes = [1; 65];
    bytes[1..33].copy_from_slice(left);
    bytes[33..].copy_from_slice(right);
    Sha256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The recursion as RFC 6962 writes it.
    fn by_definition(leaves: &[EventHash]) -> EventHash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [leaf] => leaf_hash(leaf),
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node_hash(&by_definition(&leaves[..k]), &by_definition(&leaves[k..]))
            }
        }
    }

    proptest! {
        #[test]
        fn root_is_that_of_rfc_6962(leaves in proptest::collection::vec(any::<[u8; 32]>(), 0..70)) {
            prop_assert_eq!(root(leaves.iter().copied()), by_definition(&leaves));
        }
    }

    #[test]
    fn rows_are_ordered_by_origin_and_sequence() {
        let (a, b, c) = ([1; 32], [2; 32], [3; 32]);
        let ordered = rows_root([("a", 1, a), ("a", 2, b), ("b", 1, c)]);
        assert_eq!(rows_root([("b", 1, c), ("a", 2, b), ("a", 1, a)]), ordered);
        assert_ne!(rows_root([("b", 1, a), ("a", 2, b), ("a", 1, c)]), ordered);
    }
}
