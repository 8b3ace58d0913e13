//! Sets of rows as a tree that is evaluated in the cheapest way for what is asked: how many, which, or one after another.

use std::ops::Range;
use std::sync::Arc;

use roaring::RoaringBitmap;
use tantivy::postings::TermInfo;
use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet, InvertedIndexReader, TERMINATED};

use super::combine::{And, AndNot, Bits, List, Or, Span};
use crate::error::SplitError;

/// More sets than this under an OR are laid into bits instead of being read side by side.
const SIDE_BY_SIDE_MAX: usize = 8;

/// A term's postings, not read yet.
#[derive(Clone)]
pub(crate) struct Term {
    pub(crate) reader: Arc<InvertedIndexReader>,
    pub(crate) info: TermInfo,
}

impl Term {
    fn each_block(&self, mut each: impl FnMut(&[u32])) -> Result<(), SplitError> {
        let mut blocks = self
            .reader
            .read_block_postings_from_terminfo(&self.info, IndexRecordOption::Basic)?;
        loop {
            let block = blocks.docs();
            if block.is_empty() {
                return Ok(());
            }
            each(block);
            blocks.advance();
        }
    }

    fn docs(&self) -> Result<Box<dyn DocSet>, SplitError> {
        Ok(Box::new(self.reader.read_postings_from_terminfo(
            &self.info,
            IndexRecordOption::Basic,
        )?))
    }
}

/// Rows of a segment.
pub(crate) enum Set {
    /// None.
    Empty,
    /// Every one.
    All,
    /// Neighbours.
    Span(Range<u32>),
    /// Those of a term.
    Term(Term),
    /// A list, ascending and distinct.
    List(Vec<u32>),
    /// Decided one by one (phrases, NEAR).
    Docs(Box<dyn DocSet>),
    /// In all of them.
    And(Vec<Set>),
    /// In any of them.
    Or(Vec<Set>),
    /// Not in it.
    Not(Box<Set>),
}

impl Set {
    pub(crate) fn and(sets: Vec<Self>) -> Self {
        let mut kept = Vec::with_capacity(sets.len());
        for set in sets {
            match set {
                Self::All => {}
                Self::Empty => return Self::Empty,
                Self::And(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::All,
            1 => kept.remove(0),
            _ => Self::And(kept),
        }
    }

    pub(crate) fn or(sets: Vec<Self>) -> Self {
        let mut kept = Vec::with_capacity(sets.len());
        for set in sets {
            match set {
                Self::Empty => {}
                Self::All => return Self::All,
                Self::Or(inner) => kept.extend(inner),
                other => kept.push(other),
            }
        }
        match kept.len() {
            0 => Self::Empty,
            1 => kept.remove(0),
            _ => Self::Or(kept),
        }
    }

    pub(crate) fn not(set: Self) -> Self {
        match set {
            Self::Empty => Self::All,
            Self::All => Self::Empty,
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// How many of `rows` rows. A single term answers from the dictionary.
    pub(crate) fn count(self, rows: u32) -> Result<u64, SplitError> {
        Ok(match self {
            Self::Empty => 0,
            Self::All => u64::from(rows),
            Self::Span(range) => range.len() as u64,
            Self::Term(term) => u64::from(term.info.doc_freq),
            Self::List(list) => list.len() as u64,
            Self::Not(inner) => u64::from(rows) - inner.count(rows)?,
            or @ Self::Or(_) => u64::from(or.into_bits(rows)?.len()),
            other @ (Self::Docs(_) | Self::And(_)) => {
                let mut docs = other.into_docs(rows)?;
                let mut count = 0;
                while docs.doc() != TERMINATED {
                    count += 1;
                    docs.advance();
                }
                count
            }
        })
    }

    /// Which of `rows` rows.
    pub(crate) fn collect(self, rows: u32) -> Result<RoaringBitmap, SplitError> {
        Ok(match self {
            Self::Empty => RoaringBitmap::new(),
            Self::All => range(0..rows),
            Self::Span(span) => range(span),
            Self::List(list) => list.into_iter().collect(),
            Self::Term(term) if term.info.doc_freq > rows / 64 => {
                bitmap(&Self::Term(term).into_bits(rows)?)
            }
            Self::Not(inner) => range(0..rows) - inner.collect(rows)?,
            or @ Self::Or(_) => bitmap(&or.into_bits(rows)?),
            other @ (Self::Term(_) | Self::Docs(_) | Self::And(_)) => {
                let mut docs = other.into_docs(rows)?;
                let mut found = RoaringBitmap::new();
                while docs.doc() != TERMINATED {
                    found.insert(docs.doc());
                    docs.advance();
                }
                found
            }
        })
    }

    /// One row after another.
    pub(crate) fn into_docs(self, rows: u32) -> Result<Box<dyn DocSet>, SplitError> {
        Ok(match self {
            Self::Empty => Box::new(List::new(Vec::new())),
            Self::All => Box::new(Span::new(0..rows)),
            Self::Span(range) => Box::new(Span::new(range)),
            Self::Term(term) => term.docs()?,
            Self::List(list) => Box::new(List::new(list)),
            Self::Docs(docs) => docs,
            Self::Not(inner) => Box::new(AndNot::new(
                Box::new(Span::new(0..rows)),
                inner.into_docs(rows)?,
            )),
            Self::And(sets) => {
                let (not, yes): (Vec<Self>, Vec<Self>) = sets
                    .into_iter()
                    .partition(|set| matches!(set, Self::Not(_)));
                let mut from: Box<dyn DocSet> = match yes.len() {
                    0 => Box::new(Span::new(0..rows)),
                    _ => Box::new(And::new(
                        yes.into_iter()
                            .map(|set| set.into_docs(rows))
                            .collect::<Result<_, _>>()?,
                    )),
                };
                for set in not {
                    let Self::Not(inner) = set else { continue };
                    from = Box::new(AndNot::new(from, inner.into_docs(rows)?));
                }
                from
            }
            Self::Or(sets) if sets.len() > SIDE_BY_SIDE_MAX => {
                Box::new(Self::Or(sets).into_bits(rows)?)
            }
            Self::Or(sets) => Box::new(Or::new(
                sets.into_iter()
                    .map(|set| set.into_docs(rows))
                    .collect::<Result<_, _>>()?,
            )),
        })
    }

    fn into_bits(self, rows: u32) -> Result<Bits, SplitError> {
        let mut bits = Bits::new(rows);
        self.fill(rows, &mut bits)?;
        Ok(bits.rewound())
    }

    fn fill(self, rows: u32, bits: &mut Bits) -> Result<(), SplitError> {
        match self {
            Self::Term(term) => {
                term.each_block(|block| block.iter().for_each(|doc| bits.insert(*doc)))?;
            }
            Self::Or(sets) => {
                for set in sets {
                    set.fill(rows, bits)?;
                }
            }
            other => {
                let mut docs = other.into_docs(rows)?;
                while docs.doc() != TERMINATED {
                    bits.insert(docs.doc());
                    docs.advance();
                }
            }
        }
        Ok(())
    }
}

fn range(range: Range<u32>) -> RoaringBitmap {
    let mut rows = RoaringBitmap::new();
    rows.insert_range(range);
    rows
}

fn bitmap(bits: &Bits) -> RoaringBitmap {
    let bytes: Vec<u8> = bits
        .words()
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    RoaringBitmap::from_lsb0_bytes(0, &bytes)
}
