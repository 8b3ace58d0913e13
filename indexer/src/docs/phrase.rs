//! Phrases: sets of rows decided by positions within one field.

use tantivy::postings::{Postings, SegmentPostings};
use tantivy::{DocId, DocSet, TERMINATED};

use super::settled::{Settle, Settled};

/// First and last position of an occurrence.
pub(super) type Place = (u32, u32);

/// A set of rows that knows where in the field it occurs.
pub(crate) trait Located: DocSet {
    /// Replaces `places` by the occurrences in the current row, ascending and distinct.
    fn places(&mut self, places: &mut Vec<Place>);
}

/// What stands at one position: a term, or any of several (a prefix).
pub(crate) enum Element {
    /// Few terms, read side by side.
    Terms {
        postings: Vec<SegmentPostings>,
        doc: DocId,
        scratch: Vec<u32>,
    },
    /// Many terms, read once into (row, position) pairs, ascending.
    Pairs { pairs: Vec<(u32, u32)>, at: usize },
}

/// More terms than this are read into pairs: side by side every step would look at each of them.
const SIDE_BY_SIDE_MAX: usize = 16;

impl Element {
    pub(crate) fn new(postings: Vec<SegmentPostings>) -> Self {
        if postings.len() > SIDE_BY_SIDE_MAX {
            return Self::pairs(postings);
        }
        let mut element = Self::Terms {
            postings,
            doc: 0,
            scratch: Vec::new(),
        };
        element.least();
        element
    }

    fn pairs(postings: Vec<SegmentPostings>) -> Self {
        let mut pairs = Vec::new();
        let mut positions = Vec::new();
        for mut postings in postings {
            while postings.doc() != TERMINATED {
                postings.positions(&mut positions);
                pairs.extend(positions.iter().map(|position| (postings.doc(), *position)));
                postings.advance();
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        Self::Pairs { pairs, at: 0 }
    }

    fn least(&mut self) -> DocId {
        if let Self::Terms { postings, doc, .. } = self {
            *doc = postings.iter().map(DocSet::doc).min().unwrap_or(TERMINATED);
        }
        self.doc()
    }
}

impl DocSet for Element {
    fn advance(&mut self) -> DocId {
        match self {
            Self::Terms { doc, .. } if *doc == TERMINATED => TERMINATED,
            Self::Terms { .. } => self.seek(self.doc() + 1),
            Self::Pairs { pairs, at } => {
                if let Some((doc, _)) = pairs.get(*at) {
                    *at += pairs[*at..]
                        .iter()
                        .take_while(|(other, _)| other == doc)
                        .count();
                }
                self.doc()
            }
        }
    }

    fn seek(&mut self, target: DocId) -> DocId {
        match self {
            Self::Terms { postings, doc, .. } => {
                if *doc >= target {
                    return *doc;
                }
                for postings in postings {
                    if postings.doc() < target {
                        postings.seek(target);
                    }
                }
                self.least()
            }
            Self::Pairs { pairs, at } => {
                *at += pairs[*at..].partition_point(|(doc, _)| *doc < target);
                self.doc()
            }
        }
    }

    fn doc(&self) -> DocId {
        match self {
            Self::Terms { doc, .. } => *doc,
            Self::Pairs { pairs, at } => pairs.get(*at).map_or(TERMINATED, |(doc, _)| *doc),
        }
    }

    fn size_hint(&self) -> u32 {
        match self {
            Self::Terms { postings, .. } => postings
                .iter()
                .map(DocSet::size_hint)
                .fold(0, u32::saturating_add),
            Self::Pairs { pairs, at } => (pairs.len() - at) as u32,
        }
    }
}

impl Located for Element {
    fn places(&mut self, places: &mut Vec<Place>) {
        places.clear();
        match self {
            Self::Terms {
                postings,
                doc,
                scratch,
            } => {
                for postings in postings
                    .iter_mut()
                    .filter(|postings| postings.doc() == *doc)
                {
                    postings.positions(scratch);
                    places.extend(scratch.iter().map(|position| (*position, *position)));
                }
                places.sort_unstable();
                places.dedup();
            }
            Self::Pairs { pairs, at } => {
                let Some((doc, _)) = pairs.get(*at) else {
                    return;
                };
                let here = pairs[*at..].iter().take_while(|(other, _)| other == doc);
                places.extend(here.map(|(_, position)| (*position, *position)));
            }
        }
    }
}

/// Moves every set to the first row at or after `candidate` that they share.
pub(super) fn agree<D: DocSet>(sets: &mut [D], mut candidate: DocId) -> DocId {
    'next: while candidate != TERMINATED {
        for set in sets.iter_mut() {
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
    TERMINATED
}

/// Elements at positions relative to each other.
pub(crate) type Phrase = Settled<Elements>;

/// What has to stand in a row, one behind the other.
pub(crate) struct Elements {
    /// Fewest rows first: it leads, the others seek.
    elements: Vec<Element>,
    /// Positions of the elements after the phrase's first.
    offsets: Vec<u32>,
    /// Positions that an occurrence takes.
    width: u32,
    found: Vec<Place>,
    scratch: Vec<Place>,
}

impl Phrase {
    /// Of elements with their offsets.
    pub(crate) fn new(mut elements: Vec<(u32, Element)>, width: u32) -> Self {
        elements.sort_by_key(|(_, element)| element.size_hint());
        let (offsets, elements) = elements.into_iter().unzip();
        Self::first(Elements {
            elements,
            offsets,
            width,
            found: Vec::new(),
            scratch: Vec::new(),
        })
    }
}

impl Settle for Elements {
    fn settle(&mut self, mut candidate: DocId) -> DocId {
        if self.elements.is_empty() {
            return TERMINATED;
        }
        loop {
            candidate = agree(&mut self.elements, candidate);
            if candidate == TERMINATED || self.occurs() {
                return candidate;
            }
            candidate += 1;
        }
    }

    fn rows_about(&self) -> u32 {
        let rows = self.elements.iter().map(|element| element.size_hint());
        rows.min().unwrap_or(0)
    }
}

impl Elements {
    /// Finds the phrase's occurrences in the row that all elements stand on.
    fn occurs(&mut self) -> bool {
        let (found, scratch) = (&mut self.found, &mut self.scratch);
        found.clear();
        for (at, (offset, element)) in self.offsets.iter().zip(&mut self.elements).enumerate() {
            element.places(scratch);
            if at == 0 {
                let begins = scratch
                    .iter()
                    .filter_map(|(place, _)| place.checked_sub(*offset));
                found.extend(begins.map(|begin| (begin, begin + self.width.saturating_sub(1))));
            } else {
                found.retain(|(begin, _)| {
                    scratch
                        .binary_search(&(*begin + offset, *begin + offset))
                        .is_ok()
                });
            }
            if found.is_empty() {
                return false;
            }
        }
        true
    }
}

impl Located for Phrase {
    fn places(&mut self, places: &mut Vec<Place>) {
        places.clear();
        places.extend_from_slice(&self.of.found);
    }
}
