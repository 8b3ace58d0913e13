//! Rows of one segment that go, by the policy that deletes them.

use roaring::RoaringBitmap;

/// Rows that go, each under the place of its policy in the basis.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Going {
    /// The policy entered last comes last: neighbours mostly share theirs.
    by: Vec<(Option<usize>, RoaringBitmap)>,
}

impl Going {
    pub(super) fn insert(&mut self, row: u32, policy: Option<usize>) {
        if let Some((last, rows)) = self.by.last_mut()
            && *last == policy
        {
            rows.insert(row);
            return;
        }
        match self.by.iter().position(|(known, _)| *known == policy) {
            Some(place) => {
                let last = self.by.len() - 1;
                self.by.swap(place, last);
                self.by[last].1.insert(row);
            }
            None => self.by.push((policy, RoaringBitmap::from([row]))),
        }
    }

    /// All of them, and those of each policy, in the policies' order.
    pub(super) fn finish(self) -> (RoaringBitmap, Vec<(Option<usize>, RoaringBitmap)>) {
        let mut by = self.by;
        by.sort_by_key(|(policy, _)| *policy);
        let mut all = RoaringBitmap::new();
        by.iter().for_each(|(_, rows)| all |= rows);
        (all, by)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_row_is_under_its_policy_and_in_the_whole(rows in proptest::collection::btree_map(0u32..500, proptest::option::of(0usize..4), 0..80)) {
            let mut going = Going::default();
            rows.iter().for_each(|(row, policy)| going.insert(*row, *policy));
            let (all, by) = going.finish();
            prop_assert_eq!(all.iter().collect::<Vec<_>>(), rows.keys().copied().collect::<Vec<_>>());
            let found: BTreeMap<u32, Option<usize>> = by.iter().flat_map(|(policy, rows)| rows.iter().map(|row| (row, *policy))).collect();
            prop_assert_eq!(found, rows);
        }
    }
}
