//! The live segments of a version, cheap to carry from one version to the next.
//!
//! A large shared base plus a small overlay: a commit copies the overlay only. When the overlay outgrows the square
//! root of the base, both are folded into a new base, so that a commit's share of the work grows with the square root
//! of the table. The base is a sorted list and not a map: readers still hold the old one when it is folded, so that it
//! is copied whole, and a map's names and nodes made that the slowest commit in a hundred.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::segment::Segment;

const OVERLAY_MIN: usize = 64;

#[derive(Debug, Clone, Default)]
pub(crate) struct Live {
    /// In the order of paths, each once.
    base: Arc<Vec<Arc<Segment>>>,
    added: BTreeMap<String, Arc<Segment>>,
    removed: BTreeSet<String>,
}

impl Live {
    pub(crate) fn from_segments(segments: impl IntoIterator<Item = Segment>) -> Self {
        // A path that is named twice counts as it was named last.
        let by_path: BTreeMap<String, Arc<Segment>> = segments
            .into_iter()
            .map(|s| (s.path.clone(), Arc::new(s)))
            .collect();
        Self {
            base: Arc::new(by_path.into_values().collect()),
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.base.len() + self.added.len() - self.removed.len()
    }

    fn in_base(&self, path: &str) -> Option<&Arc<Segment>> {
        let found = self
            .base
            .binary_search_by(|segment| segment.path.as_str().cmp(path));
        found.ok().and_then(|at| self.base.get(at))
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Segment>> {
        self.added.get(path).or_else(|| {
            if self.removed.contains(path) {
                None
            } else {
                self.in_base(path)
            }
        })
    }

    /// In the order of paths.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Segment>> {
        let mut base = self
            .base
            .iter()
            .filter(|segment| !self.removed.contains(&segment.path))
            .peekable();
        let mut added = self.added.values().peekable();
        std::iter::from_fn(move || {
            let from_base = match (base.peek(), added.peek()) {
                (Some(b), Some(a)) => b.path < a.path,
                (Some(_), None) => true,
                (None, _) => false,
            };
            if from_base { base.next() } else { added.next() }
        })
    }

    pub(crate) fn add(&mut self, segment: Segment) {
        let path = segment.path.clone();
        // A file that is added anew (its statistics changed) hides the one in the base.
        if self.in_base(&path).is_some() {
            self.removed.insert(path.clone());
        }
        self.added.insert(path, Arc::new(segment));
    }

    pub(crate) fn remove(&mut self, path: &str) {
        self.added.remove(path);
        if self.in_base(path).is_some() {
            self.removed.insert(path.to_owned());
        }
    }

    /// Folds the overlay into the base when it has grown enough.
    pub(crate) fn settle(&mut self) {
        let limit = OVERLAY_MIN.max(self.base.len().isqrt());
        if self.added.len() + self.removed.len() <= limit {
            return;
        }
        self.base = Arc::new(self.iter().cloned().collect());
        self.added.clear();
        self.removed.clear();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::segment::SegmentStats;

    fn segment(path: &str, rows: u64) -> Segment {
        Segment {
            path: path.to_owned(),
            event_year: 2026,
            rows,
            bytes: 1,
            base_row_id: 0,
            commit_version: 1,
            sha256: None,
            stats: SegmentStats::default(),
        }
    }

    proptest! {
        #[test]
        fn live_is_a_map_whatever_is_folded(steps in proptest::collection::vec((0u16..150, any::<bool>()), 0..900)) {
            let mut live = Live::default();
            let mut model = BTreeMap::new();
            for (number, (name, add)) in steps.into_iter().enumerate() {
                let path = format!("p{name}");
                if add {
                    live.add(segment(&path, number as u64));
                    model.insert(path, number as u64);
                } else {
                    live.remove(&path);
                    model.remove(&path);
                }
                live.settle();
                prop_assert_eq!(live.len(), model.len());
            }
            let found: Vec<_> = live.iter().map(|s| (s.path.clone(), s.rows)).collect();
            let expected: Vec<_> = model.clone().into_iter().collect();
            prop_assert_eq!(found, expected);
            for name in 0..150 {
                let path = format!("p{name}");
                prop_assert_eq!(live.get(&path).map(|s| s.rows), model.get(&path).copied());
            }
        }
    }
}
