//! NEAR: two occurrences within one field, not far from each other.

use tantivy::{DocId, DocSet, TERMINATED};

use super::phrase::{Located, Place, agree};
use super::settled::{Settle, Settled};

/// Occurrences of any of several.
pub(crate) struct AnyOf {
    of: Vec<Box<dyn Located>>,
    doc: DocId,
    scratch: Vec<Place>,
}

impl AnyOf {
    pub(crate) fn new(of: Vec<Box<dyn Located>>) -> Self {
        let mut any = Self {
            of,
            doc: 0,
            scratch: Vec::new(),
        };
        any.doc = any.least();
        any
    }

    fn least(&self) -> DocId {
        self.of
            .iter()
            .map(|one| one.doc())
            .min()
            .unwrap_or(TERMINATED)
    }
}

impl DocSet for AnyOf {
    fn advance(&mut self) -> DocId {
        if self.doc == TERMINATED {
            TERMINATED
        } else {
            self.seek(self.doc + 1)
        }
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            for one in &mut self.of {
                if one.doc() < target {
                    one.seek(target);
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
        self.of
            .iter()
            .map(|one| one.size_hint())
            .fold(0, u32::saturating_add)
    }
}

impl Located for AnyOf {
    fn places(&mut self, places: &mut Vec<Place>) {
        places.clear();
        for one in self.of.iter_mut().filter(|one| one.doc() == self.doc) {
            one.places(&mut self.scratch);
            places.extend_from_slice(&self.scratch);
        }
        places.sort_unstable();
        places.dedup();
    }
}

/// How near two occurrences must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Distance {
    /// Terms between them, at most.
    pub(crate) terms_max: u32,
    /// Whether the left one must come first.
    pub(crate) ordered: bool,
}

/// Two occurrences near each other, which do not overlap.
pub(crate) type Near = Settled<Pair>;

/// What has to be near each other.
pub(crate) struct Pair {
    sides: [Box<dyn Located>; 2],
    distance: Distance,
    places: [Vec<Place>; 2],
}

impl Near {
    pub(crate) fn new(left: Box<dyn Located>, right: Box<dyn Located>, distance: Distance) -> Self {
        Self::first(Pair {
            sides: [left, right],
            distance,
            places: [Vec::new(), Vec::new()],
        })
    }
}

impl Settle for Pair {
    fn settle(&mut self, mut candidate: DocId) -> DocId {
        loop {
            candidate = agree(&mut self.sides, candidate);
            if candidate == TERMINATED {
                return TERMINATED;
            }
            for (side, places) in self.sides.iter_mut().zip(&mut self.places) {
                side.places(places);
            }
            let [left, right] = &self.places;
            if follows(left, right, self.distance.terms_max)
                || (!self.distance.ordered && follows(right, left, self.distance.terms_max))
            {
                return candidate;
            }
            candidate += 1;
        }
    }

    fn rows_about(&self) -> u32 {
        let [left, right] = &self.sides;
        left.size_hint().min(right.size_hint())
    }
}

/// Whether some place of `after` begins behind one of `before`, with at most `between` positions between them.
fn follows(before: &[Place], after: &[Place], between: u32) -> bool {
    before.iter().any(|(_, end)| {
        // Places ascend by their beginning: the first one behind is the nearest.
        let next = after.partition_point(|(begin, _)| begin <= end);
        after
            .get(next)
            .is_some_and(|(begin, _)| begin - end - 1 <= between)
    })
}
